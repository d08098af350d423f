//! Events in, events out: order, pages, tokens, patterns, expiry.
#![expect(clippy::unwrap_used, reason = "tests may, also outside of test functions")]

mod support;

use logs::{EventsPage, FilterQuery, GetQuery, LogsError, NewGroup, StreamChoice};
use store::Transaction;
use store::disk::sim::SimDisk;
use support::{GROUP, NOW, Running, event, open, with_streams};

const LARGE: u64 = 1 << 20;
/// Every few events begin a new segment, so that sealed ones are part of every question.
const SMALL: u64 = 400;

fn get(running: &Running, query: GetQuery<'_>) -> EventsPage {
    running.logs.events(&GetQuery { group: GROUP, stream: "a", now_ms: NOW, ..query }).unwrap()
}

fn texts(page: &EventsPage) -> Vec<&str> {
    page.events.iter().map(|event| event.message.as_str()).collect()
}

#[test]
fn the_post_s_event_is_found_as_it_was_sent() {
    let running = with_streams(&SimDisk::new(1), LARGE);
    let message = r#"{"temp":27.51254,"device_id":"pico_w_simple","received_at":1679781014810}"#;
    running.rule("telemetry-0", -5, message);
    let page = running.filter(FilterQuery { pattern: Some("temp"), ..FilterQuery::default() });
    let event = &page.items[0];
    assert_eq!((event.message.as_str(), event.stream.as_str()), (message, "telemetry-0"));
    assert_eq!((event.timestamp_ms, event.ingestion_ms, event.id.len()), (NOW - 5, NOW, 56));
    assert_eq!(page.next_token, None);
}

#[test]
fn events_of_all_streams_and_segments_come_in_order_of_time_and_arrival() {
    for segment_bytes in [SMALL, LARGE] {
        let running = with_streams(&SimDisk::new(1), segment_bytes);
        running.put("a", &[(-10, "a1"), (-5, "a2"), (-5, "a3")]);
        running.put("b", &[(-7, "b1"), (-5, "b2"), (-1, "b3")]);
        running.rule("a", -20, "a0");
        running.rule("b", -5, "b4");
        assert_eq!(running.all(), ["a0", "a1", "b1", "a2", "a3", "b2", "b4", "b3"], "{segment_bytes}");
        let range = FilterQuery { start_ms: Some(NOW - 7), end_ms: Some(NOW - 5), ..FilterQuery::default() };
        assert_eq!(running.messages(&range), ["b1", "a2", "a3", "b2", "b4"]);
        let names = FilterQuery { streams: StreamChoice::Names(vec!["a"]), ..FilterQuery::default() };
        assert_eq!(running.messages(&names), ["a0", "a1", "a2", "a3"]);
        let prefix = FilterQuery { streams: StreamChoice::Prefix("b"), ..FilterQuery::default() };
        assert_eq!(running.messages(&prefix), ["b1", "b2", "b4", "b3"]);
    }
}

#[test]
fn ids_are_unique_and_stay_the_same() {
    let disk = SimDisk::new(1);
    let running = with_streams(&disk, SMALL);
    for number in 0..30 {
        running.put("a", &[(number % 3, "same"), (number % 3, "same")]);
    }
    let ids = |running: &Running| -> Vec<String> {
        running.filter(FilterQuery::default()).items.into_iter().map(|event| event.id).collect()
    };
    let before = ids(&running);
    let mut unique = before.clone();
    unique.dedup();
    assert_eq!(unique.len(), 60);
    assert!(before.is_sorted());
    drop(running);
    assert_eq!(ids(&open(&disk, SMALL)), before);
}

#[test]
fn filter_pages_cover_everything_once_and_survive_inserts() {
    let running = with_streams(&SimDisk::new(1), SMALL);
    let expected: Vec<String> = (0..50).map(|number| format!("event {number}")).collect();
    for (number, message) in expected.iter().enumerate() {
        running.put("a", &[(number as i64, message)]);
    }
    let first = running.filter(FilterQuery { limit: Some(20), ..FilterQuery::default() });
    running.put("a", &[(3, "late")]);
    let token = first.next_token.as_deref();
    let second = running.filter(FilterQuery { limit: Some(20), next_token: token, ..FilterQuery::default() });
    let token = second.next_token.as_deref();
    let third = running.filter(FilterQuery { limit: Some(20), next_token: token, ..FilterQuery::default() });
    assert_eq!(third.next_token, None);
    let all: Vec<String> =
        [first.items, second.items, third.items].concat().into_iter().map(|event| event.message).collect();
    assert_eq!(all, expected);
}

#[test]
fn a_page_holds_one_megabyte() {
    let running = with_streams(&SimDisk::new(1), LARGE);
    let large = "x".repeat(600_000);
    for number in 0..3 {
        running.put("a", &[(number, &large)]);
    }
    let page = running.filter(FilterQuery::default());
    assert_eq!(page.items.len(), 1);
    assert!(page.next_token.is_some());
    assert_eq!(running.all().len(), 3);
    assert_eq!(get(&running, GetQuery::default()).events.len(), 1);
}

#[test]
fn patterns_choose_messages() {
    let running = with_streams(&SimDisk::new(1), LARGE);
    running.put("a", &[(0, "error: timeout"), (1, "warn: slow"), (2, "error: refused")]);
    let find = |pattern| running.messages(&FilterQuery { pattern: Some(pattern), ..FilterQuery::default() });
    assert_eq!(find("error -timeout"), ["error: refused"]);
    assert_eq!(find("?slow ?refused"), ["warn: slow", "error: refused"]);
    let refused = running.logs.filter(&FilterQuery {
        group: GROUP,
        pattern: Some("{ $.a = 1 }"),
        ..FilterQuery::default()
    });
    assert!(matches!(refused, Err(LogsError::InvalidParameter(_))));
}

#[test]
fn get_leads_forwards_to_the_end_and_repeats_its_token_there() {
    for segment_bytes in [SMALL, LARGE] {
        let running = with_streams(&SimDisk::new(1), segment_bytes);
        running.put("a", &[(0, "1"), (1, "2"), (2, "3"), (3, "4"), (4, "5")]);
        running.put("b", &[(1, "other")]);
        let first = get(&running, GetQuery { from_head: true, limit: Some(2), ..GetQuery::default() });
        assert_eq!(texts(&first), ["1", "2"]);
        let token = first.next_forward_token.as_str();
        assert!(token.starts_with("f/3") && token.ends_with("/s") && token.len() == 60, "{token}");
        let second =
            get(&running, GetQuery { limit: Some(2), next_token: Some(token), ..GetQuery::default() });
        let third = get(
            &running,
            GetQuery { limit: Some(2), next_token: Some(&second.next_forward_token), ..GetQuery::default() },
        );
        assert_eq!((texts(&second), texts(&third)), (vec!["3", "4"], vec!["5"]));
        let token = third.next_forward_token.as_str();
        let end = get(&running, GetQuery { next_token: Some(token), ..GetQuery::default() });
        assert_eq!((texts(&end), end.next_forward_token.as_str()), (vec![], token));
        // Back from the end.
        let back =
            get(&running, GetQuery { next_token: Some(&end.next_backward_token), ..GetQuery::default() });
        assert_eq!(texts(&back), ["1", "2", "3", "4", "5"]);
        // What arrives later is behind the end.
        running.put("a", &[(9, "6")]);
        let more = get(&running, GetQuery { next_token: Some(token), ..GetQuery::default() });
        assert_eq!(texts(&more), ["6"]);
    }
}

#[test]
fn get_begins_at_the_tail_and_leads_backwards() {
    for segment_bytes in [SMALL, LARGE] {
        let running = with_streams(&SimDisk::new(1), segment_bytes);
        running.put("a", &[(0, "1"), (1, "2"), (2, "3"), (3, "4"), (4, "5")]);
        let tail = get(&running, GetQuery { limit: Some(2), ..GetQuery::default() });
        assert_eq!(texts(&tail), ["4", "5"]);
        let token = tail.next_backward_token.as_str();
        let before =
            get(&running, GetQuery { limit: Some(2), next_token: Some(token), ..GetQuery::default() });
        assert_eq!(texts(&before), ["2", "3"]);
        let token = before.next_backward_token.as_str();
        let first =
            get(&running, GetQuery { limit: Some(2), next_token: Some(token), ..GetQuery::default() });
        assert_eq!(texts(&first), ["1"]);
        let token = first.next_backward_token.as_str();
        let end = get(&running, GetQuery { limit: Some(2), next_token: Some(token), ..GetQuery::default() });
        assert_eq!((texts(&end), end.next_backward_token.as_str()), (vec![], token));
        let forward =
            get(&running, GetQuery { next_token: Some(&end.next_forward_token), ..GetQuery::default() });
        assert_eq!(texts(&forward), ["1", "2", "3", "4", "5"]);
    }
}

#[test]
fn an_empty_stream_has_tokens_that_lead_to_what_comes() {
    let running = with_streams(&SimDisk::new(1), LARGE);
    let empty = get(&running, GetQuery { from_head: true, ..GetQuery::default() });
    assert_eq!(empty.events, []);
    let token = empty.next_forward_token.as_str();
    let again = get(&running, GetQuery { next_token: Some(token), ..GetQuery::default() });
    assert_eq!(again.next_forward_token, token);
    running.put("a", &[(0, "1")]);
    assert_eq!(texts(&get(&running, GetQuery { next_token: Some(token), ..GetQuery::default() })), ["1"]);
}

#[test]
fn get_ends_before_its_end_time_and_begins_at_its_start_time() {
    let running = with_streams(&SimDisk::new(1), LARGE);
    running.put("a", &[(0, "1"), (1, "2"), (2, "3")]);
    let query = GetQuery { start_ms: Some(NOW + 1), end_ms: Some(NOW + 2), ..GetQuery::default() };
    assert_eq!(texts(&get(&running, query)), ["2"]);
    assert_eq!(
        texts(&get(&running, GetQuery { end_ms: Some(0), ..GetQuery::default() })),
        Vec::<&str>::new()
    );
}

#[test]
fn tokens_of_nobody_are_refused() {
    let running = with_streams(&SimDisk::new(1), LARGE);
    let expected = LogsError::InvalidParameter("The specified nextToken is invalid.".to_owned());
    for token in
        ["", "x", "f/1/s", "not a token", "f/30000001679781014810000000000000009900000000000000000009/s"]
    {
        let query = GetQuery { group: GROUP, stream: "a", next_token: Some(token), ..GetQuery::default() };
        assert_eq!(running.logs.events(&query), Err(expected.clone()), "{token}");
        let query = FilterQuery { group: GROUP, next_token: Some(token), ..FilterQuery::default() };
        assert_eq!(running.logs.filter(&query), Err(expected.clone()), "{token}");
    }
}

#[test]
fn who_is_missing_is_named() {
    let running = with_streams(&SimDisk::new(1), LARGE);
    let logs = &running.logs;
    let put = |group, stream| logs.put_events(group, stream, vec![event(NOW, "m")], NOW).wait().unwrap_err();
    assert_eq!(put("none", "a").to_string(), "The specified log group does not exist.");
    assert_eq!(put(GROUP, "none").to_string(), "The specified log stream does not exist.");
    let mut transaction = Transaction::new();
    let missing = logs.rule_event("none", "a", NOW, "m", NOW, &mut transaction);
    assert_eq!(missing, Err(LogsError::NoSuchGroup));
    assert!(transaction.is_empty());
    let streams = StreamChoice::Names(vec!["a", "none"]);
    let query = FilterQuery { group: GROUP, streams, ..FilterQuery::default() };
    assert_eq!(logs.filter(&query), Err(LogsError::NoSuchStream));
}

#[test]
fn a_rule_s_stream_is_invisible_until_its_first_event_is_durable() {
    let disk = SimDisk::new(1);
    let running = with_streams(&disk, LARGE);
    let mut lost = Transaction::new();
    running.logs.rule_event(GROUP, "new", NOW, "never appended", NOW, &mut lost).unwrap();
    assert_eq!(
        running.logs.put_events(GROUP, "new", vec![event(NOW, "m")], NOW).wait(),
        Err(LogsError::NoSuchStream)
    );
    running.rule("new", 0, "kept");
    running.put("new", &[(1, "put")]);
    assert_eq!(running.all(), ["kept", "put"]);
    drop(running);
    let running = open(&disk, LARGE);
    running.put("new", &[(2, "after a restart")]);
    assert_eq!(running.all(), ["kept", "put", "after a restart"]);
}

#[test]
fn a_stream_that_a_rule_named_first_can_be_created() {
    let running = with_streams(&SimDisk::new(1), LARGE);
    let mut transaction = Transaction::new();
    running.logs.rule_event(GROUP, "new", NOW, "from the rule", NOW, &mut transaction).unwrap();
    running.logs.create_stream(GROUP, "new", NOW).unwrap();
    let position = running.store.commit(transaction).wait().unwrap();
    running.store.wait_applied(position).unwrap();
    running.put("new", &[(1, "put")]);
    assert_eq!(running.all(), ["from the rule", "put"]);
    assert_eq!(running.logs.create_stream(GROUP, "new", NOW), Err(LogsError::StreamExists));
}

#[test]
fn expired_events_are_hidden_at_once_and_their_segments_removed() {
    let day = 86_400_000;
    let disk = SimDisk::new(1);
    let running = with_streams(&disk, SMALL);
    for _ in 0..100 {
        running.put("a", &[(-2 * day, "old")]);
    }
    running.put("a", &[(0, "new")]);
    running.logs.put_retention(GROUP, 1).unwrap();
    assert_eq!(running.all(), ["new"]);
    assert_eq!(texts(&get(&running, GetQuery { from_head: true, ..GetQuery::default() })), ["new"]);
    let segments =
        || disk.paths().iter().filter(|path| path.extension().is_some_and(|end| end == "events")).count();
    assert!(segments() > 10);
    running.logs.enforce_retention(NOW);
    assert_eq!(segments(), 1, "segments are removed as a whole");
    running.logs.delete_retention(GROUP).unwrap();
    assert!(running.all().len() < 10);
    assert_eq!(running.all().last().map(String::as_str), Some("new"));
    // A group whose events are all expired keeps no file and goes on.
    running.logs.put_retention(GROUP, 1).unwrap();
    running.logs.enforce_retention(NOW + 3 * day);
    assert_eq!(running.logs.group(GROUP).unwrap().stored_bytes, 0);
    running.put("a", &[(1, "newer")]);
    assert_eq!(running.all(), ["newer"]);
    drop(running);
    assert_eq!(open(&disk, SMALL).all(), ["newer"]);
}

#[test]
fn groups_are_apart() {
    let running = with_streams(&SimDisk::new(1), LARGE);
    running.logs.create_group(NewGroup { name: "other".to_owned(), ..NewGroup::default() }, NOW).unwrap();
    running.logs.create_stream("other", "a", NOW).unwrap();
    running.logs.put_events("other", "a", vec![event(NOW, "elsewhere")], NOW).wait().unwrap();
    running.put("a", &[(0, "here")]);
    assert_eq!(running.all(), ["here"]);
}
