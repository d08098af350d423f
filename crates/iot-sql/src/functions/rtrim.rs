//! `rtrim(text)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// The text without white space behind it.
pub(super) const RTRIM: Function = Function {
    name: "rtrim",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("text")],
    doc: "The text without white space behind it.",
    examples: &[Example { sql: "rtrim(' h i ')", gives: "' h i'" }],
    eval: |call| Some(Value::from(call.text(0)?.trim_end())),
};
