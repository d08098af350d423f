//! Groups and streams: creation, lists, statistics, deletion, and all of it after a restart.
#![expect(clippy::unwrap_used, reason = "tests may, also outside of test functions")]

mod support;

use std::collections::BTreeMap;

use logs::{GroupClass, GroupsQuery, LogsError, NewGroup, StreamOrder, StreamsQuery};
use store::disk::sim::SimDisk;
use support::{GROUP, NOW, Running, open, with_streams};

const LARGE: u64 = 1 << 20;

fn create(running: &Running, name: &str) {
    running.logs.create_group(NewGroup { name: name.to_owned(), ..NewGroup::default() }, NOW).unwrap();
}

fn group_names(running: &Running, query: &GroupsQuery<'_>) -> (Vec<String>, Option<String>) {
    let page = running.logs.groups(query).unwrap();
    (page.items.into_iter().map(|group| group.name).collect(), page.next_token)
}

fn stream_names(running: &Running, query: &StreamsQuery<'_>) -> (Vec<String>, Option<String>) {
    let page = running.logs.streams(&StreamsQuery { group: GROUP, ..query.clone() }).unwrap();
    (page.items.into_iter().map(|stream| stream.name).collect(), page.next_token)
}

#[test]
fn groups_are_listed_by_prefix_part_and_class_in_pages() {
    let running = open(&SimDisk::new(1), LARGE);
    for name in ["/iot/b", "/iot/a", "other", "/iot/c", "/iot"] {
        create(&running, name);
    }
    let infrequent =
        NewGroup { name: "rare".to_owned(), class: GroupClass::InfrequentAccess, tags: BTreeMap::new() };
    running.logs.create_group(infrequent, NOW).unwrap();
    let prefix = GroupsQuery { name_prefix: Some("/iot/"), limit: Some(2), ..GroupsQuery::default() };
    let (names, token) = group_names(&running, &prefix);
    assert_eq!(names, ["/iot/a", "/iot/b"]);
    let (names, token) = group_names(&running, &GroupsQuery { next_token: token.as_deref(), ..prefix });
    assert_eq!((names, token), (vec!["/iot/c".to_owned()], None));
    let part = GroupsQuery { name_contains: Some("ot"), ..GroupsQuery::default() };
    assert_eq!(group_names(&running, &part).0, ["/iot", "/iot/a", "/iot/b", "/iot/c", "other"]);
    let class = GroupsQuery { class: Some(GroupClass::InfrequentAccess), ..GroupsQuery::default() };
    assert_eq!(group_names(&running, &class).0, ["rare"]);
    let invalid = GroupsQuery { next_token: Some("00"), ..GroupsQuery::default() };
    assert!(matches!(running.logs.groups(&invalid), Err(LogsError::InvalidParameter(_))));
}

#[test]
fn streams_are_listed_by_name_and_by_their_last_event() {
    let running = with_streams(&SimDisk::new(1), 300);
    running.logs.create_stream(GROUP, "empty", NOW).unwrap();
    running.put("a", &[(5, "x"), (9, "x")]);
    running.put("b", &[(2, "xx"), (7, "xx")]);
    for _ in 0..10 {
        running.put("b", &[(6, "xx")]);
    }
    assert_eq!(stream_names(&running, &StreamsQuery::default()).0, ["a", "b", "empty"]);
    let descending = StreamsQuery { descending: true, limit: Some(2), ..StreamsQuery::default() };
    let (names, token) = stream_names(&running, &descending);
    assert_eq!(names, ["empty", "b"]);
    let next = StreamsQuery { next_token: token.as_deref(), ..descending };
    assert_eq!(stream_names(&running, &next), (vec!["a".to_owned()], None));
    let by_time = StreamsQuery {
        order: StreamOrder::LastEventTime,
        descending: true,
        limit: Some(2),
        ..StreamsQuery::default()
    };
    let (names, token) = stream_names(&running, &by_time);
    assert_eq!(names, ["a", "b"]);
    let next = StreamsQuery { next_token: token.as_deref(), ..by_time };
    assert_eq!(stream_names(&running, &next).0, ["empty"]);
    assert!(running.logs.streams(&StreamsQuery { group: GROUP, name_prefix: Some("a"), ..by_time }).is_err());

    let page = running.logs.streams(&StreamsQuery {
        group: GROUP,
        name_prefix: Some("b"),
        ..StreamsQuery::default()
    });
    let b = &page.unwrap().items[0];
    assert_eq!(
        (b.first_event_ms, b.last_event_ms, b.last_ingestion_ms),
        (Some(NOW + 2), Some(NOW + 7), Some(NOW))
    );
    assert_eq!((b.stored_bytes, b.upload_sequence_token.len()), (12 * 28, 56));
    assert_eq!(running.logs.group(GROUP).unwrap().stored_bytes, 12 * 28 + 2 * 27);
}

#[test]
fn names_are_taken_once() {
    let running = with_streams(&SimDisk::new(1), LARGE);
    let again = running.logs.create_group(NewGroup { name: GROUP.to_owned(), ..NewGroup::default() }, NOW);
    assert_eq!(again.unwrap_err().to_string(), "The specified log group already exists");
    let again = running.logs.create_stream(GROUP, "a", NOW);
    assert_eq!(again.unwrap_err().to_string(), "The specified log stream already exists");
    assert_eq!(running.logs.create_stream("none", "a", NOW), Err(LogsError::NoSuchGroup));
    assert_eq!(running.logs.delete_group("none"), Err(LogsError::NoSuchGroup));
    assert_eq!(running.logs.delete_stream(GROUP, "none"), Err(LogsError::NoSuchStream));
}

#[test]
fn what_was_deleted_does_not_come_back_with_its_name() {
    let disk = SimDisk::new(1);
    let running = with_streams(&disk, 300);
    running.put("a", &[(0, "old a")]);
    running.rule("b", 0, "old b");
    running.logs.delete_stream(GROUP, "a").unwrap();
    assert_eq!(running.all(), ["old b"]);
    running.logs.create_stream(GROUP, "a", NOW).unwrap();
    running.put("a", &[(1, "new a")]);
    assert_eq!(running.all(), ["old b", "new a"]);
    running.logs.delete_group(GROUP).unwrap();
    create(&running, GROUP);
    assert_eq!(running.all(), Vec::<String>::new());
    assert_eq!(stream_names(&running, &StreamsQuery::default()).0, Vec::<String>::new());
    running.logs.create_stream(GROUP, "a", NOW).unwrap();
    running.put("a", &[(2, "newest a")]);
    // The journal still has the old events; replay must not bring them back.
    disk.power_off();
    drop(running);
    disk.power_on(1);
    let running = open(&disk, 300);
    assert_eq!(running.all(), ["newest a"]);
    running.rule("b", 3, "newest b");
    assert_eq!(running.all(), ["newest a", "newest b"]);
}

#[test]
fn settings_survive_a_restart() {
    let disk = SimDisk::new(1);
    let running = with_streams(&disk, LARGE);
    let tag = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    running.logs.put_retention(GROUP, 7).unwrap();
    running.logs.tag(GROUP, &tag("team", "iot")).unwrap();
    running.logs.tag(GROUP, &tag("cost", "1")).unwrap();
    running.logs.untag(GROUP, &["cost".to_owned(), "absent".to_owned()]).unwrap();
    assert!(running.logs.put_retention(GROUP, 8).is_err());
    assert!(running.logs.tag(GROUP, &tag("aws:x", "")).is_err());
    disk.power_off();
    drop(running);
    disk.power_on(7);
    let running = open(&disk, LARGE);
    let group = running.logs.group(GROUP).unwrap();
    assert_eq!((group.retention_days, group.created_ms), (Some(7), NOW));
    assert_eq!(running.logs.tags(GROUP).unwrap(), tag("team", "iot"));
    assert_eq!(stream_names(&running, &StreamsQuery::default()).0, ["a", "b"]);
}
