//! `substring(text, from, to)`.

use super::{Arg, Call, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// The characters from `from` (counted from 0) up to but without `to`, or to the end.
pub(super) const SUBSTRING: Function = Function {
    name: "substring",
    since: SqlVersion::V2015_10_08,
    args: &[Arg::required("text"), Arg::required("from"), Arg::optional("to")],
    doc: "The characters from `from` (counted from 0) up to but without `to`, or to the end.",
    examples: &[
        Example { sql: "substring('012345', 2.745)", gives: "'2345'" },
        Example { sql: "substring('012345', 1, 3)", gives: "'12'" },
        Example { sql: "substring('012345', -50, 50)", gives: "'012345'" },
        Example { sql: "substring('012345', 3, 1)", gives: "''" },
    ],
    eval: substring,
};

fn substring(call: &Call<'_, '_>) -> Option<Value> {
    let text = call.text(0)?;
    // Out of range is taken as the nearer end.
    let clamped = |index: usize| Some(usize::try_from(call.int(index)?.max(0)).unwrap_or(usize::MAX));
    let from = clamped(1)?;
    let to = if call.args.len() > 2 { clamped(2)? } else { usize::MAX };
    Some(Value::from(text.chars().skip(from).take(to.saturating_sub(from)).collect::<String>()))
}
