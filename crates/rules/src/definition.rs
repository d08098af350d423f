//! What a user writes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A rule as it was created: AWS's TopicRulePayload, and exactly what GetTopicRule returns of it.
///
/// Actions are kept as they came, also those of kinds that eyot does not carry out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleDefinition {
    /// The statement.
    pub sql: String,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Objects with one member each, named after the kind: `{"republish": {…}}`.
    #[serde(default)]
    pub actions: Vec<Value>,
    /// Whether messages pass the rule by.
    #[serde(default)]
    pub rule_disabled: bool,
    /// `2015-10-08` if the user names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_iot_sql_version: Option<String>,
    /// One more action, for messages whose SQL or actions failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_action: Option<Value>,
}
