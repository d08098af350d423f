//! What the loop writes down of what it does: for `eyot explain`.
//!
//! One call at each place where something happens. A publish that is permitted costs a few additions and a slot of its
//! connection; everything else here runs when a client comes or goes, or something is refused.

use super::EventLoop;
use crate::authorize::{Denied, Who};
use crate::clock::{self, now_ms};
use crate::handshake::Refusal;
use crate::history::{Happening, Subject, What, kept};
use crate::iot_log;
use crate::sessions::{Dropped, Inbox};
use crate::slots::Key;
use crate::tallies::{PublishOutcome, SubscribeOutcome};
use mqtt_session::{Accepted, DisconnectReason, Throttled, Will};
use mqtt_wire::{ProtocolVersion, QoS, ReasonCode};
use rules::Consequences;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// What becomes of the publish of the moment, as far as this loop sees it.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(super) at_ms: i64,
    pub(super) receivers: u32,
    pub(super) withheld: u32,
    pub(super) rules: u32,
    pub(super) failures: u32,
}

impl EventLoop {
    /// A client has published, and its message was not taken; [`end_tally`](Self::end_tally) counts those that were.
    pub(super) fn count_publish_in(&self, key: Key, qos: QoS, outcome: PublishOutcome) {
        if let Some(connection) = self.connections.get(key) {
            self.me().tallies.publish_in(connection.session.peer().version, qos, outcome);
        }
    }

    /// A message is on its way to a client.
    pub(super) fn observe_sent(&self, key: Key, version: ProtocolVersion, topic: &str, qos: QoS) {
        self.me().tallies.publish_out(version, qos);
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

    /// The publish is done: it is counted, and the slot of its client holds what became of it.
    pub(super) fn end_tally(&mut self, key: Key, qos: QoS) {
        let at_ms = self.now_s.saturating_mul(1_000);
        if let Some(connection) = self.connections.get_mut(key) {
            let tallies = &self.shared.peers[self.index].tallies;
            tallies.publish_in(connection.session.peer().version, qos, PublishOutcome::Accepted);
            connection.last_publish = Some(Tally { at_ms, ..self.tally });
        }
    }

    /// A client has connected. `took_over`: where its own earlier connection was.
    pub(super) fn observe_connected(
        &mut self,
        who: &Who,
        key: Key,
        accepted: &Accepted,
        session_present: bool,
        took_over: Option<SocketAddr>,
    ) {
        let Some(connection) = self.connections.get(key) else { return };
        let version = connection.session.peer().version;
        let Accepted { keep_alive_s, session_expiry_s, .. } = *accepted;
        self.log_connected(who);
        self.remember(
            who,
            What::Connected { version, keep_alive_s, session_present, session_expiry_s, took_over },
        );
    }

    /// A client's connection has ended. `kept_s`: how long its session waits for it.
    pub(super) fn observe_disconnected(
        &mut self,
        who: &Who,
        reason: DisconnectReason,
        detail: &str,
        will: Option<&Will>,
        kept_s: u32,
    ) {
        self.me().tallies.disconnect(reason);
        self.log_disconnected(who, reason, detail);
        let will = will.filter(|_| reason.publishes_will());
        let will_due = will.map(|will| kept(&will.topic()));
        let will_delay_s = will.map_or(0, |will| will.delay_s.min(kept_s));
        self.remember(who, What::Disconnected { reason, detail: kept(detail), will_due, will_delay_s });
    }

    /// The will that waited for its client is due.
    pub(super) fn observe_delayed_will(&mut self, who: &Who, will: &Will) {
        self.remember(who, What::DelayedWill { topic: kept(&will.topic()) });
    }

    /// The session of a client that is away, or goes, has ended.
    pub(super) fn observe_session_ended(&mut self, inbox: &Inbox, why: &str) {
        self.observe_dropped(inbox);
        let what = What::SessionEnded { reason: kept(why), messages: inbox.len() as u64 };
        let happening = Happening::now(Some(Arc::clone(&inbox.client_id)), None, None, what);
        self.history.note(Subject::Client(Arc::clone(&inbox.client_id)), happening);
    }

    /// Writes down what found no room in a client's inbox; other threads have counted it.
    pub(super) fn observe_dropped(&mut self, inbox: &Inbox) {
        let Some(Dropped { count, first, last }) = inbox.take_dropped() else { return };
        let (now, now_ms) = (clock::now(), now_ms());
        let ms_of = |at: Instant| now_ms - now.saturating_duration_since(at).as_millis() as i64;
        let reason = "too many messages wait already, or came in a second (limits `queued_…`)".into();
        let what = What::NotDelivered { topic: None, reason };
        let client_id = Arc::clone(&inbox.client_id);
        let happening = Happening {
            at_ms: ms_of(first),
            until_ms: ms_of(last),
            count,
            ..Happening::now(Some(Arc::clone(&client_id)), None, None, what)
        };
        self.history.note(Subject::Client(client_id), happening);
    }

    /// Messages that are not sent again, because their client left them without a PUBACK for too long.
    pub(super) fn observe_given_up(&mut self, who: &Who, messages: u64) {
        tracing::warn!(
            target: "eyot::delivery", client_id = &*who.client_id, messages,
            "sent, and without a PUBACK for too long: not sent again (limit `unacknowledged_max_s`)"
        );
        let reason = "no PUBACK came for too long (limit `unacknowledged_max_s`)".into();
        self.remember_times(who, What::NotDelivered { topic: None, reason }, messages);
    }

    /// A limit has held up a client this often since this was told last.
    pub(super) fn observe_throttled(&mut self, key: Key, throttled: Throttled, count: u64) {
        let Some(who) = self.who(key) else { return };
        self.log_throttled(&who, throttled);
        let what = What::Throttled { quota: throttled.quota, reason: kept(&throttled.to_string()) };
        self.remember_times(&who, what, count);
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
        self.remember_times(who, what, 1);
    }

    fn remember_times(&mut self, who: &Who, what: What, count: u64) {
        let (client_id, principal) = (Arc::clone(&who.client_id), Some(who.principal.clone()));
        let now = Happening::now(Some(Arc::clone(&client_id)), principal, Some(who.peer), what);
        self.history.note(Subject::Client(client_id), Happening { count, ..now });
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
}
