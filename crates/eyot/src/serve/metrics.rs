//! The broker's counters for `/_eyot/metrics`.

use std::fmt::Write as _;
use std::sync::Arc;

use broker::Broker;
use mqtt_session::Quota;

/// Counters that fall again: Prometheus calls them gauges, and gives their names no `_total`.
const GAUGES: [&str; 2] = ["connections", "subscriptions"];

/// Writes the present counters in Prometheus's text format.
pub(super) fn of(broker: Arc<Broker>) -> Arc<dyn Fn() -> String + Send + Sync> {
    Arc::new(move || text(broker.counters().iter()) + &throttled_text(broker.throttled()))
}

fn text(counters: impl Iterator<Item = (&'static str, u64)>) -> String {
    let mut text = String::new();
    for (name, value) in counters {
        let (kind, ending) = if GAUGES.contains(&name) { ("gauge", "") } else { ("counter", "_total") };
        let name = format!("eyot_broker_{name}{ending}");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# TYPE {name} {kind}\n{name} {value}");
    }
    text
}

/// How often each limit has held somebody up.
fn throttled_text(counts: impl Iterator<Item = (Quota, u64)>) -> String {
    let mut text = "# TYPE eyot_throttled_total counter\n".to_owned();
    for (quota, count) in counts {
        let _ = writeln!(text, "eyot_throttled_total{{limit=\"{}\"}} {count}", quota.name());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_falls_again_is_a_gauge() {
        let shown = text([("connections", 2), ("connects", 5)].into_iter());
        let expected = "# TYPE eyot_broker_connections gauge\neyot_broker_connections 2\n# TYPE eyot_broker_connects_total counter\neyot_broker_connects_total 5\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn quotas_are_labels() {
        let shown = throttled_text([(Quota::ClientConnects, 3)].into_iter());
        let expected =
            "# TYPE eyot_throttled_total counter\neyot_throttled_total{limit=\"client_connects_per_s\"} 3\n";
        assert_eq!(shown, expected);
    }
}
