//! `accountid()`.

use super::{Example, Function};
use crate::SqlVersion;
use crate::value::Value;

/// The id of the account that the rule belongs to.
pub(super) const ACCOUNTID: Function = Function {
    name: "accountid",
    since: SqlVersion::V2015_10_08,
    args: &[],
    doc: "The id of the account that the rule belongs to.",
    examples: &[Example { sql: "accountid()", gives: "'123456789012'" }],
    eval: |call| Some(Value::from(call.input().context.account_id)),
};
