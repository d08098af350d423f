//! What rules do, in the log group `AWSIotLogsV2`. [AWS cwl-format] "Rules engine log entries"

use crate::engine::Run;
use crate::rule::Surroundings;
use crate::{Failure, Message, Rule};
use serde_json::{Value, json};
use services::{EventType, IotLog, LogEvent, LogLevel};

/// The log, if it wants something of this level: nothing is made up for nobody.
fn wanted(surroundings: &Surroundings, level: LogLevel) -> Option<&IotLog> {
    surroundings.iot_log.get().map(|log| &**log).filter(|log| log.wants(level))
}

fn event<'m>(
    message: &'m Message<'_>,
    level: LogLevel,
    kind: EventType,
    rule: &str,
    more: Vec<(&'static str, Value)>,
) -> LogEvent<'m> {
    let mut members = vec![("ruleName", json!(rule))];
    members.extend(more);
    LogEvent {
        trace_id: message.trace_id,
        client_id: message.client_id,
        principal_id: message.principal,
        topic_name: Some(message.topic),
        source_ip: message.source_ip,
        more: members,
        ..LogEvent::new(message.now_ms, level, kind)
    }
}

/// A message has reached a rule.
pub(crate) fn rule_match(rule: &Rule, message: &Message<'_>) {
    if let Some(log) = wanted(&rule.surroundings, LogLevel::Info) {
        log.log(&event(message, LogLevel::Info, EventType::RuleMatch, rule.name(), vec![]));
    }
}

/// A rule's SQL has given a result.
pub(crate) fn starting_rule_execution(run: &Run<'_>) {
    if let Some(log) = wanted(&run.rule.surroundings, LogLevel::Debug) {
        let kind = EventType::StartingRuleExecution;
        log.log(&event(run.message, LogLevel::Debug, kind, run.rule.name(), vec![]));
    }
}

/// An action was carried out, or failed.
pub(crate) fn rule_execution(run: &Run<'_>, outcome: Result<(), &Failure>, class: &'static str) {
    let level = if outcome.is_ok() { LogLevel::Info } else { LogLevel::Error };
    let Some(log) = wanted(&run.rule.surroundings, level) else { return };
    let kind = EventType::RuleExecution;
    let mut more = vec![("ruleAction", json!(class))];
    match outcome {
        Ok(()) => log.log(&event(run.message, level, kind, run.rule.name(), more)),
        Err(failure) => {
            if !failure.resource.is_empty() {
                more.push(("resources", json!({ resource_kind(class): failure.resource })));
            }
            let event = event(run.message, level, kind, run.rule.name(), more);
            log.log(&LogEvent {
                reason: Some("RuleExecutionFailure"),
                details: Some(&failure.error),
                ..event
            });
        }
    }
}

/// A basic-ingest topic names a rule that is not there, or disabled.
pub(crate) fn rule_not_found(surroundings: &Surroundings, message: &Message<'_>, rule: &str, reason: &str) {
    if let Some(log) = wanted(surroundings, LogLevel::Error) {
        let details = format!("Rule {rule}: {reason}");
        let event = event(message, LogLevel::Error, EventType::RuleNotFound, rule, vec![]);
        log.log(&LogEvent { reason: Some("RuleNotFound"), details: Some(&details), ..event });
    }
}

/// What an action's resource is called.
fn resource_kind(class: &str) -> &'static str {
    match class {
        "RepublishAction" => "Topic",
        "CloudwatchLogsAction" => "LogGroup",
        "Sql" => "RuleName",
        _ => "Resource",
    }
}
