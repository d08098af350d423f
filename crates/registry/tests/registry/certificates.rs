//! Certificates: registering, status, deleting, lists; and the principals of things.

use crate::support::{NOW, active_certificate, certificate, certificate_made_at, in_memory, policy, thing};
use registry::{AttachmentKind, CertificateId, CertificateMode, CertificateStatus, Error, Order, Registry};

fn set(registry: &Registry, id: &CertificateId, status: CertificateStatus) -> registry::Done<()> {
    registry.update_certificate(id, status, NOW + 1).unwrap()
}

#[test]
fn a_certificate_is_registered_once() {
    let registry = in_memory();
    let pem = certificate();
    let registered = registry.register_certificate_without_ca(&pem, None, NOW).unwrap().value;
    assert_eq!(registered.status, CertificateStatus::Inactive);
    assert_eq!(registered.mode, CertificateMode::SniOnly);
    assert_eq!((registered.created_ms, registered.customer_version), (NOW, 1));
    assert_eq!(registered.pem().replace('\r', ""), pem.replace('\r', ""));

    let id = registered.id.to_string();
    let arn = registry.identity().certificate_arn(&registered.id);
    let expected = Error::CertificateExists { id, arn };
    assert_eq!(registry.register_certificate_without_ca(&pem, None, NOW).unwrap_err(), expected);
    assert_eq!(registry.register_certificate(&pem, None, None).unwrap_err(), expected);
    assert_eq!(expected.to_string(), "The certificate is already provisioned or registered");
}

#[test]
fn pending_is_no_status_to_begin_with() {
    let registry = in_memory();
    let pending = Some(CertificateStatus::PendingActivation);
    let refusal = "Not allowed to register certificate with PENDING_ACTIVATION status";
    let pem = certificate();
    let error = registry.register_certificate_without_ca(&pem, pending, NOW).unwrap_err();
    assert_eq!(error.to_string(), refusal);
    assert_eq!(registry.register_certificate(&pem, None, pending).unwrap_err(), error);
}

#[test]
fn what_is_no_certificate_is_refused() {
    let registry = in_memory();
    for pem in ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let error = registry.register_certificate_without_ca(pem, None, NOW).unwrap_err();
        assert!(matches!(error, Error::InvalidCertificate { .. }), "{error}");
    }
    let unknown_ca = registry.register_certificate(&certificate(), Some(&certificate()), None);
    assert_eq!(unknown_ca.unwrap_err(), Error::NoSuchAuthority);
}

#[test]
fn leaving_active_drops_the_connections() {
    let registry = in_memory();
    let (id, _) = active_certificate(&registry);
    assert!(registry.principal(&id).unwrap().is_active());
    let epoch = registry.epoch();

    let done = set(&registry, &id, CertificateStatus::Inactive);
    assert_eq!(done.change.dropped, [id]);
    assert!(registry.epoch() > epoch);
    assert!(!registry.principal(&id).unwrap().is_active());
    let described = registry.describe_certificate(&id).unwrap();
    assert_eq!((described.modified_ms, described.customer_version), (NOW + 1, 2));

    // Asked again, it is done again: a session that was left by an interrupted request goes.
    assert_eq!(set(&registry, &id, CertificateStatus::Inactive).change.dropped, [id]);
    assert_eq!(set(&registry, &id, CertificateStatus::Revoked).change.dropped, [id]);
    assert!(set(&registry, &id, CertificateStatus::Active).change.dropped.is_empty());
    for status in [CertificateStatus::PendingTransfer, CertificateStatus::PendingActivation] {
        let refused = registry.update_certificate(&id, status, NOW);
        assert_eq!(refused.unwrap_err(), Error::UpdateStatus { status });
    }
    let unknown = CertificateId::of_der(b"unknown");
    let refused = registry.update_certificate(&unknown, CertificateStatus::Active, NOW).unwrap_err();
    assert_eq!(refused.to_string(), "The specified resource does not exist");
    assert!(registry.principal(&unknown).is_none());
}

#[test]
fn deleting_needs_inactive_without_things_and_without_policies_unless_forced() {
    let registry = in_memory();
    let (id, arn) = active_certificate(&registry);
    thing(&registry, "t");
    policy(&registry, "p");
    let _ = registry.attach_thing_principal("t", &arn, None).unwrap();
    let _ = registry.attach_policy("p", &arn).unwrap();
    let refusal = |force| registry.delete_certificate(&id, force).unwrap_err().to_string();

    assert_eq!(
        refusal(true),
        format!("Certificate must be deactivated (not ACTIVE) before deletion. Id: {id}")
    );
    let _ = set(&registry, &id, CertificateStatus::Inactive);
    assert_eq!(refusal(true), format!("Things must be detached before deletion (arn: {arn})"));
    let _ = registry.detach_thing_principal("t", &arn).unwrap();
    assert_eq!(refusal(false), format!("Certificate policies must be detached before deletion (arn: {arn})"));
    let _ = registry.delete_certificate(&id, true).unwrap();
    assert_eq!(registry.delete_certificate(&id, true).unwrap_err(), Error::NoSuchCertificate);
    assert!(registry.delete_policy("p").is_ok(), "the forced delete has detached it");
}

#[test]
fn certificates_are_listed_by_date_in_both_orders() {
    let registry = in_memory();
    let ids: Vec<CertificateId> = (0..5).map(|n| certificate_made_at(&registry, NOW + n / 2).0).collect();
    let list = |order| {
        let mut seen = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = registry.list_certificates(order, after.as_deref(), 1).unwrap();
            seen.extend(page.items.iter().map(|certificate| certificate.id));
            match page.next {
                Some(next) => after = Some(next),
                None => return seen,
            }
        }
    };
    let ascending = list(Order::Ascending);
    let mut descending = list(Order::Descending);
    assert_eq!(ascending.len(), 5);
    assert_eq!(ascending[4], ids[4]);
    descending.reverse();
    assert_eq!(ascending, descending);
    assert_eq!(registry.list_certificates(Order::Ascending, Some("x"), 1), Err(Error::InvalidCursor));
}

#[test]
fn principals_attach_and_detach_as_often_as_one_likes() {
    let registry = in_memory();
    let (id, arn) = active_certificate(&registry);
    thing(&registry, "t");
    assert!(registry.attach_thing_principal("t", &arn, None).unwrap().change.policies);
    assert!(!registry.attach_thing_principal("t", &arn, None).unwrap().change.policies);
    assert_eq!(registry.principal(&id).unwrap().thing_names().collect::<Vec<_>>(), ["t"]);
    assert!(registry.detach_thing_principal("t", &arn).unwrap().change.policies);
    assert!(!registry.detach_thing_principal("t", &arn).unwrap().change.policies);
    assert!(matches!(registry.attach_thing_principal("x", &arn, None), Err(Error::NoSuchThing { .. })));
    let unknown = registry.identity().certificate_arn(&CertificateId::of_der(b"unknown"));
    assert_eq!(registry.attach_thing_principal("t", &unknown, None).unwrap_err(), Error::NoSuchCertificate);
    assert!(matches!(registry.attach_thing_principal("t", "x", None), Err(Error::InvalidArn { .. })));
}

#[test]
fn an_exclusive_principal_has_one_thing() {
    let registry = in_memory();
    let (id, arn) = active_certificate(&registry);
    ["a", "b"].iter().for_each(|name| thing(&registry, name));
    let attach = |thing: &str, kind| registry.attach_thing_principal(thing, &arn, kind);
    let exclusive = Some(AttachmentKind::Exclusive);

    let _ = attach("a", exclusive).unwrap();
    assert!(matches!(attach("b", None), Err(Error::ExclusiveElsewhere { thing, .. }) if thing == "a"));
    assert!(!attach("a", None).unwrap().change.policies, "attached as it was");
    let principal = registry.principal(&id).unwrap();
    assert_eq!(&*principal.thing("any client id").unwrap().name, "a");

    let _ = attach("a", Some(AttachmentKind::NonExclusive)).unwrap();
    assert!(registry.principal(&id).unwrap().thing("any client id").is_none());
    let _ = attach("b", None).unwrap();
    assert!(matches!(attach("a", exclusive), Err(Error::OtherThings { .. })));
}

#[test]
fn both_sides_list_their_attachments() {
    let registry = in_memory();
    let (first, first_arn) = active_certificate(&registry);
    let (second, second_arn) = active_certificate(&registry);
    ["a", "b"].iter().for_each(|name| thing(&registry, name));
    for (name, arn) in [("a", &first_arn), ("a", &second_arn), ("b", &first_arn)] {
        let _ = registry.attach_thing_principal(name, arn, None).unwrap();
    }
    let page = registry.list_thing_principals("a", None, None, 1).unwrap();
    let rest = registry.list_thing_principals("a", None, page.next.as_deref(), 1).unwrap();
    let listed = [page.items[0].certificate_id, rest.items[0].certificate_id];
    assert_eq!(listed, [first.min(second), first.max(second)]);
    assert_eq!(rest.next, None);
    let exclusive = Some(AttachmentKind::Exclusive);
    assert!(registry.list_thing_principals("a", exclusive, None, 9).unwrap().items.is_empty());

    let things = registry.list_principal_things(&first_arn, None, None, 1).unwrap();
    assert_eq!((&*things.items[0].thing_name, things.next.as_deref()), ("a", Some("a")));
    let things = registry.list_principal_things(&first_arn, None, Some("a"), 1).unwrap();
    assert_eq!((&*things.items[0].thing_name, things.next), ("b", None));
}
