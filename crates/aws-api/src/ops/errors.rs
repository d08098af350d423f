//! What the domain crates refuse, in AWS's names.

use logs::LogsError;
use pki::{CsrError, PkiError};
use services::{ShadowError, ShadowsError};

use crate::error::ApiError;

impl From<registry::Error> for ApiError {
    fn from(error: registry::Error) -> Self {
        use registry::Error as E;
        let text = error.to_string();
        match error {
            E::NoSuchThing { .. }
            | E::NoSuchThingType { .. }
            | E::NoSuchBillingGroup { .. }
            | E::NoSuchCertificate
            | E::NoSuchPolicy { .. }
            | E::NoSuchPolicyVersion { .. }
            | E::NoSuchResource { .. } => Self::not_found(text),
            E::ThingExists { id, arn, .. } | E::CertificateExists { id, arn } => {
                Self::already_exists(text, &id, &arn)
            }
            E::PolicyExists { name, arn } => Self::already_exists(text, &name, &arn),
            E::ThingHasPrincipals { .. } | E::DefaultPolicyVersion => Self::invalid(text),
            E::CertificateHasThings { .. }
            | E::CertificateHasPolicies { .. }
            | E::PolicyAttached { .. }
            | E::PolicyHasVersions { .. } => Self::modelled("DeleteConflictException", text),
            E::CertificateActive { .. } | E::RegistrationStatus { .. } => {
                Self::modelled("CertificateStateException", text)
            }
            E::ThingVersionConflict { .. } => Self::modelled("VersionConflictException", text),
            E::TooManyPolicyVersions { .. } => Self::modelled("VersionsLimitExceededException", text),
            E::TooManyPolicies { .. } | E::TooManyTags { .. } => {
                Self::modelled("LimitExceededException", text)
            }
            E::InvalidCertificate { .. } | E::NoSuchAuthority => {
                Self::modelled("CertificateValidationException", text)
            }
            E::MalformedPolicy(_) => Self::modelled("MalformedPolicyException", text),
            E::UpdateStatus { .. }
            | E::InvalidAttributes { .. }
            | E::ThingTypeAndRemoval
            | E::InvalidTag { .. }
            | E::NotTaggable { .. }
            | E::InvalidArn { .. }
            | E::ExclusiveElsewhere { .. }
            | E::OtherThings { .. }
            | E::InvalidCursor
            | E::Incomplete { .. }
            | E::NotAvailable { .. } => Self::invalid(text),
            E::Store(error) => error.into(),
        }
    }
}

impl From<LogsError> for ApiError {
    fn from(error: LogsError) -> Self {
        let text = error.to_string();
        match error {
            LogsError::NoSuchGroup | LogsError::NoSuchStream => Self::not_found(text),
            LogsError::GroupExists | LogsError::StreamExists => {
                Self::modelled("ResourceAlreadyExistsException", text)
            }
            LogsError::InvalidParameter(_) => Self::invalid(text),
            LogsError::LimitExceeded(_) => Self::modelled("LimitExceededException", text),
            LogsError::TooManyTags(_) => Self::modelled("TooManyTagsException", text),
            LogsError::Shortage | LogsError::Unavailable(_) => Self::unavailable(&text),
        }
    }
}

impl From<ShadowsError> for ApiError {
    fn from(error: ShadowsError) -> Self {
        let text = error.to_string();
        match error {
            ShadowsError::Refused { error: ShadowError::NotFound { .. }, .. } => Self::not_found(text),
            ShadowsError::Refused { error: ShadowError::VersionConflict, .. } => {
                Self::modelled("ConflictException", text)
            }
            ShadowsError::Refused { error: ShadowError::TooLarge, .. } => {
                Self::modelled("RequestEntityTooLargeException", text)
            }
            ShadowsError::Refused { error: ShadowError::NotUtf8, .. } => {
                Self::modelled("UnsupportedDocumentEncodingException", text)
            }
            ShadowsError::Refused { .. } | ShadowsError::InvalidName => Self::invalid(text),
            ShadowsError::Damaged { .. } => Self::internal(&text),
            ShadowsError::Store(error) => error.into(),
        }
    }
}

impl From<CsrError> for ApiError {
    fn from(error: CsrError) -> Self {
        match error {
            CsrError::Ours(error) => error.into(),
            other => Self::invalid(other.to_string()),
        }
    }
}

impl From<PkiError> for ApiError {
    fn from(error: PkiError) -> Self {
        Self::internal(&error)
    }
}
