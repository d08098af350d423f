//! A certificate, as the registry has it now.

use registry::{CertificateId, Registry};
use serde_json::{Value, json};

/// Status, policies and things; `null` where it is not registered.
pub(super) fn described(registry: &Registry, id: &CertificateId) -> Value {
    let Some(principal) = registry.principal(id) else {
        return json!({ "certificateId": id.to_string(), "status": null });
    };
    let policies = principal.policies.policies().iter();
    let policies: Vec<Value> =
        policies.map(|policy| json!({ "policyName": &*policy.name, "version": policy.version })).collect();
    json!({
        "certificateId": id.to_string(),
        "status": principal.status.name(),
        "policies": policies,
        "things": principal.thing_names().collect::<Vec<_>>(),
    })
}

/// The text of one statement of a policy's version, if that version is still there.
pub(super) fn statement(registry: &Registry, policy: &str, version: u32, number: usize) -> Option<Value> {
    let (_, version) = registry.get_policy_version(policy, &version.to_string()).ok()?;
    let document: Value = serde_json::from_str(&version.document).ok()?;
    match &document["Statement"] {
        Value::Array(statements) => statements.get(number.checked_sub(1)?).cloned(),
        one @ Value::Object(_) if number == 1 => Some(one.clone()),
        _ => None,
    }
}
