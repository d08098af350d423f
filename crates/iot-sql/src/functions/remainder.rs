//! `remainder(dividend, divisor)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;

/// The remainder of the division; the same as `mod`.
pub(super) const REMAINDER: Function = Function {
    name: "remainder",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("dividend"), Arg::required("divisor")],
    doc: "The remainder of the division; the same as `mod`.",
    examples: &[Example { sql: "remainder(8, 3)", gives: "2" }],
    eval: super::modulo::MOD.eval,
};
