//! What the holder of a certificate may do over HTTP: the action and resource of each operation.

use std::net::IpAddr;

use broker::{Blame, WebRequest};
use iot_policy::{Action, Context, Resource};
use registry::Principal;
use serde_json::{Map, Value};
use services::{EventType, Transport};

/// Something that policies are asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Needed {
    action: Action,
    on: On,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum On {
    Topic(String),
    Thing(String),
    Everything,
}

/// Why it may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denied {
    /// No policy can allow it to a certificate.
    NeedsSignature,
    /// For the log.
    ByPolicy { action: Action, resource: String, reason: String, blame: Box<Blame> },
}

/// Whether policies allow an operation of the data plane with this input.
///
/// [AWS iot-policy-actions] Operations about other clients' connections are IAM's alone. There is no client identifier
/// over HTTP, so policy variables about it, and about the thing of that name, have no value; a thing that the certificate
/// belongs to exclusively has.
///
/// # Errors
/// It may not.
pub(crate) fn permit(
    principal: &Principal,
    operation: &str,
    input: &Map<String, Value>,
    source_ip: IpAddr,
    domain_name: Option<&str>,
    now_s: i64,
) -> Result<(), Denied> {
    let needed = needed(operation, input).ok_or(Denied::NeedsSignature)?;
    let context = Context {
        client_id: None,
        domain_name,
        now_s: Some(now_s),
        // No thing has an empty name.
        ..principal.context("", Some(source_ip))
    };
    for Needed { action, on } in &needed {
        let resource = match on {
            On::Topic(topic) => Resource::topic(topic),
            On::Thing(thing) => Resource::thing(thing),
            On::Everything => Resource::Arn("*"),
        };
        let decision = principal.policies.decide(*action, resource, &context);
        if !decision.is_allowed() {
            let (action, resource) = (*action, resource.to_string());
            let (reason, blame) = (decision.reason.to_string(), Blame::of(&decision.reason));
            return Err(Denied::ByPolicy { action, resource, reason, blame });
        }
    }
    Ok(())
}

/// What a request to the data plane is in `AWSIotLogsV2`.
pub(crate) fn as_logged<'i>(operation: &str, input: &'i Map<String, Value>) -> WebRequest<'i> {
    let kind = match operation {
        "Publish" => Some(EventType::PublishIn),
        "GetThingShadow" => Some(EventType::GetThingShadow),
        "UpdateThingShadow" => Some(EventType::UpdateThingShadow),
        "DeleteThingShadow" => Some(EventType::DeleteThingShadow),
        "GetRetainedMessage" => Some(EventType::GetRetainedMessage),
        "ListRetainedMessages" => Some(EventType::ListRetainedMessages),
        _ => None,
    };
    WebRequest { kind, protocol: Transport::Http, topic: input.get("topic").and_then(Value::as_str) }
}

fn needed(operation: &str, input: &Map<String, Value>) -> Option<Vec<Needed>> {
    let text = |name: &str| input.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let one = |action, on| Some(vec![Needed { action, on }]);
    // [AWS iot-policy-actions] `thing/NAME`, or `thing/NAME/SHADOW` for a named shadow.
    let shadow = || match input.get("shadowName").and_then(Value::as_str) {
        Some(name) => On::Thing(format!("{}/{name}", text("thingName"))),
        None => On::Thing(text("thingName")),
    };
    match operation {
        "Publish" => {
            let topic = || On::Topic(text("topic"));
            let mut needed = vec![Needed { action: Action::Publish, on: topic() }];
            if input.get("retain").and_then(Value::as_bool) == Some(true) {
                needed.push(Needed { action: Action::RetainPublish, on: topic() });
            }
            Some(needed)
        }
        "GetThingShadow" => one(Action::GetThingShadow, shadow()),
        "UpdateThingShadow" => one(Action::UpdateThingShadow, shadow()),
        "DeleteThingShadow" => one(Action::DeleteThingShadow, shadow()),
        "ListNamedShadowsForThing" => one(Action::ListNamedShadowsForThing, On::Thing(text("thingName"))),
        "GetRetainedMessage" => one(Action::GetRetainedMessage, On::Topic(text("topic"))),
        "ListRetainedMessages" => one(Action::ListRetainedMessages, On::Everything),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn asked(operation: &str, input: Value) -> Option<Vec<String>> {
        let Value::Object(input) = input else { unreachable!("an object") };
        let needed = needed(operation, &input)?;
        Some(needed.iter().map(|needed| format!("{} {:?}", needed.action, needed.on)).collect())
    }

    #[test]
    fn each_operation_asks_for_its_action() {
        assert_eq!(
            asked("Publish", json!({"topic": "a/b", "retain": true})).unwrap(),
            ["iot:Publish Topic(\"a/b\")", "iot:RetainPublish Topic(\"a/b\")"]
        );
        assert_eq!(
            asked("Publish", json!({"topic": "a", "retain": false})).unwrap(),
            ["iot:Publish Topic(\"a\")"]
        );
        assert_eq!(
            asked("UpdateThingShadow", json!({"thingName": "t", "shadowName": "s"})).unwrap(),
            ["iot:UpdateThingShadow Thing(\"t/s\")"]
        );
        assert_eq!(
            asked("GetThingShadow", json!({"thingName": "t"})).unwrap(),
            ["iot:GetThingShadow Thing(\"t\")"]
        );
        assert_eq!(
            asked("ListRetainedMessages", json!({})).unwrap(),
            ["iot:ListRetainedMessages Everything"]
        );
        for operation in
            ["DeleteConnection", "GetConnection", "SendDirectMessage", "ListSubscriptions", "Nonsense"]
        {
            assert_eq!(asked(operation, json!({"clientId": "c"})), None, "{operation}");
        }
    }
}
