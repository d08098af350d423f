//! `ltrim(text)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// The text without white space before it.
pub(super) const LTRIM: Function = Function {
    name: "ltrim",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("text")],
    doc: "The text without white space before it.",
    examples: &[Example { sql: "ltrim(' h i ')", gives: "'h i '" }],
    eval: |call| Some(Value::from(call.text(0)?.trim_start())),
};
