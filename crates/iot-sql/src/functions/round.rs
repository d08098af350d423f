//! `round(number)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;

/// The nearest Int; halves away from zero.
pub(super) const ROUND: Function = Function {
    name: "round",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("number")],
    doc: "The nearest Int; halves away from zero.",
    examples: &[Example { sql: "round(1.2)", gives: "1" }, Example { sql: "round(-1.5)", gives: "-2" }],
    eval: |call| call.number(call.decimal(0)?.round()),
};
