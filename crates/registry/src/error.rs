//! Why an operation was refused. AWS's own texts where they are known.

use crate::certificates::CertificateStatus;
use iot_policy::PolicyError;
use store::AppendError;

/// Why an operation was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    // --- no such resource
    /// There is no such thing.
    #[error("Thing {name} does not exist")]
    NoSuchThing {
        /// Its name.
        name: String,
    },
    /// There is no such thing type.
    #[error("Thing type {name} does not exist")]
    NoSuchThingType {
        /// Its name.
        name: String,
    },
    /// There is no such billing group.
    #[error("Billing group {name} does not exist")]
    NoSuchBillingGroup {
        /// Its name.
        name: String,
    },
    /// There is no such certificate.
    #[error("The specified resource does not exist")]
    NoSuchCertificate,
    /// There is no such policy.
    #[error("Policy not found: {name}")]
    NoSuchPolicy {
        /// Its name.
        name: String,
    },
    /// The policy has no such version.
    #[error("Policy version not found: {name}, version {version}")]
    NoSuchPolicyVersion {
        /// The policy.
        name: String,
        /// The version as asked for.
        version: String,
    },
    /// The resource to tag does not exist.
    #[error("The specified resource does not exist: {arn}")]
    NoSuchResource {
        /// Its ARN.
        arn: String,
    },

    // --- exists already
    /// The thing exists with another configuration.
    #[error("Thing {name} already exists in account with different attributes")]
    ThingExists {
        /// Its name.
        name: String,
        /// Its thing id.
        id: String,
        /// Its ARN.
        arn: String,
    },
    /// The certificate is registered.
    #[error("The certificate is already provisioned or registered")]
    CertificateExists {
        /// Its certificate id.
        id: String,
        /// Its ARN.
        arn: String,
    },
    /// A policy of this name exists.
    #[error("Policy cannot be created - name already exists (name={name})")]
    PolicyExists {
        /// Its name.
        name: String,
        /// Its ARN.
        arn: String,
    },

    // --- in the way: remove it first
    /// A thing with principals is not deleted.
    #[error("Cannot delete. Thing {name} is still attached to one or more principals")]
    ThingHasPrincipals {
        /// The thing.
        name: String,
    },
    /// An active certificate is not deleted.
    #[error("Certificate must be deactivated (not ACTIVE) before deletion. Id: {id}")]
    CertificateActive {
        /// The certificate.
        id: String,
    },
    /// A certificate with things is not deleted, not even by force.
    #[error("Things must be detached before deletion (arn: {arn})")]
    CertificateHasThings {
        /// The certificate's ARN.
        arn: String,
    },
    /// A certificate with policies is deleted by force only.
    #[error("Certificate policies must be detached before deletion (arn: {arn})")]
    CertificateHasPolicies {
        /// The certificate's ARN.
        arn: String,
    },
    /// An attached policy is not deleted.
    #[error("The policy cannot be deleted as the policy is attached to one or more principals (name={name})")]
    PolicyAttached {
        /// The policy.
        name: String,
    },
    /// A policy with versions other than the default one is not deleted.
    #[error(
        "Cannot delete the policy because it has one or more policy versions attached to it (name={name})"
    )]
    PolicyHasVersions {
        /// The policy.
        name: String,
    },
    /// The default version is not deleted.
    #[error("Cannot delete the default version of a policy")]
    DefaultPolicyVersion,

    // --- state
    /// The thing has another version than expected.
    #[error("The version for thing {name} does not match the expected version.")]
    ThingVersionConflict {
        /// The thing.
        name: String,
    },
    /// A certificate cannot be registered with this status.
    #[error("Not allowed to register certificate with {status} status")]
    RegistrationStatus {
        /// The status asked for.
        status: CertificateStatus,
    },
    /// A certificate cannot be given this status.
    #[error("Certificate status cannot be updated to {status}")]
    UpdateStatus {
        /// The status asked for.
        status: CertificateStatus,
    },

    // --- limits
    /// A policy has its five versions.
    #[error("The policy {name} already has the maximum number of versions ({max})")]
    TooManyPolicyVersions {
        /// The policy.
        name: String,
        /// How many it may have.
        max: usize,
    },
    /// A target has its ten policies.
    #[error("The maximum number of policies ({max}) is already attached to {target}")]
    TooManyPolicies {
        /// The target's ARN.
        target: String,
        /// How many it may have.
        max: usize,
    },
    /// A resource would have more tags than it may have.
    #[error("A resource can have at most {max} tags")]
    TooManyTags {
        /// How many it may have.
        max: usize,
    },

    // --- not what it should be
    /// A certificate that cannot be read.
    #[error("The certificate is invalid: {reason}")]
    InvalidCertificate {
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate's authority is not registered: none can be yet.
    #[error(
        "The CA certificate is not registered. Registering CA certificates is not available yet; \
         RegisterCertificateWithoutCA takes certificates of any authority"
    )]
    NoSuchAuthority,
    /// A policy document that is none.
    #[error("{0}")]
    MalformedPolicy(#[from] PolicyError),
    /// An attribute or an attribute filter of a thing that is not allowed.
    #[error("{reason}")]
    InvalidAttributes {
        /// What is wrong.
        reason: String,
    },
    /// Both a thing type and its removal were asked for.
    #[error("thingTypeName and removeThingType cannot be used together")]
    ThingTypeAndRemoval,
    /// A tag that is not allowed.
    #[error("{reason}")]
    InvalidTag {
        /// What is wrong.
        reason: String,
    },
    /// Resources of this kind have no tags.
    #[error("{arn} cannot be tagged")]
    NotTaggable {
        /// The resource's ARN.
        arn: String,
    },
    /// An ARN that does not fit.
    #[error("`{arn}` is not valid here: {reason}")]
    InvalidArn {
        /// The ARN.
        arn: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The principal belongs to one thing alone.
    #[error("Principal {principal} is attached exclusively to thing {thing}")]
    ExclusiveElsewhere {
        /// The principal's ARN.
        principal: String,
        /// The thing.
        thing: String,
    },
    /// The principal has other things and cannot belong to this one alone.
    #[error("Principal {principal} is attached to other things and cannot be attached exclusively")]
    OtherThings {
        /// The principal's ARN.
        principal: String,
    },
    /// A list was asked to go on from a place that it never gave.
    #[error("The pagination token is invalid")]
    InvalidCursor,
    /// A list or question without its subject.
    #[error("{reason}")]
    Incomplete {
        /// What is missing.
        reason: &'static str,
    },
    /// A part of AWS that is not here yet.
    #[error("{what} is not available yet")]
    NotAvailable {
        /// What is not.
        what: &'static str,
    },

    // --- our fault
    /// The change could not be stored.
    #[error("the change could not be stored")]
    Store(#[from] AppendError),
}

/// Why the registry could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The state could not be read.
    #[error("the registry cannot be read")]
    Read(#[from] store::ReadError),
    /// A newer version of eyot wrote this record.
    #[error(
        "record `{key}` of `{keyspace}` is stored in format {format}, this version of eyot reads up to {known}"
    )]
    NewerFormat {
        /// Which records.
        keyspace: &'static str,
        /// Which one.
        key: String,
        /// Its format.
        format: u8,
        /// The newest we know.
        known: u8,
    },
    /// The record is not what we write.
    #[error("record `{key}` of `{keyspace}` is damaged: {reason}")]
    Damaged {
        /// Which records.
        keyspace: &'static str,
        /// Which one.
        key: String,
        /// What is wrong.
        reason: String,
    },
}
