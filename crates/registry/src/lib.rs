//! Things, certificates, policies and their attachments: who may be what.
//!
//! [`Registry`] has one method for each AWS operation, named after it. All of it is in memory: what the broker asks
//! for each connection ([`Registry::principal`]) and what the API lists never touches the disk. A change is checked,
//! appended to the journal and applied to memory under one lock; the [`Done`] that it returns says which journal
//! position makes it durable, and what live connections must learn before anybody is told that it was made.
//!
//! Nothing here knows HTTP or AWS's error names: [`Error`] has one variant for each thing that a caller can do, and
//! prints AWS's text where that is known. Names and sizes that AWS's API model constrains are checked before they
//! come here. No private key ever does.

pub mod arn;
mod attachments;
mod authorization;
mod certificates;
mod change;
mod edit;
mod error;
mod policies;
mod principal;
mod principals;
mod record;
mod registry;
mod state;
mod tags;
mod things;

pub use arn::Identity;
pub use authorization::{AuthorizationQuestion, AuthorizationResult};
pub use certificates::{Certificate, CertificateMode, CertificateStatus};
pub use change::{Change, Done, Order, Page};
pub use error::{Error, LoadError};
pub use policies::{Policy, PolicyVersion};
pub use principal::Principal;
pub use principals::{AttachmentKind, PrincipalThing, ThingPrincipal};
pub use registry::Registry;
pub use tags::Tag;
pub use things::{Thing, ThingConfig, ThingQuery, ThingUpdate};

pub use pki::CertificateId;

/// The registry's limits and why they are what they are.
pub mod limits {
    pub use crate::attachments::TARGET_POLICIES_MAX;
    pub use crate::policies::POLICY_VERSIONS_MAX;
    pub use crate::tags::{TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX, TAGS_MAX};
    pub use crate::things::{ATTRIBUTE_VALUE_CHARS_MAX, THING_ATTRIBUTES_MAX, TYPED_THING_ATTRIBUTES_MAX};
}
