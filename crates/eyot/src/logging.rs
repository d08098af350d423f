//! What the server tells about itself while it runs: `tracing` events on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::terminal::Paint;

/// The filter's variable, in `tracing`'s syntax: `EYOT_LOG=debug`, `EYOT_LOG=warn,eyot::rules=debug`.
pub(crate) const FILTER_VARIABLE: &str = "EYOT_LOG";

/// What is shown without it: that the server started and drains, and every refusal with its reason
/// (`eyot::connect`, `eyot::authorize`, `eyot::rules` warn); nothing per message.
const DEFAULT_FILTER: &str = "warn,eyot=info,eyot::connect=warn,eyot::authorize=warn,eyot::rules=warn";

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
    let filter = EnvFilter::try_from_env(FILTER_VARIABLE)
        .unwrap_or_else(|_| EnvFilter::new(default_filter.unwrap_or(DEFAULT_FILTER)));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber in one process can only be a test's: the first one stays.
    let _ = match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Human => {
            let coloured = std::io::stderr().is_terminal() && Paint::stderr().is_on();
            builder.with_ansi(coloured).with_target(true).compact().try_init()
        }
    };
}
