//! Policy documents from any text, and decisions by them.
//!
//! The input's first line is the request: a resource and a client id with a blank between. The rest is the document.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use fuzz::split_line;
use iot_policy::{
    Action, CertificateAttributes, ConnectedThing, Context, Effect, NamedPolicy, PolicyDocument, PolicySet,
    Resource, ResourceKind, Verdict,
};
use libfuzzer_sys::fuzz_target;

const ARN_PREFIX: &str = "arn:aws:iot:us-east-1:000000000000:";

const DENY_EVERYTHING: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#;

const KINDS: [ResourceKind; 5] = [
    ResourceKind::Client,
    ResourceKind::Topic,
    ResourceKind::TopicFilter,
    ResourceKind::Thing,
    ResourceKind::RoleAlias,
];

static CERTIFICATE: LazyLock<CertificateAttributes> = LazyLock::new(|| {
    CertificateAttributes(vec![("Subject.CommonName".into(), vec!["pico".into(), "a*b".into()])])
});

fuzz_target!(|input: &str| {
    let (request, document) = split_line(input);
    let (resource, client_id) = request.split_once(' ').unwrap_or((request, "pico"));
    let document = match PolicyDocument::parse(document) {
        Ok(document) => document,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let attributes = [("room".into(), "kitchen".into())];
    let full = Context {
        client_id: Some(client_id),
        certificate_id: Some("0123456789abcdef"),
        source_ip: Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7))),
        thing: Some(ConnectedThing { name: client_id, type_name: Some("board"), attributes: &attributes }),
        certificate: Some(&CERTIFICATE),
        connect_attributes: Some(&["PersistentConnect", "LastWill"]),
        last_will_topic: Some("arn:aws:iot:us-east-1:000000000000:topic/gone"),
        domain_name: Some("localhost"),
        now_s: Some(1_700_000_000),
    };
    for context in [full, Context::default()] {
        check(&document, resource, &context);
    }
});

fn check(document: &PolicyDocument, resource: &str, context: &Context<'_>) {
    let alone = policies(&[document]);
    let denied = policies(&[document, &PolicyDocument::deny_all()]);
    let deny = PolicyDocument::parse(DENY_EVERYTHING).expect("a valid document");
    let denied_in_json = policies(&[&deny, document]);
    for &action in Action::ALL {
        let asked = Resource::Arn(resource);
        let effect = check_decision(&alone, action, asked, context);
        for denied in [&denied, &denied_in_json] {
            assert_eq!(check_decision(denied, action, asked, context), Effect::ExplicitDeny);
        }
        // The same policy twice says the same.
        assert_eq!(check_decision(&policies(&[document, document]), action, asked, context), effect);
    }
    for kind in KINDS {
        let arn = format!("{ARN_PREFIX}{}{resource}", kind.prefix());
        let named =
            check_decision(&alone, Action::Publish, Resource::Named { kind, name: resource }, context);
        let by_arn = check_decision(&alone, Action::Publish, Resource::Arn(&arn), context);
        assert_eq!(named, by_arn, "{arn} by name and by ARN");
    }
}

/// The decision, once it fits its reason and what each policy says.
fn check_decision(set: &PolicySet, action: Action, resource: Resource<'_>, context: &Context<'_>) -> Effect {
    let decision = set.decide(action, resource, context);
    assert!(!decision.reason.to_string().is_empty());
    let verdicts = set.verdicts(action, resource, context);
    let expected = if verdicts.contains(&Verdict::Denies) {
        Effect::ExplicitDeny
    } else if verdicts.contains(&Verdict::Allows) {
        Effect::Allowed
    } else {
        Effect::ImplicitDeny
    };
    assert_eq!(decision.effect, expected, "{verdicts:?}");
    assert_eq!(decision.is_allowed(), expected == Effect::Allowed);
    assert_eq!(decision.reason.decided_by().is_none(), expected == Effect::ImplicitDeny);
    set.missing_context(action, resource, context);
    decision.effect
}

fn policies(documents: &[&PolicyDocument]) -> PolicySet {
    let named = |(index, document): (usize, &&PolicyDocument)| NamedPolicy {
        name: Arc::from(format!("p{index}")),
        version: None,
        document: Arc::new((*document).clone()),
    };
    PolicySet::new(ARN_PREFIX, documents.iter().enumerate().map(named).collect())
}
