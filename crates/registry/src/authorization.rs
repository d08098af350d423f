//! TestAuthorization: the policies' answer without a connection.

use crate::policies::Policy;
use crate::principal::Principal;
use crate::registry::Registry;
use crate::{Error, Identity};
use iot_policy::{Action, Context, Effect, NamedPolicy, PolicySet, Resource, Verdict};
use std::sync::Arc;

/// What TestAuthorization is given.
#[derive(Debug, Clone, Default)]
pub struct AuthorizationQuestion<'q> {
    /// The certificate's ARN; without one only `policies_to_add` count.
    pub principal: Option<&'q str>,
    /// `clientId`
    pub client_id: Option<&'q str>,
    /// `policyNamesToAdd`: as if they were attached.
    pub policies_to_add: &'q [String],
    /// `policyNamesToSkip`: as if they were not.
    pub policies_to_skip: &'q [String],
}

/// The answer to one action on some resources.
#[derive(Debug, Clone)]
pub struct AuthorizationResult {
    /// Over all of the resources.
    pub effect: Effect,
    /// Policies that allow it on one of the resources.
    pub allowing: Vec<Arc<str>>,
    /// Policies that deny it on one of the resources.
    pub denying: Vec<Arc<str>>,
    /// Policies that say nothing about it.
    pub silent: Vec<Arc<str>>,
    /// Variables without a value that kept statements from matching.
    pub missing_context: Vec<String>,
    /// Why, one sentence for each resource.
    pub reasons: Vec<String>,
}

impl Registry {
    /// TestAuthorization, for each `(action, resources)` one result in the same order.
    ///
    /// # Errors
    /// [`Error::NoSuchCertificate`], [`Error::NoSuchPolicy`] for names to add, [`Error::Incomplete`] when there is
    /// nothing to ask about, and those of [`Identity::principal`].
    pub fn test_authorization(
        &self,
        question: &AuthorizationQuestion<'_>,
        asked: &[(Action, Vec<String>)],
    ) -> Result<Vec<AuthorizationResult>, Error> {
        let principal = self.questioned(question.principal, question.policies_to_add)?;
        let policies = self.policies_in_question(principal.as_ref(), question)?;
        let set = PolicySet::new(self.arn_prefix().clone(), policies);
        let client_id = question.client_id.unwrap_or_default();
        let mut context =
            principal.as_ref().map_or_else(Context::default, |principal| principal.context(client_id, None));
        context.client_id = question.client_id;
        Ok(asked.iter().map(|(action, resources)| answer(&set, *action, resources, &context)).collect())
    }

    fn questioned(&self, principal: Option<&str>, to_add: &[String]) -> Result<Option<Principal>, Error> {
        match principal {
            Some(arn) => {
                let id = Identity::principal(self.identity(), arn)?;
                let found = Principal::of(&self.read(), &id, self.arn_prefix());
                found.map(Some).ok_or(Error::NoSuchCertificate)
            }
            None if to_add.is_empty() => {
                Err(Error::Incomplete { reason: "A principal or policyNamesToAdd is required" })
            }
            None => Ok(None),
        }
    }

    fn policies_in_question(
        &self,
        principal: Option<&Principal>,
        question: &AuthorizationQuestion<'_>,
    ) -> Result<Vec<NamedPolicy>, Error> {
        let attached = principal.map_or(&[][..], |principal| principal.policies.policies());
        let is_skipped =
            |policy: &&NamedPolicy| question.policies_to_skip.iter().any(|name| **name == *policy.name);
        let mut policies: Vec<NamedPolicy> =
            attached.iter().filter(|policy| !is_skipped(policy)).cloned().collect();
        for name in question.policies_to_add {
            let policy: Arc<Policy> = self.get_policy(name)?;
            if !policies.iter().any(|other| other.name == policy.name) {
                let document = policy.default_version().compiled();
                policies.push(NamedPolicy {
                    name: policy.name.clone(),
                    version: Some(policy.default_id),
                    document,
                });
            }
        }
        Ok(policies)
    }
}

fn answer(
    set: &PolicySet,
    action: Action,
    resources: &[String],
    context: &Context<'_>,
) -> AuthorizationResult {
    let mut result = AuthorizationResult {
        // Of no resource at all, nothing is allowed.
        effect: if resources.is_empty() { Effect::ImplicitDeny } else { Effect::Allowed },
        allowing: Vec::new(),
        denying: Vec::new(),
        silent: Vec::new(),
        missing_context: Vec::new(),
        reasons: Vec::new(),
    };
    let mut verdicts = vec![Verdict::Silent; set.policies().len()];
    for arn in resources {
        let resource = Resource::Arn(arn);
        let decision = set.decide(action, resource, context);
        result.effect = match (result.effect, decision.effect) {
            (Effect::ExplicitDeny, _) | (_, Effect::ExplicitDeny) => Effect::ExplicitDeny,
            (Effect::ImplicitDeny, _) | (_, Effect::ImplicitDeny) => Effect::ImplicitDeny,
            (Effect::Allowed, Effect::Allowed) => Effect::Allowed,
        };
        result.reasons.push(decision.reason.to_string());
        for name in set.missing_context(action, resource, context) {
            if !result.missing_context.contains(&name) {
                result.missing_context.push(name);
            }
        }
        for (so_far, verdict) in verdicts.iter_mut().zip(set.verdicts(action, resource, context)) {
            match (*so_far, verdict) {
                (Verdict::Denies, _) | (_, Verdict::Silent) => {}
                _ => *so_far = verdict,
            }
        }
    }
    for (policy, verdict) in set.policies().iter().zip(verdicts) {
        let list = match verdict {
            Verdict::Allows => &mut result.allowing,
            Verdict::Denies => &mut result.denying,
            Verdict::Silent => &mut result.silent,
        };
        list.push(policy.name.clone());
    }
    result
}
