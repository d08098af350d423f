//! Which statement of which policy stands in somebody's way.

use super::kept;
use iot_policy::{Obstacle, Reason, StatementSource};

/// What stands in the way of something that policies do not allow, as it was when that was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blame {
    /// How it stands in the way.
    pub kind: BlameKind,
    /// The policy that denies it, or that came closest to allowing it.
    pub policy: Option<Box<str>>,
    /// The version of that policy that was in force.
    pub version: Option<u32>,
    /// The statement's number in the document, from 1; 0: there is none.
    pub statement: usize,
    /// The statement's `Sid`.
    pub sid: Option<Box<str>>,
    /// The resource that it names instead, or the variable that has no value.
    pub text: Option<Box<str>>,
}

/// How a policy stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlameKind {
    /// A statement denies it.
    Denies,
    /// No policy is attached to the certificate.
    NoPolicy,
    /// No statement allows the action on anything.
    NoStatement,
    /// The closest statement is about something else.
    OtherResource,
    /// The closest statement allows everything but this.
    Excluded,
    /// The closest statement needs a variable that has no value.
    Variable,
    /// A condition of the closest statement is not met.
    Condition,
    /// What was asked for is not to be had by any policy, such as a will on a reserved topic.
    Reserved,
}

impl BlameKind {
    /// A short name, for JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Denies => "denies",
            Self::NoPolicy => "no_policy",
            Self::NoStatement => "no_statement",
            Self::OtherResource => "other_resource",
            Self::Excluded => "excluded",
            Self::Variable => "variable",
            Self::Condition => "condition",
            Self::Reserved => "reserved",
        }
    }
}

impl Blame {
    /// What stands in the way of a decision that did not allow something.
    pub fn of(reason: &Reason<'_>) -> Box<Self> {
        let (kind, source, text) = match reason.obstacle() {
            Some(Obstacle::Denies(source)) => (BlameKind::Denies, Some(source), None),
            Some(Obstacle::NoPolicy) => (BlameKind::NoPolicy, None, None),
            Some(Obstacle::OtherResource(source, pattern)) => {
                (BlameKind::OtherResource, Some(source), Some(pattern))
            }
            Some(Obstacle::Excluded(source)) => (BlameKind::Excluded, Some(source), None),
            Some(Obstacle::Variable(source, name)) => (BlameKind::Variable, Some(source), Some(name)),
            Some(Obstacle::Condition(source)) => (BlameKind::Condition, Some(source), None),
            Some(Obstacle::NoStatement) | None => (BlameKind::NoStatement, None, None),
        };
        let StatementSource { policy, version, statement, sid } =
            source.unwrap_or(StatementSource { policy: "", version: None, statement: 0, sid: None });
        let policy = source.map(|_| policy.into());
        Box::new(Self { kind, policy, version, statement, sid: sid.map(kept), text: text.map(kept) })
    }

    /// No policy could allow it.
    pub(crate) fn reserved() -> Box<Self> {
        let kind = BlameKind::Reserved;
        Box::new(Self { kind, policy: None, version: None, statement: 0, sid: None, text: None })
    }

    pub(super) fn bytes_len(&self) -> usize {
        let texts = [&self.policy, &self.sid, &self.text];
        size_of::<Self>() + texts.into_iter().flatten().map(|text| text.len()).sum::<usize>()
    }
}
