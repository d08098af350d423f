//! `mod(dividend, divisor)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;

/// The remainder of the division, with the sign of the dividend.
pub(super) const MOD: Function = Function {
    name: "mod",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("dividend"), Arg::required("divisor")],
    doc: "The remainder of the division, with the sign of the dividend.",
    examples: &[
        Example { sql: "mod(8, 3)", gives: "2" },
        Example { sql: "mod(8.5, 3)", gives: "2.5" },
        Example { sql: "mod(8, 0)", gives: "" },
    ],
    eval: |call| call.number(call.decimal(0)?.modulo(call.decimal(1)?)?),
};
