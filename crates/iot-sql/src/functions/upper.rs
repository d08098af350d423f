//! `upper(text)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// The text in upper case.
pub(super) const UPPER: Function = Function {
    name: "upper",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("text")],
    doc: "The text in upper case.",
    examples: &[
        Example { sql: "upper('a1')", gives: "'A1'" },
        Example { sql: "upper(list)", gives: "'[1,2]'" },
    ],
    eval: |call| Some(Value::from(call.text(0)?.to_uppercase())),
};
