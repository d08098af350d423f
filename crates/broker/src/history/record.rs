//! The bounded memory of what happened.
//!
//! Anybody can make up client ids, and a device in a loop is refused a hundred times a second: what is the same as the
//! last is counted only, a story keeps its last happenings, and the story that was touched longest ago is forgotten
//! first. Strangers have a record of their own, so that they drive out nobody who is known.

use super::Happening;
use pki::CertificateId;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

/// Happenings that are kept of one client. A device that fails does the same few things again and again.
const ENTRIES_MAX: usize = 32;

/// How much a record keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Stories, of as many clients.
    pub(crate) stories_max: usize,
    /// Memory, about, in bytes.
    pub(crate) bytes_max: usize,
}

/// Of an event loop's clients. A client that is well has one or two happenings and takes a kilobyte: room for 16,000,
/// of which those with trouble are touched last.
pub(crate) const BOUNDS_LOOP: Bounds = Bounds { stories_max: 32_768, bytes_max: 16 * 1024 * 1024 };

/// Of clients with a registered certificate that did not get in.
pub(crate) const BOUNDS_KNOWN: Bounds = Bounds { stories_max: 16_384, bytes_max: 8 * 1024 * 1024 };

/// Of all others: a whole workshop of devices with the wrong keys, and no more for whoever makes them up.
pub(crate) const BOUNDS_STRANGERS: Bounds = Bounds { stories_max: 4_096, bytes_max: 2 * 1024 * 1024 };

/// Whose story it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// A client that said its id.
    Client(Arc<str>),
    /// A certificate whose client never said its id.
    Certificate(CertificateId),
    /// A connection that said nothing at all.
    Address(IpAddr),
}

impl Subject {
    fn bytes_len(&self) -> usize {
        // Its places in the table and in the order, of which either may be half empty, included.
        384 + if let Self::Client(client_id) = self { client_id.len() } else { 0 }
    }
}

impl Happening {
    /// Memory of its texts; its own is the story's.
    fn bytes_len(&self) -> usize {
        let principal = self.principal.as_ref().map_or(0, |principal| principal.len());
        principal + self.what.bytes_len()
    }

    fn is_same(&self, other: &Self) -> bool {
        self.what == other.what
            && self.principal == other.principal
            && self.client_id == other.client_id
            // A client that tries again has another port each time.
            && self.source.map(|source| source.ip()) == other.source.map(|source| source.ip())
    }
}

/// What happened to some clients, as far as there is room.
#[derive(Debug)]
pub(crate) struct Record {
    bounds: Bounds,
    stories: HashMap<Subject, Story>,
    /// In the order in which they were touched; who was touched again since stands here more than once.
    order: VecDeque<(u64, Subject)>,
    touches: u64,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Story {
    happenings: VecDeque<Happening>,
    touched: u64,
    bytes: usize,
}

impl Story {
    fn push(&mut self, happening: Happening) {
        if self.happenings.len() >= ENTRIES_MAX
            && let Some(oldest) = self.happenings.pop_front()
        {
            self.bytes -= oldest.bytes_len();
        }
        if self.happenings.len() == self.happenings.capacity() {
            // Most clients come and go once: room for that, and not for the four that a first push would make.
            let more = self.happenings.len().max(2);
            self.happenings.reserve_exact(more);
            self.bytes += more * size_of::<Happening>();
        }
        self.bytes += happening.bytes_len();
        self.happenings.push_back(happening);
    }
}

impl Record {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, stories: HashMap::new(), order: VecDeque::new(), touches: 0, bytes: 0 }
    }

    /// Writes something down.
    pub(crate) fn note(&mut self, subject: Subject, happening: Happening) {
        self.touches += 1;
        let story = self.stories.entry(subject.clone()).or_default();
        let before = story.bytes;
        if story.happenings.is_empty() {
            story.bytes = subject.bytes_len();
        }
        story.touched = self.touches;
        match story.happenings.back_mut() {
            Some(last) if last.is_same(&happening) => {
                last.count += happening.count;
                (last.until_ms, last.source) = (happening.until_ms, happening.source);
            }
            _ => story.push(happening),
        }
        self.bytes = self.bytes - before + story.bytes;
        self.order.push_back((self.touches, subject));
        self.forget();
    }

    /// A subject's story, oldest first.
    pub(crate) fn of(&self, subject: &Subject) -> impl Iterator<Item = &Happening> {
        self.stories.get(subject).into_iter().flat_map(|story| &story.happenings)
    }

    /// Everything that is kept, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Happening> {
        self.stories.values().flat_map(|story| &story.happenings)
    }

    fn forget(&mut self) {
        while self.stories.len() > self.bounds.stories_max || self.bytes > self.bounds.bytes_max {
            let Some((touched, subject)) = self.order.pop_front() else { return };
            if self.stories.get(&subject).is_some_and(|story| story.touched == touched)
                && let Some(story) = self.stories.remove(&subject)
            {
                self.bytes -= story.bytes;
            }
        }
        // One client that is touched again and again must not make the list long.
        if self.order.len() > 2 * self.stories.len() + 64 {
            let stories = &self.stories;
            self.order.retain(|(touched, subject)| {
                stories.get(subject).is_some_and(|story| story.touched == *touched)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cause, What};
    use super::*;

    fn refused(client_id: &str, port: u16, reason: &str, at_ms: i64) -> (Subject, Happening) {
        let client_id: Arc<str> = client_id.into();
        let what = What::Refused { cause: Cause::Protocol, reason: reason.into() };
        let source = Some(([192, 0, 2, 1], port).into());
        let client = Some(Arc::clone(&client_id));
        let happening =
            Happening { at_ms, until_ms: at_ms, count: 1, client_id: client, principal: None, source, what };
        (Subject::Client(client_id), happening)
    }

    fn note(record: &mut Record, (subject, happening): (Subject, Happening)) {
        record.note(subject, happening);
    }

    #[test]
    fn what_is_the_same_is_counted() {
        let mut record = Record::new(BOUNDS_KNOWN);
        for (port, at_ms) in [(1, 10), (2, 20), (3, 30)] {
            note(&mut record, refused("a", port, "why", at_ms));
        }
        note(&mut record, refused("a", 4, "other", 40));
        let story: Vec<_> = record.of(&Subject::Client("a".into())).collect();
        assert_eq!(story.len(), 2);
        assert_eq!(
            (story[0].count, story[0].at_ms, story[0].until_ms, story[0].source.unwrap().port()),
            (3, 10, 30, 3)
        );
        assert_eq!((story[1].count, story[1].at_ms), (1, 40));
    }

    #[test]
    fn a_story_keeps_its_last_happenings() {
        let mut record = Record::new(BOUNDS_KNOWN);
        for number in 0..ENTRIES_MAX + 5 {
            note(&mut record, refused("a", 1, &format!("why {number}"), 0));
        }
        let story: Vec<_> = record.of(&Subject::Client("a".into())).collect();
        assert_eq!(story.len(), ENTRIES_MAX);
        let What::Refused { reason, .. } = &story[0].what else { panic!("{story:?}") };
        assert_eq!(&**reason, "why 5");
    }

    #[test]
    fn clients_without_end_are_forgotten_oldest_first_and_all_is_given_back() {
        let mut record = Record::new(Bounds { stories_max: 100, bytes_max: usize::MAX });
        note(&mut record, refused("first", 1, "why", 0));
        for number in 0..10_000 {
            note(&mut record, refused(&format!("c{number}"), 1, "why", 0));
            note(&mut record, refused("touched", 1, "why", 0));
        }
        assert_eq!(record.stories.len(), 100);
        assert!(record.order.len() <= 2 * 100 + 64, "{}", record.order.len());
        let has = |client_id: &str| record.of(&Subject::Client(client_id.into())).next().is_some();
        assert!(!has("first") && has("touched") && has("c9999") && !has("c9900"));
        let counted: usize = record.stories.values().map(|story| story.bytes).sum();
        assert_eq!(record.bytes, counted);
    }

    #[test]
    fn long_texts_are_bounded_by_their_bytes() {
        let mut record = Record::new(Bounds { stories_max: 10_000, bytes_max: 100_000 });
        for number in 0..1_000 {
            note(&mut record, refused(&format!("c{number}"), 1, &"x".repeat(1_000), 0));
        }
        assert!(record.bytes <= 100_000 && record.stories.len() < 100 && record.stories.len() > 50);
        for number in 0..ENTRIES_MAX * 10 {
            note(&mut record, refused("one", 1, &format!("{number}{}", "x".repeat(10_000)), 0));
        }
        assert!(record.bytes <= 100_000, "also one story alone: {}", record.bytes);
    }
}
