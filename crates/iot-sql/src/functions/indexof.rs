//! `indexof(text, part)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// Where `part` first stands in the text, in characters from 0; -1 if nowhere.
pub(super) const INDEXOF: Function = Function {
    name: "indexof",
    since: SqlVersion::V2016_03_23,
    args: &[Arg::required("text"), Arg::required("part")],
    doc: "Where `part` first stands in the text, in characters from 0; -1 if nowhere.",
    examples: &[
        Example { sql: "indexof('abcd', 'bc')", gives: "1" },
        Example { sql: "indexof('abcd', 'x')", gives: "-1" },
    ],
    eval: |call| {
        let (text, part) = (call.text(0)?, call.text(1)?);
        let index = text.find(&*part).map_or(-1, |at| text[..at].chars().count() as i64);
        Some(Value::from(index))
    },
};
