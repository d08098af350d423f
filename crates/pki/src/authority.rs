//! The authority: its directory, its root, and what it signs.

use crate::device::{DEVICE_NOT_AFTER, random_serial};
use crate::server::{ServerKey, Verdict};
use crate::{
    CsrError, Issued, PkiError, ServerIdentities, ServerIdentity, ServerNames, device, files, pem, server,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use time::{Duration, OffsetDateTime};

/// The root certificate's file in the directory of an authority.
pub const ROOT_CERTIFICATE: &str = "root-ca.pem";
const ROOT_KEY: &str = "root-ca.key";

/// The root is valid for at least this long, and at least as long as the devices that it signs.
///
/// A new root must be carried to every device by hand, so it should not happen in a device's life.
const ROOT_VALIDITY_MIN: Duration = Duration::days(20 * 366);

/// How far in the past the root begins: clocks of devices that check it may be slow.
const ROOT_BACKDATED: Duration = Duration::days(1);

/// Our certificate authority: the root, the server's own certificates, and the signing of device certificates.
///
/// `ca/` holds `root-ca.pem`, `root-ca.key`, and certificate and key of `server-p256` and `server-rsa`. Server
/// keys stay the same for the life of the directory; their certificates are renewed.
pub struct Authority {
    /// `None` for an authority that lives in memory only.
    dir: Option<PathBuf>,
    root_der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
    servers: Mutex<Servers>,
}

struct Servers {
    ecdsa_key: KeyPair,
    rsa_key: KeyPair,
    names: ServerNames,
    identities: Arc<ServerIdentities>,
}

impl Authority {
    /// Opens the authority in `dir`, creating it at the first start.
    ///
    /// Server certificates are issued again, under the same root, when they end within 30 days or when the names
    /// differ from those they carry. Blocks: creating makes an RSA key, which takes about 0.1 s.
    ///
    /// # Errors
    /// [`PkiError::Damaged`] names the file when something in a non-empty directory is missing or does not fit;
    /// nothing is ever regenerated over it.
    pub fn load_or_create(dir: &Path, names: &ServerNames, now: SystemTime) -> Result<Self, PkiError> {
        if files::is_empty_dir(dir)? {
            let (certificate, key) = create_root(now)?;
            files::create_dir_with(
                dir,
                &[
                    (ROOT_KEY, &pem::to_pem("PRIVATE KEY", key.serialized_der()), files::KEY_MODE),
                    (ROOT_CERTIFICATE, &pem::to_pem("CERTIFICATE", &certificate), files::CERTIFICATE_MODE),
                ],
            )?;
        }
        files::restrict(dir)?;
        let key = read_key(&dir.join(ROOT_KEY))?.ok_or_else(|| missing(&dir.join(ROOT_KEY)))?;
        let certificate_path = dir.join(ROOT_CERTIFICATE);
        let root = read_certificate(&certificate_path)?.ok_or_else(|| missing(&certificate_path))?;
        check_root(&root, &key).map_err(|why| PkiError::Damaged { path: certificate_path, why })?;
        let issuer = Issuer::from_ca_cert_der(&root.as_slice().into(), key)?;

        let on_disk = Some(dir);
        let (ecdsa_key, ecdsa) = load_server(ServerKey::P256, on_disk, &root, &issuer, names, now)?;
        let (rsa_key, rsa) = load_server(ServerKey::Rsa2048, on_disk, &root, &issuer, names, now)?;
        let identities = Arc::new(ServerIdentities { ecdsa, rsa });
        let servers = Servers { ecdsa_key, rsa_key, names: names.clone(), identities };
        Ok(Self { dir: Some(dir.to_owned()), root_der: root, issuer, servers: Mutex::new(servers) })
    }

    /// A new authority that is never written anywhere, for `--in-memory` and tests.
    ///
    /// # Errors
    /// [`PkiError::Crypto`] and [`PkiError::Clock`].
    pub fn in_memory(names: &ServerNames, now: SystemTime) -> Result<Self, PkiError> {
        let (root, key) = create_root(now)?;
        let issuer = Issuer::from_ca_cert_der(&root.as_slice().into(), key)?;
        let (ecdsa_key, ecdsa) = load_server(ServerKey::P256, None, &root, &issuer, names, now)?;
        let (rsa_key, rsa) = load_server(ServerKey::Rsa2048, None, &root, &issuer, names, now)?;
        let identities = Arc::new(ServerIdentities { ecdsa, rsa });
        let servers = Servers { ecdsa_key, rsa_key, names: names.clone(), identities };
        Ok(Self { dir: None, root_der: root, issuer, servers: Mutex::new(servers) })
    }

    /// Both server certificates with their keys, as they are now.
    pub fn server_identities(&self) -> Arc<ServerIdentities> {
        Arc::clone(&self.lock().identities)
    }

    /// Issues server certificates again if they end within 30 days: to be called once a day.
    ///
    /// Gives the new ones, or `None` when nothing was due.
    ///
    /// # Errors
    /// As [`Authority::load_or_create`]; the present certificates stay in use then.
    pub fn renew_if_due(&self, now: SystemTime) -> Result<Option<Arc<ServerIdentities>>, PkiError> {
        let mut guard = self.lock();
        let servers = &mut *guard;
        let renew = |kind, key: &KeyPair, current: &ServerIdentity| {
            let path = self.dir.as_deref().map(|dir| certificate_path(dir, kind));
            let current = current.chain.first().map(Vec::as_slice).unwrap_or_default();
            match server::judge(current, key, &self.root_der, &servers.names, now) {
                Ok(Verdict::Keep { .. }) => Ok(None),
                _ => issue_server(path.as_deref(), key, &self.issuer, &servers.names, now).map(Some),
            }
        };
        let ecdsa = renew(ServerKey::P256, &servers.ecdsa_key, &servers.identities.ecdsa)?;
        let rsa = renew(ServerKey::Rsa2048, &servers.rsa_key, &servers.identities.rsa)?;
        if ecdsa.is_none() && rsa.is_none() {
            return Ok(None);
        }
        let identities = Arc::new(ServerIdentities {
            ecdsa: ecdsa.unwrap_or_else(|| servers.identities.ecdsa.clone()),
            rsa: rsa.unwrap_or_else(|| servers.identities.rsa.clone()),
        });
        servers.identities = Arc::clone(&identities);
        Ok(Some(identities))
    }

    /// The root certificate as PEM: what devices and tools must trust.
    pub fn ca_pem(&self) -> String {
        pem::to_pem("CERTIFICATE", &self.root_der)
    }

    /// Where the root certificate lies on disk; `None` in memory.
    pub fn ca_path(&self) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.join(ROOT_CERTIFICATE))
    }

    /// The root certificate as DER.
    pub fn ca_der(&self) -> &[u8] {
        &self.root_der
    }

    /// Issues a device certificate for a new RSA-2048 key.
    ///
    /// Blocks for about 0.1 s, sometimes several times that: not for an async thread or an event loop.
    ///
    /// # Errors
    /// [`PkiError::Crypto`] and [`PkiError::Clock`].
    pub fn issue_from_new_key(&self, now: SystemTime) -> Result<Issued, PkiError> {
        device::issue_from_new_key(&self.issuer, now)
    }

    /// Issues a device certificate for the key in a certificate signing request (PEM).
    ///
    /// Only the key is taken from it: name, dates and extensions are ours. The same request sent twice gives two
    /// certificates, as on AWS.
    ///
    /// # Errors
    /// [`CsrError`] says what is wrong with the request.
    pub fn issue_from_csr(&self, csr_pem: &str, now: SystemTime) -> Result<Issued, CsrError> {
        device::issue_from_csr(&self.issuer, csr_pem, now)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Servers> {
        // Every change is a single assignment, so a panic elsewhere cannot have left half of one.
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("dir", &self.dir).finish_non_exhaustive()
    }
}

fn create_root(now: SystemTime) -> Result<(Vec<u8>, KeyPair), PkiError> {
    let now = OffsetDateTime::from(now);
    if now >= DEVICE_NOT_AFTER || now.year() < 1970 {
        return Err(PkiError::Clock { year: now.year() });
    }
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let serial = random_serial()?;
    let mut params = CertificateParams::default();
    params.not_before = now - ROOT_BACKDATED;
    params.not_after = DEVICE_NOT_AFTER.max(now + ROOT_VALIDITY_MIN);
    // Part of the name is random: a client that trusts several servers' roots can tell them apart.
    let distinct =
        serial.to_bytes().iter().skip(1).take(4).map(|byte| format!("{byte:02x}")).collect::<String>();
    params.distinguished_name = device::common_name(&format!("eyot Root CA {distinct}"));
    params.distinguished_name.push(DnType::OrganizationName, "eyot");
    params.serial_number = Some(serial);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(&key)?.der().to_vec();
    Ok((certificate, key))
}

fn check_root(root: &[u8], key: &KeyPair) -> Result<(), String> {
    use rcgen::PublicKeyData as _;
    let info = crate::parse_certificate(root).map_err(|error| error.to_string())?;
    if !info.is_authority {
        return Err("it is not the certificate of an authority".to_owned());
    }
    if info.spki_der() != key.subject_public_key_info() {
        return Err(format!("it does not belong to `{ROOT_KEY}`"));
    }
    Ok(())
}

/// Key and certificate of one server identity; what is missing or out of date is made.
fn load_server(
    kind: ServerKey,
    dir: Option<&Path>,
    root: &[u8],
    issuer: &Issuer<'_, KeyPair>,
    names: &ServerNames,
    now: SystemTime,
) -> Result<(KeyPair, ServerIdentity), PkiError> {
    let Some(dir) = dir else {
        let key = kind.generate()?;
        let identity = issue_server(None, &key, issuer, names, now)?;
        return Ok((key, identity));
    };
    let certificate_path = certificate_path(dir, kind);
    let key_path = certificate_path.with_extension("key");
    let certificate = read_certificate(&certificate_path)?;
    let key = match (read_key(&key_path)?, &certificate) {
        (Some(key), _) => key,
        (None, Some(_)) => return Err(missing(&key_path)),
        (None, None) => {
            let key = kind.generate()?;
            let text = pem::to_pem("PRIVATE KEY", key.serialized_der());
            files::write(&key_path, text.as_bytes(), files::KEY_MODE)?;
            key
        }
    };
    if let Some(der) = certificate {
        let damaged = |why| PkiError::Damaged { path: certificate_path.clone(), why };
        match server::judge(&der, &key, root, names, now).map_err(|error| damaged(error.to_string()))? {
            Verdict::Damaged(why) => return Err(damaged(why)),
            Verdict::Keep { not_after } => {
                let identity = identity(&key, der, not_after);
                return Ok((key, identity));
            }
            Verdict::Renew => {}
        }
    }
    let identity = issue_server(Some(&certificate_path), &key, issuer, names, now)?;
    Ok((key, identity))
}

fn issue_server(
    path: Option<&Path>,
    key: &KeyPair,
    issuer: &Issuer<'_, KeyPair>,
    names: &ServerNames,
    now: SystemTime,
) -> Result<ServerIdentity, PkiError> {
    let der = server::issue(key, names, issuer, now)?;
    if let Some(path) = path {
        files::write(path, pem::to_pem("CERTIFICATE", &der).as_bytes(), files::CERTIFICATE_MODE)?;
    }
    let info = crate::parse_certificate(&der).map_err(|error| PkiError::Crypto(error.to_string()))?;
    Ok(identity(key, der, info.not_after))
}

fn identity(key: &KeyPair, der: Vec<u8>, not_after: i64) -> ServerIdentity {
    ServerIdentity { chain: vec![der], key_pkcs8: key.serialized_der().to_vec(), not_after }
}

fn certificate_path(dir: &Path, kind: ServerKey) -> PathBuf {
    dir.join(kind.file_stem()).with_extension("pem")
}

fn read_key(path: &Path) -> Result<Option<KeyPair>, PkiError> {
    let Some(text) = files::read(path)? else { return Ok(None) };
    files::restrict(path)?;
    KeyPair::from_pem(&text)
        .map(Some)
        .map_err(|_| PkiError::Damaged { path: path.to_owned(), why: "it is not a private key".to_owned() })
}

fn read_certificate(path: &Path) -> Result<Option<Vec<u8>>, PkiError> {
    let Some(text) = files::read(path)? else { return Ok(None) };
    crate::certificate_der(text.as_bytes())
        .map(Some)
        .map_err(|error| PkiError::Damaged { path: path.to_owned(), why: error.to_string() })
}

fn missing(path: &Path) -> PkiError {
    PkiError::Damaged { path: path.to_owned(), why: "it is missing".to_owned() }
}
