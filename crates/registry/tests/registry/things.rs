//! Things: idempotent creation, attributes, versions, lists.

use crate::support::{NOW, active_certificate, config, in_memory, thing};
use registry::{Error, ThingConfig, ThingQuery, ThingUpdate};

fn attributes(pairs: &[(&str, &str)], merge: bool) -> ThingUpdate {
    ThingUpdate { attributes: Some(config(pairs).attributes), merge, ..ThingUpdate::default() }
}

#[test]
fn creating_the_same_thing_again_gives_the_same_thing() {
    let registry = in_memory();
    let first = registry.create_thing("pico", config(&[("room", "r1")]), NOW).unwrap();
    assert!(first.change.is_none());
    let again = registry.create_thing("pico", config(&[("room", "r1")]), NOW + 5).unwrap();
    assert_eq!(again.value, first.value);
    assert_eq!(again.position, first.position, "an answer to a retry waits for what it found");
    assert_eq!(first.value.version, 1);

    let conflict = registry.create_thing("pico", config(&[("room", "r2")]), NOW).unwrap_err();
    assert_eq!(conflict.to_string(), "Thing pico already exists in account with different attributes");
    let expected = Error::ThingExists {
        name: "pico".to_owned(),
        id: first.value.id.to_string(),
        arn: "arn:aws:iot:eu-west-1:000000000000:thing/pico".to_owned(),
    };
    assert_eq!(conflict, expected);
}

#[test]
fn names_differ_by_case() {
    let registry = in_memory();
    thing(&registry, "Pico");
    assert!(registry.describe_thing("pico").is_err());
}

#[test]
fn attributes_are_limited() {
    let registry = in_memory();
    let refusal = |pairs: &[(&str, &str)]| registry.create_thing("t", config(pairs), NOW).unwrap_err();
    for pairs in [
        &[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")][..],
        &[("a b", "1")],
        &[("a", "ü")],
        &[("", "1")],
        &[("a", &"x".repeat(801))],
        &[(&"x".repeat(129), "1")],
    ] {
        assert!(matches!(refusal(pairs), Error::InvalidAttributes { .. }), "{pairs:?}");
    }
    assert!(
        registry.create_thing("t", config(&[("a.b,@/:#-_1", "[x]=1"), ("b", &"x".repeat(800))]), NOW).is_ok()
    );
}

#[test]
fn types_and_billing_groups_are_told_to_be_missing() {
    let registry = in_memory();
    let typed = ThingConfig { type_name: Some("bulb".to_owned()), ..ThingConfig::default() };
    assert_eq!(
        registry.create_thing("t", typed, NOW).unwrap_err(),
        Error::NoSuchThingType { name: "bulb".to_owned() }
    );
    let billed = ThingConfig { billing_group: Some("g".to_owned()), ..ThingConfig::default() };
    assert!(matches!(registry.create_thing("t", billed, NOW), Err(Error::NoSuchBillingGroup { .. })));
    thing(&registry, "t");
    let both =
        ThingUpdate { type_name: Some("bulb".to_owned()), remove_type: true, ..ThingUpdate::default() };
    assert_eq!(registry.update_thing("t", both).unwrap_err(), Error::ThingTypeAndRemoval);
}

#[test]
fn updates_merge_or_replace_and_count() {
    let registry = in_memory();
    let _ = registry.create_thing("t", config(&[("a", "1"), ("b", "2")]), NOW).unwrap();
    assert_eq!(registry.update_thing("t", attributes(&[("b", ""), ("c", "3")], true)).unwrap().value, 2);
    let updated = registry.describe_thing("t").unwrap();
    assert_eq!(updated.attribute("a"), Some("1"));
    assert_eq!(updated.attribute("b"), None);
    assert_eq!(updated.attribute("c"), Some("3"));
    assert_eq!(registry.update_thing("t", attributes(&[("d", "4")], false)).unwrap().value, 3);
    assert_eq!(registry.describe_thing("t").unwrap().attributes.len(), 1);

    let too_many = attributes(&[("a", "1"), ("b", "1"), ("c", "1")], true);
    assert!(matches!(registry.update_thing("t", too_many), Err(Error::InvalidAttributes { .. })));
    assert!(matches!(registry.update_thing("x", ThingUpdate::default()), Err(Error::NoSuchThing { .. })));
}

#[test]
fn expected_versions_must_match() {
    let registry = in_memory();
    thing(&registry, "t");
    let expecting = |version| ThingUpdate { expected_version: Some(version), ..ThingUpdate::default() };
    let conflict = Error::ThingVersionConflict { name: "t".to_owned() };
    assert_eq!(registry.update_thing("t", expecting(2)).unwrap_err(), conflict);
    assert_eq!(registry.update_thing("t", expecting(1)).unwrap().value, 2);
    assert_eq!(registry.delete_thing("t", Some(1)).unwrap_err(), conflict);
    assert!(registry.delete_thing("t", Some(2)).is_ok());
}

#[test]
fn deleting_waits_for_the_principals() {
    let registry = in_memory();
    assert!(registry.delete_thing("t", None).is_ok(), "a thing that is not there is deleted");
    thing(&registry, "t");
    let (_, arn) = active_certificate(&registry);
    let _ = registry.attach_thing_principal("t", &arn, None).unwrap();
    assert_eq!(
        registry.delete_thing("t", None).unwrap_err().to_string(),
        "Cannot delete. Thing t is still attached to one or more principals"
    );
    let _ = registry.detach_thing_principal("t", &arn).unwrap();
    let first = registry.describe_thing("t").unwrap();
    let _ = registry.delete_thing("t", None).unwrap();
    thing(&registry, "t");
    assert_ne!(registry.describe_thing("t").unwrap().id, first.id);
}

#[test]
fn lists_have_pages_and_filters() {
    let registry = in_memory();
    for (name, room) in [("c", "r1"), ("a", "r1"), ("b", "r2"), ("d", "r12")] {
        let _ = registry.create_thing(name, config(&[("room", room)]), NOW).unwrap();
    }
    let list = |query: ThingQuery<'_>| {
        let page = registry.list_things(&query).unwrap();
        (page.items.iter().map(|thing| thing.name.to_string()).collect::<Vec<_>>(), page.next)
    };
    let query = ThingQuery { limit: 10, ..ThingQuery::default() };
    assert_eq!(list(query), (vec!["a".into(), "b".into(), "c".into(), "d".into()], None));

    let mut after = None;
    let mut seen = Vec::new();
    loop {
        let (names, next) = list(ThingQuery { after: after.as_deref(), limit: 1, ..query });
        assert_eq!(names.len(), 1);
        seen.extend(names);
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, ["a", "b", "c", "d"]);

    let rooms = ThingQuery { attribute_name: Some("room"), attribute_value: Some("r1"), ..query };
    assert_eq!(list(rooms).0, ["a", "c"]);
    assert_eq!(list(ThingQuery { value_is_prefix: true, ..rooms }).0, ["a", "c", "d"]);
    assert_eq!(list(ThingQuery { limit: 1, ..rooms }), (vec!["a".into()], Some("a".into())));
    assert_eq!(list(ThingQuery { after: Some("a"), limit: 1, ..rooms }), (vec!["c".into()], None));
    assert_eq!(list(ThingQuery { type_name: Some("bulb"), ..query }).0, [""; 0]);
    let value_alone = ThingQuery { attribute_value: Some("r1"), ..query };
    assert!(registry.list_things(&value_alone).is_err());

    let _ = registry.delete_thing("b", None).unwrap();
    assert_eq!(list(ThingQuery { after: Some("b"), ..query }).0, ["c", "d"], "a cursor survives its item");
}
