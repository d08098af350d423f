//! AttachThingPrincipal, DetachThingPrincipal, and the lists of both sides, V1 and V2.

use crate::change::{Change, Done, Page};
use crate::edit::Edit;
use crate::registry::{Plan, Registry};
use crate::{CertificateId, Error};
use std::sync::Arc;

/// How a principal is attached to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AttachmentKind {
    /// `NON_EXCLUSIVE_THING`: it may have other things too.
    #[default]
    NonExclusive,
    /// `EXCLUSIVE_THING`: it has no other thing.
    Exclusive,
}

impl AttachmentKind {
    /// As AWS writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NonExclusive => "NON_EXCLUSIVE_THING",
            Self::Exclusive => "EXCLUSIVE_THING",
        }
    }

    /// Reads AWS's name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::NonExclusive, Self::Exclusive].into_iter().find(|kind| kind.name() == name)
    }
}

/// A principal of a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThingPrincipal {
    /// The certificate.
    pub certificate_id: CertificateId,
    /// Its ARN.
    pub principal: String,
    /// How it is attached.
    pub kind: AttachmentKind,
}

/// A thing of a principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalThing {
    /// Its name.
    pub thing_name: Arc<str>,
    /// How it is attached.
    pub kind: AttachmentKind,
}

impl Registry {
    /// AttachThingPrincipal. `kind` is `None` when the caller did not say: then an attachment stays as it is.
    ///
    /// # Errors
    /// [`Error::NoSuchThing`], [`Error::NoSuchCertificate`], [`Error::ExclusiveElsewhere`], [`Error::OtherThings`],
    /// and those of [`Identity::principal`](crate::Identity::principal).
    pub fn attach_thing_principal(
        &self,
        thing: &str,
        principal: &str,
        kind: Option<AttachmentKind>,
    ) -> Result<Done<()>, Error> {
        let id = self.identity().principal(principal)?;
        self.change(|state| {
            let name = state.thing(thing)?.name.clone();
            state.certificate(&id)?;
            let present = state.things_of_principals.get(&(id, name.clone())).copied();
            let wanted = kind.or(present).unwrap_or_default();
            if present == Some(wanted) {
                return Ok(Plan::nothing(()));
            }
            for (other, other_kind) in state.things_of(id, "").filter(|(other, _)| **other != name) {
                if other_kind == AttachmentKind::Exclusive {
                    return Err(Error::ExclusiveElsewhere {
                        principal: principal.to_owned(),
                        thing: other.to_string(),
                    });
                }
                if wanted == AttachmentKind::Exclusive {
                    return Err(Error::OtherThings { principal: principal.to_owned() });
                }
            }
            Ok(Plan {
                value: (),
                edits: vec![Edit::AttachPrincipal(id, name, wanted)],
                change: Change::of_principals(vec![id]),
            })
        })
    }

    /// DetachThingPrincipal. What is not attached is detached.
    ///
    /// # Errors
    /// [`Error::NoSuchThing`], [`Error::NoSuchCertificate`], and those of
    /// [`Identity::principal`](crate::Identity::principal).
    pub fn detach_thing_principal(&self, thing: &str, principal: &str) -> Result<Done<()>, Error> {
        let id = self.identity().principal(principal)?;
        self.change(|state| {
            let name = state.thing(thing)?.name.clone();
            state.certificate(&id)?;
            if !state.things_of_principals.contains_key(&(id, name.clone())) {
                return Ok(Plan::nothing(()));
            }
            Ok(Plan {
                value: (),
                edits: vec![Edit::DetachPrincipal(id, name)],
                change: Change::of_principals(vec![id]),
            })
        })
    }

    /// ListThingPrincipals and ListThingPrincipalsV2, by certificate id. `kind`: only attachments of that kind.
    ///
    /// # Errors
    /// [`Error::NoSuchThing`], [`Error::InvalidCursor`].
    pub fn list_thing_principals(
        &self,
        thing: &str,
        kind: Option<AttachmentKind>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<ThingPrincipal>, Error> {
        let after = certificate_cursor(after)?;
        let state = self.read();
        let name = &state.thing(thing)?.name;
        let principals =
            state.principals_of(name, after).filter(|(_, other)| kind.is_none_or(|kind| kind == *other));
        let page = Page::take(principals, limit, |(id, _)| id.to_string());
        Ok(page.map(|(id, kind)| ThingPrincipal {
            certificate_id: id,
            principal: self.identity().certificate_arn(&id),
            kind,
        }))
    }

    /// ListPrincipalThings and ListPrincipalThingsV2, by name. `kind`: only attachments of that kind.
    ///
    /// # Errors
    /// [`Error::NoSuchCertificate`], and those of [`Identity::principal`](crate::Identity::principal).
    pub fn list_principal_things(
        &self,
        principal: &str,
        kind: Option<AttachmentKind>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<PrincipalThing>, Error> {
        let id = self.identity().principal(principal)?;
        let state = self.read();
        state.certificate(&id)?;
        let things = state
            .things_of(id, after.unwrap_or(""))
            .filter(|(_, other)| kind.is_none_or(|kind| kind == *other));
        let things = things.map(|(name, kind)| PrincipalThing { thing_name: name.clone(), kind });
        Ok(Page::take(things, limit, |thing| thing.thing_name.to_string()))
    }
}

/// Reads a cursor that is a certificate id.
pub(crate) fn certificate_cursor(after: Option<&str>) -> Result<Option<CertificateId>, Error> {
    after.map(CertificateId::parse).transpose().map_err(|_| Error::InvalidCursor)
}
