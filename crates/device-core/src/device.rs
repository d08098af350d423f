//! The device's state machine.

mod link;
mod outbox;
mod schedule;

use crate::action::{Action, CloseReason};
use crate::average::Samples;
use crate::backoff::Backoff;
use crate::config::{Config, ConfigError, SEND_BYTES_MAX};
use crate::inbox::{Heard, Inbox};
use crate::payload::{PAYLOAD_BYTES_MAX, write_payload};
use crate::random::Random;
use crate::ring::Reading;
use link::Link;
use mqtt_wire::ProtocolVersion::V311;
use mqtt_wire::{
    Connect, Disconnect, Packet, PacketId, PacketKind, Properties, Publish, ReasonCode, TopicName, Will,
};
use outbox::Outbox;
use schedule::Schedule;

pub use outbox::INFLIGHT_MAX;

/// A reading younger than this never says when it was measured, even if the interval is shorter: the server's clock,
/// which says it then, is not better known.
const LATE_MS_MIN: u64 = 1_000;

/// A device that reports its temperature.
///
/// After every `handle_*` call and when [`poll_timeout`](Self::poll_timeout) is due, call
/// [`poll_action`](Self::poll_action) until it returns `None`.
#[derive(Debug)]
pub struct Device<'a> {
    config: Config<'a>,
    topic: TopicName<'a>,
    will: Option<Will<'a>>,
    state: State,
    has_been_online: bool,
    inbox: Inbox,
    backoff: Backoff,
    random: Random,
    schedule: Schedule,
    outbox: Outbox,
    unix_time: Option<UnixTime>,
    close: Option<CloseReason>,
}

// The ring is nearly all of it. It lies in a static of the firmware, and on the stack while it is made.
const _: () = assert!(size_of::<Device<'static>>() <= 10 * 1024);

/// Where a device is, for those who watch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// There is no network.
    Offline,
    /// It waits before the next attempt to connect.
    Resting {
        /// When that begins.
        until_ms: u64,
    },
    /// TCP and TLS are being opened.
    Opening,
    /// CONNECT is to be answered.
    Greeting,
    /// The server has accepted it.
    Connected,
    /// It was told to stop.
    Stopped,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Offline,
    Resting {
        until_ms: u64,
    },
    Opening {
        deadline_ms: u64,
    },
    Greeting {
        deadline_ms: u64,
        connect_sent: bool,
    },
    Connected(Link),
    /// DISCONNECT is still to be sent.
    Leaving,
    Stopped,
}

/// What time it was, in milliseconds since 1970, at a moment of the clock that never goes back.
#[derive(Clone, Copy, Debug)]
struct UnixTime {
    unix_ms: u64,
    at_ms: u64,
}

impl UnixTime {
    /// The time of another moment, before or after.
    const fn of(self, moment_ms: u64) -> u64 {
        let later = self.unix_ms.saturating_add(moment_ms.saturating_sub(self.at_ms));
        later.saturating_sub(self.at_ms.saturating_sub(moment_ms))
    }
}

impl<'a> Device<'a> {
    /// A device that is offline and measures.
    ///
    /// # Errors
    /// The configuration cannot work.
    pub fn new(config: Config<'a>) -> Result<Self, ConfigError> {
        let (topic, will) = config.check()?;
        Ok(Self {
            topic,
            will,
            state: State::Offline,
            has_been_online: false,
            inbox: Inbox::new(),
            backoff: Backoff::new(config.backoff),
            random: Random::new(config.seed),
            schedule: Schedule::new(config.interval_ms),
            outbox: Outbox::new(config.qos, config.interval_ms),
            unix_time: None,
            close: None,
            config,
        })
    }

    /// The network is there and the time is known: the device may connect.
    ///
    /// At once for the first time since it started. Later it waits up to the first ceiling of the back-off, because
    /// the outage that ends for one device ends for all its neighbours.
    pub fn handle_online(&mut self, now_ms: u64) {
        if !matches!(self.state, State::Offline) {
            return;
        }
        let wait_ms = if self.has_been_online { self.backoff.spread(self.random.next()) } else { 0 };
        self.has_been_online = true;
        self.state = State::Resting { until_ms: now_ms.saturating_add(wait_ms) };
    }

    /// The network is gone: the connection is closed without a word, and what it did not deliver is kept.
    pub fn handle_offline(&mut self, now_ms: u64) {
        match self.state {
            State::Opening { .. } | State::Greeting { .. } | State::Connected(_) => {
                self.end_connection(now_ms);
                self.close = Some(CloseReason::Offline);
                self.state = State::Offline;
            }
            State::Leaving => {
                self.close = Some(CloseReason::Stopped);
                self.state = State::Stopped;
            }
            State::Resting { .. } => self.state = State::Offline,
            State::Offline | State::Stopped => {}
        }
    }

    /// What time it is, in milliseconds since 1970. To be told as often as it is learnt: a late reading tells its
    /// moment by the last one, even if it was measured before the time was known.
    pub const fn handle_time(&mut self, unix_ms: u64, now_ms: u64) {
        self.unix_time = Some(UnixTime { unix_ms, at_ms: now_ms });
    }

    /// TCP and TLS are up.
    pub fn handle_transport_connected(&mut self, now_ms: u64) {
        if matches!(self.state, State::Opening { .. }) {
            self.inbox = Inbox::new();
            let deadline_ms = now_ms.saturating_add(self.config.deadlines.connack_ms);
            self.state = State::Greeting { deadline_ms, connect_sent: false };
        }
    }

    /// Bytes came from the server.
    pub fn handle_bytes(&mut self, mut bytes: &[u8], now_ms: u64) {
        while self.is_listening() {
            match self.inbox.next() {
                Ok(Some(heard)) => self.hear(heard, now_ms),
                Ok(None) if bytes.is_empty() => return,
                Ok(None) => bytes = self.inbox.fill(bytes),
                Err(error) => self.fail(CloseReason::Malformed(error), now_ms),
            }
        }
    }

    /// The sensor was read, after [`Action::Sample`]. Without a single sample there is no reading.
    pub fn handle_samples(&mut self, samples: &Samples, now_ms: u64) {
        if !self.is_ending()
            && let Some(temperature) = samples.temperature()
        {
            self.outbox.push(Reading { temperature, measured_at_ms: now_ms });
        }
    }

    /// The transport is gone, or could not be opened.
    pub fn handle_closed(&mut self, now_ms: u64) {
        match self.state {
            State::Opening { .. } | State::Greeting { .. } | State::Connected(_) => self.rest(now_ms),
            State::Leaving => self.state = State::Stopped,
            State::Offline | State::Resting { .. } | State::Stopped => {}
        }
    }

    /// Time has passed. Early calls do no harm.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        match self.state {
            State::Opening { deadline_ms } if now_ms >= deadline_ms => {
                self.fail(CloseReason::TransportTimeout, now_ms);
            }
            State::Greeting { deadline_ms, .. } if now_ms >= deadline_ms => {
                self.fail(CloseReason::ConnAckTimeout, now_ms);
            }
            State::Connected(link) => {
                let late =
                    |deadline_ms: Option<u64>| deadline_ms.is_some_and(|deadline_ms| now_ms >= deadline_ms);
                if late(link.pingresp_deadline_ms(&self.config)) {
                    self.fail(CloseReason::PingTimeout, now_ms);
                } else if late(self.puback_deadline_ms()) {
                    self.fail(CloseReason::PubAckTimeout, now_ms);
                }
            }
            _ => {}
        }
    }

    /// Ends the connection in good order: DISCONNECT, then [`Action::Close`], then nothing more.
    pub fn handle_stop(&mut self) {
        match self.state {
            State::Connected(_) => self.state = State::Leaving,
            State::Opening { .. } | State::Greeting { .. } => {
                self.close = Some(CloseReason::Stopped);
                self.state = State::Stopped;
            }
            State::Offline | State::Resting { .. } => self.state = State::Stopped,
            State::Leaving | State::Stopped => {}
        }
    }

    /// The next thing to do; `None`: wait for bytes or for [`poll_timeout`](Self::poll_timeout).
    ///
    /// A packet to send is written to `out`.
    pub fn poll_action(&mut self, now_ms: u64, out: &mut [u8; SEND_BYTES_MAX]) -> Option<Action> {
        self.handle_timeout(now_ms);
        if let Some(reason) = self.close.take() {
            return Some(Action::Close(reason));
        }
        if !self.is_ending() && self.schedule.take(now_ms) {
            return Some(Action::Sample { samples: self.config.samples_per_reading });
        }
        match self.state {
            State::Resting { until_ms } if now_ms >= until_ms => {
                let deadline_ms = now_ms.saturating_add(self.config.deadlines.transport_ms);
                self.state = State::Opening { deadline_ms };
                Some(Action::OpenTransport)
            }
            State::Greeting { deadline_ms, connect_sent: false } => {
                self.state = State::Greeting { deadline_ms, connect_sent: true };
                Some(send(Packet::Connect(self.connect()), out))
            }
            State::Connected(mut link) => {
                let action = self.poll_link(&mut link, now_ms, out);
                self.state = State::Connected(link);
                action
            }
            State::Leaving => {
                self.close = Some(CloseReason::Stopped);
                self.state = State::Stopped;
                Some(send(Packet::Disconnect(Disconnect::NORMAL), out))
            }
            State::Offline
            | State::Resting { .. }
            | State::Opening { .. }
            | State::Greeting { .. }
            | State::Stopped => None,
        }
    }

    /// When to call [`poll_action`](Self::poll_action) again at the latest; `None` once stopped.
    pub fn poll_timeout(&self) -> Option<u64> {
        let sample_ms = self.schedule.due_ms();
        match self.state {
            State::Offline => Some(sample_ms),
            State::Resting { until_ms } => Some(until_ms.min(sample_ms)),
            State::Opening { deadline_ms } | State::Greeting { deadline_ms, .. } => {
                Some(deadline_ms.min(sample_ms))
            }
            State::Connected(link) => {
                let deadlines = [link.pingresp_deadline_ms(&self.config), self.puback_deadline_ms()];
                let dues = [link.ping_due_ms(&self.config), self.outbox.next_at_ms(), Some(sample_ms)];
                deadlines.into_iter().chain(dues).flatten().min()
            }
            State::Leaving | State::Stopped => None,
        }
    }

    /// Where the device is.
    pub const fn phase(&self) -> Phase {
        match self.state {
            State::Offline => Phase::Offline,
            State::Resting { until_ms } => Phase::Resting { until_ms },
            State::Opening { .. } => Phase::Opening,
            State::Greeting { .. } => Phase::Greeting,
            State::Connected(_) => Phase::Connected,
            State::Leaving | State::Stopped => Phase::Stopped,
        }
    }

    /// Readings that are out of the device's hands: sent with QoS 0, acknowledged with QoS 1.
    pub const fn delivered(&self) -> u64 {
        self.outbox.delivered()
    }

    /// Readings that were given up, the oldest first, because more than [`READINGS_MAX`](crate::READINGS_MAX) waited.
    pub const fn dropped(&self) -> u64 {
        self.outbox.dropped()
    }

    /// Readings that are not delivered yet: those that wait, and those that were sent and are not acknowledged.
    pub fn waiting(&self) -> usize {
        self.outbox.waiting()
    }

    /// What is due on a connection that stands.
    fn poll_link(&mut self, link: &mut Link, now_ms: u64, out: &mut [u8; SEND_BYTES_MAX]) -> Option<Action> {
        if let Some((reading, packet_id)) = self.outbox.take_next(now_ms) {
            link.sent(now_ms);
            return Some(self.publish(reading, packet_id, now_ms, out));
        }
        if link.ping_due_ms(&self.config).is_some_and(|due_ms| now_ms >= due_ms) {
            link.sent_ping(now_ms);
            return Some(send(Packet::PingReq, out));
        }
        None
    }

    fn publish(
        &self,
        reading: Reading,
        packet_id: Option<PacketId>,
        now_ms: u64,
        out: &mut [u8; SEND_BYTES_MAX],
    ) -> Action {
        let age_ms = now_ms.saturating_sub(reading.measured_at_ms);
        let is_late = age_ms > self.config.interval_ms.max(LATE_MS_MIN);
        let measured_at = self.unix_time.filter(|_| is_late).map(|time| time.of(reading.measured_at_ms));
        let mut payload = [0; PAYLOAD_BYTES_MAX];
        let payload_bytes = write_payload(reading.temperature, measured_at, &mut payload);
        let publish = Publish {
            // A reading that is sent again after a reconnect is a new message: the server kept no session.
            dup: false,
            qos: self.config.qos,
            retain: false,
            topic: Some(self.topic),
            packet_id,
            properties: Properties::NONE,
            payload: &payload[..payload_bytes],
        };
        send(Packet::Publish(publish), out)
    }

    fn connect(&self) -> Connect<'a> {
        Connect {
            version: V311,
            clean_start: true,
            keep_alive_s: self.config.keep_alive_s,
            properties: Properties::NONE,
            client_id: self.config.client_id,
            will: self.will,
            username: None,
            password: None,
        }
    }

    fn hear(&mut self, heard: Heard, now_ms: u64) {
        match (&mut self.state, heard) {
            (State::Greeting { connect_sent: true, .. }, Heard::ConnAck(ReasonCode::Success)) => {
                self.state = State::Connected(Link::new(now_ms));
            }
            (State::Greeting { connect_sent: true, .. }, Heard::ConnAck(code)) => {
                self.fail(CloseReason::Refused(code), now_ms);
            }
            (State::Connected(link), Heard::PingResp) => link.heard_pong(now_ms),
            (State::Connected(link), Heard::PubAck(id)) => {
                link.heard(now_ms);
                self.outbox.acknowledge(id);
            }
            (_, Heard::ConnAck(_)) => self.fail(CloseReason::Unexpected(PacketKind::ConnAck), now_ms),
            (_, Heard::PubAck(_)) => self.fail(CloseReason::Unexpected(PacketKind::PubAck), now_ms),
            (_, Heard::PingResp) => self.fail(CloseReason::Unexpected(PacketKind::PingResp), now_ms),
            (_, Heard::Other(kind)) => self.fail(CloseReason::Unexpected(kind), now_ms),
        }
    }

    fn fail(&mut self, reason: CloseReason, now_ms: u64) {
        self.close = Some(reason);
        self.rest(now_ms);
    }

    /// The connection is over: wait before the next one.
    fn rest(&mut self, now_ms: u64) {
        self.end_connection(now_ms);
        let until_ms = now_ms.saturating_add(self.backoff.fail(self.random.next()));
        self.state = State::Resting { until_ms };
    }

    fn end_connection(&mut self, now_ms: u64) {
        if let State::Connected(link) = self.state
            && link.is_proven(now_ms)
        {
            self.backoff.succeed();
        }
        self.outbox.put_back();
    }

    const fn is_listening(&self) -> bool {
        matches!(self.state, State::Greeting { .. } | State::Connected(_))
    }

    const fn is_ending(&self) -> bool {
        matches!(self.state, State::Leaving | State::Stopped)
    }

    fn puback_deadline_ms(&self) -> Option<u64> {
        let sent_at_ms = self.outbox.unacknowledged_since_ms()?;
        Some(sent_at_ms.saturating_add(self.config.deadlines.answer_ms))
    }
}

fn send(packet: Packet<'_>, out: &mut [u8; SEND_BYTES_MAX]) -> Action {
    let bytes =
        packet.encode(V311, out).expect("the configuration was checked, so every packet is valid and fits");
    Action::Send { bytes, kind: packet.kind() }
}
