//! What happened, in words and JSON.

use broker::{AbsentReport, Blame, Cause, ConnectionReport, Happening, LastPublish, What};
use mqtt_wire::{ProtocolVersion, QoS};
use registry::{CertificateId, Registry};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use super::{certificates, hints};

/// A moment as `2026-03-25T21:50:14.810Z`.
pub(super) fn time(ms: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok();
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    moment.and_then(|moment| moment.format(format).ok()).unwrap_or_else(|| format!("{ms} ms"))
}

/// One sentence about how it stands.
pub(super) fn summary(
    connection: Option<&ConnectionReport>,
    absent: Option<&AbsentReport>,
    happenings: &[Happening],
) -> String {
    let last = happenings.last();
    let waiting = absent.map(waiting).unwrap_or_default();
    // A certificate or an address may have several clients.
    let is_one = happenings.iter().all(|other| other.client_id == happenings[0].client_id);
    if let Some(ConnectionReport { info, .. }) = connection {
        let trouble = last.filter(|last| last.what.is_trouble() && last.until_ms >= info.since_ms);
        let begin = format!("connected since {} from {}", time(info.since_ms), info.source);
        return match trouble {
            Some(trouble) => {
                format!("{begin}; but at {}: {}", time(trouble.until_ms), sentence(&trouble.what))
            }
            None => begin,
        };
    }
    match last {
        None if absent.is_some() => format!("not connected since the server started{waiting}"),
        None => {
            "nothing is known: no connection since the server started, or it was forgotten since".to_owned()
        }
        Some(last) => format!(
            "{}at {}: {}{waiting}",
            if is_one { "not connected; " } else { "last, " },
            time(last.until_ms),
            sentence(&last.what)
        ),
    }
}

fn waiting(absent: &AbsentReport) -> String {
    let messages = match absent.queued {
        0 => "no messages".to_owned(),
        1 => "1 message".to_owned(),
        count => format!("{count} messages"),
    };
    format!("; its session waits for it with {messages}, until {}", time(absent.ends_at_ms))
}

/// A session whose client is away.
pub(super) fn absent(report: &AbsentReport) -> Value {
    let AbsentReport { version, ends_at_ms, subscriptions, queued, will } = report;
    json!({
        "protocol": protocol(*version),
        "endsAt": time(*ends_at_ms),
        "subscriptions": self::subscriptions(subscriptions),
        "queued": queued,
        "willTopic": will.as_ref().map(|(topic, _)| topic),
        "willDueAt": will.as_ref().map(|(_, at_ms)| time(*at_ms)),
    })
}

fn subscriptions(subscriptions: &[(String, QoS)]) -> Vec<Value> {
    let all = subscriptions.iter();
    all.map(|(filter, qos)| json!({ "topicFilter": filter, "qos": qos.number() })).collect()
}

/// A connection that stands.
pub(super) fn connection(report: &ConnectionReport) -> Value {
    let ConnectionReport { info, principal, version, subscriptions, inflight, queued, .. } = report;
    json!({
        "connectedSince": time(info.since_ms),
        "sourceIp": info.source.ip().to_string(),
        "sourcePort": info.source.port(),
        "keepAliveSeconds": info.keep_alive_s,
        "protocol": protocol(*version),
        "certificateId": certificate_id(Some(principal)),
        "principal": principal,
        "isSessionKept": report.is_kept,
        "sessionExpirySeconds": info.session_expiry_s,
        "subscriptions": self::subscriptions(subscriptions),
        "inflight": inflight,
        "queued": queued,
        "isBlocked": report.is_blocked,
        "willTopic": report.will_topic,
        "lastPublish": report.last_publish.as_ref().map(last_publish),
    })
}

fn last_publish(last: &LastPublish) -> Value {
    json!({
        "at": time(last.at_ms),
        "topic": last.topic,
        "receivers": last.receivers,
        "withheld": last.withheld,
        "rules": last.rules,
        "failures": last.failures,
    })
}

fn protocol(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::V311 => "MQTT 3.1.1",
        ProtocolVersion::V5 => "MQTT 5",
    }
}

/// A principal that is a certificate: clients of WebSockets sign with an access key, those of the insecure port have none.
fn certificate_id(principal: Option<&str>) -> Option<&str> {
    principal.filter(|principal| CertificateId::parse(principal).is_ok())
}

/// One happening with everything that is known of it.
pub(super) fn told(registry: &Registry, happening: &Happening) -> Value {
    let Happening { at_ms, until_ms, count, client_id, principal, source, what } = happening;
    let mut told = Map::new();
    let mut put = |name: &str, value: Value| told.insert(name.to_owned(), value);
    put("at", json!(time(*at_ms)));
    put("until", json!(time(*until_ms)));
    put("count", json!(count));
    put("event", json!(event(what)));
    put("isTrouble", json!(what.is_trouble()));
    put("clientId", json!(client_id.as_deref()));
    put("certificateId", json!(certificate_id(principal.as_deref())));
    put("principal", json!(principal));
    put("sourceIp", json!(source.map(|source| source.ip().to_string())));
    put("sourcePort", json!(source.map(|source| source.port())));
    put("sentence", json!(sentence(what)));
    match what {
        What::Connected { version, keep_alive_s, session_present, session_expiry_s, took_over } => {
            put("sessionPresent", json!(session_present));
            put("sessionExpirySeconds", json!(session_expiry_s));
            put("protocol", json!(protocol(*version)));
            put("keepAliveSeconds", json!(keep_alive_s));
            put("tookOver", json!(took_over.map(|address| address.to_string())));
        }
        What::Refused { cause, .. } => {
            put("cause", json!(cause.name()));
            if let Cause::Tls { alert } = cause {
                put("tlsAlert", json!(alert));
            }
            if let Cause::Policy(blame) = cause {
                put("policy", policy(registry, blame));
            }
            if let Cause::Throttled(quota) = cause {
                put("limit", json!(quota.name()));
            }
        }
        What::Disconnected { reason, will_due, will_delay_s, .. } => {
            put("willDelaySeconds", json!(will_delay_s));
            put("disconnectReason", json!(reason.name()));
            put("willDue", json!(will_due));
        }
        What::Denied { action, resource, blame, .. } => {
            put("action", json!(action.name()));
            put("resource", json!(resource));
            put("policy", policy(registry, blame));
        }
        What::DelayedWill { topic } => drop(put("topic", json!(topic))),
        What::SessionEnded { messages, .. } => drop(put("messages", json!(messages))),
        What::Throttled { quota, .. } => drop(put("limit", json!(quota.name()))),
        What::SubscriptionRefused { filter, .. } => drop(put("topicFilter", json!(filter))),
        What::NotDelivered { topic, .. } => drop(put("topic", json!(topic))),
        What::NotRetained { .. } => {}
    }
    put("hints", json!(hints::of(registry, happening)));
    Value::Object(told)
}

/// Which statement it was, with its text if that version of the policy is still there.
pub(super) fn policy(registry: &Registry, blame: &Blame) -> Value {
    let text = blame.policy.as_deref().zip(blame.version);
    let document = text
        .and_then(|(policy, version)| certificates::statement(registry, policy, version, blame.statement));
    json!({
        "kind": blame.kind.name(),
        "policyName": blame.policy,
        "version": blame.version,
        "statement": (blame.statement > 0).then_some(blame.statement),
        "sid": blame.sid,
        "closest": blame.text,
        "document": document,
    })
}

fn event(what: &What) -> &'static str {
    match what {
        What::Connected { .. } => "connected",
        What::Refused { .. } => "refused",
        What::Disconnected { .. } => "disconnected",
        What::DelayedWill { .. } => "delayed_will",
        What::SessionEnded { .. } => "session_ended",
        What::Throttled { .. } => "throttled",
        What::Denied { .. } => "denied",
        What::SubscriptionRefused { .. } => "subscription_refused",
        What::NotDelivered { .. } => "not_delivered",
        What::NotRetained { .. } => "not_retained",
    }
}

/// What happened, in one sentence without a full stop.
pub(super) fn sentence(what: &What) -> String {
    match what {
        What::Connected { version, keep_alive_s, session_present, session_expiry_s, took_over } => {
            let mut text = format!("connected with {}, keep-alive {keep_alive_s} s", protocol(*version));
            if let Some(address) = took_over {
                text += &format!("; it took over from its own earlier connection, from {address}");
            }
            match (session_present, session_expiry_s) {
                (true, _) => text += "; its session was there",
                (false, 0) => {}
                (false, _) => text += "; its session is new",
            }
            text
        }
        What::Refused { reason, .. } => format!("refused: {reason}"),
        What::Disconnected { reason, detail, will_due, will_delay_s } => {
            let will = will_due.as_ref().map(|topic| match will_delay_s {
                0 => format!("; its will was due on `{topic}`"),
                delay_s => {
                    format!("; its will on `{topic}` waits {delay_s} s for it to come back")
                }
            });
            format!("disconnected, {reason}: {detail}{}", will.unwrap_or_default())
        }
        What::DelayedWill { topic } => {
            format!("it did not come back in time: its will was due on `{topic}`")
        }
        What::SessionEnded { reason, messages } => {
            let lost = match messages {
                0 => String::new(),
                1 => "; 1 message that waited is dropped".to_owned(),
                messages => format!("; {messages} messages that waited are dropped"),
            };
            format!("its session ended: {reason}{lost}")
        }
        What::Throttled { reason, .. } => reason.to_string(),
        What::Denied { action, resource, reason, .. } => format!("denied {action} on `{resource}`: {reason}"),
        What::SubscriptionRefused { filter, reason } => format!("may not subscribe to `{filter}`: {reason}"),
        What::NotDelivered { topic: Some(topic), reason } => {
            format!("does not get messages of `{topic}`: {reason}")
        }
        What::NotDelivered { topic: None, reason } => format!("does not get all messages: {reason}"),
        What::NotRetained { reason } => format!("its message was not retained: {reason}"),
    }
}
