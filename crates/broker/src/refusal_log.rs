//! What the log says about connections that were refused, and how much of it.
//!
//! A refused device's owner looks for the reason here, so every one has its line, unless somebody makes thousands:
//! anybody can connect and send rubbish, and a log that grows by megabytes a second is an attack too.

use crate::handshake::{Refusal, Stage};
use crate::history::Cause;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Refusals of clients without a registered certificate, or of ones that come too often, that are told one by one before they are counted only.
///
/// Enough for a whole workshop of devices with the wrong keys.
const STRANGERS_MAX: u32 = 100;

/// How often one more of them is told: at 250 bytes a line 200 MB a day at worst.
const STRANGER_EVERY: Duration = Duration::from_millis(100);

/// Shortest time between two log lines about connections that were counted only.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// The acceptor's part of the log.
#[derive(Debug)]
pub(crate) struct RefusalLog {
    /// How many strangers may be told now.
    strangers: u32,
    strangers_since: Instant,
    untold: Counted,
    busy: Counted,
    full: Counted,
}

/// Refusals that are told as a number.
#[derive(Debug, Default)]
struct Counted {
    count: u64,
    last: Option<SocketAddr>,
    told_at: Option<Instant>,
}

impl Counted {
    fn add(&mut self, peer: SocketAddr) {
        self.count += 1;
        self.last = Some(peer);
    }

    /// When the number may be told; `None` when there is none.
    fn due(&self, now: Instant) -> Option<Instant> {
        (self.count > 0).then(|| self.told_at.map_or(now, |at| at + COUNT_EVERY))
    }

    /// The number and one of the peers, when it is due.
    fn take(&mut self, now: Instant) -> Option<(u64, SocketAddr)> {
        if self.due(now)? > now {
            return None;
        }
        self.told_at = Some(now);
        Some((std::mem::take(&mut self.count), self.last?))
    }
}

impl RefusalLog {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            strangers: STRANGERS_MAX,
            strangers_since: now,
            untold: Counted::default(),
            busy: Counted::default(),
            full: Counted::default(),
        }
    }

    /// A connection was refused for this reason. `is_known`: its certificate is registered; anybody can make another.
    pub(crate) fn refused(&mut self, peer: SocketAddr, refusal: &Refusal, is_known: bool, now: Instant) {
        // Who is throttled may come again as fast as it can.
        let is_rare = is_known && !matches!(refusal.cause, Cause::Throttled(_));
        if is_rare || refusal.at == Stage::Tcp || self.may_tell_of_stranger(now) {
            log_refusal(peer, refusal);
        } else {
            self.untold.add(peer);
        }
    }

    /// A connection was closed unseen: its address has too many that are unfinished.
    pub(crate) fn busy(&mut self, peer: SocketAddr) {
        self.busy.add(peer);
    }

    /// A connection was closed unseen: there is no seat for it.
    pub(crate) fn full(&mut self, peer: SocketAddr) {
        self.full.add(peer);
    }

    /// When [`tell`](RefusalLog::tell) has something to say.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        [&self.untold, &self.busy, &self.full].into_iter().filter_map(|counted| counted.due(now)).min()
    }

    /// Tells the numbers that are due. `seats` is how many connections the broker takes.
    pub(crate) fn tell(&mut self, now: Instant, seats: usize) {
        if let Some((connections, peer)) = self.untold.take(now) {
            tracing::warn!(
                target: "eyot::connect", %peer, connections,
                reason = "no usable TLS, no certificate or one that is not registered, or throttled; too many to tell of each",
                "connections refused"
            );
        }
        if let Some((connections, peer)) = self.busy.take(now) {
            tracing::warn!(
                target: "eyot::connect", %peer, connections,
                reason = "too many connections of this address are open without a finished CONNECT",
                "connection refused"
            );
        }
        if let Some((connections, peer)) = self.full.take(now) {
            tracing::error!(
                target: "eyot::connect", %peer, connections, seats,
                reason = "every connection that the limit of open files allows is in use; raise it: `ulimit -n 65536`, or \
                          LimitNOFILE=65536 in the systemd unit",
                "connection refused"
            );
        }
    }

    fn may_tell_of_stranger(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.strangers_since);
        let more = u32::try_from(passed.as_millis() / STRANGER_EVERY.as_millis()).unwrap_or(u32::MAX);
        if more > 0 {
            self.strangers = self.strangers.saturating_add(more).min(STRANGERS_MAX);
            self.strangers_since = now;
        }
        let may = self.strangers > 0;
        self.strangers = self.strangers.saturating_sub(1);
        may
    }
}

/// Every refusal is one event of this shape: `eyot explain` and the tests read its fields.
pub(crate) fn log_refusal(peer: SocketAddr, refusal: &Refusal) {
    let Refusal { client_id, certificate_id, reason, at, cause, .. } = refusal;
    let (certificate_id, cause) = (certificate_id.map(tracing::field::display), cause.name());
    let client_id = client_id.as_deref();
    if *at == Stage::Tcp {
        tracing::debug!(target: "eyot::connect", %peer, reason, "connection refused");
    } else {
        tracing::warn!(target: "eyot::connect", client_id, certificate_id, %peer, cause, reason, "connection refused");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use mqtt_session::Quota;

    const PEER: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 4_000);

    fn stranger() -> Refusal {
        Refusal {
            client_id: None,
            certificate_id: None,
            reason: "rubbish".to_owned(),
            at: Stage::Tls,
            cause: Cause::Tls { alert: None },
            unauthorized: None,
        }
    }

    #[test]
    fn a_flood_of_strangers_is_counted_and_one_stranger_later_is_told() {
        let start = Instant::now();
        let mut log = RefusalLog::new(start);
        for _ in 0..STRANGERS_MAX + 5 {
            log.refused(PEER, &stranger(), false, start);
        }
        assert_eq!(log.untold.count, 5);
        log.refused(PEER, &stranger(), false, start + STRANGER_EVERY);
        assert_eq!(log.untold.count, 5, "there was time for one");
        log.refused(PEER, &stranger(), true, start + STRANGER_EVERY);
        assert_eq!(log.untold.count, 5, "a device that we know is always told");
        let cause = Cause::Throttled(Quota::ClientConnects);
        log.refused(PEER, &Refusal { cause, ..stranger() }, true, start + STRANGER_EVERY);
        assert_eq!(log.untold.count, 6, "but not one that comes too often");
    }

    #[test]
    fn numbers_are_told_at_once_and_then_every_second_until_the_last() {
        let start = Instant::now();
        let mut log = RefusalLog::new(start);
        assert_eq!(log.due(start), None);
        log.busy(PEER);
        assert_eq!(log.due(start), Some(start));
        log.tell(start, 1);
        log.busy(PEER);
        log.busy(PEER);
        log.tell(start, 1);
        assert_eq!((log.busy.count, log.due(start)), (2, Some(start + COUNT_EVERY)));
        log.tell(start + COUNT_EVERY, 1);
        assert_eq!((log.busy.count, log.due(start)), (0, None), "also the last ones are told");
    }
}
