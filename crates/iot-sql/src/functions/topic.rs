//! `topic(level)`.

use super::{Arg, Call, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// The topic that the message was sent to, or one level of it, counted from 1.
pub(super) const TOPIC: Function = Function {
    name: "topic",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::optional("level")],
    doc: "The topic that the message was sent to, or one level of it, counted from 1.",
    examples: &[
        Example { sql: "topic()", gives: "'building/5/lights'" },
        Example { sql: "topic(2)", gives: "'5'" },
        Example { sql: "topic(4)", gives: "" },
        Example { sql: "topic(0)", gives: "" },
    ],
    eval: topic,
};

fn topic(call: &Call<'_, '_>) -> Option<Value> {
    let topic = call.input().topic;
    if call.args.is_empty() {
        return Some(Value::from(topic));
    }
    let index = usize::try_from(call.int(0)?).ok()?.checked_sub(1)?;
    topic.split('/').nth(index).map(Value::from)
}
