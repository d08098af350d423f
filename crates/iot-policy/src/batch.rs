//! Policy questions as JSON Lines, for `eyot policy eval --batch`.
//!
//! In: `{"id", "policies": [document…], "context", "action", "resource"}`. Out: `{"id", "decision", "reason"}`, or
//! `{"id", "error"}` when the question cannot be asked.

use crate::context::{CertificateAttributes, ConnectedThing, Context};
use crate::decision::{NamedPolicy, PolicySet};
use crate::{Action, PolicyDocument, Resource};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

#[derive(Deserialize)]
struct Question<'a> {
    #[serde(default)]
    id: Value,
    /// Documents as objects, or as text as the API takes them.
    #[serde(borrow, default)]
    policies: Vec<&'a RawValue>,
    #[serde(default)]
    context: Facts,
    action: String,
    resource: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Facts {
    client_id: Option<String>,
    certificate_id: Option<String>,
    source_ip: Option<IpAddr>,
    thing: Option<ThingFacts>,
    cert: Option<BTreeMap<String, Vec<String>>>,
    connect_attributes: Option<Vec<String>>,
    last_will_topic: Option<String>,
    domain_name: Option<String>,
    /// Milliseconds, as in the SQL batch.
    timestamp: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ThingFacts {
    thing_name: String,
    #[serde(default)]
    thing_type_name: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default = "attached")]
    attached: bool,
}

const fn attached() -> bool {
    true
}

/// Answers one line.
pub fn eval_line(line: &str) -> String {
    let question: Question<'_> = match serde_json::from_str(line) {
        Ok(question) => question,
        Err(error) => {
            let id = serde_json::from_str::<Value>(line).ok().and_then(|value| value.get("id").cloned());
            return json!({"id": id, "error": error.to_string()}).to_string();
        }
    };
    match answer(&question) {
        Ok((decision, reason)) => {
            json!({"id": question.id, "decision": decision, "reason": reason}).to_string()
        }
        Err(error) => json!({"id": question.id, "error": error}).to_string(),
    }
}

fn answer(question: &Question<'_>) -> Result<(&'static str, String), String> {
    let action = Action::parse(&question.action)
        .ok_or_else(|| format!("`{}` is no action of the data plane", question.action))?;
    let mut policies = Vec::with_capacity(question.policies.len());
    for (index, document) in question.policies.iter().enumerate() {
        let text = document.get();
        // A JSON string holds the document's text.
        let text: String = serde_json::from_str(text).unwrap_or_else(|_| text.to_owned());
        let document = PolicyDocument::parse(&text).map_err(|error| error.to_string())?;
        policies.push(NamedPolicy {
            name: (index + 1).to_string().into(),
            version: None,
            document: Arc::new(document),
        });
    }
    let facts = &question.context;
    let certificate = facts.cert.as_ref().map(|attributes| {
        let boxed = |values: &Vec<String>| values.iter().map(|value| (&**value).into()).collect();
        CertificateAttributes(
            attributes.iter().map(|(name, values)| ((&**name).into(), boxed(values))).collect(),
        )
    });
    let thing = facts.thing.as_ref().filter(|thing| thing.attached);
    let attributes: Vec<(Box<str>, Box<str>)> = thing.map_or_else(Vec::new, |thing| {
        thing.attributes.iter().map(|(key, value)| ((&**key).into(), (&**value).into())).collect()
    });
    let connect_attributes: Option<Vec<&str>> =
        facts.connect_attributes.as_ref().map(|names| names.iter().map(|name| &**name).collect());
    let context = Context {
        client_id: facts.client_id.as_deref(),
        certificate_id: facts.certificate_id.as_deref(),
        source_ip: facts.source_ip,
        thing: thing.map(|thing| ConnectedThing {
            name: &thing.thing_name,
            type_name: thing.thing_type_name.as_deref(),
            attributes: &attributes,
        }),
        certificate: certificate.as_ref(),
        connect_attributes: connect_attributes.as_deref(),
        last_will_topic: facts.last_will_topic.as_deref(),
        domain_name: facts.domain_name.as_deref(),
        now_s: facts.timestamp.map(|ms| ms.div_euclid(1000)),
    };
    // So that reasons leave out the account's part.
    let prefix: String = question.resource.split_inclusive(':').take(5).collect();
    let set = PolicySet::new(prefix, policies);
    let decision = set.decide(action, Resource::Arn(&question.resource), &context);
    Ok((decision.effect.name(), decision.reason.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gives_a_line() {
        let line = r#"{"id":"x","policies":[{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}],
            "context":{"clientId":"a","more":1},"action":"iot:Connect","resource":"arn:aws:iot:r:1:client/a","note":null}"#;
        assert_eq!(
            eval_line(line),
            r#"{"decision":"ALLOWED","id":"x","reason":"policy `1` statement 1 allows iot:Connect on `arn:aws:iot:r:1:client/a`"}"#
        );
    }

    #[test]
    fn bad_lines_give_errors() {
        assert!(eval_line("").contains("error"));
        assert!(
            eval_line(r#"{"id":1,"action":"iot:Fly","resource":"*"}"#)
                .starts_with(r#"{"error":"`iot:Fly` is no"#)
        );
        assert!(
            eval_line(r#"{"id":7,"policies":["{"],"action":"iot:Connect","resource":"*"}"#)
                .contains("not valid JSON")
        );
        assert!(eval_line(r#"{"id":7,"action":4}"#).contains(r#""id":7"#));
    }
}
