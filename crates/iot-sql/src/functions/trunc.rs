//! `trunc(number, places)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;

/// The number with at most `places` (0 to 34) digits behind the point, the others cut off.
pub(super) const TRUNC: Function = Function {
    name: "trunc",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("number"), Arg::required("places")],
    doc: "The number with at most `places` (0 to 34) digits behind the point, the others cut off.",
    examples: &[
        Example { sql: "trunc(2.3, 0)", gives: "2" },
        Example { sql: "trunc(2.379, 2)", gives: "2.37" },
        Example { sql: "trunc(-2.379, 1)", gives: "-2.3" },
    ],
    eval: |call| {
        let places = u32::try_from(call.int(1)?.clamp(0, 34)).ok()?;
        call.number(call.decimal(0)?.truncate(places))
    },
};
