//! `sql_version()`.

use super::{Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// The SQL version of the rule.
pub(super) const SQL_VERSION: Function = Function {
    name: "sql_version",
    since: SqlVersion::V2015_10_08,
    args: &[],
    doc: "The SQL version of the rule.",
    examples: &[Example { sql: "startswith(sql_version(), 'x')", gives: "FALSE" }],
    eval: |call| Some(Value::from(call.version().as_str())),
};
