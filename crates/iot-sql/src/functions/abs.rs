//! `abs(number)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;

/// The number without its sign.
pub(super) const ABS: Function = Function {
    name: "abs",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("number")],
    doc: "The number without its sign.",
    examples: &[
        Example { sql: "abs(-5.5)", gives: "5.5" },
        Example { sql: "abs('-1.2')", gives: "1.2" },
        Example { sql: "abs(TRUE)", gives: "" },
    ],
    eval: |call| call.number(call.decimal(0)?.abs()),
};
