//! `traceid()`.

use super::{Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// The id under which the message's way is logged; Undefined when it did not come over MQTT.
pub(super) const TRACEID: Function = Function {
    name: "traceid",
    since: SqlVersion::V2015_10_08,
    args: &[],
    doc: "The id under which the message's way is logged; Undefined when it did not come over MQTT.",
    examples: &[Example { sql: "traceid()", gives: "'8a1c'" }],
    eval: |call| Some(Value::from(call.input().context.trace_id?)),
};
