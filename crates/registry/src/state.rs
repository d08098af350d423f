//! Everything, in memory.

use crate::certificates::Certificate;
use crate::policies::Policy;
use crate::principals::AttachmentKind;
use crate::tags::Tag;
use crate::things::Thing;
use crate::{CertificateId, Error};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

/// Names are shared between the maps: each is stored once.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) things: BTreeMap<Arc<str>, Arc<Thing>>,
    pub(crate) certificates: HashMap<CertificateId, Arc<Certificate>>,
    pub(crate) policies: HashMap<Arc<str>, Arc<Policy>>,
    /// For lists: by creation date.
    pub(crate) certificates_by_date: BTreeSet<(i64, CertificateId)>,
    pub(crate) policies_by_date: BTreeSet<(i64, Arc<str>)>,
    /// Thing attachments, from both sides.
    pub(crate) principals_of_things: BTreeMap<(Arc<str>, CertificateId), AttachmentKind>,
    pub(crate) things_of_principals: BTreeMap<(CertificateId, Arc<str>), AttachmentKind>,
    /// Policy attachments, from both sides.
    pub(crate) policies_of_targets: BTreeSet<(CertificateId, Arc<str>)>,
    pub(crate) targets_of_policies: BTreeSet<(Arc<str>, CertificateId)>,
    /// By ARN.
    pub(crate) tags: HashMap<Box<str>, Vec<Tag>>,
}

/// Smaller than every other id.
fn first_id() -> CertificateId {
    CertificateId::from_bytes([0; 32])
}

impl State {
    pub(crate) fn thing(&self, name: &str) -> Result<&Arc<Thing>, Error> {
        self.things.get(name).ok_or_else(|| Error::NoSuchThing { name: name.to_owned() })
    }

    pub(crate) fn certificate(&self, id: &CertificateId) -> Result<&Arc<Certificate>, Error> {
        self.certificates.get(id).ok_or(Error::NoSuchCertificate)
    }

    pub(crate) fn policy(&self, name: &str) -> Result<&Arc<Policy>, Error> {
        self.policies.get(name).ok_or_else(|| Error::NoSuchPolicy { name: name.to_owned() })
    }

    /// The principals of a thing, by id, behind one.
    pub(crate) fn principals_of(
        &self,
        thing: &Arc<str>,
        after: Option<CertificateId>,
    ) -> impl Iterator<Item = (CertificateId, AttachmentKind)> {
        let start = match after {
            Some(id) => Bound::Excluded((thing.clone(), id)),
            None => Bound::Included((thing.clone(), first_id())),
        };
        let range = self.principals_of_things.range((start, Bound::Unbounded));
        range.take_while(move |((name, _), _)| name == thing).map(|((_, id), kind)| (*id, *kind))
    }

    /// The things of a principal, by name, behind one.
    pub(crate) fn things_of(
        &self,
        id: CertificateId,
        after: &str,
    ) -> impl Iterator<Item = (&Arc<str>, AttachmentKind)> {
        let range = self.things_of_principals.range((Bound::Excluded((id, after.into())), Bound::Unbounded));
        range.take_while(move |((other, _), _)| *other == id).map(|((_, name), kind)| (name, *kind))
    }

    /// The policies of a target, by name, behind one.
    pub(crate) fn policies_of(&self, id: CertificateId, after: &str) -> impl Iterator<Item = &Arc<str>> {
        let range = self.policies_of_targets.range((Bound::Excluded((id, after.into())), Bound::Unbounded));
        range.take_while(move |(other, _)| *other == id).map(|(_, name)| name)
    }

    /// The targets of a policy, by id, behind one.
    pub(crate) fn targets_of(
        &self,
        policy: &Arc<str>,
        after: Option<CertificateId>,
    ) -> impl Iterator<Item = CertificateId> {
        let start = match after {
            Some(id) => Bound::Excluded((policy.clone(), id)),
            None => Bound::Included((policy.clone(), first_id())),
        };
        let range = self.targets_of_policies.range((start, Bound::Unbounded));
        range.take_while(move |(name, _)| name == policy).map(|(_, id)| *id)
    }
}
