//! `length(text)`.

use super::{Arg, Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// How many characters the text has.
pub(super) const LENGTH: Function = Function {
    name: "length",
    since: SqlVersion::V2016_03_23,
    args: &[Arg::required("text")],
    doc: "How many characters the text has.",
    examples: &[
        Example { sql: "length('hi')", gives: "2" },
        Example { sql: "length(FALSE)", gives: "5" },
        Example { sql: "length('€')", gives: "1" },
    ],
    eval: |call| Some(Value::from(call.text(0)?.chars().count() as i64)),
};
