//! Policies and their versions.

use crate::Error;
use crate::change::{Change, Done, Order, Page};
use crate::edit::Edit;
use crate::registry::{Plan, Registry};
use crate::state::State;
use crate::tags::{self, Tag};
use iot_policy::PolicyDocument;
use std::ops::Bound;
use std::sync::{Arc, OnceLock};
use uuid::Uuid;

/// Most versions of a policy at a time. [AWS iot-limits]
pub const POLICY_VERSIONS_MAX: usize = 5;

/// A policy with its versions.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Unique, and case-sensitive.
    pub name: Arc<str>,
    /// When it was created.
    pub created_ms: i64,
    /// When a version was last added, removed or made the default.
    pub modified_ms: i64,
    /// Another one when a policy of this name is created anew.
    pub generation_id: Uuid,
    /// The version in force.
    pub default_id: u32,
    /// The highest id that was ever given out: ids are not used again.
    pub(crate) last_id: u32,
    /// By id, lowest first.
    pub versions: Vec<PolicyVersion>,
}

/// A version of a policy.
#[derive(Debug, Clone)]
pub struct PolicyVersion {
    /// From 1.
    pub id: u32,
    /// When it was created.
    pub created_ms: i64,
    /// As it was given, to the byte.
    pub document: Arc<str>,
    /// Compiled when it is first in force: most versions never are after a start.
    compiled: OnceLock<Arc<PolicyDocument>>,
}

impl Policy {
    /// A version by its id.
    pub fn version(&self, id: u32) -> Option<&PolicyVersion> {
        self.versions.iter().find(|version| version.id == id)
    }

    /// The version in force.
    pub fn default_version(&self) -> &PolicyVersion {
        self.version(self.default_id).expect("a policy has its default version")
    }

    fn known_version(&self, id: &str) -> Result<&PolicyVersion, Error> {
        let found = id.parse().ok().and_then(|id| self.version(id));
        found
            .ok_or_else(|| Error::NoSuchPolicyVersion { name: self.name.to_string(), version: id.to_owned() })
    }
}

impl PolicyVersion {
    pub(crate) fn new(id: u32, document: String, created_ms: i64) -> Self {
        Self { id, created_ms, document: document.into(), compiled: OnceLock::new() }
    }

    pub(crate) fn compiled(&self) -> Arc<PolicyDocument> {
        let compile = || {
            let document = PolicyDocument::parse(&self.document).unwrap_or_else(|error| {
                // It was accepted once, so this is a newer, stricter version of eyot: close everything.
                tracing::error!(%error, "a stored policy is not accepted any more; it denies everything");
                PolicyDocument::deny_all()
            });
            Arc::new(document)
        };
        self.compiled.get_or_init(compile).clone()
    }
}

impl Registry {
    /// CreatePolicy. Its first version is 1 and in force.
    ///
    /// # Errors
    /// [`Error::MalformedPolicy`], [`Error::PolicyExists`], and those of the tags.
    pub fn create_policy(
        &self,
        name: &str,
        document: &str,
        tags: Vec<Tag>,
        now_ms: i64,
    ) -> Result<Done<Arc<Policy>>, Error> {
        PolicyDocument::parse(document)?;
        let tags = tags::merged(&[], tags)?;
        self.change(|state| {
            let arn = self.identity().policy_arn(name);
            if state.policies.contains_key(name) {
                return Err(Error::PolicyExists { name: name.to_owned(), arn });
            }
            let policy = Arc::new(Policy {
                name: name.into(),
                created_ms: now_ms,
                modified_ms: now_ms,
                generation_id: Uuid::new_v4(),
                default_id: 1,
                last_id: 1,
                versions: vec![PolicyVersion::new(1, document.to_owned(), now_ms)],
            });
            let mut edits = vec![Edit::PutPolicy(policy.clone())];
            if !tags.is_empty() {
                edits.push(Edit::PutTags(tag_key(name), tags));
            }
            Ok(Plan::quiet(policy, edits))
        })
    }

    /// GetPolicy, ListPolicyVersions, GetPolicyVersion: the policy with everything.
    ///
    /// # Errors
    /// [`Error::NoSuchPolicy`].
    pub fn get_policy(&self, name: &str) -> Result<Arc<Policy>, Error> {
        self.read().policy(name).cloned()
    }

    /// GetPolicyVersion: the policy and one of its versions.
    ///
    /// # Errors
    /// [`Error::NoSuchPolicy`], [`Error::NoSuchPolicyVersion`].
    pub fn get_policy_version(
        &self,
        name: &str,
        version: &str,
    ) -> Result<(Arc<Policy>, PolicyVersion), Error> {
        let policy = self.get_policy(name)?;
        let version = policy.known_version(version)?.clone();
        Ok((policy, version))
    }

    /// CreatePolicyVersion. Returns the policy with the new version, whose id is the highest.
    ///
    /// # Errors
    /// [`Error::MalformedPolicy`], [`Error::NoSuchPolicy`], [`Error::TooManyPolicyVersions`].
    pub fn create_policy_version(
        &self,
        name: &str,
        document: &str,
        set_as_default: bool,
        now_ms: i64,
    ) -> Result<Done<(Arc<Policy>, PolicyVersion)>, Error> {
        PolicyDocument::parse(document)?;
        self.change(|state| {
            let policy = state.policy(name)?;
            if policy.versions.len() >= POLICY_VERSIONS_MAX {
                return Err(Error::TooManyPolicyVersions { name: name.to_owned(), max: POLICY_VERSIONS_MAX });
            }
            let mut changed = (**policy).clone();
            changed.last_id += 1;
            changed.modified_ms = now_ms;
            let version = PolicyVersion::new(changed.last_id, document.to_owned(), now_ms);
            changed.versions.push(version.clone());
            if set_as_default {
                changed.default_id = version.id;
            }
            let plan = put(state, changed, set_as_default);
            Ok(Plan { value: (plan.value, version), edits: plan.edits, change: plan.change })
        })
    }

    /// SetDefaultPolicyVersion.
    ///
    /// # Errors
    /// [`Error::NoSuchPolicy`], [`Error::NoSuchPolicyVersion`].
    pub fn set_default_policy_version(
        &self,
        name: &str,
        version: &str,
        now_ms: i64,
    ) -> Result<Done<()>, Error> {
        self.change(|state| {
            let policy = state.policy(name)?;
            let default_id = policy.known_version(version)?.id;
            if default_id == policy.default_id {
                return Ok(Plan::nothing(()));
            }
            let changed = Policy { default_id, modified_ms: now_ms, ..(**policy).clone() };
            Ok(put(state, changed, true).map(|_| ()))
        })
    }

    /// DeletePolicyVersion.
    ///
    /// # Errors
    /// [`Error::NoSuchPolicy`], [`Error::NoSuchPolicyVersion`], [`Error::DefaultPolicyVersion`].
    pub fn delete_policy_version(&self, name: &str, version: &str, now_ms: i64) -> Result<Done<()>, Error> {
        self.change(|state| {
            let policy = state.policy(name)?;
            let id = policy.known_version(version)?.id;
            if id == policy.default_id {
                return Err(Error::DefaultPolicyVersion);
            }
            let mut changed = Policy { modified_ms: now_ms, ..(**policy).clone() };
            changed.versions.retain(|version| version.id != id);
            Ok(put(state, changed, false).map(|_| ()))
        })
    }

    /// DeletePolicy, with its tags.
    ///
    /// # Errors
    /// [`Error::NoSuchPolicy`], [`Error::PolicyAttached`], [`Error::PolicyHasVersions`].
    pub fn delete_policy(&self, name: &str) -> Result<Done<()>, Error> {
        self.change(|state| {
            let policy = state.policy(name)?;
            if state.targets_of(&policy.name, None).next().is_some() {
                return Err(Error::PolicyAttached { name: name.to_owned() });
            }
            if policy.versions.len() > 1 {
                return Err(Error::PolicyHasVersions { name: name.to_owned() });
            }
            let mut edits = vec![Edit::DeletePolicy(policy.name.clone())];
            if state.tags.contains_key(&tag_key(name)) {
                edits.push(Edit::PutTags(tag_key(name), Vec::new()));
            }
            Ok(Plan::quiet((), edits))
        })
    }

    /// ListPolicies, by creation date.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`].
    pub fn list_policies(
        &self,
        order: Order,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Arc<Policy>>, Error> {
        let after = after.map(read_cursor).transpose()?;
        let state = self.read();
        let places = &state.policies_by_date;
        let found = |(_, name): &(i64, Arc<str>)| state.policies.get(name).cloned();
        let cursor = |policy: &Arc<Policy>| format!("{}:{}", policy.created_ms, policy.name);
        Ok(match order {
            Order::Ascending => {
                let start = after.map_or(Bound::Unbounded, Bound::Excluded);
                Page::take(places.range((start, Bound::Unbounded)).filter_map(found), limit, cursor)
            }
            Order::Descending => {
                let end = after.map_or(Bound::Unbounded, Bound::Excluded);
                Page::take(places.range((Bound::Unbounded, end)).rev().filter_map(found), limit, cursor)
            }
        })
    }
}

/// Puts a changed policy. When its default changed, its targets must learn that.
fn put(state: &State, changed: Policy, default_changed: bool) -> Plan<Arc<Policy>> {
    let targets = if default_changed { state.targets_of(&changed.name, None).collect() } else { Vec::new() };
    let policy = Arc::new(changed);
    Plan {
        value: policy.clone(),
        edits: vec![Edit::PutPolicy(policy)],
        change: Change::of_principals(targets),
    }
}

fn read_cursor(cursor: &str) -> Result<(i64, Arc<str>), Error> {
    let (date, name) = cursor.split_once(':').ok_or(Error::InvalidCursor)?;
    Ok((date.parse().map_err(|_| Error::InvalidCursor)?, name.into()))
}

/// Under what a policy's tags are kept.
fn tag_key(name: &str) -> Box<str> {
    format!("policy/{name}").into()
}
