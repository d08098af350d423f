//! Whether the board will get in: key, certificate, thing and policies, looked at before an image is written.
//!
//! The first thing that does not hold ends it, with what to do about it.

use pki::KeyKind;

use crate::client::Api;
use crate::failure::{Failure, Outcome};
use crate::provision::{Check, PRIVATE_KEY_DER, beside, not_allowed};
use crate::wall_clock;

use super::{DeviceIdentity, Wishes};

/// Bits of the longest RSA key whose signature a Pico W makes in time.
const RSA_BITS_MAX: usize = 2048;

/// Looks at all of it and tells each thing that holds. Answers the names of the certificate's policies.
pub(crate) fn check(
    api: &Api,
    identity: &DeviceIdentity,
    wishes: &Wishes,
    tell: &mut dyn FnMut(Check) -> Outcome,
) -> Outcome<Vec<String>> {
    tell(key_fits(identity)?)?;
    tell(is_valid(identity, wall_clock::now_ms() / 1000)?)?;
    let certificate_arn = active(api, identity)?;
    tell(Check::good("the certificate is active"))?;
    tell(attached(api, &wishes.thing, &certificate_arn)?)?;
    tell(may(api, &certificate_arn, wishes, "CONNECT", &format!("client/{}", wishes.thing))?)?;
    let mut topics = vec![&wishes.topic];
    topics.extend(wishes.will.as_ref().map(|will| &will.topic));
    for topic in topics {
        tell(may(api, &certificate_arn, wishes, "PUBLISH", &format!("topic/{topic}"))?)?;
    }
    if let Some(check) = rule_is_there(api, &wishes.topic)? {
        tell(check)?;
    }
    Ok(api.attached_policies(&certificate_arn)?)
}

fn key_fits(identity: &DeviceIdentity) -> Outcome<Check> {
    let path = identity.files.path(PRIVATE_KEY_DER);
    let kind = identity.certificate.key_kind;
    // What the firmware's TLS is built with.
    if !matches!(kind, KeyKind::P256 | KeyKind::Rsa { .. }) {
        return Err(Failure::new(format!("the firmware cannot sign with a key of kind {kind}"))
            .why("it knows P-256 and RSA")
            .advice(
                "provision the device with one of them: `eyot provision THING --key-type p256 --out DIR`",
            ));
    }
    if let KeyKind::Rsa { bits } = kind
        && bits > RSA_BITS_MAX
    {
        return Err(Failure::new(format!("a board is too slow for a key of the kind {kind}"))
            .why("its signature takes a Pico W longer than the time that a handshake has; RSA-2048 takes seconds already")
            .advice("provision the device with a key that is fast to sign with: `eyot provision THING --key-type p256 --out DIR`"));
    }
    match pki::keys::key_der_matches_certificate(&identity.private_key, &identity.certificate.der) {
        Ok(true) => Ok(Check::good(format!("the private key ({kind}) belongs to the certificate"))),
        Ok(false) => Err(Failure::new(format!("`{}` does not belong to the certificate", path.display()))
            .why("their public keys differ")
            .advice("look for the key that was made together with this certificate")),
        Err(error) => {
            let failure = Failure::new(format!("`{}` cannot be used", path.display())).because(&error);
            let advice = if identity.private_key.starts_with(b"-----BEGIN") {
                "it is PEM, and a board takes DER: `eyot keys to-der CERT KEY --out DIR`"
            } else {
                "`eyot keys to-der CERT KEY --out DIR` makes it from the key as PEM, without a password"
            };
            Err(failure.advice(advice))
        }
    }
}

fn is_valid(identity: &DeviceIdentity, now_s: i64) -> Outcome<Check> {
    let date = |seconds: i64| wall_clock::to_date(seconds.saturating_mul(1000));
    let (from, until) = (identity.certificate.not_before, identity.certificate.not_after);
    if now_s < from {
        return Err(Failure::new(format!("the certificate is valid from {} on", date(from)))
            .advice("look at this machine's clock"));
    }
    if now_s > until {
        return Err(Failure::new(format!("the certificate ended on {}", date(until)))
            .advice("provision the device again, into another directory"));
    }
    Ok(Check::good(format!("the certificate is valid until {}", date(until))))
}

/// The certificate's ARN.
fn active(api: &Api, identity: &DeviceIdentity) -> Outcome<String> {
    let id = identity.certificate.id.to_string();
    match api.certificate_status(&id) {
        Ok((arn, status)) if status == "ACTIVE" => Ok(arn),
        Ok((_, status)) => Err(Failure::new(format!("the certificate is {status}"))
            .why("the server would hang up on the board")
            .advice(format!("aws iot update-certificate --certificate-id {id} --new-status ACTIVE"))),
        Err(error) if error.is("ResourceNotFoundException") => Err(Failure::new(format!(
            "{} does not know the certificate in `{}`",
            api.target(),
            identity.files.dir().display()
        ))
        .why(format!("there is none with the id {id}"))
        .advice("name the server that the device was provisioned for: --endpoint-url or --data-dir")),
        Err(error) => Err(error.into()),
    }
}

fn attached(api: &Api, thing: &str, certificate_arn: &str) -> Outcome<Check> {
    let principals = match api.thing_principals(thing) {
        Err(error) if error.is("ResourceNotFoundException") => {
            return Err(Failure::new(format!("{} knows no thing `{thing}`", api.target()))
                .advice("without --device-dir the thing is made"));
        }
        other => other?,
    };
    if principals.iter().any(|arn| arn == certificate_arn) {
        return Ok(Check::good(format!("the certificate is attached to the thing `{thing}`")));
    }
    Err(Failure::new(format!("the certificate is not attached to the thing `{thing}`"))
        .why("policies with thing variables would not match")
        .advice(format!("aws iot attach-thing-principal --thing-name {thing} --principal {certificate_arn}")))
}

fn may(api: &Api, certificate_arn: &str, wishes: &Wishes, action: &str, resource: &str) -> Outcome<Check> {
    let deed = match resource.split_once('/') {
        Some(("topic", topic)) => format!("publish to `{topic}`"),
        Some((_, client)) => format!("connect as `{client}`"),
        None => resource.to_owned(),
    };
    let arn = beside(certificate_arn, resource);
    match not_allowed(api, certificate_arn, &wishes.thing, action, &arn)? {
        None => Ok(Check::good(format!("its policies let it {deed}"))),
        Some(why) => Err(Failure::new(format!("the certificate's policies do not let the board {deed}"))
            .why(why)
            .advice(format!("aws iot list-attached-policies --target {certificate_arn}"))
            .advice("mend the policy, and run the same command again: nothing is made twice")),
    }
}

/// Whether basic ingest has its rule: without one, readings are acknowledged and go nowhere.
fn rule_is_there(api: &Api, topic: &str) -> Outcome<Option<Check>> {
    let rule = topic.strip_prefix("$aws/rules/").and_then(|rest| rest.split('/').next());
    // AWS says "access denied" of a rule that is not there and of one that may not be read.
    let Some(rule) = rule.filter(|_| !api.target().is_aws()) else { return Ok(None) };
    if api.has_topic_rule(rule)? {
        return Ok(None);
    }
    Ok(Some(Check::doubtful(
        format!("readings go to the rule `{rule}`"),
        "there is none yet; `eyot provision THING --telemetry` makes the post's rule and its log group",
    )))
}
