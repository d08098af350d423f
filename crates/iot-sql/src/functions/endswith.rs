//! `endswith(text, end)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// Whether the text ends with `end`.
pub(super) const ENDSWITH: Function = Function {
    name: "endswith",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("text"), Arg::required("end")],
    doc: "Whether the text ends with `end`.",
    examples: &[
        Example { sql: "endswith('cat', 'at')", gives: "TRUE" },
        Example { sql: "endswith(123, 3)", gives: "TRUE" },
        Example { sql: "endswith('cat', NULL)", gives: "" },
    ],
    eval: |call| Some(Value::Bool(call.text(0)?.ends_with(&*call.text(1)?))),
};
