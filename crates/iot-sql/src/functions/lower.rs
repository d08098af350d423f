//! `lower(text)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// The text in lower case.
pub(super) const LOWER: Function = Function {
    name: "lower",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("text")],
    doc: "The text in lower case.",
    examples: &[
        Example { sql: "lower('HeLLo')", gives: "'hello'" },
        Example { sql: "lower(NULL)", gives: "" },
    ],
    eval: |call| Some(Value::from(call.text(0)?.to_lowercase())),
};
