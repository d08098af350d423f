//! What to do about what went wrong, in words that can be typed.

use broker::{Blame, BlameKind, Cause, Happening, What};
use iot_policy::Action;
use mqtt_session::{DisconnectReason, Quota};
use registry::{CertificateId, Registry};

/// What to do next; nothing for what is everyday.
pub(super) fn of(registry: &Registry, happening: &Happening) -> Vec<String> {
    let Happening { client_id, principal, what, .. } = happening;
    let whose = Whose {
        registry,
        client_id: client_id.as_deref(),
        certificate: principal.as_deref().and_then(|id| CertificateId::parse(id).ok()),
    };
    match what {
        What::Refused { cause, .. } => whose.about_refusal(cause),
        What::Denied { action, resource, blame, .. } => whose.about_policy(*action, resource, blame),
        What::Disconnected { reason, .. } => about_end(*reason),
        What::Throttled { quota, .. } => about_quota(*quota),
        What::SessionEnded { messages: 1.., .. } => {
            vec!["it must come back in time: a client of MQTT 5 names its session expiry interval in CONNECT; for MQTT 3.1.1 it is an hour, as on AWS".to_owned()]
        }
        What::SessionEnded { .. } | What::DelayedWill { .. } => Vec::new(),
        What::SubscriptionRefused { .. } | What::NotRetained { .. } => {
            vec!["these are AWS's limits; `eyot serve --limits relaxed` raises them".to_owned()]
        }
        What::NotDelivered { topic: None, .. } => {
            vec!["the device must read faster than messages come: QoS 0 messages are dropped, QoS 1 messages wait in a queue with a bound; `eyot limits` shows \
                  queued_messages_max and queued_bytes_max, `eyot serve --limit NAME=VALUE` moves them"
                .to_owned()]
        }
        What::NotDelivered { .. } | What::Connected { .. } => Vec::new(),
    }
}

struct Whose<'h> {
    registry: &'h Registry,
    client_id: Option<&'h str>,
    certificate: Option<CertificateId>,
}

impl Whose<'_> {
    fn about_refusal(&self, cause: &Cause) -> Vec<String> {
        let hint = match cause {
            Cause::NoCertificate => {
                "load certificate and private key into the device's TLS client; `eyot provision THING` makes both".to_owned()
            }
            Cause::NotRegistered => {
                "register it: `aws iot register-certificate-without-ca --status ACTIVE --certificate-pem file://certificate.pem.crt`; or the \
                 device has the files of another server: `eyot provision THING` makes new ones"
                    .to_owned()
            }
            Cause::NotActive => return self.activate().into_iter().collect(),
            Cause::Policy(blame) => {
                let resource = format!("client/{}", self.client_id.unwrap_or_default());
                return self.about_policy(Action::Connect, &resource, blame);
            }
            Cause::Tls { alert: Some(_) } => {
                "give the device this server's root CA (GET /_eyot/ca.pem, or ca/root-ca.pem in the data directory), connect to a name that \
                 the server's certificate has (`eyot serve --advertise NAME`), and set the device's clock"
                    .to_owned()
            }
            Cause::Tls { alert: None } => {
                "the device must speak TLS 1.2 or 1.3 on this port, with the key that belongs to its certificate".to_owned()
            }
            Cause::Late => "the device is slow or stuck; `eyot serve --connect-timeout 60s` gives it more time".to_owned(),
            Cause::Signature => {
                "present a client certificate; or sign with SigV4 for `iotdevicegateway` (WebSocket) or `iotdata`, on this machine, with the \
                 clock set"
                    .to_owned()
            }
            Cause::Upgrade => {
                "ask for GET /mqtt over HTTP/1.1 with Upgrade: websocket and the subprotocol `mqtt`".to_owned()
            }
            Cause::Protocol => {
                "correct the device's CONNECT; if it is a limit: these are AWS's, `eyot serve --limits relaxed` raises them".to_owned()
            }
            Cause::NotKept => {
                "let it connect without a persistent session (clean session, or an expiry of 0 s), with a client id of AWS's 128 bytes at most".to_owned()
            }
            Cause::Throttled(quota) => return about_quota(*quota),
            Cause::Busy => {
                "something at that address opens connections without finishing them; close them, or wait for the connect timeout".to_owned()
            }
            Cause::Full => "raise the limit of open files: `ulimit -n 65536`, or LimitNOFILE=65536 in the systemd unit".to_owned(),
            Cause::Overloaded => "the server is overloaded or about to end; the device should try again later".to_owned(),
            Cause::Silent | Cause::Lost => return Vec::new(),
        };
        vec![hint]
    }

    fn activate(&self) -> Option<String> {
        let id = self.certificate?;
        let status = self.registry.principal(&id).map(|principal| principal.status.name());
        Some(match status {
            Some("ACTIVE") => "the certificate is ACTIVE now: let the device try again".to_owned(),
            Some(status) => format!(
                "the certificate is {status}: `aws iot update-certificate --certificate-id {id} --new-status ACTIVE`"
            ),
            None => "the certificate was deleted since: `eyot provision THING` makes a new one".to_owned(),
        })
    }

    fn about_policy(&self, action: Action, resource: &str, blame: &Blame) -> Vec<String> {
        if self.certificate.is_none() && blame.kind != BlameKind::Reserved {
            return vec!["the document of `--insecure-policy` decides on this port: change it, and start the server again".to_owned()];
        }
        let policy = blame.policy.as_deref().unwrap_or("NAME");
        let mut hints = Vec::new();
        match blame.kind {
            BlameKind::NoPolicy => {
                let target = self.arn();
                hints.push(format!(
                    "attach one: `aws iot attach-policy --policy-name NAME --target {target}`"
                ));
            }
            BlameKind::NoStatement => {
                hints.push(format!(
                    "no statement allows {action}: add one, with {} as its Resource",
                    self.resource_arn(resource)
                ));
            }
            BlameKind::Denies => hints
                .push("a Deny wins over every Allow: change that statement, or detach the policy".to_owned()),
            BlameKind::Excluded => hints.push("its NotResource leaves this out".to_owned()),
            BlameKind::OtherResource => {
                let pattern = blame.text.as_deref().unwrap_or_default();
                hints.extend(self.about_pattern(action, resource, pattern));
            }
            BlameKind::Variable => {
                hints.extend(self.about_variable(blame.text.as_deref().unwrap_or_default()));
            }
            BlameKind::Condition => {
                hints.push("see the statement's Condition: what it asks for does not hold".to_owned())
            }
            BlameKind::Reserved => {
                hints.push(
                    "topics that begin with `$` are reserved; choose another one for the will".to_owned(),
                );
                return hints;
            }
        }
        if !matches!(blame.kind, BlameKind::NoPolicy | BlameKind::Variable) {
            hints.push(format!(
                "a new version is in force at once: `aws iot create-policy-version --policy-name {policy} --set-as-default \
                 --policy-document file://policy.json`"
            ));
        }
        hints
    }

    /// The statement names something else: what is the usual mistake here?
    fn about_pattern(&self, action: Action, resource: &str, pattern: &str) -> Vec<String> {
        let mut hints = Vec::new();
        let identity = self.registry.identity();
        let fields: Vec<&str> = pattern.splitn(6, ':').collect();
        let [_, _, _, region, account, named] = fields[..] else {
            return vec![format!(
                "resources of policies are ARNs; this one would be {}",
                self.resource_arn(resource)
            )];
        };
        if account != identity.account_id && !account.contains(['*', '?']) {
            hints.push(format!(
                "the policy names account {account}, this server is {}: write its ARNs for this account, or start the server with \
                 `--account-id {account}`",
                identity.account_id
            ));
        }
        if region != identity.region && !region.contains(['*', '?']) {
            hints.push(format!(
                "the policy names region {region}, this server is {}: write its ARNs for this region, or start the server with `--region {region}`",
                identity.region
            ));
        }
        let (kind, name) = resource.split_once('/').unwrap_or((resource, ""));
        let (pattern_kind, pattern_name) = named.split_once('/').unwrap_or((named, ""));
        if pattern_kind != kind && !pattern_kind.contains(['*', '?']) {
            hints.push(format!("{action} is about `{kind}/…`, and the policy says `{pattern_kind}/…`"));
            return hints;
        }
        let glob = |pattern: &str, name: &str| matches_glob(pattern.as_bytes(), name.as_bytes());
        if glob(pattern_name, name) {
            return hints;
        }
        if glob(&pattern_name.to_lowercase(), &name.to_lowercase()) {
            hints.push("they differ in upper and lower case only, and case counts".to_owned());
        } else if glob(pattern_name, name.strip_prefix('/').unwrap_or(name))
            || glob(pattern_name.strip_prefix('/').unwrap_or(pattern_name), name)
        {
            hints.push("they differ in a `/` at the beginning only: `/a` and `a` are two topics".to_owned());
        } else if pattern_name.contains(['+', '#']) {
            hints.push("`+` and `#` are plain characters in policies: `*` stands for any characters there, `?` for one".to_owned());
        }
        hints.extend(self.about_thing_name(pattern_name));
        hints
    }

    fn about_variable(&self, variable: &str) -> Option<String> {
        let lower = variable.to_ascii_lowercase();
        if lower.starts_with("iot:connection.thing.") {
            return self.about_thing_name(&format!("${{{variable}}}")).or_else(|| {
                Some(format!("the connection's thing has no `{variable}`: look at its type and attributes with `aws iot describe-thing`"))
            });
        }
        if lower.starts_with("iot:certificate.") {
            return Some("variables `iot:Certificate.…` are not available in eyot yet: such a statement matches nothing".to_owned());
        }
        Some(format!("`{variable}` has no value here: such a statement matches nothing"))
    }

    /// The policy speaks of the connection's thing: which is that, and why is it none?
    fn about_thing_name(&self, pattern: &str) -> Option<String> {
        if !pattern.to_ascii_lowercase().contains("${iot:connection.thing.") {
            return None;
        }
        let (id, client_id) = (self.certificate?, self.client_id?);
        let principal = self.registry.principal(&id)?;
        let things: Vec<&str> = principal.thing_names().collect();
        if things.contains(&client_id) {
            return None;
        }
        Some(if things.is_empty() {
            format!(
                "the certificate is attached to no thing: `aws iot attach-thing-principal --thing-name {} --principal {}`",
                quoted(client_id),
                self.arn()
            )
        } else {
            format!(
                "the client id `{client_id}` is not the name of a thing that the certificate is attached to ({}), and the policy uses \
                 `${{iot:Connection.Thing.ThingName}}`: connect as that thing, or attach the certificate to a thing named like the client id",
                things.iter().map(|thing| format!("`{thing}`")).collect::<Vec<_>>().join(", ")
            )
        })
    }

    fn arn(&self) -> String {
        self.certificate
            .map_or_else(|| "CERTIFICATE_ARN".to_owned(), |id| self.registry.identity().certificate_arn(&id))
    }

    fn resource_arn(&self, resource: &str) -> String {
        format!("`{}{resource}`", self.registry.identity().arn_prefix())
    }
}

fn about_quota(quota: Quota) -> Vec<String> {
    let name = quota.name();
    vec![format!(
        "let the devices do less of it, or come less often; the limit is AWS's: `eyot serve --limit {name}=N` moves it, `--limits relaxed` lifts all rates"
    )]
}

fn about_end(reason: DisconnectReason) -> Vec<String> {
    let hint = match reason {
        DisconnectReason::DuplicateClientId => {
            "a client id has one connection, and the newest wins: if these are two devices, give each its own; if it is one, it connects \
             again before it has closed"
        }
        DisconnectReason::MqttKeepAliveTimeout => {
            "nothing came for one and a half keep-alive periods: the device must send PINGREQ (its MQTT loop must run), or its network is gone"
        }
        DisconnectReason::ForbiddenAccess => {
            "AWS hangs up on a client of MQTT 3.1.1 that does what its policies do not allow; what that was stands before this"
        }
        DisconnectReason::AuthError => "its certificate was deactivated or deleted while it was connected",
        DisconnectReason::ClientError => {
            "the device broke a rule of MQTT or a limit; the limits are AWS's, `eyot serve --limits relaxed` raises them"
        }
        DisconnectReason::Throttled => {
            "the device does it too often; the limits are AWS's, `eyot serve --limits relaxed` raises them"
        }
        DisconnectReason::ConnectionLost => {
            "the network broke, or the device was reset or closed its socket without DISCONNECT"
        }
        DisconnectReason::ServerError => "that is the server's fault: its log says more",
        _ => return Vec::new(),
    };
    vec![hint.to_owned()]
}

/// Whether a pattern with `*` and `?` covers a text.
fn matches_glob(pattern: &[u8], text: &[u8]) -> bool {
    // The place after the last `*`, and how much of the text that `*` has taken.
    let (mut at, mut text_at, mut star) = (0, 0, None);
    while text_at < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, text_at));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[text_at] => {
                at += 1;
                text_at += 1;
            }
            _ => {
                let Some((after, taken)) = star else { return false };
                star = Some((after, taken + 1));
                (at, text_at) = (after, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

/// A name as a shell takes it.
fn quoted(name: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "_-.:/".contains(character);
    if !name.is_empty() && name.chars().all(is_plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, text, expected) in [
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*b*b", "abab", true),
            ("", "a", false),
        ] {
            assert_eq!(matches_glob(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn names_are_quoted_for_shells() {
        assert_eq!(quoted("pico_w"), "pico_w");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("a'; rm"), r"'a'\''; rm'");
    }
}
