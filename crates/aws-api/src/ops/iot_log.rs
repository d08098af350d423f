//! What requests do, in the log group `AWSIotLogsV2`. [AWS cwl-format] "Device Shadow log entries"

use serde_json::json;
use services::{EventType, LogEvent, LogLevel, Transport};

use crate::dispatch::Call;
use crate::error::ApiError;

/// A request about a shadow is done, or refused.
pub(super) fn shadow<T>(
    call: &Call,
    kind: EventType,
    thing: &str,
    name: Option<&str>,
    done: &Result<T, ApiError>,
) {
    let verb = match kind {
        EventType::UpdateThingShadow => "update",
        EventType::DeleteThingShadow => "delete",
        _ => "get",
    };
    let named = name.map(|name| format!("/name/{name}")).unwrap_or_default();
    let topic = format!("$aws/things/{thing}/shadow{named}/{verb}");
    // [AWS cwl-format] `deviceShadowName` is the thing's, of a named shadow the shadow's.
    log(call, kind, Some(&topic), vec![("deviceShadowName", json!(name.unwrap_or(thing)))], done);
}

/// A request about retained messages is done, or refused.
pub(super) fn retained<T>(call: &Call, kind: EventType, topic: Option<&str>, done: &Result<T, ApiError>) {
    log(call, kind, topic, vec![], done);
}

fn log<T>(
    call: &Call,
    kind: EventType,
    topic_name: Option<&str>,
    more: Vec<(&'static str, serde_json::Value)>,
    done: &Result<T, ApiError>,
) {
    let (log, level) = (&call.parts().iot_log, if done.is_ok() { LogLevel::Info } else { LogLevel::Error });
    if !log.wants(level) {
        return;
    }
    let error = done.as_ref().err();
    let code = error.map(|error| error.code_and_status(call.operation.service, Some(call.operation)).0);
    let details = error.map(|error| error.message().to_owned());
    log.log(&LogEvent {
        trace_id: Some(&call.request_id),
        protocol: Some(Transport::Http),
        principal_id: Some(&call.principal),
        source_ip: call.source_ip,
        topic_name,
        more,
        reason: code,
        details: details.as_deref(),
        ..LogEvent::new(call.now_ms, level, kind)
    });
}
