//! Filter patterns and page tokens of the log store, on messages that never change.
//!
//! The input's first line is a token, the rest the pattern.
#![no_main]

use std::sync::{Arc, LazyLock};

use fuzz::split_line;
use libfuzzer_sys::fuzz_target;
use logs::{FilterQuery, GetQuery, GroupsQuery, InputEvent, Logs, LogsError, NewGroup, StreamsQuery};
use store::{Store, StoreOptions};

const GROUP: &str = "iot-core-telemetry";
const STREAM: &str = "pico";
const NOW_MS: i64 = 1_700_000_000_000;

/// What terms can be found in, absent from, and between.
const MESSAGES: [&str; 6] =
    [r#"{"temp":27.5,"device_id":"pico"}"#, "error: connection lost", "warn -debug?", r#"a "b" \c"#, "ä", ""];

/// A page as small as possible, so that there are tokens.
const PAGE_EVENTS: usize = 2;

struct Running {
    logs: Arc<Logs>,
    /// Its threads end with it.
    _store: Store,
}

static RUNNING: LazyLock<Running> = LazyLock::new(|| {
    let opening = Store::open(StoreOptions::in_memory()).expect("a store in memory");
    let (store, logs) = Logs::start(opening).expect("a log store");
    logs.create_group(NewGroup { name: GROUP.to_owned(), ..NewGroup::default() }, NOW_MS).expect("a group");
    logs.create_stream(GROUP, STREAM, NOW_MS).expect("a stream");
    let events = MESSAGES.iter().filter(|message| !message.is_empty());
    let events = events.map(|message| InputEvent { timestamp_ms: NOW_MS, message: (*message).to_owned() });
    logs.put_events(GROUP, STREAM, events.collect(), NOW_MS).wait().expect("room in memory");
    Running { logs, _store: store }
});

fuzz_target!(|input: &str| {
    let (token, pattern) = split_line(input);
    let logs = &RUNNING.logs;
    check_pattern(logs, pattern);
    check_token(logs, token);
});

fn check_pattern(logs: &Logs, pattern: &str) {
    let mut found = Vec::new();
    let mut token = None;
    loop {
        let query = FilterQuery {
            group: GROUP,
            pattern: Some(pattern),
            limit: Some(PAGE_EVENTS),
            next_token: token.as_deref(),
            now_ms: NOW_MS,
            ..FilterQuery::default()
        };
        match logs.filter(&query) {
            Ok(page) => {
                assert!(page.items.len() <= PAGE_EVENTS);
                found.extend(page.items.into_iter().map(|event| event.message));
                match page.next_token {
                    Some(next) => token = Some(next),
                    None => break,
                }
            }
            Err(error) => {
                assert!(found.is_empty() && !error.to_string().is_empty());
                return;
            }
        }
        assert!(found.len() <= MESSAGES.len(), "the pages come to no end");
    }
    if let Some(is_plain) = plain_terms(pattern) {
        let expected = MESSAGES.iter().filter(|message| !message.is_empty() && is_plain.matches(message));
        assert!(found.iter().eq(expected), "{pattern:?} found {found:?}");
    }
}

/// A pattern without quotes, and without anything that is not available yet.
struct PlainTerms<'a> {
    required: Vec<&'a str>,
    optional: Vec<&'a str>,
    excluded: Vec<&'a str>,
}

/// The terms of a pattern; `None` when it has more than words and signs.
fn plain_terms(pattern: &str) -> Option<PlainTerms<'_>> {
    if pattern.contains(['"', '%', '{', '[', '\\']) {
        return None;
    }
    let words = || pattern.split_whitespace();
    let signed =
        |sign: char| words().filter_map(move |word| word.strip_prefix(sign)).filter(|word| !word.is_empty());
    Some(PlainTerms {
        required: words().filter(|word| !word.starts_with(['?', '-'])).collect(),
        optional: signed('?').collect(),
        excluded: signed('-').collect(),
    })
}

impl PlainTerms<'_> {
    /// [AWS CloudWatch Logs, filter pattern syntax] `?` terms beside others mean nothing.
    fn matches(&self, message: &str) -> bool {
        let has = |term: &&str| message.contains(*term);
        if self.required.is_empty() && self.excluded.is_empty() {
            return self.optional.is_empty() || self.optional.iter().any(has);
        }
        self.required.iter().all(has) && !self.excluded.iter().any(has)
    }
}

/// A foreign token is refused, or leads to a page.
fn check_token(logs: &Logs, token: &str) {
    let next_token = Some(token);
    let events = GetQuery { group: GROUP, stream: STREAM, next_token, now_ms: NOW_MS, ..GetQuery::default() };
    let filter = FilterQuery { group: GROUP, next_token, now_ms: NOW_MS, ..FilterQuery::default() };
    if let Some(page) = known(logs.events(&events)) {
        // Both tokens of a page lead to pages.
        for token in [&page.next_forward_token, &page.next_backward_token] {
            let query = GetQuery { next_token: Some(token), ..events.clone() };
            logs.events(&query).expect("our own token");
        }
    }
    known(logs.filter(&filter));
    known(logs.groups(&GroupsQuery { next_token, ..GroupsQuery::default() }));
    known(logs.streams(&StreamsQuery { group: GROUP, next_token, ..StreamsQuery::default() }));
}

/// The answer; nothing but the token may be to blame for a refusal.
fn known<T>(answer: Result<T, LogsError>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(LogsError::InvalidParameter(_)) => None,
        Err(other) => panic!("{other}"),
    }
}
