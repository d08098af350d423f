//! `get(from, key)`.

use super::{Arg, Call, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// One item of an array, one character of a text (both counted from 0), or one member of an object.
pub(super) const GET: Function = Function {
    name: "get",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("from"), Arg::required("key")],
    doc: "One item of an array, one character of a text (both counted from 0), or one member of an object.",
    examples: &[
        Example { sql: "get('abc', 1)", gives: "'b'" },
        Example { sql: "get('abc', 9)", gives: "" },
        Example { sql: "get(list, 1)", gives: "2" },
        Example { sql: "get(*, 'list').missing", gives: "" },
    ],
    eval: get,
};

fn get(call: &Call<'_, '_>) -> Option<Value> {
    let index = || usize::try_from(call.int(1)?).ok();
    match call.value(0) {
        Value::Array(items) => items.get(index()?).cloned(),
        Value::String(text) => Some(Value::from(text.chars().nth(index()?)?.to_string())),
        Value::Object(object) => object.get(&call.text(1)?).cloned(),
        _ => None,
    }
}
