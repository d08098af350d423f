//! `floor(number)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;

/// The largest Int that is not above the number.
pub(super) const FLOOR: Function = Function {
    name: "floor",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("number")],
    doc: "The largest Int that is not above the number.",
    examples: &[Example { sql: "floor(1.2)", gives: "1" }, Example { sql: "floor(-1.2)", gives: "-2" }],
    eval: |call| call.number(call.decimal(0)?.floor()),
};
