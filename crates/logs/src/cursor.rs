//! Walking over the events of a group in order, forwards or backwards, across all segments.
//!
//! A segment is opened when its first event is due, not before: a question about the last minute reads the last
//! blocks only.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::sync::Arc;

use store::disk::{Disk, DiskFile};

use crate::Damage;
use crate::segment::sealed::Block;
use crate::segment::unsealed::Location;
use crate::segment::{SealedSegment, Segment, StoredEvent, UnsealedSegment};
use crate::token::EventKey;

/// Index entries that are looked at under an unsealed segment's lock at a time: well below a millisecond.
const INDEX_STRETCH: usize = 4_096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    Backward,
}

/// The events of a key range (both ends included), in order.
pub(crate) struct Cursor<'a> {
    direction: Direction,
    wanted: Box<dyn Fn(u32) -> bool + 'a>,
    sources: Vec<Source<'a>>,
    /// The rank of each source's next event, or a bound for it while the source has not been read.
    heads: BinaryHeap<Reverse<(Rank, usize)>>,
    pub(crate) damages: Vec<Damage>,
}

/// An event's place in the walk: rises in both directions.
type Rank = (i64, u64);

fn rank(direction: Direction, key: EventKey) -> Rank {
    match direction {
        Direction::Forward => (key.timestamp_ms, key.sequence),
        // Bitwise not turns the order around without overflow.
        Direction::Backward => (!key.timestamp_ms, !key.sequence),
    }
}

struct Source<'a> {
    reader: Reader<'a>,
    buffer: VecDeque<StoredEvent>,
    low: EventKey,
    high: EventKey,
    ended: bool,
}

enum Reader<'a> {
    Unsealed(Arc<UnsealedSegment>),
    Sealed { segment: Arc<SealedSegment>, disk: &'a dyn Disk, opened: Option<Opened> },
}

/// A sealed file whose index was read.
struct Opened {
    file: Arc<dyn DiskFile>,
    blocks: Arc<[Block]>,
}

impl<'a> Cursor<'a> {
    /// A walk over `segments` that sees the streams that `wanted` takes.
    pub(crate) fn new(
        disk: &'a dyn Disk,
        segments: &[Segment],
        range: (EventKey, EventKey),
        direction: Direction,
        wanted: impl Fn(u32) -> bool + 'a,
    ) -> Self {
        let (low, high) = range;
        let mut cursor = Self {
            direction,
            wanted: Box::new(wanted),
            sources: Vec::new(),
            heads: BinaryHeap::new(),
            damages: Vec::new(),
        };
        for segment in segments {
            let times = segment.with_statistics(|statistics| {
                let of_wanted = statistics.streams.iter().filter(|(id, _)| (cursor.wanted)(**id));
                of_wanted.fold(None, |times: Option<(i64, i64)>, (_, stream)| {
                    let (first, last) = times.unwrap_or((stream.first_ms, stream.last_ms));
                    Some((first.min(stream.first_ms), last.max(stream.last_ms)))
                })
            });
            let Some((first_ms, last_ms)) = times else { continue };
            let low = low.max(EventKey::start_of(first_ms));
            let high = high.min(EventKey::end_of(last_ms));
            if low > high {
                continue;
            }
            let bound = if direction == Direction::Forward { low } else { high };
            cursor.heads.push(Reverse((rank(direction, bound), cursor.sources.len())));
            let reader = match segment {
                Segment::Unsealed(segment) => Reader::Unsealed(segment.clone()),
                Segment::Sealed(segment) => Reader::Sealed { segment: segment.clone(), disk, opened: None },
            };
            cursor.sources.push(Source { reader, buffer: VecDeque::new(), low, high, ended: false });
        }
        cursor
    }

    /// The next event.
    pub(crate) fn next(&mut self) -> io::Result<Option<StoredEvent>> {
        loop {
            let Some(&Reverse((_, number))) = self.heads.peek() else { return Ok(None) };
            let source = &mut self.sources[number];
            // The head is exact only once events are buffered; before, it is a bound.
            if source.buffer.is_empty() {
                source.fill(self.direction, &*self.wanted, &mut self.damages)?;
                self.heads.pop();
                if let Some(event) = source.buffer.front() {
                    self.heads.push(Reverse((rank(self.direction, event.key), number)));
                }
                continue;
            }
            self.heads.pop();
            let event = source.buffer.pop_front();
            let next = match source.buffer.front() {
                Some(event) => Some(event.key),
                None if source.ended || source.low > source.high => None,
                None if self.direction == Direction::Forward => Some(source.low),
                None => Some(source.high),
            };
            if let Some(next) = next {
                self.heads.push(Reverse((rank(self.direction, next), number)));
            }
            return Ok(event);
        }
    }
}

impl Source<'_> {
    /// Reads on until something is in the buffer or nothing is left.
    fn fill(
        &mut self,
        direction: Direction,
        wanted: &dyn Fn(u32) -> bool,
        damages: &mut Vec<Damage>,
    ) -> io::Result<()> {
        while self.buffer.is_empty() && !self.ended && self.low <= self.high {
            match &mut self.reader {
                Reader::Unsealed(segment) => {
                    let stretch = stretch(segment, self.low, self.high, direction);
                    self.ended = stretch.len() < INDEX_STRETCH;
                    if let Some((last, _)) = stretch.last() {
                        self.ended |= !advance(&mut self.low, &mut self.high, *last, direction);
                    }
                    let found = stretch.into_iter().filter(|(_, location)| wanted(location.stream));
                    read_records(segment, found.collect(), &mut self.buffer, damages)?;
                }
                Reader::Sealed { segment, disk, opened } => {
                    let Opened { file, blocks } = match opened {
                        Some(opened) => opened,
                        None => {
                            let Some(file) = segment.file(*disk)? else {
                                self.ended = true; // Removed by retention since the walk began.
                                return Ok(());
                            };
                            let blocks = match segment.blocks(&*file) {
                                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                                    damages.push(damage(segment, 0, &error));
                                    self.ended = true;
                                    return Ok(());
                                }
                                blocks => blocks?,
                            };
                            opened.insert(Opened { file, blocks })
                        }
                    };
                    let Some(block) = next_block(blocks, self.low, self.high, direction) else {
                        self.ended = true;
                        return Ok(());
                    };
                    match segment.read_block(&**file, block) {
                        Ok(events) => {
                            let inside = events.into_iter().filter(|event| {
                                self.low <= event.key && event.key <= self.high && wanted(event.stream)
                            });
                            self.buffer.extend(inside);
                            if direction == Direction::Backward {
                                self.buffer.make_contiguous().reverse();
                            }
                        }
                        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                            damages.push(damage(segment, block.offset, &error));
                        }
                        Err(error) => return Err(error),
                    }
                    let end = if direction == Direction::Forward { block.last } else { block.first };
                    self.ended |= !advance(&mut self.low, &mut self.high, end, direction);
                }
            }
        }
        Ok(())
    }
}

fn damage(segment: &SealedSegment, offset: u64, error: &io::Error) -> Damage {
    Damage { file: segment.path.clone(), offset, reason: error.to_string() }
}

/// Moves the range behind a key that was read; false when nothing can be behind it.
fn advance(low: &mut EventKey, high: &mut EventKey, read: EventKey, direction: Direction) -> bool {
    match direction {
        Direction::Forward => *low = read.after(),
        Direction::Backward => match read.before() {
            Some(before) => *high = before,
            None => return false,
        },
    }
    true
}

/// The first index entries of a range, copied so that the lock is held for moments only.
fn stretch(
    segment: &UnsealedSegment,
    low: EventKey,
    high: EventKey,
    direction: Direction,
) -> Vec<(EventKey, Location)> {
    let index = segment.index();
    let range = index.events.range(low..=high).map(|(key, location)| (*key, *location));
    match direction {
        Direction::Forward => range.take(INDEX_STRETCH).collect(),
        Direction::Backward => range.rev().take(INDEX_STRETCH).collect(),
    }
}

fn read_records(
    segment: &UnsealedSegment,
    found: Vec<(EventKey, Location)>,
    buffer: &mut VecDeque<StoredEvent>,
    damages: &mut Vec<Damage>,
) -> io::Result<()> {
    for (_, location) in found {
        match segment.read(location)? {
            Some(event) => buffer.push_back(event),
            None => damages.push(Damage {
                file: segment.path.clone(),
                offset: location.offset,
                reason: "a record is not readable any more".to_owned(),
            }),
        }
    }
    Ok(())
}

/// The nearest block of a range.
fn next_block(blocks: &[Block], low: EventKey, high: EventKey, direction: Direction) -> Option<Block> {
    let block = match direction {
        Direction::Forward => blocks.get(blocks.partition_point(|block| block.last < low)),
        Direction::Backward => {
            blocks.get(blocks.partition_point(|block| block.first <= high).checked_sub(1)?)
        }
    };
    block.filter(|block| block.first <= high && low <= block.last).copied()
}
