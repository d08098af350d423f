//! `numbytes(text)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// How many bytes the text has in UTF-8.
pub(super) const NUMBYTES: Function = Function {
    name: "numbytes",
    since: SqlVersion::V2016_03_23,
    args: &[Arg::required("text")],
    doc: "How many bytes the text has in UTF-8.",
    examples: &[Example { sql: "numbytes('hi')", gives: "2" }, Example { sql: "numbytes('€')", gives: "3" }],
    eval: |call| Some(Value::from(call.text(0)?.len() as i64)),
};
