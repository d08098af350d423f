//! Retained messages through their store.

mod stalled;

use super::*;
use store::StoreOptions;

fn open(dir: &std::path::Path, limits: RetainedLimits) -> (Store, Retained) {
    let store = Store::open(StoreOptions::directory(dir)).unwrap().recover(vec![]).unwrap();
    let retained = Retained::load(&store, limits).unwrap();
    (store, retained)
}

fn in_memory(limits: RetainedLimits) -> Retained {
    let store = Store::open(StoreOptions::in_memory()).unwrap().recover(vec![]).unwrap();
    Retained::load(&store, limits).unwrap()
}

fn keep(topic: &str, payload: &str) -> RetainedChange {
    keep_until(topic, payload, None)
}

fn keep_until(topic: &str, payload: &str, expires_at_ms: Option<i64>) -> RetainedChange {
    RetainedChange::Keep(Arc::new(RetainedMessage {
        topic: topic.into(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        qos: 1,
        properties: Box::default(),
        modified_at_ms: 1,
        expires_at_ms,
    }))
}

fn change(retained: &Retained, changes: &[RetainedChange], now_ms: i64) -> Vec<NotRetained> {
    let mut changes = RetainedChanges::from(changes.to_vec());
    retained.append(&mut Transaction::new(), &mut changes, now_ms).unwrap();
    changes.refused().to_vec()
}

fn payload(retained: &Retained, topic: &str) -> Option<String> {
    let message = retained.get(topic, 5)?;
    Some(String::from_utf8_lossy(&message.payload).into_owned())
}

#[test]
fn the_last_message_of_a_topic_is_kept_also_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (store, retained) = open(dir.path(), RetainedLimits::default());
    assert!(change(&retained, &[keep("a", "1"), keep("b", "2"), keep("a", "3")], 0).is_empty());
    change(&retained, &[RetainedChange::Remove("b".into()), RetainedChange::Remove("c".into())], 0);
    let before = retained.state.read().unwrap().bytes;
    store.close().unwrap();
    drop((store, retained));
    let (_store, retained) = open(dir.path(), RetainedLimits::default());
    assert_eq!((payload(&retained, "a").as_deref(), payload(&retained, "b")), (Some("3"), None));
    assert_eq!((retained.len(), retained.state.read().unwrap().bytes), (1, before));
}

#[test]
fn what_has_expired_is_not_there_and_later_gone() {
    let retained = in_memory(RetainedLimits::default());
    change(&retained, &[keep_until("a", "1", Some(10)), keep_until("b", "1", Some(20)), keep("c", "1")], 0);
    assert!(retained.get("a", 9).is_some() && retained.get("a", 10).is_none());
    assert_eq!(retained.list(None, 10, 10).items.len(), 2);
    assert_eq!(retained.matching("", None, 9, 10, |_| true).items.len(), 2);
    change(&retained, &[keep("d", "1")], 15);
    assert_eq!(retained.len(), 3, "a is gone");
    change(&retained, &[keep("b", "2")], 25);
    assert_eq!(
        payload(&retained, "b").as_deref(),
        Some("2"),
        "what is replaced does not expire with the old one"
    );
    assert!(retained.state.read().unwrap().expiries.is_empty());
}

#[test]
fn beyond_a_limit_the_rest_of_the_publish_is_kept() {
    let retained = in_memory(RetainedLimits { messages_max: 2, ..RetainedLimits::default() });
    let refused = change(&retained, &[keep("a", "1"), keep("b", "1"), keep("c", "1"), keep("a", "2")], 0);
    let limit = RetainedLimit::Messages(2);
    assert_eq!(refused, [NotRetained { topic: "c".into(), limit }]);
    assert_eq!(payload(&retained, "a").as_deref(), Some("2"), "a topic that has one may change it");
    assert!(change(&retained, &[RetainedChange::Remove("a".into()), keep("c", "1")], 0).is_empty());

    let bytes_max = OVERHEAD_BYTES + 1 + 10;
    let retained = in_memory(RetainedLimits { bytes_max, ..RetainedLimits::default() });
    let refused = change(&retained, &[keep("a", "0123456789"), keep("b", "")], 0);
    assert_eq!(refused, [NotRetained { topic: "b".into(), limit: RetainedLimit::Bytes(bytes_max) }]);
    assert!(change(&retained, &[keep("a", "01234")], 0).is_empty());
    assert_eq!(change(&retained, &[keep("a", "0123456789+")], 0).len(), 1);
    assert_eq!(payload(&retained, "a").as_deref(), Some("01234"));
}

#[test]
fn what_has_expired_takes_no_room_from_others() {
    // More than one change removes otherwise.
    let count = 2 * EXPIRED_AT_ONCE_MAX;
    let expiring: Vec<_> = (0..count).map(|n| keep_until(&format!("{n:02}"), "", Some(10))).collect();
    let retained = in_memory(RetainedLimits { messages_max: count, ..RetainedLimits::default() });
    assert!(change(&retained, &expiring, 0).is_empty());
    assert_eq!(change(&retained, &[keep("a", "")], 9).len(), 1);
    assert!(change(&retained, &[keep("a", "")], 10).is_empty());

    // One large message takes the place of all of them.
    let bytes_max = count * (OVERHEAD_BYTES + 2);
    let large = "x".repeat(bytes_max - OVERHEAD_BYTES - 1);
    let retained = in_memory(RetainedLimits { bytes_max, ..RetainedLimits::default() });
    assert!(change(&retained, &expiring, 0).is_empty());
    assert!(change(&retained, &[keep("a", &large)], 10).is_empty());
    assert_eq!((retained.len(), retained.state.read().unwrap().bytes), (1, bytes_max));
}

#[test]
fn what_a_publish_touches_does_not_expire_under_it() {
    let retained = in_memory(RetainedLimits { messages_max: 1, ..RetainedLimits::default() });
    change(&retained, &[keep_until("a", "1", Some(10))], 0);
    assert!(change(&retained, &[keep("a", "2")], 10).is_empty());
    let position = retained.state.read().unwrap().last_position;
    retained.store.wait_in_state(retained.store.when_committed(position).wait().unwrap()).unwrap();
    let stored = State::load(&retained.store).unwrap();
    for state in [&*retained.state.read().unwrap(), &stored] {
        assert_eq!(state.messages["a"].payload, "2");
    }
}

#[test]
fn a_topic_that_is_no_key_is_not_retained_and_stops_nothing() {
    let retained = in_memory(RetainedLimits::default());
    let longest = "t".repeat(TOPIC_BYTES_MAX);
    let too_long = longest.clone() + "t";
    let changes = [
        keep(&longest, "1"),
        keep(&too_long, "1"),
        RetainedChange::Remove(too_long.as_str().into()),
        keep("a", "1"),
    ];
    let mut transaction = Transaction::new();
    transaction.put(Keyspace("other"), "k", "v");
    let mut changes = RetainedChanges::from(changes.to_vec());
    assert!(retained.append(&mut transaction, &mut changes, 0).unwrap() > Position::NONE);
    let limit = RetainedLimit::Topic(TOPIC_BYTES_MAX);
    assert_eq!(changes.refused(), [NotRetained { topic: too_long.into(), limit }]);
    assert_eq!(retained.len(), 2);
}

#[test]
fn lists_come_in_pages_and_by_prefix() {
    let retained = in_memory(RetainedLimits::default());
    change(&retained, &["b/1", "a/2", "a/1", "ab", "$x"].map(|topic| keep(topic, "1")), 0);
    let topics =
        |items: Vec<Arc<RetainedMessage>>| items.iter().map(|m| m.topic.to_string()).collect::<Vec<_>>();
    let page = retained.list(None, 2, 0);
    assert_eq!((topics(page.items), page.next.as_deref()), (vec!["$x".into(), "a/1".into()], Some("a/1")));
    let page = retained.list(Some("a/1"), 3, 0);
    assert_eq!((topics(page.items).len(), page.next), (3, None));
    assert_eq!(topics(retained.matching("a/", None, 9, 0, |topic| topic != "a/2").items), ["a/1"]);
}
