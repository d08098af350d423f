//! `ceil(number)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;

/// The smallest Int that is not below the number.
pub(super) const CEIL: Function = Function {
    name: "ceil",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("number")],
    doc: "The smallest Int that is not below the number.",
    examples: &[Example { sql: "ceil(1.2)", gives: "2" }, Example { sql: "ceil(-1.2)", gives: "-1" }],
    eval: |call| call.number(call.decimal(0)?.ceil()),
};
