//! `concat(value, …)`.

use super::{Arg, Call, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// The arguments as text in one string.
pub(super) const CONCAT: Function = Function {
    name: "concat",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::repeated("value")],
    doc: "The arguments as text in one string. With an array among them (from 2016-03-23), one array of all of them and of the arrays' items.",
    examples: &[
        Example { sql: "concat('a', 1, TRUE)", gives: "'a1true'" },
        Example { sql: "concat()", gives: "" },
        Example { sql: "concat(5)", gives: "5" },
        Example { sql: "concat('a', NULL)", gives: "" },
    ],
    eval: concat,
};

fn concat(call: &Call<'_, '_>) -> Option<Value> {
    // One argument comes back as it is: docs/spec/sql-decisions.md.
    if let [only] = call.args {
        return Some(only.clone().into_owned());
    }
    let arrays = call.version() >= SqlVersion::V2016_03_23;
    if arrays && call.args.iter().any(|arg| matches!(**arg, Value::Array(_))) {
        return array(call);
    }
    let mut text = String::new();
    for index in 0..call.args.len() {
        text += &call.text(index)?;
    }
    if call.args.is_empty() { None } else { Some(Value::from(text)) }
}

fn array(call: &Call<'_, '_>) -> Option<Value> {
    let mut items = Vec::new();
    for arg in call.args {
        match &**arg {
            Value::Undefined => return None,
            Value::Array(more) => items.extend_from_slice(more),
            item => items.push(item.clone()),
        }
    }
    Some(Value::Array(items))
}
