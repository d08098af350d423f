//! One message through one rule.

use std::net::IpAddr;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use iot_sql::{Context, Input, Output, Randomness};
use mqtt_session::basic_ingest;
use serde_json::json;
use store::limits::RECORD_BYTES_MAX;
use tracing::{debug, warn};

use crate::actions::{Action, Outcome};
use crate::consequences::KEPT_BYTES_MAX;
use crate::{Consequences, Failure, LOG_TARGET, Rule, iot_log};

/// How many rules may hand a message on to each other.
///
/// A rule whose republish topic matches its own filter would otherwise run for ever. Eight is more than any chain a
/// person designs, and with two such rules, which double the messages at every step, still only 256.
pub const REPUBLISH_DEPTH_MAX: u8 = 8;

/// A message on its way through the rules.
#[derive(Clone, Debug)]
pub struct Message<'m> {
    /// The topic as it was published, `$aws/rules/NAME/` included.
    pub topic: &'m str,
    /// The payload.
    pub payload: &'m [u8],
    /// The sender; `None` when it did not come over MQTT.
    pub client_id: Option<&'m str>,
    /// The sender's certificate id, or who signed the request.
    pub principal: Option<&'m str>,
    /// Where it came from.
    pub source_ip: Option<IpAddr>,
    /// When it arrived, in milliseconds since 1970.
    pub now_ms: i64,
    /// The id of its way in the logs; `None` when it did not come over MQTT.
    pub trace_id: Option<&'m str>,
    /// How many rules handed it on before: 0 for what a client publishes, [`crate::Republish::depth`] afterwards.
    pub depth: u8,
    /// Fresh randomness, for `newuuid()`.
    pub seed: u128,
}

impl Rule {
    /// Evaluates the SQL, carries out every action, and the error action if anything failed.
    ///
    /// The caller has matched the topic, or resolved basic ingest; a disabled rule is the caller's to leave out.
    pub fn execute(&self, message: &Message<'_>, consequences: &mut Consequences) {
        self.counters.matched.fetch_add(1, Ordering::Relaxed);
        iot_log::rule_match(self, message);
        let context = Context {
            client_id: message.client_id,
            principal: message.principal,
            account_id: &self.surroundings.account_id,
            timestamp_ms: message.now_ms,
            trace_id: message.trace_id,
            source_ip: message.source_ip,
            // The message's other rules get other bits.
            random: Randomness::new(message.seed ^ self.salt),
        };
        // [AWS iot-basic-ingest] "topic() … doesn't include `$aws/rules/rule_name`."
        let topic = basic_ingest(message.topic).map_or(message.topic, |ingest| ingest.topic);
        let run =
            Run { rule: self, message, input: Input { payload: message.payload, topic, context: &context } };
        let failures = run.statement(consequences);
        if !failures.is_empty() {
            run.error_action(&failures, consequences);
            consequences.failures.extend(failures);
        }
    }
}

/// One message in one rule.
pub(crate) struct Run<'r> {
    pub(crate) rule: &'r Rule,
    pub(crate) message: &'r Message<'r>,
    /// What templates see: the original payload, never the result. [AWS iot-substitution-templates]
    pub(crate) input: Input<'r>,
}

impl Run<'_> {
    /// SQL and actions; returns what failed.
    fn statement(&self, consequences: &mut Consequences) -> Vec<Failure> {
        let result = match self.rule.statement.evaluate(&self.input) {
            Ok(result) => result,
            Err(error) => {
                self.rule.counters.failed.fetch_add(1, Ordering::Relaxed);
                let failure = self.failure("Sql", self.rule.name().to_owned(), error.to_string());
                iot_log::rule_execution(self, Err(&failure), failure.action);
                return vec![failure];
            }
        };
        if matches!(result, Output::Nothing | Output::Undefined) {
            debug!(target: LOG_TARGET, rule = self.rule.name(), topic = self.message.topic, "no result, no action");
            return Vec::new();
        }
        iot_log::starting_rule_execution(self);
        // "Each action independently": one that fails does not keep the others from running.
        self.rule
            .actions
            .iter()
            .filter_map(|action| self.act(action, &result, consequences, KEPT_BYTES_MAX).err())
            .collect()
    }

    fn act(
        &self,
        action: &Action,
        result: &Output,
        consequences: &mut Consequences,
        kept_bytes_max: u64,
    ) -> Outcome {
        let before = consequences.transaction.mark();
        let bytes_before = consequences.transaction.bytes_len() as u64;
        let mut outcome = action.run(self, result, consequences);
        let kept_bytes = consequences.transaction.bytes_len() as u64;
        // What keeps nothing is not concerned: error reports may have filled the record meanwhile.
        if outcome.is_ok() && kept_bytes > kept_bytes_max && kept_bytes > bytes_before {
            consequences.transaction.rewind(before);
            let error = format!(
                "with it, the actions of one message would keep {kept_bytes} bytes; the limit is {kept_bytes_max}"
            );
            outcome = Err(self.failure(action.class(), String::new(), error));
        }
        let counters = &self.rule.counters;
        let counter = if outcome.is_ok() { &counters.actions_succeeded } else { &counters.actions_failed };
        counter.fetch_add(1, Ordering::Relaxed);
        iot_log::rule_execution(self, outcome.as_ref().copied(), action.class());
        outcome
    }

    /// [AWS rule-error-handling] One message about all failures goes to the error action.
    fn error_action(&self, failures: &[Failure], consequences: &mut Consequences) {
        let Some(action) = &self.rule.error_action else { return };
        let mut report = json!({
            "ruleName": self.rule.name(),
            "topic": self.message.topic,
            "cloudwatchTraceId": self.message.trace_id,
            "clientId": self.message.client_id.unwrap_or("N/A"),
            "base64OriginalPayload": BASE64.encode(self.message.payload),
            "failures": failures.iter().map(|failure| json!({
                "failedAction": failure.action,
                "failedResource": failure.resource,
                "errorMessage": failure.error,
            })).collect::<Vec<_>>(),
        });
        if let Some(source_ip) = self.message.source_ip {
            report["sourceIp"] = json!(source_ip);
        }
        let report = Output::Json(report.to_string());
        if let Err(failure) = self.act(action, &report, consequences, RECORD_BYTES_MAX) {
            warn!(
                target: LOG_TARGET, rule = self.rule.name(), topic = self.message.topic,
                reason = failure.error, "the error action failed as well",
            );
            consequences.failures.push(Failure { in_error_action: true, ..failure });
        }
    }

    /// A failure, logged.
    pub(crate) fn failure(&self, action: &'static str, resource: String, error: String) -> Failure {
        warn!(
            target: LOG_TARGET, rule = self.rule.name(), topic = self.message.topic,
            client_id = self.message.client_id, trace_id = self.message.trace_id, action, resource,
            reason = error, "RuleExecution failed",
        );
        Failure { rule: self.rule.name().to_owned(), action, resource, error, in_error_action: false }
    }
}
