//! `newuuid()`.

use super::{Call, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// A new random UUID of 16 bytes.
pub(super) const NEWUUID: Function = Function {
    name: "newuuid",
    since: SqlVersion::V2015_10_08,
    args: &[],
    doc: "A new random UUID of 16 bytes.",
    examples: &[Example { sql: "substring(newuuid(), 14, 15)", gives: "'4'" }],
    eval: newuuid,
};

fn newuuid(call: &Call<'_, '_>) -> Option<Value> {
    // RFC 9562 section 5.4: version 4, variant 10.
    let bits = call.input().context.random.draw() & !(0xf << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    Some(Value::from(parts.join("-")))
}
