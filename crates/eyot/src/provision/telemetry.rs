//! The post's rule and log group: where a device's readings go.

use serde_json::json;

use crate::client::Api;
use crate::failure::Outcome;

/// The rule that the post's device publishes to, by basic ingest.
pub(crate) const RULE: &str = "telemetry";

/// The log group that the rule writes to.
pub(crate) const GROUP: &str = "iot-core-telemetry";

/// What the rule selects.
const SQL: &str = "SELECT *, topic() as device_id, timestamp() AS received_at";

/// The topic of a device of the post. Basic ingest: the rule runs, nobody else receives.
pub(crate) fn telemetry_topic(client_id: &str) -> String {
    format!("$aws/rules/{RULE}/{client_id}")
}

/// Makes log group and rule; the rule is afterwards as in the post. Answers its SQL.
pub(crate) fn ensure_telemetry(api: &Api, thing_arn: &str) -> Outcome<&'static str> {
    api.ensure_log_group(GROUP)?;
    let account = thing_arn.split(':').nth(4).unwrap_or_default();
    let payload = json!({
        "sql": SQL,
        // The API's default is the older version; the console writes this one.
        "awsIotSqlVersion": "2016-03-23",
        "actions": [{ "cloudwatchLogs": {
            "logGroupName": GROUP,
            "roleArn": format!("arn:aws:iam::{account}:role/unchecked"),
        }}],
    });
    api.put_topic_rule(RULE, &payload)?;
    Ok(SQL)
}
