//! `sign(number)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// -1, 0 or 1: the sign of the number.
pub(super) const SIGN: Function = Function {
    name: "sign",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("number")],
    doc: "-1, 0 or 1: the sign of the number.",
    examples: &[
        Example { sql: "sign(-7)", gives: "-1" },
        Example { sql: "sign(0)", gives: "0" },
        Example { sql: "sign(13)", gives: "1" },
    ],
    eval: |call| Some(Value::from(call.decimal(0)?.sign())),
};
