//! `timestamp()`.

use super::{Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// When the message arrived, in milliseconds since 1970.
pub(super) const TIMESTAMP: Function = Function {
    name: "timestamp",
    since: SqlVersion::V2015_10_08,
    args: &[],
    doc: "When the message arrived, in milliseconds since 1970.",
    examples: &[Example { sql: "timestamp()", gives: "1481825251155" }],
    eval: |call| Some(Value::from(call.input().context.timestamp_ms)),
};
