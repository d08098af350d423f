//! What a device needs to connect, made through the AWS API: thing, certificate, policy, attachments, files.
//!
//! Everything here is safe to repeat. A directory that already holds a certificate that the server knows is used
//! again; nothing in it is ever overwritten by another identity.

mod checks;
mod files;
mod policy;
mod telemetry;

use std::path::{Path, PathBuf};

use crate::client::{Api, CallError, NewCertificate, amazon_roots};
use crate::failure::{Context as _, Failure, Outcome};

pub(crate) use checks::{Check, Verdict, beside, not_allowed};
pub(crate) use files::*;
pub(crate) use policy::PolicyChoice;
pub(crate) use telemetry::{GROUP, RULE, ensure_telemetry, telemetry_topic};

/// MQTT over mutual TLS, everywhere.
pub(crate) const MQTTS_PORT: u16 = 8883;

/// What is to be made.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// The thing; also the client id.
    pub(crate) thing: &'a str,
    /// Where its files go.
    pub(crate) files: DeviceFiles,
    /// Its policy.
    pub(crate) policy: PolicyChoice,
    /// Its keys.
    pub(crate) keys: KeySource,
}

/// Where a device's private key comes from.
#[derive(Debug, Clone)]
pub(crate) enum KeySource {
    /// RSA-2048, made by the service (CreateKeysAndCertificate), as in the post.
    Rsa,
    /// P-256, made here; the service sees only the signing request.
    P256,
    /// The device keeps its own and made this signing request.
    Request(PathBuf),
}

/// What was made.
#[derive(Debug)]
pub(crate) struct Provisioned {
    /// `arn:aws:iot:…:thing/NAME`.
    pub(crate) thing_arn: String,
    /// `arn:aws:iot:…:cert/ID`.
    pub(crate) certificate_arn: String,
    /// The policy's name.
    pub(crate) policy: String,
    /// As in `connection.json`.
    pub(crate) connection: Connection,
    /// Whether the directory's certificate was used again.
    pub(crate) reused: bool,
    /// Whether all of it fits together.
    pub(crate) checks: Vec<Check>,
    /// What is left to do by hand.
    pub(crate) notes: Vec<String>,
}

/// Makes it.
pub(crate) fn provision(api: &Api, plan: &Plan<'_>) -> Outcome<Provisioned> {
    let thing_arn = api.create_thing(plan.thing)?;
    plan.files.create()?;
    let (certificate, reused) = certificate(api, plan)?;
    let policy = policy::ensure(api, &plan.policy)?;
    api.attach_policy(&policy, &certificate.certificate_arn)?;
    api.attach_thing_principal(plan.thing, &certificate.certificate_arn)?;

    let mut notes = Vec::new();
    write_roots(api, &plan.files, &mut notes)?;
    let connection = Connection {
        endpoint: api.describe_endpoint()?,
        port: mqtts_port(api)?,
        thing_name: plan.thing.to_owned(),
        client_id: plan.thing.to_owned(),
        topic: telemetry_topic(plan.thing),
        certificate_id: certificate.certificate_id,
    };
    plan.files.write_connection(&connection)?;
    let checks = checks::run(api, &plan.files, &connection, &thing_arn, &certificate.certificate_arn)?;
    Ok(Provisioned {
        thing_arn,
        certificate_arn: certificate.certificate_arn,
        policy,
        connection,
        reused,
        checks,
        notes,
    })
}

/// The device's certificate: the directory's when there is one, otherwise a new one.
fn certificate(api: &Api, plan: &Plan<'_>) -> Outcome<(NewCertificate, bool)> {
    if let Some(pem) = plan.files.find(CERTIFICATE_PEM)? {
        return known_certificate(api, plan, &pem).map(|certificate| (certificate, true));
    }
    for name in [PRIVATE_KEY_PEM, PRIVATE_KEY_DER] {
        if plan.files.find(name)?.is_some() {
            return Err(Failure::new(format!("`{}` is there already", plan.files.path(name).display()))
                .why("a private key without its certificate is not ours to overwrite")
                .advice(format!(
                    "move the key away, or choose another directory: {}",
                    elsewhere(plan.thing)
                )));
        }
    }
    let certificate = match &plan.keys {
        KeySource::Rsa => {
            let certificate = api.create_keys_and_certificate()?;
            let keys = certificate.key_pair.as_ref().ok_or_else(|| {
                Failure::new("the server made a certificate without keys").why("its answer has no `keyPair`")
            })?;
            plan.files.write_keys(&keys.private_key, &keys.public_key)?;
            certificate
        }
        KeySource::P256 => {
            let made = pki::new_p256_request(plan.thing).context(|| "cannot make a P-256 key".to_owned())?;
            // The key first: a certificate whose key was lost would be of no use.
            plan.files.write_keys(&made.private_key_pem, &made.public_key_pem)?;
            api.create_certificate_from_csr(&made.request_pem)?
        }
        KeySource::Request(path) => {
            let text =
                std::fs::read_to_string(path).context(|| format!("cannot read `{}`", path.display()))?;
            api.create_certificate_from_csr(&text)?
        }
    };
    plan.files.write_certificate(&certificate.certificate_pem)?;
    Ok((certificate, false))
}

/// The certificate that lies in the directory, if the server knows it and it is active.
fn known_certificate(api: &Api, plan: &Plan<'_>, pem: &[u8]) -> Outcome<NewCertificate> {
    let path = plan.files.path(CERTIFICATE_PEM);
    let in_the_way = |why: String| {
        Failure::new(format!("`{}` is in the way", path.display()))
            .why(why)
            .advice(format!("move the files away, or choose another directory: {}", elsewhere(plan.thing)))
    };
    if let KeySource::Request(_) = plan.keys {
        return Err(in_the_way(
            "a signing request makes a new certificate, and this one would be lost".to_owned(),
        ));
    }
    let info = pki::parse_certificate(pem).map_err(|error| in_the_way(error.to_string()))?;
    let certificate_id = info.id.to_string();
    match api.certificate_status(&certificate_id) {
        Ok((certificate_arn, status)) if status == "ACTIVE" => {
            // A run that was interrupted may have left the second form unwritten.
            plan.files.write_certificate(&info.pem())?;
            Ok(NewCertificate {
                certificate_arn,
                certificate_id,
                certificate_pem: info.pem(),
                key_pair: None,
            })
        }
        Ok((_, status)) => Err(Failure::new(format!("the certificate in `{}` is {status}", path.display()))
            .advice(format!(
                "aws iot update-certificate --certificate-id {certificate_id} --new-status ACTIVE"
            ))
            .advice(format!("choose another directory for a new one: {}", elsewhere(plan.thing)))),
        Err(error) if error.is("ResourceNotFoundException") => {
            Err(in_the_way(format!("{} does not know this certificate", api.target())))
        }
        Err(error) => Err(error.into()),
    }
}

/// The command that takes a directory, whichever command is running.
fn elsewhere(thing: &str) -> String {
    format!("eyot provision {thing} --out DIR")
}

/// Who signed the server's certificate.
fn write_roots(api: &Api, files: &DeviceFiles, notes: &mut Vec<String>) -> Outcome {
    if !api.target().is_aws() {
        return files.write_roots(&api.ca_pem()?);
    }
    match amazon_roots() {
        Ok(pem) => files.write_roots(&pem),
        Err(missing) => {
            notes.push(format!(
                "{missing} is not among this system's certificates: download \
                 https://www.amazontrust.com/repository/AmazonRootCA1.pem and AmazonRootCA3.pem, and put both into `{}`",
                files.path(ROOT_CA_PEM).display()
            ));
            Ok(())
        }
    }
}

/// AWS's is fixed; an eyot says which one it uses.
pub(crate) fn mqtts_port(api: &Api) -> Result<u16, CallError> {
    if api.target().is_aws() {
        return Ok(MQTTS_PORT);
    }
    Ok(api.ready()?.mqtts.map_or(MQTTS_PORT, |address| address.port()))
}

/// Where `eyot provision THING` writes when it is not told: `THING-keys` beside the caller.
pub(crate) fn default_dir(thing: &str) -> PathBuf {
    // ':' is allowed in a thing's name and awkward in paths.
    Path::new(&format!("{}-keys", thing.replace(':', "_"))).to_owned()
}
