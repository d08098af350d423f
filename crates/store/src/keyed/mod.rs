//! The keyed state: what the journal's puts and deletes add up to.
//!
//! Changes come from the applier thread only, in journal order, one atomic batch at a time. The state need not be
//! durable when it is changed, because the journal can be replayed over it: puts and deletes are absolute, so
//! replaying from any earlier position ends in the same state. What must be exact is the checkpoint: it is stored
//! only after everything up to it was made durable, and replay starts there. The position of the last batch is
//! stored with the batch as well; it is not trusted for skipping (an engine may make one key durable before
//! another) but a journal that ends before it has lost something acknowledged.

mod fjall;
mod memory;

use std::io;

use crate::Position;

pub(crate) use self::fjall::FjallState;
pub(crate) use self::memory::MemoryState;

/// Keys and values of a scan, ordered by key.
pub type KeyValues = Vec<(Vec<u8>, Vec<u8>)>;

/// One change, borrowed from the journal record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    Put { keyspace: &'a str, key: &'a [u8], value: &'a [u8] },
    Delete { keyspace: &'a str, key: &'a [u8] },
}

/// A keyed store that the journal is applied to.
pub(crate) trait KeyedState: Send + Sync {
    fn get(&self, keyspace: &str, key: &[u8]) -> io::Result<Option<Vec<u8>>>;
    /// All pairs of a keyspace whose keys begin with `prefix`, in key order.
    fn scan(&self, keyspace: &str, prefix: &[u8]) -> io::Result<KeyValues>;
    /// Applies changes in order, together with the position that they end at, atomically for readers.
    fn apply(&self, changes: &mut dyn Iterator<Item = Change<'_>>, position: Position) -> io::Result<()>;
    /// The position of the last batch that is still there.
    fn applied(&self) -> io::Result<Position>;
    /// Where replay must start; `None` when the state was never initialised.
    fn checkpoint(&self) -> io::Result<Option<Position>>;
    /// Makes everything applied so far durable, and only then stores `checkpoint`.
    fn persist(&self, checkpoint: Position) -> io::Result<()>;
}
