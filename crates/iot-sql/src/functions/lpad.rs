//! `lpad(text, spaces)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// The text with 0 to 1000 spaces before it.
pub(super) const LPAD: Function = Function {
    name: "lpad",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("text"), Arg::required("spaces")],
    doc: "The text with 0 to 1000 spaces before it.",
    examples: &[
        Example { sql: "lpad('hello', 2)", gives: "'  hello'" },
        Example { sql: "lpad(1, 3)", gives: "'   1'" },
    ],
    eval: |call| {
        let text = call.text(0)?;
        Some(Value::from(format!("{}{text}", spaces(call.int(1)?))))
    },
};

/// [AWS iot-sql-functions] "lpad": a count outside 0 to 1000 is taken as the nearer of the two.
pub(super) fn spaces(count: i64) -> String {
    " ".repeat(usize::try_from(count.clamp(0, 1000)).expect("clamped to 0 and more"))
}
