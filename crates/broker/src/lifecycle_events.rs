//! What the server itself publishes about its clients [AWS iot-lifecycle-events].
//!
//! `$aws/events/presence/connected|disconnected|connect_failed/CLIENT_ID` and
//! `$aws/events/subscriptions/subscribed|unsubscribed/CLIENT_ID`. Rules see them as they see any message; whoever may
//! subscribe there gets them. They cannot be turned off.

use crate::authorize::Who;
use crate::spare;
use mqtt_session::DisconnectReason;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The topics that clients may subscribe to and nobody may publish to.
pub(crate) const EVENTS_PREFIX: &str = "$aws/events/";

/// How long a client's connections are counted on after it has left. [AWS iot-lifecycle-events]
const VERSION_KEPT: Duration = Duration::from_secs(60 * 60);

/// How long GetConnection knows of a client that has left. [AWS iot-data GetConnection]
const DISCONNECTION_KEPT: Duration = Duration::from_secs(30 * 60);

/// Clients that have left whose number is remembered, at most; beyond it the oldest begin anew. 500,000 is AWS's number
/// of connections, and half of it per loop keeps this below 64 MB.
const REMEMBERED_MAX: usize = 250_000;

/// A message of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) topic: String,
    pub(crate) payload: String,
}

/// One connection, as its events name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Presence {
    session_identifier: Box<str>,
    /// How often the client has connected before, since it was away for an hour.
    version: u64,
    /// When it connected, in milliseconds since 1970.
    pub(crate) connected_at_ms: i64,
}

/// [AWS iot-lifecycle-events] Clients with `#` or `+` in their identifiers have no events: nobody could subscribe to them.
fn has_events(who: &Who) -> bool {
    !who.client_id.contains(['#', '+'])
}

fn event(who: &Who, kind: &str, name: &str, now_ms: i64, more: Value) -> Option<Event> {
    has_events(who).then(|| {
        let mut members = Map::new();
        members.insert("clientId".to_owned(), json!(&*who.client_id));
        members.insert("timestamp".to_owned(), json!(now_ms));
        members.insert("eventType".to_owned(), json!(name));
        members.insert("principalIdentifier".to_owned(), json!(&*who.principal));
        if let Value::Object(more) = more {
            members.extend(more);
        }
        let topic = format!("{EVENTS_PREFIX}{kind}/{name}/{}", who.client_id);
        Event { topic, payload: Value::Object(members).to_string() }
    })
}

impl Presence {
    pub(crate) fn connected(&self, who: &Who) -> Option<Event> {
        let more = json!({
            "sessionIdentifier": &*self.session_identifier,
            "ipAddress": who.peer.ip().to_string(),
            "versionNumber": self.version,
        });
        event(who, "presence", "connected", self.connected_at_ms, more)
    }

    pub(crate) fn disconnected(&self, who: &Who, reason: DisconnectReason, now_ms: i64) -> Option<Event> {
        let more = json!({
            "sessionIdentifier": &*self.session_identifier,
            "clientInitiatedDisconnect": reason == DisconnectReason::ClientInitiatedDisconnect,
            "disconnectReason": reason.name(),
            "versionNumber": self.version,
        });
        event(who, "presence", "disconnected", now_ms, more)
    }

    pub(crate) fn subscribed(&self, who: &Who, filters: &[&str], now_ms: i64) -> Option<Event> {
        self.about_filters(who, "subscribed", filters, now_ms)
    }

    pub(crate) fn unsubscribed(&self, who: &Who, filters: &[&str], now_ms: i64) -> Option<Event> {
        self.about_filters(who, "unsubscribed", filters, now_ms)
    }

    fn about_filters(&self, who: &Who, name: &str, filters: &[&str], now_ms: i64) -> Option<Event> {
        let more = json!({ "sessionIdentifier": &*self.session_identifier, "topics": filters });
        event(who, "subscriptions", name, now_ms, more)
    }
}

/// A client with a valid certificate that no policy lets in, or not with this will.
pub(crate) fn connect_failed(who: &Who, now_ms: i64) -> Option<Event> {
    let more = json!({
        "sessionIdentifier": Uuid::new_v4().to_string(),
        "ipAddress": who.peer.ip().to_string(),
        "connectFailureReason": "AUTHORIZATION_FAILED",
    });
    event(who, "presence", "connect_failed", now_ms, more)
}

/// The numbers of one loop's clients.
#[derive(Debug, Default)]
pub(crate) struct Presences {
    versions: HashMap<Arc<str>, Version>,
    /// Clients that have left, in the order in which they did. One that is back is still in here.
    left: VecDeque<(Instant, Arc<str>)>,
}

#[derive(Debug)]
struct Version {
    next: u64,
    /// `None`: it is connected.
    left: Option<Left>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Left {
    at: Instant,
    at_ms: i64,
    reason: DisconnectReason,
}

impl Presences {
    /// A client has connected.
    pub(crate) fn connect(&mut self, client_id: &Arc<str>, now: Instant, now_ms: i64) -> Presence {
        self.forget(now);
        let version = self.versions.entry(Arc::clone(client_id)).or_insert(Version { next: 0, left: None });
        let number = version.next;
        (version.next, version.left) = (number + 1, None);
        Presence {
            session_identifier: Uuid::new_v4().to_string().into(),
            version: number,
            connected_at_ms: now_ms,
        }
    }

    /// It has left.
    pub(crate) fn disconnect(
        &mut self,
        client_id: &Arc<str>,
        reason: DisconnectReason,
        now: Instant,
        now_ms: i64,
    ) {
        if let Some(version) = self.versions.get_mut(client_id) {
            version.left = Some(Left { at: now, at_ms: now_ms, reason });
            self.left.push_back((now, Arc::clone(client_id)));
        }
        self.forget(now);
    }

    /// When and why a client left, if that is not long ago.
    pub(crate) fn left(&self, client_id: &str, now: Instant) -> Option<(i64, DisconnectReason)> {
        let left = self.versions.get(client_id)?.left?;
        (now.duration_since(left.at) < DISCONNECTION_KEPT).then_some((left.at_ms, left.reason))
    }

    /// Drops those that have been away for too long, and the oldest beyond the limit.
    fn forget(&mut self, now: Instant) {
        while let Some((left_at, client_id)) = self.left.front() {
            let is_over = now.duration_since(*left_at) >= VERSION_KEPT;
            if !is_over && self.left.len() <= REMEMBERED_MAX {
                return;
            }
            // It may have come back and left again since.
            if self
                .versions
                .get(client_id)
                .is_some_and(|version| version.left.is_some_and(|left| left.at == *left_at))
            {
                self.versions.remove(client_id);
                spare::give_back(&mut self.versions);
            }
            self.left.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(client_id: &str) -> Who {
        Who {
            client_id: client_id.into(),
            principal: "c0ffee".into(),
            has_certificate: true,
            peer: ([192, 0, 2, 7], 4_711).into(),
            domain_name: None,
        }
    }

    fn parsed(event: Option<Event>) -> (String, Value) {
        let event = event.unwrap();
        (event.topic, serde_json::from_str(&event.payload).unwrap())
    }

    /// The members of AWS's documentation.
    #[test]
    fn events_say_what_awss_say() {
        let presence = Presences::default().connect(&"pico".into(), Instant::now(), 5);
        let session = &*presence.session_identifier;
        let expected = json!({
            "clientId": "pico", "timestamp": 5, "eventType": "connected", "sessionIdentifier": session,
            "principalIdentifier": "c0ffee", "ipAddress": "192.0.2.7", "versionNumber": 0,
        });
        let topic = "$aws/events/presence/connected/pico".to_owned();
        assert_eq!(parsed(presence.connected(&who("pico"))), (topic, expected));
        let expected = json!({
            "clientId": "pico", "timestamp": 9, "eventType": "disconnected", "sessionIdentifier": session,
            "principalIdentifier": "c0ffee", "clientInitiatedDisconnect": false,
            "disconnectReason": "MQTT_KEEP_ALIVE_TIMEOUT", "versionNumber": 0,
        });
        let topic = "$aws/events/presence/disconnected/pico".to_owned();
        let reason = DisconnectReason::MqttKeepAliveTimeout;
        assert_eq!(parsed(presence.disconnected(&who("pico"), reason, 9)), (topic, expected));
        let expected = json!({
            "clientId": "pico", "timestamp": 9, "eventType": "unsubscribed", "sessionIdentifier": session,
            "principalIdentifier": "c0ffee", "topics": ["a/\"b\"", "c"],
        });
        let topic = "$aws/events/subscriptions/unsubscribed/pico".to_owned();
        assert_eq!(parsed(presence.unsubscribed(&who("pico"), &["a/\"b\"", "c"], 9)), (topic, expected));
        assert_eq!(presence.connected(&who("thing#2")), None);
    }

    #[test]
    fn connections_are_counted_until_a_client_was_away_for_an_hour() {
        let (mut presences, start) = (Presences::default(), Instant::now());
        let at = |minutes: u64| start + Duration::from_secs(60 * minutes);
        let client: Arc<str> = "pico".into();
        let mut version = |minutes| {
            let version = presences.connect(&client, at(minutes), 0).version;
            presences.disconnect(&client, DisconnectReason::ConnectionLost, at(minutes + 1), 7);
            version
        };
        assert_eq!([version(0), version(10), version(69), version(130)], [0, 1, 2, 0]);
        let left = |minutes| presences.left("pico", at(minutes));
        assert_eq!((left(160), left(161)), (Some((7, DisconnectReason::ConnectionLost)), None));
        presences.forget(at(1_000));
        assert!(presences.versions.is_empty() && presences.left.is_empty());
    }
}
