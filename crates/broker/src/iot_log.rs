//! What happens outside of the event loops, in the log group `AWSIotLogsV2`; `event_loop/iot_log` has the rest.

use crate::authorize::Who;
use crate::clock::now_ms;
use crate::handshake::Refusal;
use crate::history::{Cause, kept};
use crate::over_http::{WebCaller, WebRequest};
use crate::publication::Publish;
use crate::sessions::{Waiting, Whom};
use services::{EventType, IotLog, LogEvent, LogLevel, Transport};
use std::net::SocketAddr;

/// [AWS cwl-format] The reason of what a policy does not allow.
pub(crate) const AUTHORIZATION_FAILURE: &str = "AUTHORIZATION_FAILURE";

/// The reason of what is above a rate or an account's quota.
pub(crate) const THROTTLED: &str = "THROTTLED";

/// Something that a client does.
pub(crate) fn of_client<'w>(who: &'w Who, now_ms: i64, level: LogLevel, kind: EventType) -> LogEvent<'w> {
    LogEvent {
        protocol: Some(Transport::Mqtt),
        client_id: Some(&who.client_id),
        principal_id: Some(&who.principal),
        source_ip: Some(who.peer.ip()),
        source_port: Some(who.peer.port()),
        ..LogEvent::new(now_ms, level, kind)
    }
}

/// A client did not get in. Only those with a registered certificate are logged: others are nobody's, anybody can make them
/// up, and each line takes disk.
pub(crate) fn refused(log: &IotLog, peer: SocketAddr, refusal: &Refusal, is_known: bool) {
    if !is_known || !log.wants(LogLevel::Error) {
        return;
    }
    let principal = refusal.certificate_id.map(|id| id.to_string());
    log.log(&LogEvent {
        protocol: Some(Transport::Mqtt),
        client_id: refusal.client_id.as_deref(),
        principal_id: principal.as_deref(),
        source_ip: Some(peer.ip()),
        source_port: Some(peer.port()),
        reason: Some(reason_of(&refusal.cause)),
        details: Some(&refusal.reason),
        ..LogEvent::new(now_ms(), LogLevel::Error, EventType::Connect)
    });
}

/// Somebody did not get in over HTTP, or may not do something. As for [`refused`], others are nobody's.
pub(crate) fn refused_over_http(
    log: &IotLog,
    caller: WebCaller,
    request: WebRequest<'_>,
    is_known: bool,
    reason: &str,
    details: &str,
) {
    let Some(kind) = request.kind.filter(|_| is_known && log.wants(LogLevel::Error)) else { return };
    let (principal, topic) = (caller.certificate_id.map(|id| id.to_string()), request.topic.map(kept));
    log.log(&LogEvent {
        protocol: Some(request.protocol),
        principal_id: principal.as_deref(),
        source_ip: Some(caller.peer.ip()),
        source_port: Some(caller.peer.port()),
        // Nobody has looked yet whether it is too long.
        topic_name: topic.as_deref(),
        reason: Some(reason),
        details: Some(details),
        ..LogEvent::new(now_ms(), LogLevel::Error, kind)
    });
}

/// AWS's word for why a client did not get in.
pub(crate) fn reason_of(cause: &Cause) -> &'static str {
    match cause {
        Cause::Policy(_) => AUTHORIZATION_FAILURE,
        Cause::NotActive | Cause::NotRegistered | Cause::Signature => "AUTHENTICATION_FAILURE",
        Cause::Overloaded => "SERVER_ERROR",
        Cause::Throttled(_) => THROTTLED,
        _ => "CLIENT_ERROR",
    }
}

/// A message waits for somebody who is away. [AWS cwl-format] "Queued": of a client, only its id is known then.
pub(crate) fn queued(log: &IotLog, Waiting { message, whom }: &Waiting) {
    let event = LogEvent {
        protocol: Some(Transport::Mqtt),
        topic_name: Some(&message.topic()),
        ..LogEvent::new(now_ms(), LogLevel::Info, EventType::Queued)
    };
    match whom {
        Whom::Client(client_id) => log.log(&LogEvent { client_id: Some(client_id), ..event }),
        Whom::Group(filter) => {
            let details = format!("it waits for a member of `{filter}`");
            log.log(&LogEvent { details: Some(&details), ..event });
        }
    }
}

/// A message was published over HTTP.
pub(crate) fn published_over_http(log: &IotLog, publish: &Publish<'_>) {
    if log.wants(LogLevel::Info) {
        let source = &publish.source;
        log.log(&LogEvent {
            protocol: Some(Transport::Http),
            trace_id: source.trace_id,
            principal_id: source.principal,
            source_ip: source.source_ip,
            topic_name: Some(publish.topic),
            ..LogEvent::new(now_ms(), LogLevel::Info, EventType::PublishIn)
        });
    }
}
