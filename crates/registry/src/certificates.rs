//! Certificates: registered, described, activated, deleted. Their keys are never here.

use crate::change::{Change, Done, Order, Page};
use crate::edit::Edit;
use crate::registry::{Plan, Registry};
use crate::{CertificateId, Error};
use pki::{CertificateInfo, Issued};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use uuid::Uuid;

/// Whether a certificate may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CertificateStatus {
    /// It may connect. Nothing else may.
    Active,
    /// It may be activated.
    Inactive,
    /// It was withdrawn.
    Revoked,
    /// On its way to another account.
    PendingTransfer,
    /// An old name of `Inactive`.
    RegisterInactive,
    /// Registered by its first connection, and waits for activation.
    PendingActivation,
}

impl CertificateStatus {
    const ALL: [Self; 6] = [
        Self::Active,
        Self::Inactive,
        Self::Revoked,
        Self::PendingTransfer,
        Self::RegisterInactive,
        Self::PendingActivation,
    ];

    /// As AWS writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::Revoked => "REVOKED",
            Self::PendingTransfer => "PENDING_TRANSFER",
            Self::RegisterInactive => "REGISTER_INACTIVE",
            Self::PendingActivation => "PENDING_ACTIVATION",
        }
    }

    /// Reads AWS's name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    fn is_pending(self) -> bool {
        matches!(self, Self::PendingTransfer | Self::PendingActivation)
    }
}

impl fmt::Display for CertificateStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a certificate was registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CertificateMode {
    /// Issued here, or by a registered authority.
    Default,
    /// Registered without its authority.
    SniOnly,
}

impl CertificateMode {
    /// As AWS writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "DEFAULT",
            Self::SniOnly => "SNI_ONLY",
        }
    }
}

/// A registered certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of the DER bytes.
    pub id: CertificateId,
    /// The certificate itself.
    pub der: Box<[u8]>,
    /// Whether it may be used.
    pub status: CertificateStatus,
    /// How it was registered.
    pub mode: CertificateMode,
    /// When it was registered.
    pub created_ms: i64,
    /// When its status was last set.
    pub modified_ms: i64,
    /// First second of validity, in seconds since 1970.
    pub not_before: i64,
    /// Last second of validity, in seconds since 1970.
    pub not_after: i64,
    /// 1 when it is registered, one more with each update.
    pub customer_version: u32,
    /// Another one when it is registered anew.
    pub generation_id: Uuid,
}

impl Certificate {
    /// The certificate as PEM.
    pub fn pem(&self) -> String {
        pki::to_pem("CERTIFICATE", &self.der)
    }
}

impl Registry {
    /// CreateKeysAndCertificate and CreateCertificateFromCsr, behind the signing.
    ///
    /// # Errors
    /// [`Error::InvalidCertificate`] and [`Error::CertificateExists`], which fresh certificates do not meet.
    pub fn register_issued_certificate(
        &self,
        issued: &Issued,
        is_active: bool,
        now_ms: i64,
    ) -> Result<Done<Arc<Certificate>>, Error> {
        let status = if is_active { CertificateStatus::Active } else { CertificateStatus::Inactive };
        self.register(read(&issued.der)?, status, CertificateMode::Default, now_ms)
    }

    /// RegisterCertificateWithoutCA.
    ///
    /// # Errors
    /// [`Error::InvalidCertificate`], [`Error::CertificateExists`], [`Error::RegistrationStatus`].
    pub fn register_certificate_without_ca(
        &self,
        pem: &str,
        status: Option<CertificateStatus>,
        now_ms: i64,
    ) -> Result<Done<Arc<Certificate>>, Error> {
        let status = registration_status(status)?;
        self.register(read(pem.as_bytes())?, status, CertificateMode::SniOnly, now_ms)
    }

    /// RegisterCertificate. There are no registered authorities yet, so it refuses, after the other checks.
    ///
    /// # Errors
    /// [`Error::InvalidCertificate`], [`Error::RegistrationStatus`], [`Error::CertificateExists`], and in the end
    /// [`Error::NoSuchAuthority`].
    pub fn register_certificate(
        &self,
        pem: &str,
        ca_pem: Option<&str>,
        status: Option<CertificateStatus>,
    ) -> Result<Done<Arc<Certificate>>, Error> {
        registration_status(status)?;
        let info = read(pem.as_bytes())?;
        if let Some(ca_pem) = ca_pem {
            read(ca_pem.as_bytes())?;
        }
        if self.read().certificates.contains_key(&info.id) {
            return Err(self.exists(&info.id));
        }
        Err(Error::NoSuchAuthority)
    }

    /// DescribeCertificate.
    ///
    /// # Errors
    /// [`Error::NoSuchCertificate`].
    pub fn describe_certificate(&self, id: &CertificateId) -> Result<Arc<Certificate>, Error> {
        self.read().certificate(id).cloned()
    }

    /// UpdateCertificate. A certificate that leaves ACTIVE loses its connections.
    ///
    /// # Errors
    /// [`Error::NoSuchCertificate`], [`Error::UpdateStatus`].
    pub fn update_certificate(
        &self,
        id: &CertificateId,
        status: CertificateStatus,
        now_ms: i64,
    ) -> Result<Done<()>, Error> {
        self.change(|state| {
            let certificate = state.certificate(id)?;
            if status.is_pending() {
                return Err(Error::UpdateStatus { status });
            }
            let updated = Certificate {
                status,
                modified_ms: now_ms,
                customer_version: certificate.customer_version + 1,
                ..(**certificate).clone()
            };
            let mut change = Change::none();
            if status != certificate.status {
                change = Change::of_principals(vec![*id]);
            }
            // Also when it was so before: who asks again wants to be sure that nobody is connected.
            if status != CertificateStatus::Active {
                change.dropped = vec![*id];
            }
            Ok(Plan { value: (), edits: vec![Edit::PutCertificate(Arc::new(updated))], change })
        })
    }

    /// DeleteCertificate. `force` detaches its policies, not its things.
    ///
    /// # Errors
    /// [`Error::NoSuchCertificate`], [`Error::CertificateActive`], [`Error::CertificateHasThings`],
    /// [`Error::CertificateHasPolicies`].
    pub fn delete_certificate(&self, id: &CertificateId, force: bool) -> Result<Done<()>, Error> {
        self.change(|state| {
            let certificate = state.certificate(id)?;
            if certificate.status == CertificateStatus::Active {
                return Err(Error::CertificateActive { id: id.to_string() });
            }
            let arn = || self.identity().certificate_arn(id);
            if state.things_of(*id, "").next().is_some() {
                return Err(Error::CertificateHasThings { arn: arn() });
            }
            let policies: Vec<Arc<str>> = state.policies_of(*id, "").cloned().collect();
            if !policies.is_empty() && !force {
                return Err(Error::CertificateHasPolicies { arn: arn() });
            }
            let mut edits: Vec<Edit> =
                policies.into_iter().map(|policy| Edit::DetachPolicy(*id, policy)).collect();
            edits.push(Edit::DeleteCertificate(*id));
            let mut change = Change::of_principals(vec![*id]);
            change.dropped = vec![*id];
            Ok(Plan { value: (), edits, change })
        })
    }

    /// ListCertificates, by creation date.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`].
    pub fn list_certificates(
        &self,
        order: Order,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Arc<Certificate>>, Error> {
        let after = after.map(read_cursor).transpose()?;
        let state = self.read();
        let places = &state.certificates_by_date;
        let found = |(_, id): &(i64, CertificateId)| state.certificates.get(id).cloned();
        let cursor =
            |certificate: &Arc<Certificate>| format!("{}:{}", certificate.created_ms, certificate.id);
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

    fn register(
        &self,
        info: CertificateInfo,
        status: CertificateStatus,
        mode: CertificateMode,
        now_ms: i64,
    ) -> Result<Done<Arc<Certificate>>, Error> {
        self.change(|state| {
            if state.certificates.contains_key(&info.id) {
                return Err(self.exists(&info.id));
            }
            let certificate = Arc::new(Certificate {
                id: info.id,
                not_before: info.not_before,
                not_after: info.not_after,
                der: info.der.into_boxed_slice(),
                status,
                mode,
                created_ms: now_ms,
                modified_ms: now_ms,
                customer_version: 1,
                generation_id: Uuid::new_v4(),
            });
            let edits = vec![Edit::PutCertificate(certificate.clone())];
            // No connection can have it: only registered certificates connect.
            Ok(Plan::quiet(certificate, edits))
        })
    }

    fn exists(&self, id: &CertificateId) -> Error {
        Error::CertificateExists { id: id.to_string(), arn: self.identity().certificate_arn(id) }
    }
}

fn read(input: &[u8]) -> Result<CertificateInfo, Error> {
    let invalid = |reason| Error::InvalidCertificate { reason };
    let info = pki::parse_certificate(input).map_err(|error| invalid(error.to_string()))?;
    if !info.key_kind.is_for_clients() {
        let needed = "RSA with 2048 to 8192 bits, or ECDSA on P-256, P-384 or P-521";
        return Err(invalid(format!(
            "no client can connect with its key ({}); it must be {needed}",
            info.key_kind
        )));
    }
    Ok(info)
}

/// [AWS iot RegisterCertificate] INACTIVE unless told otherwise; nothing begins in a pending state.
fn registration_status(status: Option<CertificateStatus>) -> Result<CertificateStatus, Error> {
    match status.unwrap_or(CertificateStatus::Inactive) {
        status if status.is_pending() => Err(Error::RegistrationStatus { status }),
        status => Ok(status),
    }
}

fn read_cursor(cursor: &str) -> Result<(i64, CertificateId), Error> {
    let (date, id) = cursor.split_once(':').ok_or(Error::InvalidCursor)?;
    let date = date.parse().map_err(|_| Error::InvalidCursor)?;
    Ok((date, CertificateId::parse(id).map_err(|_| Error::InvalidCursor)?))
}
