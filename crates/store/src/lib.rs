//! The journal that acknowledgements wait for, and the keyed state applied from it.
//!
//! The rule of the house: **what was acknowledged is kept**. A [`Transaction`] holds a publish's local consequences
//! or an API call's changes. [`Store::append`] gives it a [`Position`] and never waits; the writer thread takes
//! everything that arrived while the last `fdatasync` ran, writes it to the journal and syncs once. From then on
//! [`Store::committed`] has reached the position and PUBACKs and 200s may leave. The applier thread carries the
//! durable transactions into the keyed state and to the [`Consumer`]s (log segments), which therefore need no syncs
//! of their own: at start the journal is replayed over them. Every [`CHECKPOINT_BYTES`](limits::CHECKPOINT_BYTES) a
//! checkpoint syncs both, and the journal's oldest segments are dropped.
//!
//! Data directory: `LOCK`, `FORMAT`, `journal/` (see the `journal` module for the bytes) and `state/` (an LSM tree).
//!
//! When the disk is full, what waits is lost and reported so, what is appended later succeeds once there is room.
//! When a sync or a write fails otherwise, the store refuses everything until the server starts anew: a second sync
//! that succeeds would prove nothing about what the first one lost.

mod applier;
mod commit;
pub mod disk;
mod error;
mod journal;
mod keyed;
mod metrics;
mod open;
#[cfg(any(test, feature = "sim"))]
mod steps;
mod store;
mod transaction;
mod writer;

pub use commit::Commit;
pub use error::{AppendError, Lost, OpenError, ReadError, TornTail};
pub use keyed::KeyValues;
pub use metrics::{COMMIT_MICROSECONDS, JournalMetrics};
pub use open::{Opening, StateEngine, StoreOptions};
#[cfg(any(test, feature = "sim"))]
pub use steps::Steps;
pub use store::Store;
pub use transaction::{ConsumerId, Keyspace, Mark, Transaction};

/// The store's limits and why they are what they are.
pub mod limits {
    pub use crate::applier::CHECKPOINT_BYTES;
    pub use crate::journal::{RECORD_BYTES_MAX, SEGMENT_BYTES_MAX};
    pub use crate::store::BACKLOG_BYTES_MAX;
    pub use crate::transaction::KEY_BYTES_MAX;
}

/// A place in the journal, in bytes: positions rise with every append and are never given out twice by one process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// Before everything: nothing was appended, so it is always committed.
    pub const NONE: Self = Self(0);
}

/// Takes entries out of the journal into files of its own.
///
/// When it starts after anything but an orderly end, what it reads from its files may not be on disk, even if a sync
/// succeeds: see [`disk::settle_file`].
pub trait Consumer: Send + Sync {
    /// Takes one durable entry. Called from the applier thread in journal order; `position` is unique per entry.
    ///
    /// Entries are repeated after a crash: one at or below the highest position that this consumer still has must
    /// change nothing. An entry that can no longer be applied (its target was deleted) is dropped without an error.
    ///
    /// # Errors
    /// Any error but a full disk fails the store. After a full disk [`flush`](Consumer::flush) is tried again.
    fn apply(&self, position: Position, entry: &[u8]) -> std::io::Result<()>;

    /// Makes what was applied visible; called at the end of every batch. It need not be durable yet.
    ///
    /// # Errors
    /// After a full disk it is called again until it succeeds. Any other error fails the store.
    fn flush(&self) -> std::io::Result<()> {
        Ok(())
    }

    /// Makes everything applied so far durable: the journal will be dropped behind it.
    ///
    /// # Errors
    /// Fails the store; nothing is dropped.
    fn sync(&self) -> std::io::Result<()>;
}
