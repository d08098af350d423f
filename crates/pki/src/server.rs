//! Server certificates: who we are to devices, browsers and tools.

use crate::device::random_serial;
use crate::{PkiError, ReadError, csr, device};
use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _,
};
use rcgen::{RsaKeySize, SanType};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Validity of a server certificate, counted from [`SERVER_BACKDATED`] before now.
///
/// Apple's platforms refuse server certificates that are valid for more than 398 days.
const SERVER_VALIDITY: Duration = Duration::from_secs(397 * 24 * 60 * 60);

/// How far in the past a server certificate begins: devices whose clock is slow must accept it on the first day.
const SERVER_BACKDATED: Duration = DAY;

/// How long before its end a server certificate is renewed.
const SERVER_RENEWED_BEFORE_END: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The names that a server certificate carries.
///
/// `localhost` with both loopback addresses is always among them, and `stream-localhost`: AWS SDKs put `stream-`
/// before the host for StartLiveTail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerNames {
    dns: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
}

impl ServerNames {
    /// The loopback names alone.
    pub fn loopback() -> Self {
        Self {
            dns: ["localhost", "stream-localhost"].map(str::to_owned).into(),
            addresses: [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].into(),
        }
    }

    /// The loopback names and these: DNS names or IP addresses.
    ///
    /// # Errors
    /// [`PkiError::InvalidName`] for a text that is neither.
    pub fn new<S: AsRef<str>>(advertised: impl IntoIterator<Item = S>) -> Result<Self, PkiError> {
        let mut names = Self::loopback();
        for name in advertised {
            let name = name.as_ref();
            if let Ok(address) = name.parse() {
                names.addresses.insert(address);
            } else if is_dns_name(name) {
                names.dns.insert(name.to_ascii_lowercase());
            } else {
                return Err(PkiError::InvalidName { name: name.to_owned() });
            }
        }
        Ok(names)
    }

    /// The DNS names, sorted.
    pub fn dns(&self) -> impl Iterator<Item = &str> {
        self.dns.iter().map(String::as_str)
    }

    /// The addresses, sorted.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().copied()
    }

    fn of_certificate(x509: &X509Certificate<'_>) -> Self {
        let mut names = Self { dns: BTreeSet::new(), addresses: BTreeSet::new() };
        let Ok(Some(extension)) = x509.subject_alternative_name() else { return names };
        for name in &extension.value.general_names {
            match name {
                GeneralName::DNSName(name) => _ = names.dns.insert((*name).to_owned()),
                GeneralName::IPAddress(octets) => {
                    let address = <[u8; 4]>::try_from(*octets)
                        .map(IpAddr::from)
                        .or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from));
                    names.addresses.extend(address);
                }
                _ => {}
            }
        }
        names
    }
}

/// RFC 1123 labels; a wildcard may stand as the first one.
fn is_dns_name(name: &str) -> bool {
    let name = name.strip_prefix("*.").unwrap_or(name);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// A certificate chain with its key, as rustls wants them.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerIdentity {
    /// Certificates in DER, the server's own first. The root is not sent: clients have it, or do not check.
    pub chain: Vec<Vec<u8>>,
    /// The private key, PKCS#8 in DER.
    pub key_pkcs8: Vec<u8>,
    /// Last second of validity, in seconds since 1970.
    pub not_after: i64,
}

impl std::fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The private key stays out of logs.
        f.debug_struct("ServerIdentity").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// Both identities of the server: new clients verify ECDSA cheaply, old firmware knows RSA only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerIdentities {
    /// ECDSA on P-256.
    pub ecdsa: ServerIdentity,
    /// RSA with 2048 bits.
    pub rsa: ServerIdentity,
}

/// Which of the two identities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerKey {
    P256,
    Rsa2048,
}

impl ServerKey {
    /// Name of its files in `ca/`, without extension.
    pub(crate) fn file_stem(self) -> &'static str {
        match self {
            Self::P256 => "server-p256",
            Self::Rsa2048 => "server-rsa",
        }
    }

    pub(crate) fn generate(self) -> Result<KeyPair, PkiError> {
        Ok(match self {
            Self::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?,
            Self::Rsa2048 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048)?,
        })
    }
}

/// Signs a server certificate for the key, as DER.
pub(crate) fn issue(
    key: &KeyPair,
    names: &ServerNames,
    issuer: &Issuer<'_, KeyPair>,
    now: SystemTime,
) -> Result<Vec<u8>, PkiError> {
    let mut params = CertificateParams::default();
    params.not_before = OffsetDateTime::from(now - SERVER_BACKDATED);
    params.not_after = params.not_before + SERVER_VALIDITY;
    params.serial_number = Some(random_serial()?);
    params.distinguished_name = device::common_name("eyot");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if key.algorithm() == &rcgen::PKCS_RSA_SHA256 {
        // RSA key transport of old TLS stacks; ours never negotiates it, but some clients check for the bit.
        params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    for name in names.dns() {
        let ia5 = name.try_into().map_err(|_| PkiError::InvalidName { name: name.to_owned() })?;
        params.subject_alt_names.push(SanType::DnsName(ia5));
    }
    params.subject_alt_names.extend(names.addresses().map(SanType::IpAddress));
    Ok(params.signed_by(key, issuer)?.der().to_vec())
}

/// What is to be done with a stored server certificate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Good, until this second.
    Keep { not_after: i64 },
    /// It ends soon, or its names are not the wanted ones.
    Renew,
    /// It is not one of ours.
    Damaged(String),
}

/// Judges a stored server certificate.
pub(crate) fn judge(
    certificate: &[u8],
    key: &KeyPair,
    root: &[u8],
    names: &ServerNames,
    now: SystemTime,
) -> Result<Verdict, ReadError> {
    let parse = |der| {
        X509Certificate::from_der(der)
            .map(|(_, x509)| x509)
            .map_err(|error| ReadError::NotACertificate(error.to_string()))
    };
    let (x509, root) = (parse(certificate)?, parse(root)?);
    if x509.public_key().raw != key.subject_public_key_info() {
        return Ok(Verdict::Damaged("it does not belong to the key beside it".to_owned()));
    }
    let signed = csr::is_signed_by(
        root.public_key(),
        &x509.signature_algorithm.algorithm,
        x509.tbs_certificate.as_ref(),
        &x509.signature_value.data,
    );
    if !matches!(signed, Ok(true)) {
        return Ok(Verdict::Damaged("it is not signed by the root beside it".to_owned()));
    }
    let not_after = x509.validity().not_after.timestamp();
    let now = OffsetDateTime::from(now).unix_timestamp();
    // A certificate of the future is renewed too: the clock was wrong when it was made.
    let is_current = x509.validity().not_before.timestamp() <= now
        && now < not_after - SERVER_RENEWED_BEFORE_END.as_secs() as i64;
    if is_current && ServerNames::of_certificate(&x509) == *names {
        Ok(Verdict::Keep { not_after })
    } else {
        Ok(Verdict::Renew)
    }
}
