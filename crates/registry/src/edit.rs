//! The steps that every change consists of: each knows its record and what it does to memory.
//!
//! Loading applies the same steps, made from the records. So memory after a start is what it was before, by the same
//! code.

use crate::certificates::Certificate;
use crate::policies::Policy;
use crate::principals::AttachmentKind;
use crate::state::State;
use crate::tags::Tag;
use crate::things::Thing;
use crate::{CertificateId, LoadError, record};
use std::sync::Arc;
use store::{Keyspace, Store, Transaction};

const THINGS: Keyspace = Keyspace("things");
const CERTIFICATES: Keyspace = Keyspace("certificates");
const POLICIES: Keyspace = Keyspace("policies");
/// Certificate id, then the thing's name.
const THING_PRINCIPALS: Keyspace = Keyspace("thing_principals");
/// Certificate id, then the policy's name.
const POLICY_TARGETS: Keyspace = Keyspace("policy_targets");
const TAGS: Keyspace = Keyspace("tags");

/// One step of a change.
#[derive(Debug)]
pub(crate) enum Edit {
    PutThing(Arc<Thing>),
    DeleteThing(Arc<str>),
    PutCertificate(Arc<Certificate>),
    DeleteCertificate(CertificateId),
    PutPolicy(Arc<Policy>),
    DeletePolicy(Arc<str>),
    AttachPrincipal(CertificateId, Arc<str>, AttachmentKind),
    DetachPrincipal(CertificateId, Arc<str>),
    AttachPolicy(CertificateId, Arc<str>),
    DetachPolicy(CertificateId, Arc<str>),
    /// An empty list removes the entry.
    PutTags(Box<str>, Vec<Tag>),
}

impl Edit {
    pub(crate) fn write(&self, transaction: &mut Transaction) {
        match self {
            Self::PutThing(thing) => transaction.put(THINGS, &*thing.name, record::thing(thing)),
            Self::DeleteThing(name) => transaction.delete(THINGS, &**name),
            Self::PutCertificate(certificate) => {
                transaction.put(CERTIFICATES, certificate.id.as_bytes(), record::certificate(certificate))
            }
            Self::DeleteCertificate(id) => transaction.delete(CERTIFICATES, id.as_bytes()),
            Self::PutPolicy(policy) => transaction.put(POLICIES, &*policy.name, record::policy(policy)),
            Self::DeletePolicy(name) => transaction.delete(POLICIES, &**name),
            Self::AttachPrincipal(id, thing, kind) => {
                transaction.put(THING_PRINCIPALS, pair_key(id, thing), record::attachment(*kind))
            }
            Self::DetachPrincipal(id, thing) => transaction.delete(THING_PRINCIPALS, pair_key(id, thing)),
            Self::AttachPolicy(id, policy) => {
                transaction.put(POLICY_TARGETS, pair_key(id, policy), [record::FORMAT])
            }
            Self::DetachPolicy(id, policy) => transaction.delete(POLICY_TARGETS, pair_key(id, policy)),
            Self::PutTags(arn, tags) if tags.is_empty() => transaction.delete(TAGS, arn.as_bytes()),
            Self::PutTags(arn, tags) => transaction.put(TAGS, arn.as_bytes(), record::tags(tags)),
        };
    }

    pub(crate) fn apply(self, state: &mut State) {
        match self {
            Self::PutThing(thing) => {
                state.things.insert(thing.name.clone(), thing);
            }
            Self::DeleteThing(name) => {
                state.things.remove(&name);
            }
            Self::PutCertificate(certificate) => {
                state.certificates_by_date.insert((certificate.created_ms, certificate.id));
                state.certificates.insert(certificate.id, certificate);
            }
            Self::DeleteCertificate(id) => {
                if let Some(certificate) = state.certificates.remove(&id) {
                    state.certificates_by_date.remove(&(certificate.created_ms, id));
                }
            }
            Self::PutPolicy(policy) => {
                state.policies_by_date.insert((policy.created_ms, policy.name.clone()));
                state.policies.insert(policy.name.clone(), policy);
            }
            Self::DeletePolicy(name) => {
                if let Some(policy) = state.policies.remove(&name) {
                    state.policies_by_date.remove(&(policy.created_ms, name));
                }
            }
            Self::AttachPrincipal(id, thing, kind) => {
                state.principals_of_things.insert((thing.clone(), id), kind);
                state.things_of_principals.insert((id, thing), kind);
            }
            Self::DetachPrincipal(id, thing) => {
                state.principals_of_things.remove(&(thing.clone(), id));
                state.things_of_principals.remove(&(id, thing));
            }
            Self::AttachPolicy(id, policy) => {
                state.targets_of_policies.insert((policy.clone(), id));
                state.policies_of_targets.insert((id, policy));
            }
            Self::DetachPolicy(id, policy) => {
                state.targets_of_policies.remove(&(policy.clone(), id));
                state.policies_of_targets.remove(&(id, policy));
            }
            Self::PutTags(arn, tags) if tags.is_empty() => {
                state.tags.remove(&arn);
            }
            Self::PutTags(arn, tags) => {
                state.tags.insert(arn, tags);
            }
        }
    }
}

/// Reads everything that is stored.
pub(crate) fn load(store: &Store) -> Result<State, LoadError> {
    let mut state = State::default();
    for (key, value) in store.scan(THINGS, b"")? {
        Edit::PutThing(Arc::new(record::read_thing(THINGS.0, &key, &value)?)).apply(&mut state);
    }
    for (key, value) in store.scan(CERTIFICATES, b"")? {
        let certificate = record::read_certificate(CERTIFICATES.0, &key, &value)?;
        Edit::PutCertificate(Arc::new(certificate)).apply(&mut state);
    }
    for (key, value) in store.scan(POLICIES, b"")? {
        Edit::PutPolicy(Arc::new(record::read_policy(POLICIES.0, &key, &value)?)).apply(&mut state);
    }
    for (key, value) in store.scan(THING_PRINCIPALS, b"")? {
        let (id, name) = read_pair_key(THING_PRINCIPALS, &key)?;
        let kind = record::read_attachment(THING_PRINCIPALS.0, &key, &value)?;
        let known = state.things.get_key_value(&*name).map(|(name, _)| name.clone());
        match known.filter(|_| state.certificates.contains_key(&id)) {
            Some(name) => Edit::AttachPrincipal(id, name, kind).apply(&mut state),
            None => dangling(THING_PRINCIPALS, &id, &name),
        }
    }
    for (key, value) in store.scan(POLICY_TARGETS, b"")? {
        let (id, name) = read_pair_key(POLICY_TARGETS, &key)?;
        record::check_format(POLICY_TARGETS.0, &key, &value)?;
        let known = state.policies.get_key_value(&*name).map(|(name, _)| name.clone());
        match known.filter(|_| state.certificates.contains_key(&id)) {
            Some(name) => Edit::AttachPolicy(id, name).apply(&mut state),
            None => dangling(POLICY_TARGETS, &id, &name),
        }
    }
    for (key, value) in store.scan(TAGS, b"")? {
        let (arn, tags) = record::read_tags(TAGS.0, &key, &value)?;
        Edit::PutTags(arn, tags).apply(&mut state);
    }
    Ok(state)
}

/// After a full disk lost one change but not the next, an attachment can be there without its ends. It gives nobody
/// anything.
fn dangling(keyspace: Keyspace, id: &CertificateId, name: &str) {
    tracing::warn!(keyspace = keyspace.0, certificate = %id, name, "ignored an attachment to something that is gone");
}

fn pair_key(id: &CertificateId, name: &str) -> Vec<u8> {
    let mut key = id.as_bytes().to_vec();
    key.extend_from_slice(name.as_bytes());
    key
}

fn read_pair_key(keyspace: Keyspace, key: &[u8]) -> Result<(CertificateId, String), LoadError> {
    let read = || {
        let (id, name) = key.split_first_chunk::<32>()?;
        Some((CertificateId::from_bytes(*id), std::str::from_utf8(name).ok()?.to_owned()))
    };
    read().ok_or_else(|| record::damaged(keyspace.0, key, "its key is too short or no text"))
}
