//! What `/_eyot/metrics` says about broker, rules, journal and log; the API adds its own. All of it: docs/metrics.md.

use std::sync::Arc;

use aws_api::{Exposition, MetricKind, MetricsWriter};
use broker::{Broker, Load};
use rules::{Counters, Rules};
use services::{IotLog, IotLogCounts, Retained};
use store::{COMMIT_MICROSECONDS, JournalMetrics, Store};

/// Counters that fall again.
const GAUGES: [&str; 3] = ["connections", "subscriptions", "sessions_absent"];

/// Counters that labels tell apart; as sums they would be the same twice.
const TOLD_APART: [&str; 5] =
    ["connects_refused", "connects_late", "refused_busy", "refused_full", "disconnects"];

/// Rules that have numbers of their own: as many as AWS allows, by name.
const RULES_MAX: usize = 1_000;

/// What is measured.
pub(super) struct Measured {
    pub(super) broker: Arc<Broker>,
    pub(super) rules: Arc<Rules>,
    pub(super) retained: Arc<Retained>,
    pub(super) iot_log: Arc<IotLog>,
    pub(super) store: Store,
}

impl Measured {
    /// Writes a page whenever it is asked for; `Load` is what waits at that moment.
    pub(super) fn writer(self) -> MetricsWriter {
        Arc::new(move |page, load| {
            page.family("eyot_build_info", MetricKind::Gauge, "Always 1; the version is the label.")
                .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
            write_counters(page, self.broker.counters().iter());
            self.write_tallies(page);
            self.write_throttled(page);
            write_load(page, load);
            self.write_retained(page);
            self.write_rules(page);
            write_journal(page, &self.store.metrics());
            write_iot_log(page, &self.iot_log.counts());
        })
    }

    fn write_tallies(&self, page: &mut Exposition) {
        for tally in self.broker.tallies() {
            let name = format!("eyot_broker_{}", tally.name);
            let mut family = page.family(&name, MetricKind::Counter, tally.help);
            for (values, count) in &tally.series {
                let labels: Vec<_> = tally.labels.iter().copied().zip(values.iter().copied()).collect();
                family.sample(&labels, *count);
            }
        }
    }

    fn write_throttled(&self, page: &mut Exposition) {
        let help = "Times that a limit has held somebody up, by the limit's name.";
        let mut family = page.family("eyot_throttled_total", MetricKind::Counter, help);
        for (quota, count) in self.broker.throttled() {
            family.sample(&[("limit", quota.name())], count);
        }
    }

    fn write_retained(&self, page: &mut Exposition) {
        let count = self.retained.len() as u64;
        page.single("eyot_retained_messages", MetricKind::Gauge, "Messages that are retained.", count);
    }

    fn write_rules(&self, page: &mut Exposition) {
        let snapshot = self.rules.snapshot();
        let mut family = |name, help, count: fn(&Counters) -> u64| {
            let mut family = page.family(name, MetricKind::Counter, help);
            for rule in snapshot.iter().take(RULES_MAX) {
                family.sample(&[("rule", rule.name())], count(rule.counters()));
            }
        };
        family("eyot_rule_matches_total", "Messages that reached a rule.", Counters::matched);
        family(
            "eyot_rule_sql_failures_total",
            "Messages whose SQL could not be evaluated.",
            Counters::failed,
        );
        let help = "Actions that were carried out, error actions included.";
        family("eyot_rule_actions_succeeded_total", help, Counters::actions_succeeded);
        let help = "Actions that failed, error actions included.";
        family("eyot_rule_actions_failed_total", help, Counters::actions_failed);
    }
}

fn write_counters(page: &mut Exposition, counters: impl Iterator<Item = (&'static str, &'static str, u64)>) {
    for (name, help, value) in counters.filter(|(name, ..)| !TOLD_APART.contains(name)) {
        let (kind, ending) = match GAUGES.contains(&name) {
            true => (MetricKind::Gauge, ""),
            false => (MetricKind::Counter, "_total"),
        };
        page.single(&format!("eyot_broker_{name}{ending}"), kind, help, value);
    }
}

fn write_load(page: &mut Exposition, load: &Load) {
    let Load { inflight, queued, outbox_bytes, blocked } = *load;
    for (name, help, value) in [
        (
            "eyot_broker_inflight_messages",
            "QoS 1 and 2 messages that were sent and not acknowledged.",
            inflight,
        ),
        (
            "eyot_broker_queued_messages",
            "Messages that wait in sessions for their turn, or for their client to come back.",
            queued,
        ),
        ("eyot_broker_outbox_bytes", "Bytes that wait for clients' sockets.", outbox_bytes),
        ("eyot_broker_blocked_connections", "Clients whose socket takes no more.", blocked),
    ] {
        page.single(name, MetricKind::Gauge, help, value);
    }
}

fn write_journal(page: &mut Exposition, metrics: &JournalMetrics) {
    let JournalMetrics { transactions, bytes, commits, commit_time, commits_by_time, backlog_bytes } =
        *metrics;
    let help = "Transactions that became durable in the journal.";
    page.single("eyot_journal_transactions_total", MetricKind::Counter, help, transactions);
    let help = "Bytes that were written to the journal.";
    page.single("eyot_journal_written_bytes_total", MetricKind::Counter, help, bytes);
    let help = "Bytes of the journal that are not in the keyed state and the log segments yet.";
    page.single("eyot_journal_backlog_bytes", MetricKind::Gauge, help, backlog_bytes);
    let classes = COMMIT_MICROSECONDS.iter().zip(commits_by_time);
    // 0.0025, not 0.0024999999.
    let classes: Vec<_> = classes.map(|(bound, count)| (*bound as f64 / 1e6, count)).collect();
    let help = "How long commits took: one write and one fdatasync for all transactions that waited.";
    page.histogram("eyot_journal_commit_seconds", help, &classes, commits, commit_time.as_secs_f64());
}

fn write_iot_log(page: &mut Exposition, counts: &IotLogCounts) {
    let IotLogCounts { written, dropped, failed } = *counts;
    let help = "Events for AWSIotLogsV2: written, dropped because more came than the disk takes, refused by the log store.";
    let mut family = page.family("eyot_iot_log_events_total", MetricKind::Counter, help);
    for (outcome, count) in [("written", written), ("dropped", dropped), ("failed", failed)] {
        family.sample(&[("outcome", outcome)], count);
    }
}
