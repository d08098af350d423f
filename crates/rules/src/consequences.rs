//! What a message's rules want to happen.

use mqtt_wire::QoS;
use store::Transaction;
use store::limits::RECORD_BYTES_MAX;

/// What the actions of one message's rules may keep, in bytes, all rules and republished messages together.
///
/// Everything that one message brings about is one record of the journal. An action that would make it larger fails,
/// and its error action may still tell so: for that a part of the record is left free.
pub const KEPT_BYTES_MAX: u64 = RECORD_BYTES_MAX - ERROR_REPORTS_BYTES;

/// A report has the message's payload in base64, 171 KiB at AWS's limit; there is room for five.
const ERROR_REPORTS_BYTES: u64 = 1024 * 1024;

/// Everything that one message's rules bring about. The caller appends `transaction` together with the message's
/// other entries, and publishes `republishes` as messages of the server.
#[derive(Debug, Default)]
pub struct Consequences {
    /// Log events, as journal entries.
    pub transaction: Transaction,
    /// Messages to publish.
    pub republishes: Vec<Republish>,
    /// What went wrong; already logged and counted.
    pub failures: Vec<Failure>,
}

/// A message that a rule publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Republish {
    /// A valid topic name.
    pub topic: String,
    /// The rule's result.
    pub payload: Vec<u8>,
    /// 0 or 1.
    pub qos: QoS,
    /// Always false: AWS's republish action has no such setting.
    pub retain: bool,
    /// How many rules have handed this message on, this one included; for [`crate::Message::depth`].
    pub depth: u8,
}

/// An action, or a whole rule, that failed for one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The rule.
    pub rule: String,
    /// What failed, in AWS's words (`RepublishAction`); `Sql` when the statement did.
    pub action: &'static str,
    /// What it was to act on: a topic, a log group; empty when that is not known.
    pub resource: String,
    /// Why.
    pub error: String,
    /// Whether the error action failed: then nothing is left to tell.
    pub in_error_action: bool,
}
