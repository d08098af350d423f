//! May this client publish here? Floor: comparing the resource with one ARN of the same length.

use crate::measure::compare;
use iot_policy::{Action, Context, NamedPolicy, PolicyDocument, PolicySet, Resource, ResourceKind};
use std::hint::black_box;
use std::path::Path;

const ARN_PREFIX: &str = "arn:aws:iot:us-east-1:000000000000:";
const TOPIC: &str = "dt/building-7/kitchen/pico_w_simple/temp";

pub(crate) fn run(_: &Path) {
    let one = |effect: &str, resource: &str| {
        format!(
            "{{\"Effect\":\"{effect}\",\"Action\":\"iot:Publish\",\"Resource\":\"{ARN_PREFIX}topic/{resource}\"}}"
        )
    };
    let variable = one("Allow", "dt/*/*/${iot:ClientId}/temp");
    let many: Vec<String> =
        (0..15).map(|number| one("Allow", &format!("x/{number}/*"))).chain([variable.clone()]).collect();
    for (name, statements) in [
        ("policy: allow all", "{\"Effect\":\"Allow\",\"Action\":\"iot:*\",\"Resource\":\"*\"}".to_owned()),
        ("policy: a variable and two wildcards", variable),
        ("policy: the last of 16 statements", many.join(",")),
    ] {
        let text = format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{statements}]}}");
        let document = PolicyDocument::parse(&text).unwrap();
        let set = PolicySet::new(
            ARN_PREFIX,
            vec![NamedPolicy { name: "p".into(), version: None, document: document.into() }],
        );
        let context = Context { client_id: Some("pico_w_simple"), ..Context::default() };
        let resource = || Resource::Named { kind: ResourceKind::Topic, name: black_box(TOPIC) };
        assert!(set.decide(Action::Publish, resource(), &context).is_allowed(), "{name}");
        let (here, there) = (format!("{ARN_PREFIX}topic/{TOPIC}"), format!("{ARN_PREFIX}topic/{TOPIC}"));
        compare(
            name,
            || set.decide(Action::Publish, resource(), &context).is_allowed(),
            || black_box(&here) == black_box(&there),
        );
    }
}
