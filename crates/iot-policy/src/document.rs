//! A policy document, compiled.

use crate::action::{Action, ActionSet};
use crate::condition::{Condition, Outcome};
use crate::context::Context;
use crate::error::PolicyError;
use crate::pattern::{Match, Pattern};
use crate::resource::Subject;
use crate::variable::Variable;
use crate::{DOCUMENT_CHARS_MAX, parse};

/// A policy document, compiled for deciding. The text is not kept.
#[derive(Debug, Clone)]
pub struct PolicyDocument {
    pub(crate) statements: Box<[Statement]>,
}

#[derive(Debug, Clone)]
pub(crate) struct Statement {
    /// `Sid`, for messages.
    pub(crate) sid: Option<Box<str>>,
    pub(crate) allows: bool,
    pub(crate) actions: ActionSet,
    /// `NotResource`: everything but these.
    pub(crate) resources_negated: bool,
    pub(crate) resources: Box<[Pattern]>,
    /// All must hold.
    pub(crate) conditions: Box<[Condition]>,
}

/// How a statement relates to a request whose action it names.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fit<'p> {
    Matches,
    OtherResource,
    /// It would match, but for this condition.
    Condition(&'p Condition),
    /// It cannot match, because this variable has no value.
    Unresolved(&'p Variable),
}

impl PolicyDocument {
    /// Reads and compiles a policy document.
    ///
    /// # Errors
    /// [`PolicyError`] says where the document is wrong.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let chars = text.chars().filter(|character| !character.is_whitespace()).count();
        if chars > DOCUMENT_CHARS_MAX {
            return Err(PolicyError::TooLong { chars, max: DOCUMENT_CHARS_MAX });
        }
        parse::document(text)
    }

    /// A document that denies everything.
    pub fn deny_all() -> Self {
        let statement = Statement {
            sid: None,
            allows: false,
            actions: ActionSet::default().complement(),
            resources_negated: false,
            resources: Box::new([Pattern::parse("*", false)]),
            conditions: Box::default(),
        };
        Self { statements: Box::new([statement]) }
    }
}

impl Statement {
    /// The resource and the conditions; the action has been looked at.
    pub(crate) fn fit(&self, subject: &Subject<'_>, context: &Context<'_>) -> Fit<'_> {
        match self.fit_resource(subject, context) {
            Fit::Matches => {}
            other => return other,
        }
        for condition in &self.conditions {
            match condition.evaluate(context) {
                Outcome::Holds => {}
                Outcome::Fails => return Fit::Condition(condition),
                Outcome::Unresolved(variable) => return Fit::Unresolved(variable),
            }
        }
        Fit::Matches
    }

    /// A pattern with a variable that has no value matches nothing. The statement's other patterns may still match;
    /// with `NotResource` however nothing can be said then, and the statement does not match.
    fn fit_resource(&self, subject: &Subject<'_>, context: &Context<'_>) -> Fit<'_> {
        let mut unresolved = None;
        let mut matched = false;
        for pattern in &self.resources {
            match pattern.matches(subject, context) {
                Match::Yes => {
                    matched = true;
                    break;
                }
                Match::No => {}
                Match::Unresolved(variable) => unresolved = unresolved.or(Some(variable)),
            }
        }
        match (matched, unresolved) {
            (true, _) if self.resources_negated => Fit::OtherResource,
            (true, _) => Fit::Matches,
            (false, Some(variable)) => Fit::Unresolved(variable),
            (false, None) if self.resources_negated => Fit::Matches,
            (false, None) => Fit::OtherResource,
        }
    }

    pub(crate) fn names(&self, action: Action) -> bool {
        self.actions.contains(action)
    }
}
