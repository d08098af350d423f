//! What the server tells about itself while it runs: `tracing` events on standard error.

use std::io::{IsTerminal as _, Write};

use tracing_subscriber::EnvFilter;

use crate::terminal::Paint;

/// The filter's variable, in `tracing`'s syntax: `EYOT_LOG=debug`, `EYOT_LOG=warn,eyot::rules=debug`.
pub(crate) const FILTER_VARIABLE: &str = "EYOT_LOG";

/// What is shown without it: that the server started and drains, and every refusal with its reason
/// (`eyot::connect`, `eyot::authorize`, `eyot::rules` warn); nothing per message.
const DEFAULT_FILTER: &str = "warn,eyot=info";

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// One line per event, for people
    #[default]
    Human,
    /// One JSON object per line, for machines
    Json,
}

/// Starts logging. `quieter` is the default filter of commands that are not the server.
pub(crate) fn start(format: LogFormat, default_filter: Option<&str>) {
    let filter = filter(default_filter.unwrap_or(DEFAULT_FILTER));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Lenient(std::io::stderr()))
        // It would be printed to the same place, and a print that fails panics.
        .log_internal_errors(false);
    // A second subscriber in one process can only be a test's: the first one stays.
    let _ = match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Human => {
            let coloured = std::io::stderr().is_terminal() && Paint::stderr().is_on();
            builder.with_ansi(coloured).with_target(true).compact().try_init()
        }
    };
}

/// Standard error, whatever becomes of it: a server whose log is on a full disk, or was closed, goes on.
struct Lenient(std::io::Stderr);

impl Write for Lenient {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // The whole event or nothing: what could not be written is gone.
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The one that was asked for; a mistake in it must not make the server silent.
fn filter(default: &str) -> EnvFilter {
    let Some(given) = std::env::var(FILTER_VARIABLE).ok().filter(|given| !given.is_empty()) else {
        return EnvFilter::new(default);
    };
    EnvFilter::try_new(&given).unwrap_or_else(|error| {
        eprintln!("warning: {FILTER_VARIABLE}={given} is no filter, so it is ignored: {error}");
        EnvFilter::new(default)
    })
}
