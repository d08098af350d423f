//! `sourceip()`.

use super::{Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// The IP address that the message came from.
pub(super) const SOURCEIP: Function = Function {
    name: "sourceip",
    since: SqlVersion::V2015_10_08,
    args: &[],
    doc: "The IP address that the message came from.",
    examples: &[Example { sql: "sourceip()", gives: "'192.0.2.7'" }],
    eval: |call| Some(Value::from(call.input().context.source_ip?.to_string())),
};
