//! `chr(code)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// The character with this code, rounded down to an Int.
pub(super) const CHR: Function = Function {
    name: "chr",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("code")],
    doc: "The character with this code, rounded down to an Int.",
    examples: &[
        Example { sql: "chr(65)", gives: "'A'" },
        Example { sql: "chr(65.9)", gives: "'A'" },
        Example { sql: "chr(-1)", gives: "" },
    ],
    eval: |call| {
        let code = u32::try_from(call.int(0)?).ok()?;
        Some(Value::from(char::from_u32(code)?.to_string()))
    },
};
