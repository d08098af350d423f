//! Topic rules: match, SQL, actions.
//!
//! [`Rules`] keeps the rules durably and hands out [`RuleSet`]s: immutable snapshots that the broker's loops put into
//! their topic tries. A message that matches a [`Rule`]'s FROM filter, or that names the rule by basic ingest
//! (`$aws/rules/NAME/…`, see [`mqtt_session::basic_ingest`]), goes through [`Rule::execute`]: SQL, then each action for itself, then
//! the error action if anything failed. Nothing is carried out here: what is to happen comes back as
//! [`Consequences`] — log events for the journal in one transaction with the message, and messages to publish.
//!
//! A rule never affects the publisher. Every failure is a [`Failure`] in the consequences, a count in
//! [`Counters`], and a `tracing` event with the target `eyot::rules`.
//!
//! [AWS iot-rules] is the behaviour; how our log streams are named is in `docs/spec/log-streams.md`.

mod actions;
mod consequences;
mod definition;
mod engine;
mod error;
mod iot_log;
mod rule;
mod rules;
mod set;

pub use actions::ActionKind;
pub use consequences::{Consequences, Failure, KEPT_BYTES_MAX, Republish};
pub use definition::RuleDefinition;
pub use engine::{Message, REPUBLISH_DEPTH_MAX};
pub use error::{LoadError, RuleError};
pub use rule::{Counters, Rule};
pub use rules::{Done, ListQuery, Page, RULE_ACTIONS_MAX, RULE_NAME_BYTES_MAX, Rules};
pub use set::RuleSet;

/// The `tracing` target of everything that happens to rules.
pub const LOG_TARGET: &str = "eyot::rules";
