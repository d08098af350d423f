//! What a certificate may be and do: all that a connection needs to know.

use crate::certificates::CertificateStatus;
use crate::principals::AttachmentKind;
use crate::state::State;
use crate::{CertificateId, Thing};
use iot_policy::{ConnectedThing, Context, NamedPolicy, PolicySet};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Weak};

/// A certificate with its status, its policies and its things, as of one epoch.
#[derive(Debug)]
pub struct Principal {
    /// The certificate.
    pub certificate_id: CertificateId,
    /// Only [`CertificateStatus::Active`] may connect.
    pub status: CertificateStatus,
    /// The policies in force.
    pub policies: PolicySet,
    things: Box<[(Arc<Thing>, AttachmentKind)]>,
    certificate_id_text: Box<str>,
}

impl Principal {
    pub(crate) fn of(state: &State, id: &CertificateId, arn_prefix: &Arc<str>) -> Option<Self> {
        let certificate = state.certificates.get(id)?;
        let policies = state.policies_of(*id, "").filter_map(|name| state.policies.get(name));
        let policies = policies
            .map(|policy| NamedPolicy {
                name: policy.name.clone(),
                version: Some(policy.default_id),
                document: policy.default_version().compiled(),
            })
            .collect();
        let things =
            state.things_of(*id, "").filter_map(|(name, kind)| Some((state.things.get(name)?, kind)));
        Some(Self {
            certificate_id: *id,
            status: certificate.status,
            policies: PolicySet::new(arn_prefix.clone(), policies),
            things: things.map(|(thing, kind)| (thing.clone(), kind)).collect(),
            certificate_id_text: id.to_string().into(),
        })
    }

    /// Whether the certificate may be used to connect.
    pub fn is_active(&self) -> bool {
        self.status == CertificateStatus::Active
    }

    /// The names of the things it is attached to.
    pub fn thing_names(&self) -> impl Iterator<Item = &str> {
        self.things.iter().map(|(thing, _)| &*thing.name)
    }

    /// The thing that a connection with this client id stands for.
    ///
    /// [AWS iot thing-policy-variables] The one named like the client id; a principal that belongs to one thing
    /// exclusively stands for it with any client id.
    pub fn thing(&self, client_id: &str) -> Option<&Arc<Thing>> {
        let named = self.things.iter().find(|(thing, _)| &*thing.name == client_id);
        let exclusive = || self.things.iter().find(|(_, kind)| *kind == AttachmentKind::Exclusive);
        named.or_else(exclusive).map(|(thing, _)| thing)
    }

    /// What policies may know about a connection with this client id.
    pub fn context<'a>(&'a self, client_id: &'a str, source_ip: Option<IpAddr>) -> Context<'a> {
        let thing = self.thing(client_id).map(|thing| ConnectedThing {
            name: &thing.name,
            type_name: thing.type_name.as_deref(),
            attributes: &thing.attributes,
        });
        Context {
            client_id: Some(client_id),
            certificate_id: Some(&self.certificate_id_text),
            source_ip,
            thing,
            ..Context::default()
        }
    }
}

/// Principals that somebody holds.
#[derive(Debug, Default)]
pub(crate) struct PrincipalCache {
    held: HashMap<CertificateId, Weak<Principal>>,
    /// When `held` has grown to this, entries that nobody holds any more are removed.
    prune_at: usize,
}

/// Below this a cache is not worth pruning.
const PRUNE_AT_LEAST: usize = 1024;

impl PrincipalCache {
    pub(crate) fn get(&self, id: &CertificateId) -> Option<Arc<Principal>> {
        self.held.get(id)?.upgrade()
    }

    pub(crate) fn insert(&mut self, principal: &Arc<Principal>) {
        if self.held.len() >= self.prune_at.max(PRUNE_AT_LEAST) {
            self.held.retain(|_, principal| principal.strong_count() > 0);
            self.prune_at = self.held.len() * 2;
        }
        self.held.insert(principal.certificate_id, Arc::downgrade(principal));
    }

    pub(crate) fn remove(&mut self, ids: &[CertificateId]) {
        for id in ids {
            self.held.remove(id);
        }
    }
}
