//! `isUndefined(value)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// Whether there is no value.
pub(super) const ISUNDEFINED: Function = Function {
    name: "isUndefined",
    since: SqlVersion::V2016_03_23,
    args: &[Arg::required("value")],
    doc: "Whether there is no value.",
    examples: &[
        Example { sql: "isUndefined(missing)", gives: "TRUE" },
        Example { sql: "isUndefined(NULL)", gives: "FALSE" },
    ],
    eval: |call| Some(Value::Bool(*call.value(0) == Value::Undefined)),
};
