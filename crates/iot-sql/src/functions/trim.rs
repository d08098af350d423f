//! `trim(text)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// The text without white space before and behind it.
pub(super) const TRIM: Function = Function {
    name: "trim",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("text")],
    doc: "The text without white space before and behind it.",
    examples: &[Example { sql: "trim(' h i ')", gives: "'h i'" }],
    eval: |call| Some(Value::from(call.text(0)?.trim())),
};
