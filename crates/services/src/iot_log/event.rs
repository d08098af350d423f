//! One line of the log. [AWS cwl-format]

use super::LogLevel;
use serde_json::{Value, json};
use std::net::IpAddr;
use time::OffsetDateTime;
use time::macros::format_description;

/// What happened, in AWS's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// A client connected, or was refused.
    Connect,
    /// Its connection ended.
    Disconnect,
    /// It published.
    PublishIn,
    /// It was sent a message.
    PublishOut,
    /// It subscribed.
    Subscribe,
    /// A message waits for it.
    Queued,
    /// A rule's filter matched a message.
    RuleMatch,
    /// The rule's SQL gave a result, and its actions begin.
    StartingRuleExecution,
    /// An action was carried out, or failed.
    RuleExecution,
    /// A basic-ingest topic names a rule that is not there, or disabled.
    RuleNotFound,
    /// A shadow was read.
    GetThingShadow,
    /// A shadow was changed.
    UpdateThingShadow,
    /// A shadow was deleted.
    DeleteThingShadow,
    /// A retained message was read.
    GetRetainedMessage,
    /// Retained messages were listed.
    ListRetainedMessages,
}

impl EventType {
    /// As AWS writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "Connect",
            Self::Disconnect => "Disconnect",
            Self::PublishIn => "Publish-In",
            Self::PublishOut => "Publish-Out",
            Self::Subscribe => "Subscribe",
            Self::Queued => "Queued",
            Self::RuleMatch => "RuleMatch",
            Self::StartingRuleExecution => "StartingRuleExecution",
            Self::RuleExecution => "RuleExecution",
            Self::RuleNotFound => "RuleNotFound",
            Self::GetThingShadow => "GetThingShadow",
            Self::UpdateThingShadow => "UpdateThingShadow",
            Self::DeleteThingShadow => "DeleteThingShadow",
            Self::GetRetainedMessage => "GetRetainedMessage",
            Self::ListRetainedMessages => "ListRetainedMessages",
        }
    }
}

/// By which protocol it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// MQTT.
    Mqtt,
    /// HTTP.
    Http,
}

/// Something to log. What is `None` is left out.
#[derive(Debug, Clone)]
pub struct LogEvent<'e> {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// From which level on it is logged.
    pub level: LogLevel,
    /// What happened.
    pub kind: EventType,
    /// Whether it went well.
    pub is_success: bool,
    /// What joins the lines about one message; made up where there is none.
    pub trace_id: Option<&'e str>,
    /// By which protocol.
    pub protocol: Option<Transport>,
    /// Who.
    pub client_id: Option<&'e str>,
    /// With which certificate, or who signed the request.
    pub principal_id: Option<&'e str>,
    /// On which topic; of a SUBSCRIBE, the filters.
    pub topic_name: Option<&'e str>,
    /// From where.
    pub source_ip: Option<IpAddr>,
    /// From which port.
    pub source_port: Option<u16>,
    /// Why not, in one of AWS's words.
    pub reason: Option<&'e str>,
    /// Why, in a sentence.
    pub details: Option<&'e str>,
    /// Members that only some types have, such as `ruleName`.
    pub more: Vec<(&'static str, Value)>,
}

impl<'e> LogEvent<'e> {
    /// Something that went well, unless it is an error.
    pub fn new(at_ms: i64, level: LogLevel, kind: EventType) -> Self {
        Self {
            at_ms,
            level,
            kind,
            is_success: level > LogLevel::Error,
            trace_id: None,
            protocol: None,
            client_id: None,
            principal_id: None,
            topic_name: None,
            source_ip: None,
            source_port: None,
            reason: None,
            details: None,
            more: Vec::new(),
        }
    }

    /// The line. Members are in the order of AWS's examples.
    pub(super) fn to_json(&self, account_id: &str) -> String {
        let made_up;
        let trace_id = match self.trace_id {
            Some(trace_id) => trace_id,
            None => {
                made_up = uuid::Uuid::new_v4().to_string();
                &made_up
            }
        };
        let mut line = Line(String::with_capacity(512));
        line.put("timestamp", &timestamp(self.at_ms));
        line.put("logLevel", self.level.name());
        line.put("traceId", trace_id);
        line.put("accountId", account_id);
        line.put("status", if self.is_success { "Success" } else { "Failure" });
        line.put("eventType", self.kind.name());
        line.put_some(
            "protocol",
            self.protocol.map(|protocol| match protocol {
                Transport::Mqtt => "MQTT",
                Transport::Http => "HTTP",
            }),
        );
        line.put_some("topicName", self.topic_name);
        line.put_some("clientId", self.client_id);
        line.put_some("principalId", self.principal_id);
        if let Some(ip) = self.source_ip {
            line.put("sourceIp", &ip.to_string());
        }
        if let Some(port) = self.source_port {
            line.put_value("sourcePort", &json!(port));
        }
        for (name, value) in &self.more {
            line.put_value(name, value);
        }
        line.put_some("reason", self.reason);
        line.put_some("details", self.details);
        line.end()
    }
}

/// A JSON object in the making.
struct Line(String);

impl Line {
    fn put(&mut self, name: &str, text: &str) {
        self.put_value(name, &Value::from(text));
    }

    fn put_some(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.put(name, text);
        }
    }

    fn put_value(&mut self, name: &str, value: &Value) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        // Names are ours and need no escapes.
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
        self.0.push_str(&value.to_string());
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// `2017-08-10 15:37:23.476`, UTC. [AWS cwl-format]
fn timestamp(ms: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok();
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3]");
    moment.and_then(|moment| moment.format(format).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of AWS's documentation.
    #[test]
    fn a_connect_is_logged_as_aws_does() {
        let event = LogEvent {
            trace_id: Some("20b23f3f-d7f1-feae-169f-82263394fbdb"),
            protocol: Some(Transport::Mqtt),
            client_id: Some("abf27092886e49a8a5c1922749736453"),
            principal_id: Some("145179c4"),
            source_ip: Some("205.251.233.181".parse().unwrap()),
            source_port: Some(13_490),
            ..LogEvent::new(1_502_379_443_476, LogLevel::Info, EventType::Connect)
        };
        assert_eq!(
            event.to_json("123456789012"),
            r#"{"timestamp":"2017-08-10 15:37:23.476","logLevel":"INFO","traceId":"20b23f3f-d7f1-feae-169f-82263394fbdb","accountId":"123456789012","status":"Success","eventType":"Connect","protocol":"MQTT","clientId":"abf27092886e49a8a5c1922749736453","principalId":"145179c4","sourceIp":"205.251.233.181","sourcePort":13490}"#
        );
    }

    #[test]
    fn texts_of_clients_are_escaped() {
        let topic_name = Some("a\"b\u{1}");
        let event = LogEvent { topic_name, ..LogEvent::new(0, LogLevel::Error, EventType::PublishIn) };
        let parsed: Value = serde_json::from_str(&event.to_json("1")).unwrap();
        assert_eq!((parsed["topicName"].as_str(), parsed["status"].as_str()), (topic_name, Some("Failure")));
    }
}
