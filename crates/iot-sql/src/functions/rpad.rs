//! `rpad(text, spaces)`.

use super::lpad::spaces;
use super::{Arg, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// The text with 0 to 1000 spaces behind it.
pub(super) const RPAD: Function = Function {
    name: "rpad",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("text"), Arg::required("spaces")],
    doc: "The text with 0 to 1000 spaces behind it.",
    examples: &[
        Example { sql: "rpad('hello', 2)", gives: "'hello  '" },
        Example { sql: "rpad(1, -3)", gives: "'1'" },
    ],
    eval: |call| {
        let text = call.text(0)?;
        Some(Value::from(format!("{text}{}", spaces(call.int(1)?))))
    },
};
