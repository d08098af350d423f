//! `principal()`.

use super::{Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// Who sent the message: the certificate id of an MQTT client.
pub(super) const PRINCIPAL: Function = Function {
    name: "principal",
    since: SqlVersion::V2015_10_08,
    args: &[],
    doc: "Who sent the message: the certificate id of an MQTT client.",
    examples: &[Example { sql: "principal()", gives: "'3f9a'" }],
    eval: |call| Some(Value::from(call.input().context.principal?)),
};
