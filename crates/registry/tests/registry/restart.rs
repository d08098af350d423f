//! What was acknowledged is there after a start, and only that.

use crate::support::{ALLOW_ALL, NOW, active_certificate, config, identity, policy, thing};
use registry::{AttachmentKind, CertificateStatus, LoadError, Order, Registry, Tag, ThingQuery, ThingUpdate};
use std::path::Path;
use store::{Keyspace, Store, StoreOptions, Transaction};

fn open(dir: &Path) -> (Store, Result<Registry, LoadError>) {
    let store = Store::open(StoreOptions::directory(dir)).unwrap().recover(vec![]).unwrap();
    let registry = Registry::load(&store, identity());
    (store, registry)
}

/// Everything that the lists and descriptions show.
fn everything(registry: &Registry) -> String {
    let things = registry.list_things(&ThingQuery { limit: 99, ..ThingQuery::default() }).unwrap().items;
    let certificates = registry.list_certificates(Order::Ascending, None, 99).unwrap().items;
    let policies = registry.list_policies(Order::Ascending, None, 99).unwrap().items;
    let mut text = String::new();
    for policy in &policies {
        let versions: Vec<_> =
            policy.versions.iter().map(|v| (v.id, v.created_ms, v.document.clone())).collect();
        let targets = registry.list_targets_for_policy(&policy.name, None, 99).unwrap();
        let tags = registry.list_tags_for_resource(&registry.identity().policy_arn(&policy.name)).unwrap();
        let dates = (policy.created_ms, policy.modified_ms, policy.generation_id, policy.default_id);
        text += &format!("{} {dates:?} {versions:?} {targets:?} {tags:?}\n", policy.name);
    }
    for thing in &things {
        let principals = registry.list_thing_principals(&thing.name, None, None, 99).unwrap();
        text += &format!("{thing:?} {principals:?}\n");
    }
    format!("{text}{certificates:?}")
}

#[test]
fn a_new_start_has_the_same_state() {
    let dir = tempfile::tempdir().unwrap();
    let (store, registry) = open(dir.path());
    let registry = registry.unwrap();
    let (first, first_arn) = active_certificate(&registry);
    let (second, second_arn) = active_certificate(&registry);
    let (third, _) = active_certificate(&registry);
    let _ = registry.create_thing("pico", config(&[("room", "r1")]), NOW).unwrap();
    ["gone", "other"].iter().for_each(|name| thing(&registry, name));
    let _ = registry.update_thing("pico", ThingUpdate::default()).unwrap();
    let _ = registry.delete_thing("gone", None).unwrap();
    let _ = registry.attach_thing_principal("pico", &first_arn, Some(AttachmentKind::Exclusive)).unwrap();
    let _ = registry.attach_thing_principal("other", &second_arn, None).unwrap();
    let _ = registry.detach_thing_principal("other", &second_arn).unwrap();
    let _ = registry.update_certificate(&second, CertificateStatus::Revoked, NOW + 9).unwrap();
    let _ = registry.update_certificate(&third, CertificateStatus::Inactive, NOW + 9).unwrap();
    let _ = registry.delete_certificate(&third, false).unwrap();
    let tag = Tag { key: "k".to_owned(), value: "v".to_owned() };
    let _ = registry.create_policy("p", ALLOW_ALL, vec![tag], NOW).unwrap();
    policy(&registry, "deleted");
    let _ = registry.delete_policy("deleted").unwrap();
    let _ = registry.create_policy_version("p", ALLOW_ALL, true, NOW + 5).unwrap();
    let _ = registry.delete_policy_version("p", "1", NOW + 6).unwrap();
    let _ = registry.attach_policy("p", &first_arn).unwrap();
    let _ = registry.attach_policy("p", &second_arn).unwrap();
    let done = registry.detach_policy("p", &second_arn).unwrap();
    store.when_committed(done.position.unwrap()).wait().unwrap();
    let before = everything(&registry);
    store.close().unwrap();
    drop((store, registry));

    let (_store, registry) = open(dir.path());
    let registry = registry.unwrap();
    assert_eq!(everything(&registry), before);
    let principal = registry.principal(&first).unwrap();
    assert!(principal.is_active());
    assert_eq!(principal.policies.policies().len(), 1);
    assert_eq!(principal.thing_names().collect::<Vec<_>>(), ["pico"]);
    assert_eq!(&*principal.thing("any").unwrap().name, "pico", "exclusive still");
    let made = registry.create_policy_version("p", ALLOW_ALL, false, NOW).unwrap();
    assert_eq!(made.value.1.id, 3, "ids are not used again after a start either");
}

#[test]
fn damaged_and_newer_records_are_refused_by_name() {
    for (value, expected) in [
        (
            &b"\x02{}"[..],
            "record `pico` of `things` is stored in format 2, this version of eyot reads up to 1",
        ),
        (b"\x01{", "record `pico` of `things` is damaged: EOF while parsing an object at line 1 column 1"),
        (b"", "record `pico` of `things` is damaged: it has no format"),
    ] {
        let store = Store::open(StoreOptions::in_memory()).unwrap().recover(vec![]).unwrap();
        let mut transaction = Transaction::new();
        transaction.put(Keyspace("things"), "pico", value);
        let position = store.commit(transaction).wait().unwrap();
        store.wait_applied(position).unwrap();
        let error = Registry::load(&store, identity()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
