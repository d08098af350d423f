//! Why the store refuses: to open, to append, to read.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::Position;

/// Why an append is not durable. Whoever waits for it must not acknowledge anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// More waits for the disk than may wait: slow down and try again.
    #[error("the journal is {limit_bytes} bytes behind and takes no more")]
    Backlog {
        /// The limit that was reached.
        limit_bytes: u64,
    },
    /// The transaction is larger than a journal record may be.
    #[error("a transaction of {bytes} bytes is larger than the journal's limit of {limit_bytes}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// The disk had no room, or the process no file descriptor. Later appends work again once there is one.
    #[error("the disk has no room, or too many files are open; the server's log says which")]
    Shortage,
    /// The journal or the state failed. Nothing can be appended until the server starts anew.
    #[error("the store failed: {reason}")]
    Failed {
        /// What went wrong first.
        reason: Arc<str>,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// What [`Store::on_commit`](crate::Store::on_commit) reports when appends were lost.
///
/// Every position that is above the last committed one and not above `up_to` is lost. Positions above `up_to` are
/// new appends. A listener must forget what waits at the lost ones *before* the next commit is reported, because
/// committed positions go on rising past them when a full disk has room again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The highest position that was lost.
    pub up_to: Position,
    /// Why.
    pub error: AppendError,
}

/// Why a data directory is not opened. Each names what is in the way.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("data directory `{}` is in use by process {holder}", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// The process id that the lock file names.
        holder: String,
    },
    /// It was written by a newer version.
    #[error("data directory `{}` has format {found}, this version reads up to {supported}", dir.display())]
    NewerFormat {
        /// The directory.
        dir: PathBuf,
        /// Its format.
        found: u32,
        /// Our newest format.
        supported: u32,
    },
    /// It was written by an older version that no release could be.
    #[error(
        "data directory `{}` has format {found}, of an eyot before its first release; this version reads {supported}",
        dir.display()
    )]
    OlderFormat {
        /// The directory.
        dir: PathBuf,
        /// Its format.
        found: u32,
        /// The format that this version reads.
        supported: u32,
    },
    /// Something that was acknowledged is unreadable. Nothing was changed.
    #[error("`{}` is damaged at byte {offset}: {reason}", file.display())]
    Damaged {
        /// The damaged file.
        file: PathBuf,
        /// Where the damage begins.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The keyed state cannot be opened.
    #[error("keyed state `{}` cannot be opened", dir.display())]
    State {
        /// Its directory.
        dir: PathBuf,
        /// The engine's reason.
        #[source]
        source: io::Error,
    },
    /// The disk refused.
    #[error("`{}` cannot be used", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    /// For `map_err`: an I/O error with the path that it is about.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// The keyed state could not be read: our fault or the disk's, never the caller's.
#[derive(Debug, thiserror::Error)]
#[error("the keyed state cannot be read")]
pub struct ReadError(#[from] io::Error);

/// What opening found and repaired: part of a write that a crash interrupted, never acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The file that was cut.
    pub file: PathBuf,
    /// Its new length.
    pub offset: u64,
    /// How many bytes were cut.
    pub bytes: u64,
}
