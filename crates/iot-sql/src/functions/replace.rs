//! `replace(text, from, to)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// The text with every `from` replaced by `to`.
pub(super) const REPLACE: Function = Function {
    name: "replace",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("text"), Arg::required("from"), Arg::required("to")],
    doc: "The text with every `from` replaced by `to`.",
    examples: &[
        Example { sql: "replace('abcdabcd', 'b', 'x')", gives: "'axcdaxcd'" },
        Example { sql: "replace(12321, 2, 'x')", gives: "'1x3x1'" },
    ],
    eval: |call| {
        let (text, from, to) = (call.text(0)?, call.text(1)?, call.text(2)?);
        call.reserve(text.matches(&*from).count().saturating_mul(to.len()))?;
        Some(Value::from(text.replace(&*from, &to)))
    },
};
