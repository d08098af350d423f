//! What has happened, counted apart by what metrics tell apart: version, QoS, outcome, reason.
//!
//! One thread's, written by it alone, as [`ThreadCounters`](crate::counters::ThreadCounters) are. The labels are these
//! enumerations and nothing that a client chooses, so there are never more series than stand here.

use crate::counters::Counter;
use crate::history::Cause;
use mqtt_session::DisconnectReason;
use mqtt_wire::{ProtocolVersion, QoS};

/// What became of a PUBLISH that a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PublishOutcome {
    /// Rules and receivers had it.
    Accepted,
    /// A policy denied it.
    Denied,
    /// Its topic is reserved.
    Reserved,
    /// It was above a rate.
    Throttled,
}

/// What became of a filter that a client subscribes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubscribeOutcome {
    /// It stands.
    Granted,
    /// A policy denied it.
    Denied,
    /// A limit, or its form, refused it.
    Refused,
}

/// By version, then by QoS.
type ByPacket = [[Counter; 3]; 2];

/// One thread's counters with labels.
#[derive(Debug, Default)]
pub(crate) struct ThreadTallies {
    publishes_in: [ByPacket; PUBLISH_OUTCOMES.len()],
    publishes_out: ByPacket,
    subscribes: [Counter; SUBSCRIBE_OUTCOMES.len()],
    unsubscribes: Counter,
    refusals: [Counter; REFUSALS.len()],
    disconnects: [Counter; DisconnectReason::ALL.len()],
}

const PUBLISH_OUTCOMES: [&str; 4] = ["accepted", "denied", "reserved", "throttled"];
const SUBSCRIBE_OUTCOMES: [&str; 3] = ["granted", "denied", "refused"];
const VERSIONS: [&str; 2] = ["3.1.1", "5"];
const QOS: [&str; 3] = ["0", "1", "2"];
const REFUSALS: [&str; 16] = [
    "silent",
    "lost",
    "tls",
    "no_certificate",
    "not_registered",
    "not_active",
    "policy",
    "signature",
    "upgrade",
    "protocol",
    "not_kept",
    "throttled",
    "late",
    "busy",
    "full",
    "overloaded",
];

impl ThreadTallies {
    /// For its own thread alone, as is [`publish_out`](Self::publish_out).
    pub(crate) fn publish_in(&self, version: ProtocolVersion, qos: QoS, outcome: PublishOutcome) {
        of_packet(&self.publishes_in[outcome as usize], version, qos).increment_alone();
    }

    pub(crate) fn publish_out(&self, version: ProtocolVersion, qos: QoS) {
        of_packet(&self.publishes_out, version, qos).increment_alone();
    }

    pub(crate) fn subscribe(&self, outcome: SubscribeOutcome) {
        self.subscribes[outcome as usize].increment();
    }

    pub(crate) fn unsubscribe(&self, filters: usize) {
        self.unsubscribes.add(filters as u64);
    }

    pub(crate) fn refuse(&self, cause: &Cause) {
        let place = REFUSALS.iter().position(|name| *name == cause.name());
        // INVARIANT: the list has every cause; a test says so.
        if let Some(place) = place {
            self.refusals[place].increment();
        }
    }

    pub(crate) fn disconnect(&self, reason: DisconnectReason) {
        let place = DisconnectReason::ALL.iter().position(|other| *other == reason);
        if let Some(place) = place {
            self.disconnects[place].increment();
        }
    }
}

fn of_packet(counters: &ByPacket, version: ProtocolVersion, qos: QoS) -> &Counter {
    &counters[usize::from(version == ProtocolVersion::V5)][usize::from(qos.number())]
}

/// A family of counters, summed over threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Its name, without a prefix.
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// Its labels' names.
    pub labels: &'static [&'static str],
    /// The labels' values and the count.
    pub series: Vec<(Vec<&'static str>, u64)>,
}

/// Sums what all threads counted.
pub(crate) fn sum<'t>(threads: impl Iterator<Item = &'t ThreadTallies> + Clone) -> Vec<Tally> {
    let total =
        |of: &dyn Fn(&ThreadTallies) -> &Counter| threads.clone().map(|thread| of(thread).value()).sum();
    let mut publishes_in = Vec::new();
    let mut publishes_out = Vec::new();
    for (v, version) in VERSIONS.into_iter().enumerate() {
        for (q, qos) in QOS.into_iter().enumerate() {
            for (o, outcome) in PUBLISH_OUTCOMES.into_iter().enumerate() {
                publishes_in
                    .push((vec![version, qos, outcome], total(&|thread| &thread.publishes_in[o][v][q])));
            }
            publishes_out.push((vec![version, qos], total(&|thread| &thread.publishes_out[v][q])));
        }
    }
    let subscribes = SUBSCRIBE_OUTCOMES.into_iter().enumerate();
    let refusals = REFUSALS.into_iter().enumerate();
    let disconnects = DisconnectReason::ALL.into_iter().enumerate();
    let tally = |name, help, labels, series| Tally { name, help, labels, series };
    vec![
        tally(
            "publishes_in_total",
            "PUBLISH packets received, by MQTT version, QoS and what became of them.",
            &["version", "qos", "outcome"],
            publishes_in,
        ),
        tally(
            "publishes_out_total",
            "PUBLISH packets sent, by MQTT version and QoS.",
            &["version", "qos"],
            publishes_out,
        ),
        tally(
            "subscribes_total",
            "Filters that clients subscribed to, by what became of them.",
            &["outcome"],
            subscribes.map(|(o, outcome)| (vec![outcome], total(&|thread| &thread.subscribes[o]))).collect(),
        ),
        tally(
            "unsubscribes_total",
            "Filters that clients unsubscribed from.",
            &[],
            vec![(vec![], total(&|thread| &thread.unsubscribes))],
        ),
        tally(
            "connects_refused_total",
            "Connections that did not become a session, by reason.",
            &["reason"],
            refusals.map(|(r, reason)| (vec![reason], total(&|thread| &thread.refusals[r]))).collect(),
        ),
        tally(
            "disconnects_total",
            "Sessions whose connection ended, by AWS's disconnect reason.",
            &["reason"],
            disconnects
                .map(|(d, reason)| (vec![reason.name()], total(&|thread| &thread.disconnects[d])))
                .collect(),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Blame;

    #[test]
    fn counts_of_all_threads_are_summed_by_their_labels() {
        let threads = [ThreadTallies::default(), ThreadTallies::default()];
        for thread in &threads {
            thread.publish_in(ProtocolVersion::V5, QoS::AtLeastOnce, PublishOutcome::Throttled);
            thread.publish_out(ProtocolVersion::V311, QoS::AtMostOnce);
            thread.subscribe(SubscribeOutcome::Refused);
            thread.unsubscribe(3);
            thread.disconnect(DisconnectReason::None);
        }
        let counted: Vec<_> = sum(threads.iter())
            .into_iter()
            .flat_map(|tally| {
                tally.series.into_iter().map(move |(labels, count)| (tally.name, labels, count))
            })
            .filter(|(_, _, count)| *count > 0)
            .collect();
        let expected = [
            ("publishes_in_total", vec!["5", "1", "throttled"], 2),
            ("publishes_out_total", vec!["3.1.1", "0"], 2),
            ("subscribes_total", vec!["refused"], 2),
            ("unsubscribes_total", vec![], 6),
            ("disconnects_total", vec!["NONE"], 2),
        ];
        assert_eq!(counted, expected);
    }

    #[test]
    fn every_cause_of_a_refusal_is_counted() {
        let causes = [
            Cause::Silent,
            Cause::Lost,
            Cause::Tls { alert: None },
            Cause::NoCertificate,
            Cause::NotRegistered,
            Cause::NotActive,
            Cause::Policy(Blame::reserved()),
            Cause::Signature,
            Cause::Upgrade,
            Cause::Protocol,
            Cause::NotKept,
            Cause::Throttled(mqtt_session::Quota::ClientConnects),
            Cause::Late,
            Cause::Busy,
            Cause::Full,
            Cause::Overloaded,
        ];
        let thread = ThreadTallies::default();
        causes.iter().for_each(|cause| thread.refuse(cause));
        assert!(thread.refusals.iter().all(|counter| counter.value() == 1));
    }
}
