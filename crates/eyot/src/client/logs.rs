//! Operations of CloudWatch Logs.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::{Api, Call, CallError, Service};

/// An event of a log group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogEvent {
    /// The stream it is in.
    pub(crate) log_stream_name: String,
    /// When it happened, in milliseconds since 1970.
    pub(crate) timestamp: i64,
    /// When it arrived, likewise.
    pub(crate) ingestion_time: i64,
    /// Its text.
    pub(crate) message: String,
    /// Unique and stable.
    pub(crate) event_id: String,
}

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct FilterQuery<'a> {
    /// The group.
    pub(crate) group: &'a str,
    /// Not before this time, in milliseconds since 1970.
    pub(crate) start_ms: i64,
    /// A filter pattern of CloudWatch Logs.
    pub(crate) pattern: Option<&'a str>,
    /// Where the last page ended.
    pub(crate) next_token: Option<String>,
}

impl Api {
    fn logs(&self, operation: &str, body: &Value) -> Result<Value, CallError> {
        self.json(&Call {
            operation,
            service: Service::Logs,
            method: "POST",
            path: "/".to_owned(),
            query: vec![],
            headers: vec![
                ("content-type", "application/x-amz-json-1.1".to_owned()),
                ("x-amz-target", format!("Logs_20140328.{operation}")),
            ],
            body: body.to_string().into_bytes(),
        })
    }

    /// Creates a log group unless there is one.
    pub(crate) fn ensure_log_group(&self, group: &str) -> Result<(), CallError> {
        match self.logs("CreateLogGroup", &json!({ "logGroupName": group })) {
            Err(error) if error.is("ResourceAlreadyExistsException") => Ok(()),
            other => other.map(drop),
        }
    }

    /// FilterLogEvents: one page, and the token of the next.
    pub(crate) fn filter_log_events(
        &self,
        query: &FilterQuery<'_>,
    ) -> Result<(Vec<LogEvent>, Option<String>), CallError> {
        const OPERATION: &str = "FilterLogEvents";
        let mut body =
            json!({ "logGroupName": query.group, "startTime": query.start_ms, "interleaved": true });
        if let Some(pattern) = query.pattern {
            body["filterPattern"] = pattern.into();
        }
        if let Some(token) = &query.next_token {
            body["nextToken"] = token.as_str().into();
        }
        let mut answer = self.logs(OPERATION, &body)?;
        let next = answer["nextToken"].as_str().map(str::to_owned);
        let events = serde_json::from_value(answer["events"].take()).map_err(|error| {
            CallError::Nonsense { operation: OPERATION.to_owned(), why: error.to_string() }
        })?;
        Ok((events, next))
    }
}
