//! What the broker logs, as the tests may rely on it.

use super::PATIENCE;
use std::io;
use std::sync::{Condvar, Mutex, Once};
use tracing_subscriber::fmt::MakeWriter;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static MORE: Condvar = Condvar::new();

/// Collects every event of this process as a line of JSON.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
            .with_writer(Lines)
            .init();
    });
}

struct Lines;

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LINES.lock().expect("no test panics in here").push(String::from_utf8_lossy(line).into_owned());
        MORE.notify_all();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits for a line with all of these, and gives it.
pub(crate) fn logged(needles: &[&str]) -> String {
    let lines = LINES.lock().expect("no test panics in here");
    let find = |lines: &Vec<String>| {
        lines.iter().find(|line| needles.iter().all(|needle| line.contains(needle))).cloned()
    };
    let (lines, timeout) = MORE
        .wait_timeout_while(lines, PATIENCE, |lines| find(lines).is_none())
        .expect("no test panics in here");
    let found = find(&lines);
    drop(lines);
    assert!(!timeout.timed_out(), "nothing like {needles:?} was logged");
    found.expect("just found")
}

/// Whether no line with all of these was logged so far.
pub(crate) fn never_logged(needles: &[&str]) -> bool {
    let lines = LINES.lock().expect("no test panics in here");
    !lines.iter().any(|line| needles.iter().all(|needle| line.contains(needle)))
}
