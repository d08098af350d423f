//! AWS IoT policy documents to decisions that carry their reason.
//!
//! [`PolicyDocument::parse`] compiles a document once: actions become a bit set, resources become patterns that are
//! split at their wildcards. A [`PolicySet`] holds the documents in force for one principal and answers
//! [`PolicySet::decide`] for an [`Action`] on a [`Resource`] in a [`Context`]. Deciding allocates nothing, and the
//! broker need not write an ARN for each message: see [`Resource::Named`].
//!
//! AWS answers a denied publish by hanging up. The [`Reason`] of a [`Decision`] prints one sentence that names the
//! policy and the statement, or for a decision that nothing matched, what came closest; it is worked out only when
//! it is printed.
//!
//! [AWS iot-policies] is the behaviour. Where a document asks for something that is not understood here, it never
//! opens anything: an Allow with such a condition does not match, a Deny with one is refused when it is parsed.

mod action;
pub mod batch;
mod condition;
mod context;
mod decision;
mod document;
mod error;
mod explain;
mod json;
mod operator;
mod parse;
mod pattern;
mod resource;
mod timestamp;
mod variable;

pub use action::Action;
pub use context::{CertificateAttributes, ConnectedThing, Context};
pub use decision::{Decision, Effect, NamedPolicy, PolicySet, Reason, Verdict};
pub use document::PolicyDocument;
pub use error::PolicyError;
pub use explain::{Obstacle, StatementSource};
pub use resource::{Resource, ResourceKind};

/// Longest policy document, in characters other than white space.
///
/// [AWS iot-limits] "Policy document size": 2048 characters, white space not counted.
pub const DOCUMENT_CHARS_MAX: usize = 2048;

/// Longest value that a policy variable may put into a pattern, in characters. [AWS iot-policy-variables]
pub const VARIABLE_CHARS_MAX: usize = 1024;
