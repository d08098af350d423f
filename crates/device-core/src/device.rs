//! The device's state machine.

use crate::action::{Action, CloseReason, LedPattern};
use crate::backoff::Backoff;
use crate::config::{Config, ConfigError, SEND_BYTES_MAX};
use crate::inbox::{Heard, Inbox};
use crate::payload::{PAYLOAD_BYTES_MAX, write_payload};
use crate::random::Random;
use crate::sensor::{AdcReading, MilliDegrees};
use mqtt_wire::{Connect, ConnectReturnCode, Packet, PacketId, PacketKind, Publish, QoS, TopicName};

/// The server's keep-alive never lasts longer, whatever the CONNECT asks for [AWS General Reference].
const SERVER_KEEP_ALIVE_MAX_S: u16 = 1_200;

/// A connection that lasts this long has proved itself: the back-off begins anew.
///
/// Not earlier, because a server that does not allow the device's topic accepts the connection first and drops it
/// at the first message.
const PROVEN_AFTER_MS: u64 = 30_000;

/// A device that reports its temperature.
///
/// After every `handle_*` call and when [`poll_timeout`](Self::poll_timeout) is due, call
/// [`poll_action`](Self::poll_action) until it returns `None`.
#[derive(Debug)]
pub struct Device<'a> {
    config: Config<'a>,
    topic: TopicName<'a>,
    state: State,
    inbox: Inbox,
    backoff: Backoff,
    random: Random,
    next_packet_id: PacketId,
    /// When the next reading is due. A reconnect does not hasten it.
    sample_at_ms: u64,
    /// The reading to send, or sent and not acknowledged.
    report: Option<Report>,
    delivered: u64,
    close: Option<CloseReason>,
    led: Option<LedPattern>,
}

/// Where a device is, for those who watch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
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

/// What is remembered of a connection that stands.
#[derive(Clone, Copy, Debug)]
struct Link {
    since_ms: u64,
    sent_at_ms: u64,
    heard_at_ms: u64,
    ping_sent_at_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Report {
    temperature: MilliDegrees,
    /// The PUBLISH that waits for its PUBACK, and since when.
    sent: Option<(PacketId, u64)>,
}

impl<'a> Device<'a> {
    /// A device that connects at once.
    ///
    /// # Errors
    /// The configuration cannot work.
    pub fn new(config: Config<'a>) -> Result<Self, ConfigError> {
        let topic = config.check()?;
        Ok(Self {
            topic,
            state: State::Resting { until_ms: 0 },
            inbox: Inbox::new(),
            backoff: Backoff::new(config.backoff),
            random: Random::new(config.seed),
            next_packet_id: PacketId::FIRST,
            sample_at_ms: 0,
            report: None,
            delivered: 0,
            close: None,
            led: None,
            config,
        })
    }

    /// TCP and TLS are up.
    pub fn handle_transport_connected(&mut self, now_ms: u64) {
        if matches!(self.state, State::Opening { .. }) {
            self.inbox = Inbox::new();
            let deadline_ms = now_ms + self.config.deadlines.connack_ms;
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

    /// The sensor was read, after [`Action::Sample`].
    ///
    /// Ignored while not connected, and while an earlier reading still waits for its PUBACK.
    pub fn handle_reading(&mut self, reading: AdcReading) {
        if matches!(self.state, State::Connected(_)) && self.report.is_none_or(|report| report.sent.is_none())
        {
            self.report = Some(Report { temperature: reading.temperature(), sent: None });
        }
    }

    /// The transport is gone, or could not be opened.
    pub fn handle_closed(&mut self, now_ms: u64) {
        match self.state {
            State::Opening { .. } | State::Greeting { .. } | State::Connected(_) => self.rest(now_ms),
            State::Leaving => self.state = State::Stopped,
            State::Resting { .. } | State::Stopped => {}
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
                if late(self.pingresp_deadline_ms(&link)) {
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
            State::Resting { .. } => self.state = State::Stopped,
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
        if let Some(pattern) = self.led.take() {
            return Some(Action::Led(pattern));
        }
        match self.state {
            State::Resting { until_ms } if now_ms >= until_ms => {
                self.state = State::Opening { deadline_ms: now_ms + self.config.deadlines.transport_ms };
                self.led = Some(LedPattern::Connecting);
                Some(Action::OpenTransport)
            }
            State::Greeting { deadline_ms, connect_sent: false } => {
                self.state = State::Greeting { deadline_ms, connect_sent: true };
                Some(send(Packet::Connect(self.connect()), out))
            }
            State::Connected(link) => self.poll_link(link, now_ms, out),
            State::Leaving => {
                self.close = Some(CloseReason::Stopped);
                self.state = State::Stopped;
                Some(send(Packet::Disconnect, out))
            }
            State::Resting { .. } | State::Opening { .. } | State::Greeting { .. } | State::Stopped => None,
        }
    }

    /// When to call [`poll_action`](Self::poll_action) again at the latest; `None` once stopped.
    pub fn poll_timeout(&self) -> Option<u64> {
        match self.state {
            State::Resting { until_ms } => Some(until_ms),
            State::Opening { deadline_ms } | State::Greeting { deadline_ms, .. } => Some(deadline_ms),
            State::Connected(link) => {
                let sample = self.report.is_none().then_some(self.sample_at_ms);
                let ping = self.ping_due_ms(&link);
                let deadlines = [self.pingresp_deadline_ms(&link), self.puback_deadline_ms(), sample, ping];
                deadlines.into_iter().flatten().min()
            }
            State::Leaving | State::Stopped => None,
        }
    }

    /// Where the device is.
    pub const fn phase(&self) -> Phase {
        match self.state {
            State::Resting { until_ms } => Phase::Resting { until_ms },
            State::Opening { .. } => Phase::Opening,
            State::Greeting { .. } => Phase::Greeting,
            State::Connected(_) => Phase::Connected,
            State::Leaving | State::Stopped => Phase::Stopped,
        }
    }

    /// Readings that are out of the device's hands: sent with QoS 0, acknowledged with QoS 1.
    pub const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// What is due on a connection that stands.
    fn poll_link(&mut self, mut link: Link, now_ms: u64, out: &mut [u8; SEND_BYTES_MAX]) -> Option<Action> {
        let action = match self.report {
            Some(report @ Report { sent: None, .. }) => {
                link.sent_at_ms = now_ms;
                Some(self.send_report(report, now_ms, out))
            }
            None if now_ms >= self.sample_at_ms => {
                // Every interval counted from the last one; when that is over too, from now.
                let next_ms = self.sample_at_ms.saturating_add(self.config.interval_ms);
                let from_now_ms = now_ms.saturating_add(self.config.interval_ms);
                self.sample_at_ms = if next_ms > now_ms { next_ms } else { from_now_ms };
                Some(Action::Sample)
            }
            _ if self.ping_due_ms(&link).is_some_and(|due_ms| now_ms >= due_ms) => {
                link.sent_at_ms = now_ms;
                link.ping_sent_at_ms = Some(now_ms);
                Some(send(Packet::PingReq, out))
            }
            _ => None,
        };
        self.state = State::Connected(link);
        action
    }

    fn send_report(&mut self, report: Report, now_ms: u64, out: &mut [u8; SEND_BYTES_MAX]) -> Action {
        let mut payload = [0; PAYLOAD_BYTES_MAX];
        let payload_bytes = write_payload(report.temperature, &mut payload);
        let packet_id = (self.config.qos == QoS::AtLeastOnce).then_some(self.next_packet_id);
        match packet_id {
            Some(id) => {
                self.next_packet_id = id.next();
                self.report = Some(Report { sent: Some((id, now_ms)), ..report });
            }
            None => {
                self.report = None;
                self.delivered += 1;
            }
        }
        self.led = Some(LedPattern::Published);
        let publish = Publish {
            // A reading that is sent again after a reconnect is a new message: the server kept no session.
            dup: false,
            qos: self.config.qos,
            retain: false,
            topic: self.topic,
            packet_id,
            payload: &payload[..payload_bytes],
        };
        send(Packet::Publish(publish), out)
    }

    fn connect(&self) -> Connect<'a> {
        Connect {
            clean_session: true,
            keep_alive_s: self.config.keep_alive_s,
            client_id: self.config.client_id,
            will: None,
            username: None,
            password: None,
        }
    }

    fn hear(&mut self, heard: Heard, now_ms: u64) {
        match (&mut self.state, heard) {
            (State::Greeting { connect_sent: true, .. }, Heard::ConnAck(ConnectReturnCode::Accepted)) => {
                self.state = State::Connected(Link {
                    since_ms: now_ms,
                    sent_at_ms: now_ms,
                    heard_at_ms: now_ms,
                    ping_sent_at_ms: None,
                });
            }
            (State::Greeting { connect_sent: true, .. }, Heard::ConnAck(code)) => {
                self.fail(CloseReason::Refused(code), now_ms);
            }
            (State::Connected(link), Heard::PingResp) => {
                link.heard_at_ms = now_ms;
                link.ping_sent_at_ms = None;
            }
            (State::Connected(link), Heard::PubAck(id)) => {
                link.heard_at_ms = now_ms;
                if self.report.and_then(|report| report.sent).is_some_and(|(sent, _)| sent == id) {
                    self.report = None;
                    self.delivered += 1;
                }
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
        if let State::Connected(link) = self.state
            && now_ms.saturating_sub(link.since_ms) >= PROVEN_AFTER_MS
        {
            self.backoff.succeed();
        }
        // QoS 0 promises nothing; with QoS 1 the reading goes out again on the next connection.
        self.report = match self.config.qos {
            QoS::AtMostOnce => None,
            _ => self.report.map(|report| Report { sent: None, ..report }),
        };
        let until_ms = now_ms.saturating_add(self.backoff.fail(self.random.next()));
        self.state = State::Resting { until_ms };
    }

    const fn is_listening(&self) -> bool {
        matches!(self.state, State::Greeting { .. } | State::Connected(_))
    }

    /// When a PINGREQ is due. One rule for two needs: the server must hear from us within the keep-alive, and we must
    /// notice a dead connection even while we publish with QoS 0.
    fn ping_due_ms(&self, link: &Link) -> Option<u64> {
        let keep_alive_s = match self.config.keep_alive_s {
            0 => SERVER_KEEP_ALIVE_MAX_S,
            asked => asked.min(SERVER_KEEP_ALIVE_MAX_S),
        };
        let quiet_since_ms = link.sent_at_ms.min(link.heard_at_ms);
        // Half of it: the other half is for the network.
        let due_ms = quiet_since_ms.saturating_add(u64::from(keep_alive_s) * 1_000 / 2);
        link.ping_sent_at_ms.is_none().then_some(due_ms)
    }

    fn pingresp_deadline_ms(&self, link: &Link) -> Option<u64> {
        Some(link.ping_sent_at_ms?.saturating_add(self.config.deadlines.answer_ms))
    }

    fn puback_deadline_ms(&self) -> Option<u64> {
        let (_, sent_at_ms) = self.report?.sent?;
        Some(sent_at_ms.saturating_add(self.config.deadlines.answer_ms))
    }
}

fn send(packet: Packet<'_>, out: &mut [u8; SEND_BYTES_MAX]) -> Action {
    let bytes = packet.encode(out).expect("the configuration was checked, so every packet is valid and fits");
    Action::Send { bytes, kind: packet.kind() }
}
