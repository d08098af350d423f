//! Policies: versions, attachments, decisions, tags.

use crate::support::{ALLOW_ALL, NOW, active_certificate, config, in_memory, policy, thing};
use iot_policy::{Action, Effect, Resource};
use registry::{AuthorizationQuestion, CertificateId, Error, Order, Registry, Tag, ThingUpdate};

const DENY_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iot:*","Resource":"*"}]}"#;

fn allow(action: &str, resource: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"{action}","Resource":"arn:aws:iot:eu-west-1:000000000000:{resource}"}}]}}"#
    )
}

fn may_publish(registry: &Registry, id: &CertificateId, client_id: &str, topic: &str) -> bool {
    let principal = registry.principal(id).unwrap();
    let context = principal.context(client_id, None);
    principal.policies.decide(Action::Publish, Resource::topic(topic), &context).is_allowed()
}

#[test]
fn documents_come_back_to_the_byte() {
    let registry = in_memory();
    let created = registry.create_policy("p", ALLOW_ALL, Vec::new(), NOW).unwrap();
    assert!(created.change.is_none());
    let got = registry.get_policy("p").unwrap();
    assert_eq!(&*got.default_version().document, ALLOW_ALL);
    assert_eq!((got.default_id, got.created_ms, got.modified_ms), (1, NOW, NOW));
    let again = registry.create_policy("p", ALLOW_ALL, Vec::new(), NOW).unwrap_err();
    assert!(matches!(again, Error::PolicyExists { .. }));
    assert!(matches!(registry.create_policy("q", "{}", Vec::new(), NOW), Err(Error::MalformedPolicy(_))));
    assert!(matches!(registry.get_policy("q"), Err(Error::NoSuchPolicy { .. })));
}

#[test]
fn a_policy_has_five_versions_with_ids_that_are_not_used_again() {
    let registry = in_memory();
    policy(&registry, "p");
    for id in 2..=5 {
        let made = registry.create_policy_version("p", ALLOW_ALL, false, NOW).unwrap();
        assert_eq!(made.value.1.id, id);
    }
    let sixth = registry.create_policy_version("p", ALLOW_ALL, true, NOW).unwrap_err();
    assert_eq!(sixth.to_string(), "The policy p already has the maximum number of versions (5)");
    let _ = registry.delete_policy_version("p", "5", NOW).unwrap();
    let made = registry.create_policy_version("p", DENY_ALL, true, NOW + 1).unwrap();
    assert_eq!(made.value.1.id, 6);
    assert_eq!(made.value.0.default_id, 6);
    assert_eq!(registry.get_policy("p").unwrap().modified_ms, NOW + 1);

    assert_eq!(
        registry.delete_policy_version("p", "6", NOW).unwrap_err().to_string(),
        "Cannot delete the default version of a policy"
    );
    for unknown in ["5", "0", "x", "-1"] {
        assert!(matches!(
            registry.set_default_policy_version("p", unknown, NOW),
            Err(Error::NoSuchPolicyVersion { .. })
        ));
    }
    assert_eq!(&*registry.get_policy_version("p", "6").unwrap().1.document, DENY_ALL);
}

#[test]
fn deleting_needs_no_targets_and_no_other_versions() {
    let registry = in_memory();
    policy(&registry, "p");
    let (_, arn) = active_certificate(&registry);
    let _ = registry.attach_policy("p", &arn).unwrap();
    let _ = registry.create_policy_version("p", ALLOW_ALL, true, NOW).unwrap();
    let refusal = || registry.delete_policy("p").unwrap_err().to_string();
    assert_eq!(
        refusal(),
        "The policy cannot be deleted as the policy is attached to one or more principals (name=p)"
    );
    let _ = registry.detach_policy("p", &arn).unwrap();
    assert_eq!(
        refusal(),
        "Cannot delete the policy because it has one or more policy versions attached to it (name=p)"
    );
    let _ = registry.delete_policy_version("p", "1", NOW).unwrap();
    let _ = registry.delete_policy("p").unwrap();
    assert!(registry.list_policies(Order::Ascending, None, 9).unwrap().items.is_empty());
}

#[test]
fn decisions_follow_each_change_at_once() {
    let registry = in_memory();
    let (id, arn) = active_certificate(&registry);
    let _ = registry.create_policy("p", &allow("iot:Publish", "topic/a/*"), Vec::new(), NOW).unwrap();
    let mut epoch = registry.epoch();
    let mut changed = |allowed: bool, topic: &str| {
        assert!(registry.epoch() > epoch);
        epoch = registry.epoch();
        assert_eq!(may_publish(&registry, &id, "c", topic), allowed, "{topic}");
    };
    let held = registry.principal(&id).unwrap();

    let done = registry.attach_policy("p", &arn).unwrap();
    assert_eq!(done.change.principals, [id]);
    changed(true, "a/1");
    let _ = registry.create_policy_version("p", &allow("iot:Publish", "topic/b/*"), true, NOW).unwrap();
    changed(true, "b/1");
    let done = registry.set_default_policy_version("p", "1", NOW).unwrap();
    assert!(done.change.policies);
    changed(false, "b/1");
    let _ = registry.detach_policy("p", &arn).unwrap();
    changed(false, "a/1");

    assert_eq!(held.policies.policies().len(), 0, "who holds a principal keeps what it was");
    let unused = registry.create_policy_version("p", ALLOW_ALL, true, NOW).unwrap();
    assert!(unused.change.is_none(), "nobody has this policy");
}

#[test]
fn an_unchanged_principal_is_shared() {
    let registry = in_memory();
    let (id, _) = active_certificate(&registry);
    let first = registry.principal(&id).unwrap();
    let _ = active_certificate(&registry);
    assert!(std::sync::Arc::ptr_eq(&first, &registry.principal(&id).unwrap()));
}

#[test]
fn thing_variables_follow_attachment_and_attributes() {
    let registry = in_memory();
    let (id, arn) = active_certificate(&registry);
    let document = allow(
        "iot:Publish",
        "topic/${iot:Connection.Thing.Attributes[room]}/${iot:Connection.Thing.ThingName}/${iot:CertificateId}",
    );
    let _ = registry.create_policy("p", &document, Vec::new(), NOW).unwrap();
    let _ = registry.attach_policy("p", &arn).unwrap();
    let _ = registry.create_thing("pico", config(&[("room", "r1")]), NOW).unwrap();
    let topic = |room: &str| format!("{room}/pico/{id}");
    assert!(!may_publish(&registry, &id, "pico", &topic("r1")));
    let _ = registry.attach_thing_principal("pico", &arn, None).unwrap();
    assert!(may_publish(&registry, &id, "pico", &topic("r1")));
    assert!(!may_publish(&registry, &id, "other", &topic("r1")), "the client id must be the thing's name");
    let update =
        ThingUpdate { attributes: Some(config(&[("room", "r2")]).attributes), ..ThingUpdate::default() };
    assert!(registry.update_thing("pico", update).unwrap().change.policies);
    assert!(may_publish(&registry, &id, "pico", &topic("r2")));
}

#[test]
fn a_target_takes_ten_policies() {
    let registry = in_memory();
    let (_, arn) = active_certificate(&registry);
    (0..11).for_each(|n| policy(&registry, &format!("p{n:02}")));
    for n in 0..10 {
        let _ = registry.attach_policy(&format!("p{n:02}"), &arn).unwrap();
    }
    assert!(matches!(registry.attach_policy("p10", &arn), Err(Error::TooManyPolicies { max: 10, .. })));
    assert!(!registry.attach_policy("p00", &arn).unwrap().change.policies, "what is attached stays so");

    let page = registry.list_attached_policies(&arn, Some("p07"), 1).unwrap();
    assert_eq!((&*page.items[0].name, page.next.as_deref()), ("p08", Some("p08")));
    let page = registry.list_principal_policies(&arn, Order::Descending, Some("p01"), 5).unwrap();
    assert_eq!((page.items.len(), &*page.items[0].name, page.next), (1, "p00", None));
    assert_eq!(registry.get_effective_policies(Some(&arn), None).unwrap().len(), 10);
    assert!(registry.get_effective_policies(None, None).is_err());
    assert!(matches!(registry.get_effective_policies(None, Some("x")), Err(Error::NoSuchThing { .. })));
}

#[test]
fn targets_are_listed_in_both_orders() {
    let registry = in_memory();
    ["p", "p2", "o"].iter().for_each(|name| policy(&registry, name));
    let mut arns: Vec<String> = (0..3).map(|_| active_certificate(&registry).1).collect();
    for name in ["p", "p2", "o"] {
        arns.iter().for_each(|arn| {
            let _ = registry.attach_policy(name, arn).unwrap();
        });
    }
    let list = |order| {
        let mut seen = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = registry.list_policy_principals("p", order, after.as_deref(), 1).unwrap();
            seen.extend(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => return seen,
            }
        }
    };
    arns.sort();
    assert_eq!(list(Order::Ascending), arns);
    arns.reverse();
    assert_eq!(list(Order::Descending), arns);
}

#[test]
fn groups_and_cognito_say_that_they_are_not_there_yet() {
    let registry = in_memory();
    policy(&registry, "p");
    for target in
        ["arn:aws:iot:eu-west-1:000000000000:thinggroup/g", "eu-west-1:7f1f0a3a-1111-4222-8333-123456789abc"]
    {
        let error = registry.attach_policy("p", target).unwrap_err();
        assert!(error.to_string().ends_with("is not available yet"), "{error}");
    }
}

#[test]
fn test_authorization_tells_who_decided_and_what_was_missing() {
    let registry = in_memory();
    let (_, arn) = active_certificate(&registry);
    thing(&registry, "pico");
    let own = allow("iot:Publish", "topic/${iot:Connection.Thing.ThingName}");
    for (name, document) in [("own", &*own), ("never", DENY_ALL)] {
        let _ = registry.create_policy(name, document, Vec::new(), NOW).unwrap();
    }
    let _ = registry.attach_policy("own", &arn).unwrap();
    let topic = "arn:aws:iot:eu-west-1:000000000000:topic/pico".to_owned();
    let asked = [(Action::Publish, vec![topic])];
    let ask = |question: AuthorizationQuestion<'_>| {
        let question = AuthorizationQuestion { principal: Some(&arn), client_id: Some("pico"), ..question };
        registry.test_authorization(&question, &asked).unwrap().remove(0)
    };

    let result = ask(AuthorizationQuestion::default());
    assert_eq!(result.effect, Effect::ImplicitDeny);
    assert_eq!(result.missing_context, ["iot:Connection.Thing.ThingName"]);
    assert_eq!(result.silent, ["own".into()]);

    let _ = registry.attach_thing_principal("pico", &arn, None).unwrap();
    let result = ask(AuthorizationQuestion::default());
    assert_eq!((result.effect, &*result.allowing), (Effect::Allowed, &["own".into()][..]));
    assert!(result.missing_context.is_empty());

    let never = ["never".to_owned()];
    let result = ask(AuthorizationQuestion { policies_to_add: &never, ..Default::default() });
    assert_eq!((result.effect, &*result.denying), (Effect::ExplicitDeny, &["never".into()][..]));
    assert_eq!(
        result.reasons,
        ["policy `never` statement 1 denies iot:Publish on `arn:aws:iot:eu-west-1:000000000000:topic/pico`"]
    );
    let own = ["own".to_owned()];
    let result = ask(AuthorizationQuestion { policies_to_skip: &own, ..Default::default() });
    assert_eq!((result.effect, result.allowing.len()), (Effect::ImplicitDeny, 0));

    let nobody = AuthorizationQuestion::default();
    assert!(matches!(registry.test_authorization(&nobody, &asked), Err(Error::Incomplete { .. })));
    let unknown = ["unknown".to_owned()];
    let question = AuthorizationQuestion { policies_to_add: &unknown, ..Default::default() };
    assert!(matches!(registry.test_authorization(&question, &asked), Err(Error::NoSuchPolicy { .. })));
}

#[test]
fn one_denied_resource_decides_over_all() {
    let registry = in_memory();
    let _ = registry.create_policy("p", &allow("iot:Publish", "topic/a"), Vec::new(), NOW).unwrap();
    let add = ["p".to_owned()];
    let question = AuthorizationQuestion { policies_to_add: &add, ..Default::default() };
    let topics = |names: &[&str]| {
        let arns = names.iter().map(|name| format!("arn:aws:iot:eu-west-1:000000000000:topic/{name}"));
        [(Action::Publish, arns.collect::<Vec<_>>())]
    };
    let effect = |names: &[&str]| registry.test_authorization(&question, &topics(names)).unwrap()[0].effect;
    assert_eq!(effect(&["a"]), Effect::Allowed);
    assert_eq!(effect(&["a", "b"]), Effect::ImplicitDeny);
    assert_eq!(effect(&[]), Effect::ImplicitDeny);
}

#[test]
fn tags_belong_to_what_can_have_them() {
    let registry = in_memory();
    let tag = |key: &str, value: &str| Tag { key: key.to_owned(), value: value.to_owned() };
    let _ = registry.create_policy("p", ALLOW_ALL, vec![tag("b", "1")], NOW).unwrap();
    let arn = registry.identity().policy_arn("p");
    let _ = registry.tag_resource(&arn, vec![tag("a", ""), tag("b", "2")]).unwrap();
    assert_eq!(registry.list_tags_for_resource(&arn).unwrap(), [tag("a", ""), tag("b", "2")]);
    let _ = registry.untag_resource(&arn, &["a".to_owned(), "x".to_owned()]).unwrap();
    assert_eq!(registry.list_tags_for_resource(&arn).unwrap(), [tag("b", "2")]);

    assert!(matches!(registry.tag_resource(&arn, vec![tag("AWS:x", "")]), Err(Error::InvalidTag { .. })));
    assert!(matches!(registry.tag_resource(&arn, vec![tag("", "")]), Err(Error::InvalidTag { .. })));
    let many = (0..50).map(|n| tag(&format!("k{n}"), "")).collect();
    assert_eq!(registry.tag_resource(&arn, many).unwrap_err(), Error::TooManyTags { max: 50 });

    let unknown = registry.identity().policy_arn("q");
    assert!(matches!(registry.tag_resource(&unknown, Vec::new()), Err(Error::NoSuchResource { .. })));
    let thing_arn = registry.identity().thing_arn("t");
    assert!(matches!(registry.tag_resource(&thing_arn, Vec::new()), Err(Error::NotTaggable { .. })));

    let _ = registry.delete_policy("p").unwrap();
    policy(&registry, "p");
    assert!(registry.list_tags_for_resource(&arn).unwrap().is_empty(), "tags go with their policy");
}
