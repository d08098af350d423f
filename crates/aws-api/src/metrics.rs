//! Metrics in Prometheus's text format: how they are written, and those of requests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use broker::Load;

/// What kind of numbers a family has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// They only rise; names end in `_total`.
    Counter,
    /// They rise and fall.
    Gauge,
}

/// Writes more of a page, given what waits in the broker.
pub type MetricsWriter = Arc<dyn Fn(&mut Exposition, &Load) + Send + Sync>;

/// A page of metrics in the making. [Prometheus exposition formats] version 0.0.4
#[derive(Debug, Default)]
pub struct Exposition(String);

/// Writes the numbers of one family.
#[derive(Debug)]
pub struct Family<'e> {
    page: &'e mut Exposition,
    name: &'e str,
}

impl Exposition {
    /// Begins a family: its numbers follow together.
    pub fn family<'e>(&'e mut self, name: &'e str, kind: MetricKind, help: &str) -> Family<'e> {
        let kind = match kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
        };
        self.head(name, kind, help);
        Family { page: self, name }
    }

    /// A family with one number and no labels.
    pub fn single(&mut self, name: &str, kind: MetricKind, help: &str, value: u64) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// A histogram: `classes` are upper bounds with how many fell between the bound before and this one.
    pub fn histogram(&mut self, name: &str, help: &str, classes: &[(f64, u64)], count: u64, sum: f64) {
        self.head(name, "histogram", help);
        let mut so_far = 0;
        for (bound, fallen) in classes {
            so_far += fallen;
            self.line(&format!("{name}_bucket{{le=\"{bound}\"}} {so_far}"));
        }
        self.line(&format!("{name}_bucket{{le=\"+Inf\"}} {count}"));
        self.line(&format!("{name}_sum {sum}"));
        self.line(&format!("{name}_count {count}"));
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', r"\\").replace('\n', r"\n");
        self.line(&format!("# HELP {name} {help}"));
        self.line(&format!("# TYPE {name} {kind}"));
    }

    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }
}

impl Family<'_> {
    /// One number, with its labels.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: u64) {
        let page = &mut self.page.0;
        page.push_str(self.name);
        for (index, (name, text)) in labels.iter().enumerate() {
            page.push(if index == 0 { '{' } else { ',' });
            let text = text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            // Writing to a string cannot fail.
            let _ = write!(page, "{name}=\"{text}\"");
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(page, "{end} {value}");
    }
}

/// Requests since the start by service, operation and status.
///
/// Names come from the operation table, so there are at most as many rows as operations times statuses.
#[derive(Debug, Default)]
pub(crate) struct Requests(Mutex<BTreeMap<(&'static str, &'static str, u16), u64>>);

impl Requests {
    pub(crate) fn count(&self, service: &'static str, operation: &'static str, status: u16) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((service, operation, status)).or_default() += 1;
    }

    pub(crate) fn write(&self, page: &mut Exposition) {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut family = page.family(
            "eyot_api_requests_total",
            MetricKind::Counter,
            "Requests to the AWS API, by service, operation (- where none was found) and HTTP status.",
        );
        for ((service, operation, status), count) in &*counts {
            let labels = [("service", *service), ("operation", *operation), ("status", &*status.to_string())];
            family.sample(&labels, *count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_apart() {
        let requests = Requests::default();
        requests.count("iot", "CreateThing", 200);
        requests.count("iot", "CreateThing", 200);
        requests.count("iot", "CreateThing", 409);
        let mut page = Exposition::default();
        requests.write(&mut page);
        let text = page.into_text();
        assert!(text.contains(
            "eyot_api_requests_total{service=\"iot\",operation=\"CreateThing\",status=\"200\"} 2\n"
        ));
        assert!(text.contains("status=\"409\"} 1\n"));
    }

    #[test]
    fn families_histograms_and_escapes() {
        let mut page = Exposition::default();
        page.single("a", MetricKind::Gauge, "What\nit \\ is.", 7);
        page.family("b_total", MetricKind::Counter, "B.").sample(&[("l", "x\"\\\n")], 1);
        page.histogram("h_seconds", "H.", &[(0.5, 2), (1.0, 3)], 6, 4.25);
        let expected = "# HELP a What\\nit \\\\ is.\n# TYPE a gauge\na 7\n\
            # HELP b_total B.\n# TYPE b_total counter\nb_total{l=\"x\\\"\\\\\\n\"} 1\n\
            # HELP h_seconds H.\n# TYPE h_seconds histogram\nh_seconds_bucket{le=\"0.5\"} 2\nh_seconds_bucket{le=\"1\"} 5\n\
            h_seconds_bucket{le=\"+Inf\"} 6\nh_seconds_sum 4.25\nh_seconds_count 6\n";
        assert_eq!(page.into_text(), expected);
    }
}
