//! What the loop's clients do, in the log group `AWSIotLogsV2`. [AWS cwl-format] "Message broker log entries"
//!
//! While that is off each of these costs one load.

use super::EventLoop;
use crate::authorize::{Denied, Who};
use crate::clock::now_ms;
use crate::iot_log::{AUTHORIZATION_FAILURE, THROTTLED, of_client};
use crate::slots::Key;
use iot_policy::Action;
use mqtt_session::{DisconnectReason, Quota, Throttled};
use serde_json::json;
use services::{EventType, LogEvent, LogLevel};

impl EventLoop {
    pub(super) fn log_connected(&self, who: &Who) {
        self.log_success(who, EventType::Connect, None, None);
    }

    pub(super) fn log_disconnected(&self, who: &Who, reason: DisconnectReason, detail: &str) {
        let log = &self.shared.iot_log;
        if log.wants(LogLevel::Info) {
            let event = of_client(who, now_ms(), LogLevel::Info, EventType::Disconnect);
            let more = vec![("disconnectReason", json!(reason.name()))];
            log.log(&LogEvent { details: Some(detail), more, ..event });
        }
    }

    /// A publish was permitted. `trace_id` joins it with what rules do.
    pub(super) fn log_publish_in(&self, who: &Who, topic: &str, trace_id: Option<&str>) {
        self.log_success(who, EventType::PublishIn, Some(topic), trace_id);
    }

    /// A message is on its way to a client.
    pub(super) fn log_publish_out(&self, key: Key, topic: &str) {
        self.log_delivery(key, EventType::PublishOut, topic);
    }

    /// A message waits for a client.
    pub(super) fn log_queued(&self, key: Key, topic: &str) {
        self.log_delivery(key, EventType::Queued, topic);
    }

    pub(super) fn log_subscribed(&self, key: Key, filters: &[&str]) {
        if self.shared.iot_log.wants(LogLevel::Info)
            && let Some(connection) = self.connections.get(key)
        {
            let filters = filters.join(",");
            self.log_success(&connection.client.who, EventType::Subscribe, Some(&filters), None);
        }
    }

    /// A filter was refused for what it is, not by a policy.
    pub(super) fn log_filter_refused(&self, key: Key, filter: &str, reason: &str) {
        let log = &self.shared.iot_log;
        if log.wants(LogLevel::Error)
            && let Some(connection) = self.connections.get(key)
        {
            let who = &connection.client.who;
            let event = of_client(who, now_ms(), LogLevel::Error, EventType::Subscribe);
            let (topic_name, reason, details) = (Some(filter), Some("CLIENT_ERROR"), Some(reason));
            log.log(&LogEvent { topic_name, reason, details, ..event });
        }
    }

    pub(super) fn log_denied(&self, who: &Who, denied: &Denied) {
        let log = &self.shared.iot_log;
        let Denied::ByPolicy { action, resource, reason, .. } = denied else { return };
        if !log.wants(LogLevel::Error) {
            return;
        }
        let kind = match action {
            Action::Subscribe => EventType::Subscribe,
            Action::Receive => EventType::PublishOut,
            _ => EventType::PublishIn,
        };
        let topic = resource.split_once('/').map_or(&**resource, |(_, topic)| topic);
        let details = format!("{action} is not allowed: {reason}");
        log.log(&LogEvent {
            topic_name: Some(topic),
            reason: Some(AUTHORIZATION_FAILURE),
            details: Some(&details),
            ..of_client(who, now_ms(), LogLevel::Error, kind)
        });
    }

    /// A limit has held up a client: at most once a second for each limit.
    pub(super) fn log_throttled(&self, who: &Who, throttled: Throttled) {
        let log = &self.shared.iot_log;
        if !log.wants(LogLevel::Error) {
            return;
        }
        let kind = match throttled.quota {
            Quota::AccountSubscriptions | Quota::AccountSubscribes => EventType::Subscribe,
            Quota::AccountPublishesOut => EventType::PublishOut,
            _ => EventType::PublishIn,
        };
        let (reason, details) = (Some(THROTTLED), throttled.to_string());
        let event = of_client(who, now_ms(), LogLevel::Error, kind);
        log.log(&LogEvent { reason, details: Some(&details), ..event });
    }

    fn log_delivery(&self, key: Key, kind: EventType, topic: &str) {
        if self.shared.iot_log.wants(LogLevel::Info)
            && let Some(connection) = self.connections.get(key)
        {
            self.log_success(&connection.client.who, kind, Some(topic), None);
        }
    }

    fn log_success(&self, who: &Who, kind: EventType, topic_name: Option<&str>, trace_id: Option<&str>) {
        if self.shared.iot_log.wants(LogLevel::Info) {
            self.write_success(who, kind, topic_name, trace_id);
        }
    }

    /// Apart from the question, which each message asks, and which is to stay small.
    #[cold]
    fn write_success(&self, who: &Who, kind: EventType, topic_name: Option<&str>, trace_id: Option<&str>) {
        let event = of_client(who, now_ms(), LogLevel::Info, kind);
        self.shared.iot_log.log(&LogEvent { topic_name, trace_id, ..event });
    }
}
