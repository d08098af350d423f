//! What has happened, counted where it happens, read by metrics.

use crate::handshake::Handshake;
use std::sync::atomic::{AtomicU64, Ordering};

/// Declares the counters of one thread together with their sum over threads.
macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// One thread's counters: written by it alone, so an addition never waits for another core.
        #[derive(Debug, Default)]
        pub(crate) struct ThreadCounters {
            $($(#[doc = $doc])+ pub(crate) $name: Counter,)+
        }

        /// The broker's counters since its start, summed over its threads.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Counters {
            pub(crate) fn add(&mut self, thread: &ThreadCounters) {
                $(self.$name += thread.$name.value();)+
            }

            /// Every counter with its name and what it counts, for metrics.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), concat!($($doc),+).trim_ascii(), self.$name)),+].into_iter()
            }
        }
    };
}

counters! {
    /// Connections that are open now, CONNECT done.
    connections,
    /// Subscriptions that are held now.
    subscriptions,
    /// TCP connections taken from the listener.
    accepted,
    /// TCP connections closed at once because too many were unfinished.
    refused_busy,
    /// TCP connections closed at once because as many were open as may be.
    refused_full,
    /// TLS handshakes that failed.
    handshakes_failed,
    /// TLS handshakes that were full ones.
    handshakes_full,
    /// TLS handshakes resumed from a ticket.
    handshakes_resumed,
    /// Connections closed because TLS and CONNECT took longer than the deadline.
    connects_late,
    /// CONNECT packets refused.
    connects_refused,
    /// CONNECT packets accepted.
    connects,
    /// Connections closed, for any reason.
    disconnects,
    /// Bytes received from clients after CONNECT, without TLS.
    received_bytes,
    /// Bytes sent to clients after CONNECT, without TLS.
    sent_bytes,
    /// Publishes and subscribes that a policy denied.
    denied,
    /// Deliveries withheld because iot:Receive is not allowed.
    receives_withheld,
    /// QoS 0 messages dropped because the receiver is slow.
    dropped_slow,
    /// Messages dropped because too many wait already for a client that is away, or slow.
    dropped_queue_full,
    /// Messages that are not sent again because their client left them without a PUBACK for too long.
    dropped_unacknowledged,
    /// Sessions that are kept for clients that are away.
    sessions_absent,
    /// Messages that a client does not get because it takes no packets of their size.
    dropped_too_large,
    /// Messages dropped because another loop was too far behind.
    dropped_congested,
    /// Times that a connection was not read because the journal was behind.
    backlog_stalls,
}

impl ThreadCounters {
    pub(crate) fn count(&self, handshake: Handshake) {
        match handshake {
            Handshake::Full => self.handshakes_full.increment(),
            Handshake::Resumed => self.handshakes_resumed.increment(),
            Handshake::Failed => self.handshakes_failed.increment(),
        }
    }
}

/// A number that one thread changes, with few exceptions, and others read.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn increment(&self) {
        self.add(1);
    }

    /// The same where no other thread ever writes it: without a bus lock, for what each message adds to.
    pub(crate) fn increment_alone(&self) {
        self.set_value(self.value() + 1);
    }

    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: usize) {
        self.set_value(value as u64);
    }

    fn set_value(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
