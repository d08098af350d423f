//! A connection that the server has accepted: is it alive, and has it proved itself?

use crate::config::Config;

/// The server's keep-alive never lasts longer, whatever the CONNECT asks for [AWS General Reference].
const SERVER_KEEP_ALIVE_MAX_S: u16 = 1_200;

/// A connection that lasts this long has proved itself: the back-off begins anew.
///
/// Not earlier, because a server that does not allow the device's topic accepts the connection first and drops it
/// at the first message.
const PROVEN_AFTER_MS: u64 = 30_000;

#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    since_ms: u64,
    sent_at_ms: u64,
    heard_at_ms: u64,
    ping_sent_at_ms: Option<u64>,
}

impl Link {
    pub(super) const fn new(now_ms: u64) -> Self {
        Self { since_ms: now_ms, sent_at_ms: now_ms, heard_at_ms: now_ms, ping_sent_at_ms: None }
    }

    pub(super) const fn sent(&mut self, now_ms: u64) {
        self.sent_at_ms = now_ms;
    }

    pub(super) const fn sent_ping(&mut self, now_ms: u64) {
        self.sent_at_ms = now_ms;
        self.ping_sent_at_ms = Some(now_ms);
    }

    pub(super) const fn heard(&mut self, now_ms: u64) {
        self.heard_at_ms = now_ms;
    }

    pub(super) const fn heard_pong(&mut self, now_ms: u64) {
        self.heard_at_ms = now_ms;
        self.ping_sent_at_ms = None;
    }

    pub(super) const fn is_proven(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.since_ms) >= PROVEN_AFTER_MS
    }

    /// When a PINGREQ is due. One rule for two needs: the server must hear from us within the keep-alive, and we must
    /// notice a dead connection even while we publish with QoS 0.
    pub(super) fn ping_due_ms(&self, config: &Config<'_>) -> Option<u64> {
        let keep_alive_s = match config.keep_alive_s {
            0 => SERVER_KEEP_ALIVE_MAX_S,
            asked => asked.min(SERVER_KEEP_ALIVE_MAX_S),
        };
        let quiet_since_ms = self.sent_at_ms.min(self.heard_at_ms);
        // Half of it: the other half is for the network.
        let due_ms = quiet_since_ms.saturating_add(u64::from(keep_alive_s) * 1_000 / 2);
        self.ping_sent_at_ms.is_none().then_some(due_ms)
    }

    pub(super) fn pingresp_deadline_ms(&self, config: &Config<'_>) -> Option<u64> {
        Some(self.ping_sent_at_ms?.saturating_add(config.deadlines.answer_ms))
    }
}
