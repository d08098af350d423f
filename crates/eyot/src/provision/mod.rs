//! What a device needs to connect, made through the AWS API: thing, certificate, policy, attachments, files.
//!
//! Everything here is safe to repeat, also after a failure and beside itself. A directory that already holds a
//! certificate that the server knows is used again, and so is a key whose certificate was never made; nothing in it is
//! ever overwritten by another identity. What cannot be repeated is a key that the service made and that was lost on
//! the way: it gives each only once, so the next run makes another, and the certificate of the lost one stays behind.

mod certificate;
mod checks;
mod files;
mod policy;
mod telemetry;

use std::path::{Path, PathBuf};

use crate::client::{Api, CallError, amazon_roots};
use crate::failure::Outcome;

use certificate::Found;

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
    /// Whether that kind of key was asked for: a key of another kind that is there is then refused.
    pub(crate) asked: Asked,
}

/// Whether somebody chose something, or it is the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// On the command line.
    Yes,
    /// It is the default.
    No,
}

/// Where a device's private key comes from.
#[derive(Debug, Clone)]
pub(crate) enum KeySource {
    /// RSA-2048, made by the service (CreateKeysAndCertificate), as in the post.
    Rsa,
    /// P-256, made here; the service sees only the signing request.
    P256,
    /// The device keeps its own and made this signing request, PEM.
    Request(String),
}

/// What was made.
#[derive(Debug)]
pub(crate) struct Provisioned {
    /// `arn:aws:iot:…:thing/NAME`.
    pub(crate) thing_arn: String,
    /// `arn:aws:iot:…:cert/ID`.
    pub(crate) certificate_arn: String,
    /// The names of all policies that the certificate has.
    pub(crate) policies: Vec<String>,
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
    if !plan.files.dir().exists() {
        // A document that the service refuses ends it before there is a directory, a thing or a certificate.
        policy::ensure(api, &plan.policy)?;
    }
    plan.files.create()?;
    let _lock = plan.files.lock()?;
    plan.files.are_of(plan.thing)?;
    let found = certificate::look(api, plan)?;
    let (attached, is_to_attach) = match &found {
        Found::Certificate(known) => {
            let attached = api.attached_policies(&known.certificate_arn)?;
            let is_to_attach = policy::is_to_attach(&plan.policy, &attached, &known.certificate_arn)?;
            (attached, is_to_attach)
        }
        Found::Key(_) | Found::Nothing => (Vec::new(), true),
    };
    // Also for one that is attached already: its document is to be the given one.
    let chosen = match plan.policy {
        PolicyChoice::Default if !is_to_attach => None,
        _ => Some(policy::ensure(api, &plan.policy)?),
    };

    let mut notes = Vec::new();
    let thing_arn = api.create_thing(plan.thing)?;
    let (certificate, reused) = match found {
        Found::Certificate(known) => {
            // A run that was interrupted may have left the second form unwritten.
            plan.files.write_certificate(&known.certificate_pem)?;
            (known, true)
        }
        Found::Key(key) => {
            let made = certificate::make(api, plan, Some(&key))?;
            notes.extend(key.note());
            (made, false)
        }
        Found::Nothing => (certificate::make(api, plan, None)?, false),
    };
    let policies = match chosen {
        Some(policy) if is_to_attach => {
            api.attach_policy(&policy, &certificate.certificate_arn)?;
            vec![policy]
        }
        _ => attached,
    };
    api.attach_thing_principal(plan.thing, &certificate.certificate_arn)?;

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
        policies,
        connection,
        reused,
        checks,
        notes,
    })
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
    Path::new(&format!("{}-keys", file_name_of(thing))).to_owned()
}

/// A thing's name as the beginning of a file's: two things never have the same.
pub(crate) fn file_name_of(thing: &str) -> String {
    // ':' is allowed in a thing's name and awkward in paths; '.' is the other way round.
    thing.replace(':', ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_things_have_two_directories() {
        let names = ["a:b", "a_b", "a-b", "ab", "a:b:", ":", "::", "_"];
        let dirs: std::collections::HashSet<PathBuf> = names.iter().map(|name| default_dir(name)).collect();
        assert_eq!(dirs.len(), names.len());
        assert_eq!(default_dir("a:b"), Path::new("a.b-keys"));
    }
}
