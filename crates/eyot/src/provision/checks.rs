//! Whether key, certificate, policy and client id fit together, found out before the board is flashed.

use serde_json::{Value, json};

use crate::client::Api;
use crate::failure::{Context as _, Outcome};
use crate::terminal::{Paint, printable_line};

use super::files::{CERTIFICATE_PEM, Connection, DeviceFiles, PRIVATE_KEY_PEM};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    /// What must hold.
    pub(crate) what: String,
    /// How it came out.
    pub(crate) verdict: Verdict,
}

/// How a check came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It holds.
    Good,
    /// The device works, but perhaps not as meant.
    Doubtful(String),
    /// The device cannot work.
    Bad(String),
}

impl Check {
    /// It holds.
    pub(crate) fn good(what: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Good }
    }

    /// It may be meant.
    pub(crate) fn doubtful(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Doubtful(why.into()) }
    }

    /// As one line for people.
    pub(crate) fn line(&self, paint: Paint) -> String {
        let (sign, why) = match &self.verdict {
            Verdict::Good => (paint.green("✔"), None),
            Verdict::Doubtful(why) => (paint.yellow("!"), Some(why)),
            Verdict::Bad(why) => (paint.red("✘"), Some(why)),
        };
        let what = why.map_or_else(|| self.what.clone(), |why| format!("{}: {why}", self.what));
        format!("{sign} {}", printable_line(&what))
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let (verdict, why) = match &self.verdict {
            Verdict::Good => ("good", None),
            Verdict::Doubtful(why) => ("doubtful", Some(why)),
            Verdict::Bad(why) => ("bad", Some(why)),
        };
        json!({ "what": self.what, "verdict": verdict, "why": why })
    }
}

/// Looks at all of it.
pub(super) fn run(
    api: &Api,
    files: &DeviceFiles,
    connection: &Connection,
    thing_arn: &str,
    certificate_arn: &str,
) -> Outcome<Vec<Check>> {
    let mut checks = Vec::new();
    let mut check = |what: String, verdict| checks.push(Check { what, verdict });

    let certificate = files.find(CERTIFICATE_PEM)?.unwrap_or_default();
    let info = pki::parse_certificate(&certificate).context(|| "the certificate is unreadable".to_owned())?;
    let same = info.id.to_string() == connection.certificate_id;
    let id = &connection.certificate_id[..connection.certificate_id.len().min(12)];
    check(
        format!("the certificate is the server's {id}…"),
        if same { Verdict::Good } else { Verdict::Bad(format!("the file holds {}", info.id)) },
    );

    if let Some(key) = files.find(PRIVATE_KEY_PEM)? {
        let key = String::from_utf8_lossy(&key);
        check(
            format!("the private key ({}) belongs to the certificate", info.key_kind),
            match pki::keys::key_matches_certificate(&key, &certificate) {
                Ok(true) => Verdict::Good,
                Ok(false) => Verdict::Bad("it belongs to another one".to_owned()),
                Err(error) => Verdict::Bad(error.to_string()),
            },
        );
    }

    let client = &connection.client_id;
    let questions = [
        ("CONNECT", format!("client/{client}"), format!("the policy lets it connect as `{client}`")),
        (
            "PUBLISH",
            format!("topic/{}", connection.topic),
            format!("… and publish to `{}`", connection.topic),
        ),
    ];
    for (action, resource, what) in questions {
        let verdict = match not_allowed(api, certificate_arn, client, action, &beside(thing_arn, &resource))?
        {
            None => Verdict::Good,
            // Without Connect nothing works; other topics than the post's are the owner's choice.
            Some(why) if action == "CONNECT" => Verdict::Bad(why),
            Some(why) => Verdict::Doubtful(why),
        };
        check(what, verdict);
    }
    Ok(checks)
}

/// Why the certificate's policies do not let the client do this; nothing when they do.
pub(crate) fn not_allowed(
    api: &Api,
    certificate_arn: &str,
    client: &str,
    action: &str,
    resource_arn: &str,
) -> Outcome<Option<String>> {
    let found = api.test_authorization(certificate_arn, client, action, resource_arn)?;
    if found.decision == "ALLOWED" {
        return Ok(None);
    }
    let mut why = format!("{} for {resource_arn}", found.decision);
    if !found.missing_context.is_empty() {
        why.push_str(&format!(", without a value for {}", found.missing_context.join(", ")));
    }
    Ok(Some(why))
}

/// The ARN of another resource of the same account and region.
pub(crate) fn beside(arn: &str, resource: &str) -> String {
    let prefix: String = arn.splitn(6, ':').take(5).flat_map(|part| [part, ":"]).collect();
    format!("{prefix}{resource}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_one_line_whatever_it_names() {
        let line = Check::doubtful("publish to `a\n✔ b\x1b[2J`", "why\r").line(Paint::plain());
        assert_eq!(line, "! publish to `a\\u{a}✔ b\\u{1b}[2J`: why\\u{d}");
    }

    #[test]
    fn arns_of_one_account_differ_in_their_last_part() {
        assert_eq!(
            beside("arn:aws:iot:eu-central-1:123456789012:thing/a:b", "client/a:b"),
            "arn:aws:iot:eu-central-1:123456789012:client/a:b"
        );
    }
}
