//! `eyot logs tail`.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;

use crate::client::{Api, CallError, FilterQuery, LogEvent, ServerArgs};
use crate::duration::HumanDuration;
use crate::failure::{Failure, Outcome};
use crate::terminal::{Paint, printable, say, say_json};
use crate::wall_clock;

/// How long `--follow` waits between looks. Short: a person watches, and the server is near.
const FOLLOW_PAUSE: Duration = Duration::from_millis(500);

/// How far back `--follow` looks again: events of one moment can arrive in either order, and late ones carry an older
/// time than the newest seen.
const FOLLOW_OVERLAP_MS: i64 = 10_000;

/// Log groups: what the rules wrote
#[derive(Debug, clap::Subcommand)]
pub(super) enum Logs {
    Tail(Tail),
}

/// Show the events of a log group, oldest first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eyot logs tail iot-core-telemetry --since 1h
  eyot logs tail iot-core-telemetry --follow
  eyot logs tail iot-core-telemetry --filter-pattern pico_w_simple --json | jq .message")]
pub(super) struct Tail {
    /// The log group
    #[arg(value_name = "GROUP")]
    group: String,
    /// Keep going: show new events as they arrive, until Ctrl-C
    #[arg(long)]
    follow: bool,
    /// Only events that match, in CloudWatch's syntax: words that must all be there, "a phrase", -without
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    filter_pattern: Option<String>,
    /// How far back to begin
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    since: HumanDuration,
    /// One JSON object per event
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Logs {
    pub(super) fn run(self) -> Outcome {
        let Self::Tail(tail) = self;
        tail.run()
    }
}

impl Tail {
    fn run(self) -> Outcome {
        let api = Api::of(&self.server)?;
        let since_ms = i64::try_from(self.since.0.as_millis()).unwrap_or(i64::MAX);
        let start_ms = wall_clock::now_ms().saturating_sub(since_ms).max(0);
        let mut tail = NewEvents::new(self.group.clone(), start_ms, self.filter_pattern.clone());
        let paint = Paint::stdout();
        loop {
            let events = tail.look(&api).map_err(|error| no_such_group(error, &self.group))?;
            for event in &events {
                self.show(event, paint)?;
            }
            if !self.follow {
                return Ok(());
            }
            std::thread::sleep(FOLLOW_PAUSE);
        }
    }

    fn show(&self, event: &LogEvent, paint: Paint) -> Outcome {
        if self.json {
            return say_json(&json!(event));
        }
        let time = paint.dim(&wall_clock::to_text(event.timestamp));
        // Anybody who may publish writes here: what they send must not drive this terminal.
        let (stream, message) = (printable(&event.log_stream_name), printable(&event.message));
        say!("{time} {} {message}", paint.cyan(&stream))
    }
}

fn no_such_group(error: CallError, group: &str) -> Failure {
    let missing = error.is("ResourceNotFoundException");
    let failure = Failure::from(error);
    if !missing {
        return failure;
    }
    failure.advice(format!("`aws logs create-log-group --log-group-name {group}`, or check the name"))
}

/// Looks at a group again and again, and tells each event once.
#[derive(Debug)]
pub(super) struct NewEvents {
    group: String,
    start_ms: i64,
    pattern: Option<String>,
    /// Events within the overlap that were told already.
    told: HashSet<(i64, String)>,
}

impl NewEvents {
    /// Events of a group from a time on.
    pub(super) fn new(group: String, start_ms: i64, pattern: Option<String>) -> Self {
        Self { group, start_ms, pattern, told: HashSet::new() }
    }

    /// What has not been told yet.
    pub(super) fn look(&mut self, api: &Api) -> Result<Vec<LogEvent>, CallError> {
        let mut new = Vec::new();
        let mut next_token = None;
        loop {
            let query = FilterQuery {
                group: &self.group,
                start_ms: self.start_ms,
                pattern: self.pattern.as_deref(),
                next_token,
            };
            let (events, next) = api.filter_log_events(&query)?;
            new.extend(self.untold(events));
            next_token = next;
            if next_token.is_none() {
                break;
            }
        }
        self.advance(&new);
        Ok(new)
    }

    fn untold(&mut self, events: Vec<LogEvent>) -> Vec<LogEvent> {
        events
            .into_iter()
            .filter(|event| self.told.insert((event.timestamp, event.event_id.clone())))
            .collect()
    }

    fn advance(&mut self, new: &[LogEvent]) {
        let Some(newest_ms) = new.iter().map(|event| event.timestamp).max() else { return };
        let start_ms = newest_ms.saturating_sub(FOLLOW_OVERLAP_MS).max(self.start_ms);
        self.start_ms = start_ms;
        self.told.retain(|(timestamp, _)| *timestamp >= start_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(timestamp: i64, id: &str) -> LogEvent {
        LogEvent {
            log_stream_name: "s".into(),
            timestamp,
            ingestion_time: timestamp,
            message: id.into(),
            event_id: id.into(),
        }
    }

    #[test]
    fn each_event_is_told_once_and_late_ones_are_not_lost() {
        let mut tail = NewEvents::new("g".into(), 0, None);
        let mut told = Vec::new();
        for page in [
            vec![event(100_000, "a"), event(100_000, "b")],
            vec![event(100_000, "a"), event(99_000, "late"), event(100_000, "b"), event(130_000, "c")],
            vec![event(130_000, "c"), event(125_000, "late too")],
        ] {
            let new = tail.untold(page);
            tail.advance(&new);
            told.extend(new.into_iter().map(|event| event.event_id));
        }
        assert_eq!(told, ["a", "b", "late", "c", "late too"]);
        assert_eq!(tail.start_ms, 120_000);
        assert!(
            tail.told.iter().all(|(timestamp, _)| *timestamp >= 120_000),
            "what is no longer asked for is forgotten"
        );
    }
}
