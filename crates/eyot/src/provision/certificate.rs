//! A device's certificate and key: those of its directory, what an interrupted run left there, or new ones.

use pki::KeyKind;

use crate::client::{Api, NewCertificate};
use crate::failure::{Context as _, Failure, Outcome};

use super::files::{CERTIFICATE_DER, CERTIFICATE_PEM, PRIVATE_KEY_DER, PRIVATE_KEY_PEM};
use super::{Asked, KeySource, Plan};

/// What a device's directory holds.
pub(super) enum Found {
    /// A certificate that the server knows and that is active.
    Certificate(NewCertificate),
    /// A private key without a certificate: an earlier run came no further.
    Key(WaitingKey),
    /// Neither.
    Nothing,
}

/// A private key that waits for its certificate.
pub(super) struct WaitingKey {
    pem: String,
    kind: KeyKind,
}

impl WaitingKey {
    /// What is left to do by hand once it has a certificate.
    pub(super) fn note(&self) -> Option<String> {
        matches!(self.kind, KeyKind::Rsa { .. }).then(|| {
            "the key was there and has a new certificate now; one that the service made together with the key is of no \
             use any more: aws iot list-certificates shows it"
                .to_owned()
        })
    }
}

/// Looks into the directory. Nothing is made or changed.
pub(super) fn look(api: &Api, plan: &Plan<'_>) -> Outcome<Found> {
    // The PEM is written last, so an interrupted run may have left the DER alone.
    for name in [CERTIFICATE_PEM, CERTIFICATE_DER] {
        if let Some(bytes) = plan.files.find(name)? {
            return known(api, plan, name, &bytes).map(Found::Certificate);
        }
    }
    if let Some(key) = plan.files.find(PRIVATE_KEY_PEM)? {
        return waiting_key(plan, &key).map(Found::Key);
    }
    if plan.files.find(PRIVATE_KEY_DER)?.is_some() {
        return Err(in_the_way(plan, PRIVATE_KEY_DER, "a private key without its certificate is not ours"));
    }
    Ok(Found::Nothing)
}

/// The certificate that lies in the directory, if the server knows it and it is active.
fn known(api: &Api, plan: &Plan<'_>, name: &str, bytes: &[u8]) -> Outcome<NewCertificate> {
    if let KeySource::Request(_) = plan.keys {
        let why = "a signing request makes a new certificate, and this one would be lost";
        return Err(in_the_way(plan, name, why));
    }
    let info = pki::parse_certificate(bytes).map_err(|error| in_the_way(plan, name, error.to_string()))?;
    is_as_asked(plan, info.key_kind)?;
    let certificate_id = info.id.to_string();
    match api.certificate_status(&certificate_id) {
        Ok((certificate_arn, status)) if status == "ACTIVE" => Ok(NewCertificate {
            certificate_arn,
            certificate_id,
            certificate_pem: info.pem(),
            key_pair: None,
        }),
        Ok((_, status)) => {
            Err(Failure::new(format!("the certificate in `{}` is {status}", plan.files.path(name).display()))
                .advice(format!(
                    "aws iot update-certificate --certificate-id {certificate_id} --new-status ACTIVE"
                ))
                .advice(format!("choose another directory for a new one: {}", elsewhere(plan.thing))))
        }
        Err(error) if error.is("ResourceNotFoundException") => {
            Err(in_the_way(plan, name, format!("{} does not know this certificate", api.target())))
        }
        Err(error) => Err(error.into()),
    }
}

/// A key of a kind that we make, for which a certificate can be asked for again.
fn waiting_key(plan: &Plan<'_>, pem: &[u8]) -> Outcome<WaitingKey> {
    if let KeySource::Request(_) = plan.keys {
        return Err(in_the_way(plan, PRIVATE_KEY_PEM, "with --csr the device has its own key"));
    }
    let pem = String::from_utf8_lossy(pem).into_owned();
    match pki::keys::kind_of_private_key(&pem) {
        Ok(kind @ (KeyKind::P256 | KeyKind::Rsa { bits: 2048 })) => {
            is_as_asked(plan, kind)?;
            Ok(WaitingKey { pem, kind })
        }
        Ok(kind) => Err(in_the_way(plan, PRIVATE_KEY_PEM, format!("a key of the kind {kind} is not ours"))),
        Err(error) => Err(in_the_way(plan, PRIVATE_KEY_PEM, error.to_string())),
    }
}

/// A kind of key that was asked for is not replaced by another in silence.
fn is_as_asked(plan: &Plan<'_>, found: KeyKind) -> Outcome {
    let (asked, fits) = match plan.keys {
        KeySource::Rsa => ("rsa", matches!(found, KeyKind::Rsa { .. })),
        KeySource::P256 => ("p256", found == KeyKind::P256),
        KeySource::Request(_) => return Ok(()),
    };
    if fits || plan.asked == Asked::No {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the device in `{}` has a key of the kind {found}, and {asked} was asked for",
        plan.files.dir().display()
    ))
    .why("a device that has its key keeps it")
    .advice("leave the kind of key out, to go on with the one that is there")
    .advice(format!(
        "make another device's files: {} --key-type {asked}; `eyot pico image --device-dir DIR` takes them",
        elsewhere(plan.thing)
    )))
}

/// Makes a certificate, for the key that waits for one or with a new key.
pub(super) fn make(api: &Api, plan: &Plan<'_>, waiting: Option<&WaitingKey>) -> Outcome<NewCertificate> {
    if let Some(key) = waiting {
        let made = pki::request_for_key(&key.pem, plan.thing)
            .context(|| format!("`{}` cannot sign", plan.files.path(PRIVATE_KEY_PEM).display()))?;
        return from_request(api, plan, &made);
    }
    match &plan.keys {
        KeySource::P256 => {
            let made = pki::new_p256_request(plan.thing).context(|| "cannot make a P-256 key".to_owned())?;
            from_request(api, plan, &made)
        }
        KeySource::Rsa => from_service(api, plan),
        KeySource::Request(pem) => {
            let certificate = api.create_certificate_from_csr(pem)?;
            plan.files.write_certificate(&certificate.certificate_pem)?;
            Ok(certificate)
        }
    }
}

/// The key is written first: what fails after it can be repeated with the same key.
fn from_request(api: &Api, plan: &Plan<'_>, key: &pki::RequestedKey) -> Outcome<NewCertificate> {
    plan.files.write_keys(&key.private_key_pem, &key.public_key_pem)?;
    let certificate = api.create_certificate_from_csr(&key.request_pem).map_err(|error| {
        Failure::from(error).advice("run the same command again: it goes on with the key")
    })?;
    plan.files.write_certificate(&certificate.certificate_pem)?;
    Ok(certificate)
}

/// The service tells a key once, so what cannot be written is lost, and its certificate is of no use to anybody.
fn from_service(api: &Api, plan: &Plan<'_>) -> Outcome<NewCertificate> {
    let certificate = api.create_keys_and_certificate()?;
    let keys = certificate.key_pair.as_ref().ok_or_else(|| {
        Failure::new("the server made a certificate without keys").why("its answer has no `keyPair`")
    })?;
    let written = plan
        .files
        .write_keys(&keys.private_key, &keys.public_key)
        .and_then(|()| plan.files.write_certificate(&certificate.certificate_pem));
    written.map_err(|failure| {
        let id = &certificate.certificate_id;
        failure
            .why("the service tells a key that it made only once: a certificate whose key was not written is of no use")
            .advice(format!("switch it off: aws iot update-certificate --new-status INACTIVE --certificate-id {id}"))
            .advice("then run the same command again, for another one")
    })?;
    Ok(certificate)
}

fn in_the_way(plan: &Plan<'_>, name: &str, why: impl Into<String>) -> Failure {
    Failure::new(format!("`{}` is in the way", plan.files.path(name).display()))
        .why(why)
        .advice(format!("move the files away, or choose another directory: {}", elsewhere(plan.thing)))
}

/// The command that takes a directory, whichever command is running.
pub(super) fn elsewhere(thing: &str) -> String {
    format!("eyot provision {thing} --out DIR")
}
