//! `clientid()`.

use super::{Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// The MQTT client id of the sender; `n/a` for messages that did not come over MQTT.
pub(super) const CLIENTID: Function = Function {
    name: "clientid",
    since: SqlVersion::V2015_10_08,
    args: &[],
    doc: "The MQTT client id of the sender; `n/a` for messages that did not come over MQTT.",
    examples: &[Example { sql: "clientid()", gives: "'pico_w_simple'" }],
    eval: |call| Some(Value::from(call.input().context.client_id.unwrap_or("n/a"))),
};
