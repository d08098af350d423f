//! `startswith(text, start)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// Whether the text starts with `start`.
pub(super) const STARTSWITH: Function = Function {
    name: "startswith",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("text"), Arg::required("start")],
    doc: "Whether the text starts with `start`.",
    examples: &[
        Example { sql: "startswith('ranger', 'ran')", gives: "TRUE" },
        Example { sql: "startswith(123, 1)", gives: "TRUE" },
    ],
    eval: |call| Some(Value::Bool(call.text(0)?.starts_with(&*call.text(1)?))),
};
