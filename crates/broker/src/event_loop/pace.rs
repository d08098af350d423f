//! How fast clients may go: what is put off or dropped because of a rate, and when it goes on.
//!
//! `mqtt-session` counts a connection's messages, `account` what all clients do together; here are a connection's bytes,
//! the times at which a client that was held up goes on, and the one place where anybody is told of it:
//! [`EventLoop::tell_throttled`].

use super::EventLoop;
use super::lifecycle::Farewell;
use crate::connection::Connection;
use crate::denials::Denials;
use crate::slots::Key;
use crate::tallies::PublishOutcome;
use mqtt_session::rate::{Lease, TokenBucket};
use mqtt_session::{Quota, Rate, Throttled};
use mqtt_wire::{PacketId, ProtocolVersion, QoS, ReasonCode, TopicFilter};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// Lines about throttled clients in a second, of one loop.
///
/// Each client has one line a second at most; this bounds those of ten thousand that are throttled at once.
const LINES_PER_S: Rate = Rate::per_second(20);

/// A loop's part.
#[derive(Debug)]
pub(super) struct Pace {
    /// Of [`mqtt_session::Limits::account_publishes_in_per_s`].
    lease_in: Lease,
    /// Of [`mqtt_session::Limits::account_publishes_out_per_s`].
    lease_out: Lease,
    /// When to look at which connection again, the next one first; only the entry that the connection knows counts.
    resumptions: BinaryHeap<Reverse<(Instant, Key)>>,
    lines: TokenBucket,
    /// Throttled clients that had no line.
    untold: u64,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            lease_in: Lease::default(),
            lease_out: Lease::default(),
            resumptions: BinaryHeap::new(),
            lines: TokenBucket::full(now),
            untold: 0,
        }
    }

    /// How long until somebody who was held up goes on.
    pub(super) fn until_next(&self, now: Instant) -> Option<Duration> {
        self.resumptions.peek().map(|Reverse((at, _))| at.saturating_duration_since(now))
    }

    fn pop_due(&mut self, now: Instant) -> Option<(Instant, Key)> {
        let Reverse(next) = *self.resumptions.peek()?;
        (next.0 <= now).then(|| {
            self.resumptions.pop();
            next
        })
    }
}

/// A connection's part.
#[derive(Debug)]
pub(crate) struct ConnectionPace {
    received: TokenBucket,
    sent: TokenBucket,
    /// It has sent too much: until then nothing is read.
    reads_at: Option<Instant>,
    /// It was sent too much: until then nothing is written.
    writes_at: Option<Instant>,
    resumes_at: Option<Instant>,
    told: Denials,
    /// How often each quota has held it up, for `eyot explain`; made when the first does.
    observed: Option<Box<[Denials; Quota::ALL.len()]>>,
}

impl ConnectionPace {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            received: TokenBucket::full(now),
            sent: TokenBucket::full(now),
            reads_at: None,
            writes_at: None,
            resumes_at: None,
            told: Denials::default(),
            observed: None,
        }
    }

    /// Once a second for each quota: how often it has held up the client since.
    fn observe(&mut self, quota: Quota, now: Instant) -> Option<u64> {
        Some(1 + self.observed.get_or_insert_default()[quota.index()].add(now)?)
    }

    /// Whether the client has to wait before more is read.
    pub(crate) fn holds_reads(&self) -> bool {
        self.reads_at.is_some()
    }
}

impl EventLoop {
    /// Asks for one message that a client publishes, with permission; `retained`: its topic, when it is to be retained.
    pub(super) fn may_take(&mut self, retained: Option<&str>) -> Result<(), Throttled> {
        self.shared.account.publish_in(retained, &mut self.pace.lease_in, self.now)
    }

    /// Asks for one filter that a client subscribes to, with permission; else what the SUBACK says of it [verified 8].
    pub(super) fn may_add_subscription(
        &mut self,
        key: Key,
        filter: TopicFilter<'_>,
    ) -> Result<(), ReasonCode> {
        // Those of this very SUBSCRIBE count, too.
        self.tell_subscriptions();
        let Some(connection) = self.connections.get(key) else { return Ok(()) };
        let others = (!connection.session.is_subscribed(filter))
            .then(|| self.shared.subscriptions() + self.shared.sessions.memberships());
        self.shared.account.subscribe(others, self.now).map_err(|throttled| {
            self.tell_throttled(key, throttled);
            ReasonCode::QuotaExceeded
        })
    }

    /// Counts the rules that get a message, which are not held up: what they keep could not be had again.
    pub(super) fn count_rules(&mut self, rules: usize) {
        if rules > 0 {
            let _ = self.shared.account.publish_out(rules as u64, &mut self.pace.lease_out, self.now);
        }
    }

    /// Asks for one message to a client: which quota has no more, and from when on it has.
    pub(super) fn may_send(&mut self, key: Key) -> Result<(), (Quota, Instant)> {
        let Some(connection) = self.connections.get_mut(key) else { return Ok(()) };
        let (account, lease) = (&self.shared.account, &mut self.pace.lease_out);
        account.publish_out(1, lease, self.now).map_err(|at| (Quota::AccountPublishesOut, at))?;
        connection.session.may_send(self.now).map_err(|at| {
            lease.give_back(1);
            (Quota::ConnectionPublishes, at)
        })
    }

    /// What [`may_send`](Self::may_send) has allowed was not sent.
    pub(super) fn give_back(&mut self, key: Key) {
        self.pace.lease_out.give_back(1);
        if let Some(connection) = self.connections.get_mut(key) {
            connection.session.give_back();
        }
    }

    /// A message that a client published goes nowhere. [AWS General Reference] With QoS 1 and 2 a client of MQTT 5 is told
    /// so in the PUBACK or PUBREC; MQTT 3.1.1 has no way to say it, so there is none.
    pub(super) fn discard_publish(
        &mut self,
        key: Key,
        throttled: Throttled,
        packet_id: Option<PacketId>,
        qos: QoS,
    ) {
        self.count_publish_in(key, qos, PublishOutcome::Throttled);
        self.tell_throttled(key, throttled);
        let Some(connection) = self.connections.get_mut(key) else { return };
        if let Some(packet_id) = packet_id
            && connection.session.peer().version == ProtocolVersion::V5
        {
            connection.session.expect_ack(packet_id, qos, ReasonCode::QuotaExceeded, None);
            self.release_acks(key);
        }
    }

    /// The next message to a client waits until then, and those behind it.
    pub(super) fn wait_for_rate(&mut self, key: Key, quota: Quota, at: Instant) {
        if self.connections.get(key).is_some_and(|connection| connection.pace.resumes_at.is_none()) {
            self.hold_up(key, quota);
        }
        self.resume_at(key, at);
    }

    /// A message to a client is dropped, or waits.
    pub(super) fn hold_up(&mut self, key: Key, quota: Quota) {
        self.shared.account.count(quota);
        self.tell_throttled(key, quota.exceeded(&self.shared.limits));
    }

    /// Counts bytes that a client has sent; when they are too many nothing is read for a while.
    pub(super) fn charge_received(&mut self, key: Key, bytes: usize) {
        let (now, rate) = (self.now, self.shared.limits.connection_bytes_per_s);
        let Some(connection) = self.connections.get_mut(key) else { return };
        if let Some(at) = connection.pace.received.charge(bytes as u64, rate, now) {
            connection.pace.reads_at = Some(at);
            self.delay(key, at);
        }
    }

    /// Sends what the socket takes, unless the client was sent too much already.
    pub(super) fn write_out(&mut self, key: Key) {
        let (now, rate) = (self.now, self.shared.limits.connection_bytes_per_s);
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.pace.writes_at.is_some() {
            return;
        }
        let before = connection.outbox.len();
        if let Err(error) = connection.flush(key, self.poll.registry(), &mut self.pool) {
            let farewell = Farewell::broken(&connection.transport, &error);
            return self.end(key, farewell);
        }
        let bytes = before.saturating_sub(connection.outbox.len());
        if let Some(at) = connection.pace.sent.charge(bytes as u64, rate, now) {
            connection.pace.writes_at = Some(at);
            self.delay(key, at);
        }
    }

    fn delay(&mut self, key: Key, at: Instant) {
        self.resume_at(key, at);
        self.shared.account.count(Quota::ConnectionBytes);
        self.tell_throttled(key, Quota::ConnectionBytes.exceeded(&self.shared.limits));
    }

    /// Looks at a client again then.
    pub(super) fn resume_at(&mut self, key: Key, at: Instant) {
        if let Some(connection) = self.connections.get_mut(key)
            && connection.pace.resumes_at.is_none_or(|present| at < present)
        {
            connection.pace.resumes_at = Some(at);
            self.pace.resumptions.push(Reverse((at, key)));
        }
    }

    /// Goes on with the clients whose time has come.
    pub(super) fn resume_held_up(&mut self) {
        while let Some((at, key)) = self.pace.pop_due(self.now) {
            let Some(connection) = self.connections.get_mut(key) else { continue };
            if connection.pace.resumes_at != Some(at) {
                continue;
            }
            connection.pace.resumes_at = None;
            connection.go_on(self.now);
            let next = connection.pace.reads_at.into_iter().chain(connection.pace.writes_at).min();
            if let Some(next) = next {
                self.resume_at(key, next);
            }
            self.feed(key);
            self.mark_dirty(key);
            self.resume(key);
        }
        self.close_marked();
    }

    /// Tells the log why a client is throttled, unless it heard of this client, or of many, just now.
    ///
    /// Everything that holds up a connected client comes through here; a CONNECT that is throttled is refused with the
    /// same sentence.
    pub(super) fn tell_throttled(&mut self, key: Key, throttled: Throttled) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(key) else { return };
        let (observed, told) = (connection.pace.observe(throttled.quota, now), connection.pace.told.add(now));
        if let Some(count) = observed {
            self.observe_throttled(key, throttled, count);
        }
        let Some(untold) = told else { return };
        if self.pace.lines.take(1, LINES_PER_S, now).is_err() {
            self.pace.untold += 1;
            return;
        }
        let Some(connection) = self.connections.get(key) else { return };
        let who = &connection.client.who;
        let (client_id, certificate_id, limit) = (&*who.client_id, &*who.principal, throttled.quota.name());
        let (reason, untold) = (throttled.to_string(), (untold > 0).then_some(untold));
        let others = std::mem::take(&mut self.pace.untold);
        let others = (others > 0).then_some(others);
        tracing::warn!(
            target: "eyot::throttled", client_id, certificate_id, peer = %who.peer, limit, reason, untold,
            others, "throttled"
        );
    }
}

impl Connection {
    /// Ends the pauses whose time has come. The silence during one was ours.
    fn go_on(&mut self, now: Instant) {
        if self.pace.reads_at.is_some_and(|at| at <= now) {
            self.pace.reads_at = None;
            self.session.excuse_silence(now);
        }
        if self.pace.writes_at.is_some_and(|at| at <= now) {
            self.pace.writes_at = None;
        }
    }
}
