//! Several policies to one decision.

use crate::action::Action;
use crate::context::Context;
use crate::document::{Fit, PolicyDocument, Statement};
use crate::explain::{self, Obstacle};
use crate::resource::Resource;
use std::fmt;
use std::sync::Arc;

/// A policy by its name.
#[derive(Debug, Clone)]
pub struct NamedPolicy {
    /// For reasons.
    pub name: Arc<str>,
    /// The number of the version whose document this is; `None` when it has none.
    pub version: Option<u32>,
    /// Its default version.
    pub document: Arc<PolicyDocument>,
}

/// The policies in force for one principal.
#[derive(Debug, Clone)]
pub struct PolicySet {
    arn_prefix: Arc<str>,
    policies: Box<[NamedPolicy]>,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// A statement allows it and none denies it.
    Allowed,
    /// A statement denies it.
    ExplicitDeny,
    /// No statement allows it.
    ImplicitDeny,
}

impl Effect {
    /// As `TestAuthorization` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "ALLOWED",
            Self::ExplicitDeny => "EXPLICIT_DENY",
            Self::ImplicitDeny => "IMPLICIT_DENY",
        }
    }
}

/// A decision with its reason.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    /// What was decided.
    pub effect: Effect,
    /// Why: print it.
    pub reason: Reason<'a>,
}

impl Decision<'_> {
    /// Whether it may be done.
    pub fn is_allowed(&self) -> bool {
        self.effect == Effect::Allowed
    }
}

/// Why a decision fell: prints as one sentence, without a full stop.
///
/// It borrows what was asked, and does its work when it is printed.
#[derive(Debug, Clone, Copy)]
pub struct Reason<'a> {
    set: &'a PolicySet,
    action: Action,
    resource: Resource<'a>,
    context: &'a Context<'a>,
    /// Which policy and which of its statements decided.
    decided_by: Option<(usize, usize)>,
}

/// How one policy stands to a request: for `TestAuthorization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It allows it.
    Allows,
    /// It denies it, whatever else it says.
    Denies,
    /// It says nothing about it.
    Silent,
}

impl PolicySet {
    /// The policies in force for a principal of the account whose ARNs begin with `arn_prefix`
    /// (`arn:aws:iot:REGION:ACCOUNT:`).
    pub fn new(arn_prefix: impl Into<Arc<str>>, policies: Vec<NamedPolicy>) -> Self {
        Self { arn_prefix: arn_prefix.into(), policies: policies.into_boxed_slice() }
    }

    /// The policies, in the order in which they are looked at.
    pub fn policies(&self) -> &[NamedPolicy] {
        &self.policies
    }

    /// Decides. An explicit deny wins, then any allow; what nothing allows is denied. [AWS IAM evaluation logic]
    pub fn decide<'a>(
        &'a self,
        action: Action,
        resource: Resource<'a>,
        context: &'a Context<'a>,
    ) -> Decision<'a> {
        let subject = resource.subject(&self.arn_prefix);
        let mut allowed_by = None;
        for (policy_index, policy) in self.policies.iter().enumerate() {
            for (statement_index, statement) in policy.document.statements.iter().enumerate() {
                // Another allow would change nothing.
                if !statement.names(action) || statement.allows && allowed_by.is_some() {
                    continue;
                }
                if matches!(statement.fit(&subject, context), Fit::Matches) {
                    let place = Some((policy_index, statement_index));
                    if !statement.allows {
                        return self.decision(Effect::ExplicitDeny, action, resource, context, place);
                    }
                    allowed_by = place;
                }
            }
        }
        let effect = if allowed_by.is_some() { Effect::Allowed } else { Effect::ImplicitDeny };
        self.decision(effect, action, resource, context, allowed_by)
    }

    /// How each policy stands to a request, in the order of [`PolicySet::policies`].
    pub fn verdicts(&self, action: Action, resource: Resource<'_>, context: &Context<'_>) -> Vec<Verdict> {
        let subject = resource.subject(&self.arn_prefix);
        let verdict = |policy: &NamedPolicy| {
            let matching = |statement: &&Statement| {
                statement.names(action) && matches!(statement.fit(&subject, context), Fit::Matches)
            };
            let mut verdict = Verdict::Silent;
            for statement in policy.document.statements.iter().filter(matching) {
                if !statement.allows {
                    return Verdict::Denies;
                }
                verdict = Verdict::Allows;
            }
            verdict
        };
        self.policies.iter().map(verdict).collect()
    }

    /// The variables and condition keys without a value that keep statements about this action from matching.
    pub fn missing_context(
        &self,
        action: Action,
        resource: Resource<'_>,
        context: &Context<'_>,
    ) -> Vec<String> {
        let subject = resource.subject(&self.arn_prefix);
        let mut missing: Vec<String> = Vec::new();
        let statements = self.policies.iter().flat_map(|policy| &policy.document.statements);
        for statement in statements.filter(|statement| statement.names(action)) {
            let variable = match statement.fit(&subject, context) {
                Fit::Unresolved(variable) => Some(variable),
                Fit::Condition(condition) => condition.absent_key(context),
                Fit::Matches | Fit::OtherResource => None,
            };
            if let Some(variable) = variable
                && !missing.iter().any(|name| name == variable.name())
            {
                missing.push(variable.name().to_owned());
            }
        }
        missing
    }

    pub(crate) fn arn_prefix(&self) -> &str {
        &self.arn_prefix
    }

    fn decision<'a>(
        &'a self,
        effect: Effect,
        action: Action,
        resource: Resource<'a>,
        context: &'a Context<'a>,
        decided_by: Option<(usize, usize)>,
    ) -> Decision<'a> {
        Decision { effect, reason: Reason { set: self, action, resource, context, decided_by } }
    }
}

impl<'a> Reason<'a> {
    /// The policy that decided and the number of its statement, from 1; `None` when nothing matched.
    pub fn decided_by(&self) -> Option<(&'a str, usize)> {
        let (policy, statement) = self.decided_by?;
        Some((&*self.set.policies[policy].name, statement + 1))
    }

    /// What stands in the way: the statement that denies, or the one that came closest to allowing it. `None`: nothing does.
    ///
    /// It does the work of printing the reason once more: for what is kept, not for what is decided often.
    pub fn obstacle(&self) -> Option<Obstacle<'a>> {
        let Some((policy, statement)) = self.decided_by else {
            return Some(explain::obstacle(self.set, self.action, self.resource, self.context));
        };
        let place = explain::Place::of(&self.set.policies[policy], statement);
        (!place.statement().allows).then(|| Obstacle::Denies(place.source()))
    }
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((policy, index)) = self.decided_by else {
            return explain::implicit_deny(f, self.set, self.action, self.resource, self.context);
        };
        let place = explain::Place::of(&self.set.policies[policy], index);
        let verb = if place.statement().allows { "allows" } else { "denies" };
        place.write_name(f)?;
        write!(f, " {verb} {} on `{}`", self.action, self.resource)
    }
}
