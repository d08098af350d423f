//! How many requests there were.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

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

    /// In Prometheus's text format.
    pub(crate) fn prometheus(&self) -> String {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::from("# TYPE eyot_api_requests_total counter\n");
        for ((service, operation, status), count) in &*counts {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "eyot_api_requests_total{{service=\"{service}\",operation=\"{operation}\",status=\"{status}\"}} {count}"
            );
        }
        text
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
        let text = requests.prometheus();
        assert!(text.contains(
            "eyot_api_requests_total{service=\"iot\",operation=\"CreateThing\",status=\"200\"} 2\n"
        ));
        assert!(text.contains("status=\"409\"} 1\n"));
    }
}
