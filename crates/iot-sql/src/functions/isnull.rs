//! `isNull(value)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// Whether the value is Null.
pub(super) const ISNULL: Function = Function {
    name: "isNull",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("value")],
    doc: "Whether the value is Null.",
    examples: &[
        Example { sql: "isNull(NULL)", gives: "TRUE" },
        Example { sql: "isNull(missing)", gives: "FALSE" },
    ],
    eval: |call| Some(Value::Bool(*call.value(0) == Value::Null)),
};
