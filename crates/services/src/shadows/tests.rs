//! Shadows through their store.

use super::*;
use serde_json::Value;
use store::StoreOptions;

fn open(dir: &std::path::Path) -> (Store, Shadows) {
    let store = Store::open(StoreOptions::directory(dir)).unwrap().recover(vec![]).unwrap();
    let shadows = Shadows::load(&store).unwrap();
    (store, shadows)
}

fn in_memory() -> Shadows {
    let store = Store::open(StoreOptions::in_memory()).unwrap().recover(vec![]).unwrap();
    Shadows::load(&store).unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn update(shadows: &Shadows, payload: &str, now_s: i64) -> UpdatedShadow {
    shadows.update("pico", None, payload.as_bytes(), now_s).unwrap().value
}

#[test]
fn classic_and_named_shadows_are_apart() {
    let shadows = in_memory();
    update(&shadows, r#"{"state":{"desired":{"a":1}}}"#, 1);
    let named = shadows.update("pico", Some("n"), br#"{"state":{"desired":{"b":1}}}"#, 1).unwrap();
    assert_eq!(named.value.version, 1);
    assert_eq!(json(&shadows.get("pico", None, b"", 2).unwrap())["state"]["desired"]["a"], 1);
    assert_eq!(json(&shadows.get("pico", Some("n"), b"", 2).unwrap())["state"]["desired"]["b"], 1);
    let _ = shadows.delete("pico", Some("n"), b"", 3).unwrap();
    assert!(shadows.get("pico", None, b"", 4).is_ok());
    assert!(shadows.get("pico", Some("n"), b"", 4).is_err());
}

#[test]
fn a_missing_shadow_is_named() {
    let shadows = in_memory();
    let text = |name| shadows.get("pico", name, b"", 1).unwrap_err().to_string();
    assert_eq!(text(None), "No shadow exists with name: 'pico'");
    assert_eq!(text(Some("n")), "No shadow exists with name: 'pico~n'");
    assert_eq!(shadows.get("pico", Some(""), b"", 1), Err(ShadowsError::InvalidName));
    assert_eq!(shadows.get("pico", Some("a/b"), b"", 1), Err(ShadowsError::InvalidName));
}

#[test]
fn rejections_keep_the_token() {
    let shadows = in_memory();
    let error = shadows.update("pico", None, br#"{"clientToken":"t"}"#, 1).unwrap_err();
    let expected =
        ShadowsError::Refused { error: ShadowError::MissingState, client_token: Some("t".to_owned()) };
    assert_eq!(error, expected);
}

#[test]
fn versions_survive_a_delete_for_48_hours() {
    let shadows = in_memory();
    update(&shadows, r#"{"state":{}}"#, 0);
    update(&shadows, r#"{"state":{}}"#, 0);
    let deleted = shadows.delete("pico", None, b"", 100).unwrap();
    assert_eq!(deleted.value.accepted, r#"{"version":2,"timestamp":100}"#);
    assert_eq!(update(&shadows, r#"{"state":{}}"#, 100 + VERSION_KEPT_S - 1).version, 3);
    let _ = shadows.delete("pico", None, b"", 1000).unwrap();
    assert_eq!(update(&shadows, r#"{"state":{}}"#, 1000 + VERSION_KEPT_S).version, 1);
}

#[test]
fn old_deletions_are_forgotten() {
    let shadows = in_memory();
    for name in ["a", "b", "c"] {
        let _ = shadows.update("pico", Some(name), br#"{"state":{}}"#, 0).unwrap();
        let _ = shadows.delete("pico", Some(name), b"", 0).unwrap();
    }
    let _ = shadows.update("pico", Some("b"), br#"{"state":{}}"#, 1).unwrap();
    let _ = shadows.update("pico", Some("d"), br#"{"state":{}}"#, 1).unwrap();
    let done = shadows.delete("pico", Some("d"), b"", VERSION_KEPT_S).unwrap();
    shadows.store.when_committed(done.position).wait().unwrap();
    shadows.store.wait_applied(done.position).unwrap();
    let names = |keys: Vec<Vec<u8>>| keys.iter().map(|key| shown(key)).collect::<Vec<_>>();
    let stored = shadows.store.scan(SHADOWS, b"").unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(names(stored), ["pico~b", "pico~d"]);
    let kept = shadows.lock().shadows.keys().map(|key| key.to_vec()).collect();
    assert_eq!(names(kept), ["pico~b", "pico~d"]);
}

#[test]
fn a_new_start_has_the_same_shadows() {
    let dir = tempfile::tempdir().unwrap();
    let (store, shadows) = open(dir.path());
    update(&shadows, r#"{"state":{"desired":{"led":true},"reported":{"t":27.512}}}"#, 5);
    let _ = shadows.update("pico", Some("gone"), br#"{"state":{}}"#, 5).unwrap();
    let done = shadows.delete("pico", Some("gone"), b"", 6).unwrap();
    let before = shadows.get("pico", None, b"", 7).unwrap();
    store.when_committed(done.position).wait().unwrap();
    store.close().unwrap();
    drop((store, shadows));
    let (_store, shadows) = open(dir.path());
    assert_eq!(shadows.get("pico", None, b"", 7).unwrap(), before);
    assert_eq!(shadows.update("pico", Some("gone"), br#"{"state":{}}"#, 8).unwrap().value.version, 2);
}

#[test]
fn named_shadows_are_listed_in_pages() {
    let shadows = in_memory();
    update(&shadows, r#"{"state":{}}"#, 1);
    for (thing, name) in [("pico", "b"), ("pico", "a"), ("pico", "c"), ("pico2", "d")] {
        let _ = shadows.update(thing, Some(name), br#"{"state":{}}"#, 1).unwrap();
    }
    let _ = shadows.delete("pico", Some("c"), b"", 1).unwrap();
    let first = shadows.list_named("pico", None, 1);
    assert_eq!(first, Page { items: vec!["a".to_owned()], next: Some("a".to_owned()) });
    let second = shadows.list_named("pico", Some("a"), 1);
    assert_eq!(second, Page { items: vec!["b".to_owned()], next: None });
    assert_eq!(shadows.list_named("unknown", None, 1).items, [""; 0]);
}

#[test]
fn updates_of_one_shadow_form_one_history() {
    let shadows = in_memory();
    let versions = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for client in 0..8 {
            let (shadows, versions) = (&shadows, &versions);
            scope.spawn(move || {
                for round in 0..50 {
                    let payload = format!(r#"{{"state":{{"reported":{{"c{client}":{round}}}}}}}"#);
                    let version = update(shadows, &payload, round).version;
                    versions.lock().unwrap().push(version);
                }
            });
        }
    });
    let mut versions = versions.into_inner().unwrap();
    versions.sort_unstable();
    assert_eq!(versions, (1..=400).collect::<Vec<_>>());
    let state = json(&shadows.get("pico", None, b"", 1).unwrap());
    assert!((0..8).all(|client| state["state"]["reported"][format!("c{client}")] == 49));
}

#[test]
fn what_a_full_disk_lost_is_taken_back() {
    let disk = store::disk::sim::SimDisk::new(3);
    let options = StoreOptions::simulated(Arc::new(disk.clone()));
    let shadows = Shadows::load(&Store::open(options).unwrap().recover(vec![]).unwrap()).unwrap();
    let kept = shadows.update("pico", None, br#"{"state":{"reported":{"t":1}}}"#, 1).unwrap();
    shadows.store.when_committed(kept.position).wait().unwrap();

    disk.limit_bytes(Some(disk.used_bytes()));
    let lost = shadows.update("pico", None, br#"{"state":{"reported":{"t":2}}}"#, 2).unwrap();
    assert_eq!(shadows.store.when_committed(lost.position).wait(), Err(AppendError::Shortage));
    disk.limit_bytes(None);

    let state = json(&shadows.get("pico", None, b"", 3).unwrap());
    assert_eq!((&state["state"]["reported"]["t"], &state["version"]), (&1.into(), &1.into()));
    assert_eq!(update(&shadows, r#"{"state":{}}"#, 4).version, 2);
}
