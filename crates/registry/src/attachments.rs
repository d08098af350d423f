//! Policies attached to targets: the current operations and the legacy principal-policy family.

use crate::change::{Change, Done, Page};
use crate::edit::Edit;
use crate::policies::Policy;
use crate::principals::certificate_cursor;
use crate::registry::{Plan, Registry};
use crate::{CertificateId, Error, Order};
use std::sync::Arc;

/// Most policies of a target. [AWS iot-limits]
pub const TARGET_POLICIES_MAX: usize = 10;

impl Registry {
    /// AttachPolicy and AttachPrincipalPolicy. What is attached stays so.
    ///
    /// # Errors
    /// [`Error::NoSuchPolicy`], [`Error::NoSuchCertificate`], [`Error::TooManyPolicies`], and those of
    /// [`Identity::policy_target`](crate::Identity::policy_target).
    pub fn attach_policy(&self, policy: &str, target: &str) -> Result<Done<()>, Error> {
        let id = self.identity().policy_target(target)?;
        self.change(|state| {
            let name = state.policy(policy)?.name.clone();
            state.certificate(&id)?;
            if state.policies_of_targets.contains(&(id, name.clone())) {
                return Ok(Plan::nothing(()));
            }
            if state.policies_of(id, "").count() >= TARGET_POLICIES_MAX {
                return Err(Error::TooManyPolicies { target: target.to_owned(), max: TARGET_POLICIES_MAX });
            }
            Ok(Plan {
                value: (),
                edits: vec![Edit::AttachPolicy(id, name)],
                change: Change::of_principals(vec![id]),
            })
        })
    }

    /// DetachPolicy and DetachPrincipalPolicy. What is not attached is detached.
    ///
    /// # Errors
    /// [`Error::NoSuchPolicy`], [`Error::NoSuchCertificate`], and those of
    /// [`Identity::policy_target`](crate::Identity::policy_target).
    pub fn detach_policy(&self, policy: &str, target: &str) -> Result<Done<()>, Error> {
        let id = self.identity().policy_target(target)?;
        self.change(|state| {
            let name = state.policy(policy)?.name.clone();
            state.certificate(&id)?;
            if !state.policies_of_targets.contains(&(id, name.clone())) {
                return Ok(Plan::nothing(()));
            }
            Ok(Plan {
                value: (),
                edits: vec![Edit::DetachPolicy(id, name)],
                change: Change::of_principals(vec![id]),
            })
        })
    }

    /// ListAttachedPolicies, by name. (`recursive` concerns thing groups.)
    ///
    /// # Errors
    /// [`Error::NoSuchCertificate`], and those of [`Identity::policy_target`](crate::Identity::policy_target).
    pub fn list_attached_policies(
        &self,
        target: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Arc<Policy>>, Error> {
        let id = self.identity().policy_target(target)?;
        let state = self.read();
        state.certificate(&id)?;
        let policies =
            state.policies_of(id, after.unwrap_or("")).filter_map(|name| state.policies.get(name).cloned());
        Ok(Page::take(policies, limit, |policy| policy.name.to_string()))
    }

    /// ListPrincipalPolicies: like ListAttachedPolicies, in either order.
    ///
    /// # Errors
    /// As [`list_attached_policies`](Registry::list_attached_policies).
    pub fn list_principal_policies(
        &self,
        principal: &str,
        order: Order,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Arc<Policy>>, Error> {
        if order == Order::Ascending {
            return self.list_attached_policies(principal, after, limit);
        }
        let id = self.identity().policy_target(principal)?;
        let state = self.read();
        state.certificate(&id)?;
        // At most ten.
        let names: Vec<&Arc<str>> = state.policies_of(id, "").collect();
        let before = names.into_iter().rev().filter(|name| after.is_none_or(|after| &***name < after));
        let policies = before.filter_map(|name| state.policies.get(name).cloned());
        Ok(Page::take(policies, limit, |policy| policy.name.to_string()))
    }

    /// ListTargetsForPolicy: ARNs, by certificate id.
    ///
    /// # Errors
    /// [`Error::NoSuchPolicy`], [`Error::InvalidCursor`].
    pub fn list_targets_for_policy(
        &self,
        policy: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<String>, Error> {
        self.list_policy_principals(policy, Order::Ascending, after, limit)
    }

    /// ListPolicyPrincipals: like ListTargetsForPolicy, in either order.
    ///
    /// # Errors
    /// [`Error::NoSuchPolicy`], [`Error::InvalidCursor`].
    pub fn list_policy_principals(
        &self,
        policy: &str,
        order: Order,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<String>, Error> {
        let after = certificate_cursor(after)?;
        let state = self.read();
        let name = &state.policy(policy)?.name;
        let cursor = |id: &CertificateId| id.to_string();
        let page = match order {
            Order::Ascending => Page::take(state.targets_of(name, after), limit, cursor),
            Order::Descending => {
                let end = (name.clone(), after.unwrap_or(CertificateId::from_bytes([0xff; 32])));
                let range = state.targets_of_policies.range(..=end).rev();
                let ids = range.take_while(|(other, _)| other == name).map(|(_, id)| *id);
                Page::take(ids.filter(|id| Some(*id) != after), limit, cursor)
            }
        };
        Ok(page.map(|id| self.identity().certificate_arn(&id)))
    }

    /// GetEffectivePolicies: what is in force for a principal, for a thing's groups, or for both.
    ///
    /// # Errors
    /// [`Error::NoSuchCertificate`], [`Error::NoSuchThing`], [`Error::Incomplete`] without any of the two, and those
    /// of [`Identity::policy_target`](crate::Identity::policy_target).
    pub fn get_effective_policies(
        &self,
        principal: Option<&str>,
        thing: Option<&str>,
    ) -> Result<Vec<Arc<Policy>>, Error> {
        if principal.is_none() && thing.is_none() {
            return Err(Error::Incomplete { reason: "A principal or a thing name is required" });
        }
        let id = principal.map(|principal| self.identity().policy_target(principal)).transpose()?;
        let state = self.read();
        if let Some(thing) = thing {
            state.thing(thing)?;
        }
        let Some(id) = id else { return Ok(Vec::new()) };
        state.certificate(&id)?;
        Ok(state.policies_of(id, "").filter_map(|name| state.policies.get(name).cloned()).collect())
    }
}
