//! `nanvl(value, otherwise)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// The first argument if it is a value other than Null, else the second.
pub(super) const NANVL: Function = Function {
    name: "nanvl",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("value"), Arg::required("otherwise")],
    doc: "The first argument if it is a value other than Null, else the second.",
    examples: &[Example { sql: "nanvl(8, 3)", gives: "8" }, Example { sql: "nanvl(missing, 3)", gives: "3" }],
    eval: |call| match call.value(0) {
        Value::Undefined | Value::Null => Some(call.value(1).clone()),
        value => Some(value.clone()),
    },
};
