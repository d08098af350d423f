//! A disk that was full: what it lost is taken back, so that no later answer acknowledges it.

use crate::support::{NOW, active_certificate, identity, policy};
use registry::{Error, Registry, ThingConfig};
use std::sync::Arc;
use store::disk::sim::SimDisk;
use store::{AppendError, Store, StoreOptions};

#[test]
fn what_a_full_disk_lost_is_taken_back() {
    let disk = SimDisk::new(7);
    let store =
        Store::open(StoreOptions::simulated(Arc::new(disk.clone()))).unwrap().recover(vec![]).unwrap();
    let registry = Registry::load(&store, identity()).unwrap();
    let (id, arn) = active_certificate(&registry);
    policy(&registry, "p");
    let kept = registry.create_thing("kept", ThingConfig::default(), NOW).unwrap();
    store.when_committed(kept.position.unwrap()).wait().unwrap();
    let epoch = registry.epoch();

    disk.limit_bytes(Some(disk.used_bytes()));
    let lost = registry.create_thing("lost", ThingConfig::default(), NOW).unwrap();
    let attached = registry.attach_policy("p", &arn).unwrap();
    for position in [lost.position, attached.position] {
        let outcome = store.when_committed(position.unwrap()).wait();
        assert_eq!(outcome, Err(AppendError::Shortage));
    }
    disk.limit_bytes(None);

    assert!(matches!(registry.describe_thing("lost"), Err(Error::NoSuchThing { .. })));
    assert!(registry.describe_thing("kept").is_ok());
    assert!(registry.principal(&id).unwrap().policies.policies().is_empty());
    assert!(registry.epoch() > epoch + 1, "live connections must learn that too");

    let again = registry.create_thing("lost", ThingConfig::default(), NOW).unwrap();
    store.when_committed(again.position.unwrap()).wait().unwrap();
    assert_ne!(again.value.id, lost.value.id);
}
