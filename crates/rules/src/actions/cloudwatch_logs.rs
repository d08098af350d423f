//! `cloudwatchLogs`: the result becomes a log event. [AWS cloudwatch-logs-rule-action]

use iot_sql::{Dollar, Output, SqlVersion, Template};
use serde::Deserialize;
use serde_json::Value;

use super::Outcome;
use crate::engine::Run;
use crate::{Consequences, Failure};

pub(super) const NAME: &str = "cloudwatchLogs";
pub(super) const CLASS: &str = "CloudwatchLogsAction";

/// The compiled action.
#[derive(Debug)]
pub(crate) struct CloudwatchLogs {
    group: Template,
    batch: bool,
}

/// `roleArn` is accepted and not checked: eyot has no roles.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    log_group_name: String,
    #[serde(default)]
    batch_mode: Option<bool>,
}

/// One event of a batch. [AWS cloudwatch-logs-rule-action] `batchMode`: "an array … timestamp and message".
#[derive(Deserialize)]
struct BatchEvent {
    timestamp: i64,
    message: Value,
}

impl CloudwatchLogs {
    pub(super) fn parse(settings: &Value, version: SqlVersion) -> Result<Self, String> {
        let settings: Settings = super::settings(settings)?;
        let group = Template::parse(&settings.log_group_name, version, Dollar::Plain)
            .map_err(|error| format!("logGroupName: {error}"))?;
        // With a template in it, the name is known when a message comes.
        if let Some(name) = group.as_constant() {
            logs::check_group_name(name).map_err(|error| error.to_string())?;
        }
        Ok(Self { group, batch: settings.batch_mode.unwrap_or(false) })
    }

    pub(super) fn run(&self, run: &Run<'_>, result: &Output, consequences: &mut Consequences) -> Outcome {
        let group = self
            .group
            .expand(&run.input)
            .map_err(|error| run.failure(CLASS, String::new(), format!("logGroupName: {error}")))?;
        let failed = |error: String| -> Failure { run.failure(CLASS, group.clone(), error) };
        let events = if self.batch {
            batch(result).map_err(&failed)?
        } else {
            vec![(run.message.now_ms, text(result).map_err(&failed)?.to_owned())]
        };
        let stream = stream_name(run.rule.name(), run.message.now_ms);
        // All or nothing: a batch whose last event is refused must leave none behind.
        let mut transaction = store::Transaction::new();
        for (timestamp_ms, message) in &events {
            let logs = &run.rule.surroundings.logs;
            logs.rule_event(&group, &stream, *timestamp_ms, message, run.message.now_ms, &mut transaction)
                .map_err(|error| failed(error.to_string()))?;
        }
        consequences.transaction.extend(&transaction);
        Ok(())
    }
}

/// The result as one message.
fn text(result: &Output) -> Result<&str, String> {
    let bytes = result.as_bytes().unwrap_or_default();
    str::from_utf8(bytes).map_err(|_| "the payload is no text and cannot be logged".to_owned())
}

/// The result as an array of events.
fn batch(result: &Output) -> Result<Vec<(i64, String)>, String> {
    let events: Vec<BatchEvent> = match result {
        Output::Json(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
    .ok_or("batchMode needs an array of objects with `timestamp` in milliseconds and `message`")?;
    let message = |message| match message {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(events.into_iter().map(|event| (event.timestamp, message(event.message))).collect())
}

/// The stream of a rule's events: one per rule and UTC day of arrival, `telemetry-2026-11-24`.
///
/// AWS documents no scheme and no client is known to depend on one: docs/spec/log-streams.md.
fn stream_name(rule: &str, now_ms: i64) -> String {
    let (year, month, day) = civil_date(now_ms.div_euclid(24 * 60 * 60 * 1000));
    format!("{rule}-{year:04}-{month:02}-{day:02}")
}

/// The Gregorian date of a day since 1970-01-01. Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn civil_date(day: i64) -> (i64, i64, i64) {
    // Years begin in March, so that the leap day comes last.
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let day_of_era = day.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted_month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_named_after_rule_and_utc_day() {
        assert_eq!(stream_name("telemetry", 1_679_781_014_810), "telemetry-2023-03-25");
        assert_eq!(stream_name("r", 951_782_400_000), "r-2000-02-29");
        assert_eq!(stream_name("r", 4_107_542_399_999), "r-2100-02-28");
        assert_eq!(stream_name("r", 0), "r-1970-01-01");
    }

    #[test]
    fn a_batch_is_an_array_of_events() {
        let json = |text: &str| batch(&Output::Json(text.to_owned()));
        assert_eq!(
            json(r#"[{"timestamp":1,"message":"a"},{"timestamp":2,"message":{"b":1}}]"#),
            Ok(vec![(1, "a".to_owned()), (2, r#"{"b":1}"#.to_owned())])
        );
        assert!(json(r#"{"timestamp":1,"message":"a"}"#).is_err());
        assert!(json(r#"[{"timestamp":"1","message":"a"}]"#).is_err());
        assert!(batch(&Output::Text("[]".to_owned())).is_err());
    }
}
