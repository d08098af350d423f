//! What the loop writes down of what it does: for `eyot explain`.
//!
//! One call at each place where something happens. A publish that is permitted costs a few additions and a slot of its
//! connection; everything else here runs when a client comes or goes, or something is refused.

use super::EventLoop;
use crate::authorize::{Denied, Who};
use crate::handshake::Refusal;
use crate::history::{
    Asking, Audience, ClientReport, ConnectionReport, Happening, LastPublish, Load, NEAR_MISSES_MAX, Near,
    RECEIVERS_MAX, Receiver, SUBSCRIPTIONS_SCANNED_MAX, Subject, Survey, What, kept, near_miss,
};
use crate::iot_log;
use crate::publication::now_ms;
use crate::router::Found;
use crate::slots::Key;
use crate::tallies::{PublishOutcome, SubscribeOutcome};
use mqtt_session::{Accepted, DisconnectReason, Will};
use mqtt_wire::{QoS, ReasonCode};
use rules::Consequences;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

/// What becomes of the publish of the moment, as far as this loop sees it.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    at_ms: i64,
    receivers: u32,
    withheld: u32,
    rules: u32,
    failures: u32,
}

impl EventLoop {
    /// A client has published, and this became of it.
    pub(super) fn count_publish_in(&self, key: Key, qos: QoS, outcome: PublishOutcome) {
        if let Some(connection) = self.connections.get(key) {
            self.me().tallies.publish_in(connection.session.peer().version, qos, outcome);
        }
    }

    /// A message is on its way to a client.
    pub(super) fn observe_sent(&self, key: Key, topic: &str, qos: QoS) {
        if let Some(connection) = self.connections.get(key) {
            self.me().tallies.publish_out(connection.session.peer().version, qos);
        }
        self.log_publish_out(key, topic);
    }

    /// A SUBSCRIBE was answered.
    pub(super) fn count_subscribes(&self, codes: &[ReasonCode]) {
        for code in codes {
            self.me().tallies.subscribe(match code {
                code if code.granted_qos().is_some() => SubscribeOutcome::Granted,
                ReasonCode::NotAuthorized => SubscribeOutcome::Denied,
                _ => SubscribeOutcome::Refused,
            });
        }
    }

    /// A publish begins that a client is permitted.
    pub(super) fn begin_tally(&mut self) {
        self.tally = Tally::default();
    }

    /// The message itself, and not one that rules made of it, goes to this many receivers and rules.
    pub(super) fn tally_routed(&mut self, depth: u8, rules: usize, consequences: &Consequences) {
        if depth == 0 {
            self.tally.receivers = u32::try_from(self.receivers.len()).unwrap_or(u32::MAX);
            self.tally.rules = u32::try_from(rules).unwrap_or(u32::MAX);
            self.tally.failures = u32::try_from(consequences.failures.len()).unwrap_or(u32::MAX);
        }
    }

    /// The publish is done: the slot of its client holds what became of it.
    pub(super) fn end_tally(&mut self, key: Key) {
        let at_ms = self.now_s.saturating_mul(1_000);
        if let Some(connection) = self.connections.get_mut(key) {
            connection.last_publish = Some(Tally { at_ms, ..self.tally });
        }
    }

    /// A client has connected. `took_over`: where its own earlier connection was.
    pub(super) fn observe_connected(
        &mut self,
        who: &Who,
        key: Key,
        accepted: &Accepted,
        took_over: Option<SocketAddr>,
    ) {
        let Some(connection) = self.connections.get(key) else { return };
        let version = connection.session.peer().version;
        let note = accepted.note.map(|note| kept(&note.to_string()));
        let keep_alive_s = accepted.keep_alive_s;
        self.log_connected(who);
        self.remember(who, What::Connected { version, keep_alive_s, took_over, note });
    }

    /// A client's connection has ended.
    pub(super) fn observe_disconnected(
        &mut self,
        who: &Who,
        reason: DisconnectReason,
        detail: &str,
        will: Option<&Will>,
    ) {
        self.me().tallies.disconnect(reason);
        self.log_disconnected(who, reason, detail);
        let will_due = will.filter(|_| reason.publishes_will()).map(|will| kept(&will.topic()));
        self.remember(who, What::Disconnected { reason, detail: kept(detail), will_due });
    }

    /// A client was denied something; it may stay connected.
    pub(super) fn observe_denied(&mut self, who: &Who, denied: &Denied) {
        self.log_denied(who, denied);
        // What a certificate that is not ACTIVE ends is told by the end.
        if let Denied::ByPolicy { action, resource, reason, blame } = denied {
            let (resource, reason, blame) = (kept(resource), kept(reason), blame.clone());
            self.remember(who, What::Denied { action: *action, resource, reason, blame });
        }
    }

    /// A message is withheld from a client; `news`: why, if that was decided just now.
    pub(super) fn observe_withheld(&mut self, key: Key, news: Option<&Denied>) {
        self.tally.withheld += 1;
        if let (Some(denied), Some(who)) = (news, self.who(key)) {
            self.observe_denied(&who, denied);
        }
    }

    /// A client that was let in is refused by its loop.
    pub(super) fn observe_refused(&mut self, who: &Who, refusal: &Refusal) {
        let is_known = refusal.certificate_id.is_some_and(|id| self.shared.registry.principal(&id).is_some());
        self.shared.refusals.note(who.peer, refusal, is_known, &self.me().tallies);
        iot_log::refused(&self.shared.iot_log, who.peer, refusal, is_known);
    }

    /// Writes down what happened to a client.
    pub(super) fn remember(&mut self, who: &Who, what: What) {
        let (client_id, principal) = (Arc::clone(&who.client_id), Some(who.principal.clone()));
        let happening = Happening::now(Some(Arc::clone(&client_id)), principal, who.peer, what);
        self.history.note(Subject::Client(client_id), happening);
    }

    /// The same by its connection.
    pub(super) fn remember_at(&mut self, key: Key, what: What) {
        if let Some(who) = self.who(key) {
            self.remember(&who, what);
        }
    }

    fn who(&self, key: Key) -> Option<Arc<Who>> {
        self.connections.get(key).map(|connection| Arc::clone(&connection.client.who))
    }

    /// Everything that is known of a client.
    pub(super) fn report(&self, client_id: &str, key: Option<Key>) -> ClientReport {
        ClientReport {
            connection: key.and_then(|key| self.report_connection(key)),
            left: self.presences.left(client_id, self.now),
            happenings: self.history.of(&Subject::Client(client_id.into())).cloned().collect(),
        }
    }

    fn report_connection(&self, key: Key) -> Option<ConnectionReport> {
        let (info, connection) = (self.info(key)?, self.connections.get(key)?);
        let session = &connection.session;
        let subscriptions = session.subscriptions().map(|(filter, options)| (filter.to_owned(), options.qos));
        let last_publish = connection.last_publish.zip(connection.client.published_topic());
        Some(ConnectionReport {
            info,
            principal: connection.client.who.principal.to_string(),
            version: session.peer().version,
            subscriptions: subscriptions.collect(),
            inflight: session.inflight_len(),
            queued: session.pending_len(),
            is_blocked: connection.is_blocked(),
            will_topic: session.will().map(|will| will.topic().as_str().to_owned()),
            last_publish: last_publish.map(|(tally, topic)| {
                let Tally { at_ms, receivers, withheld, rules, failures } = tally;
                LastPublish { at_ms, topic: topic.to_owned(), receivers, withheld, rules, failures }
            }),
        })
    }

    /// Answers what every loop is asked.
    pub(super) fn take_part(&self, survey: &Survey) {
        match &survey.asking {
            Asking::Happenings(by) => {
                let found = self.history.all().filter(|happening| by.is_about(happening)).cloned().collect();
                survey.add(found, Audience::default());
            }
            Asking::Audience(topic) => survey.add(Vec::new(), self.audience(topic)),
            Asking::Load => survey.add_load(self.load()),
        }
    }

    fn load(&self) -> Load {
        self.connections.iter().fold(Load::default(), |load, (_, connection)| Load {
            inflight: load.inflight + connection.session.inflight_len() as u64,
            queued: load.queued + connection.session.pending_len() as u64,
            outbox_bytes: load.outbox_bytes + connection.outbox.len() as u64,
            blocked: load.blocked + u64::from(connection.is_blocked()),
        })
    }

    fn audience(&self, topic: &str) -> Audience {
        let mut audience = Audience::default();
        let mut seen = HashSet::new();
        self.router.find(topic, |found| {
            let Found::Session(key, options) = found else { return };
            let Some(connection) = self.connections.get(key).filter(|_| seen.insert(key)) else { return };
            audience.receivers_total += 1;
            if audience.receivers.len() < RECEIVERS_MAX {
                let now_s = now_ms() / 1_000;
                let denied = connection.client.why_not_receive(&self.shared.registry, topic, now_s);
                let withheld = denied.map(|denied| match denied {
                    Denied::NotActive(reason) => (reason, None),
                    Denied::ByPolicy { reason, blame, .. } => (reason, Some(blame)),
                });
                let client_id = connection.client.who.client_id.to_string();
                audience.receivers.push(Receiver { client_id, qos: options.qos, withheld });
            }
        });
        let subscriptions = self.connections.iter().flat_map(|(_, connection)| {
            connection.session.subscriptions().map(move |(filter, _)| (connection, filter))
        });
        for (scanned, (connection, filter)) in subscriptions.enumerate() {
            if scanned >= SUBSCRIPTIONS_SCANNED_MAX || audience.near.len() >= NEAR_MISSES_MAX {
                audience.is_cut = true;
                break;
            }
            if let Some(miss) = near_miss(topic, filter, self.shared.limits.match_rules) {
                let client_id = connection.client.who.client_id.to_string();
                audience.near.push(Near { client_id, filter: filter.to_owned(), miss });
            }
        }
        audience
    }
}
