//! Why a log operation is refused, in the words that CloudWatch Logs uses.

use std::path::PathBuf;

use store::{AppendError, OpenError, ReadError};

/// Why a log operation is refused. The texts are CloudWatch Logs' own where it has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogsError {
    /// There is no group of this name.
    #[error("The specified log group does not exist.")]
    NoSuchGroup,
    /// There is no stream of this name in the group.
    #[error("The specified log stream does not exist.")]
    NoSuchStream,
    /// A group of this name is there already.
    #[error("The specified log group already exists")]
    GroupExists,
    /// A stream of this name is there already.
    #[error("The specified log stream already exists")]
    StreamExists,
    /// The request is wrong in itself.
    #[error("{0}")]
    InvalidParameter(String),
    /// One of the limits of [`crate::limits`] is reached.
    #[error("{0}")]
    LimitExceeded(String),
    /// More tags than a group may have.
    #[error("{0}")]
    TooManyTags(String),
    /// The disk is full, or too many files are open: the same request succeeds when that has passed.
    #[error("log events cannot be stored: the disk has no room, or too many files are open")]
    Shortage,
    /// Our fault or the disk's. Nothing is known about the request's effect.
    #[error("{0}")]
    Unavailable(String),
}

impl LogsError {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::InvalidParameter(message.into())
    }

    /// [AWS verified.md 141] Any token that was not given out for this request.
    pub(crate) fn invalid_token() -> Self {
        Self::invalid("The specified nextToken is invalid.")
    }
}

impl From<AppendError> for LogsError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Shortage => Self::Shortage,
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<std::io::Error> for LogsError {
    fn from(error: std::io::Error) -> Self {
        if store::disk::is_shortage(&error) { Self::Shortage } else { Self::Unavailable(error.to_string()) }
    }
}

/// Why the log store is not opened.
#[derive(Debug, thiserror::Error)]
pub enum LogsOpenError {
    /// A file or directory cannot be used.
    #[error("`{}` cannot be used", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// The list of groups and streams cannot be read.
    #[error("the list of log groups cannot be read")]
    Read(#[from] ReadError),
    /// A stored group or stream is not what this version writes.
    #[error("the stored log {kind} `{key}` is not readable: {reason}")]
    Damaged {
        /// `group` or `stream`.
        kind: &'static str,
        /// Its name.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// The journal could not be replayed.
    #[error(transparent)]
    Store(#[from] OpenError),
}

/// Log events that cannot be read any more: the file was set aside and the rest is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file, by the name under which it can be looked at.
    pub file: PathBuf,
    /// Where the damage begins.
    pub offset: u64,
    /// What is wrong.
    pub reason: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "`{}` is damaged at byte {}: {}", self.file.display(), self.offset, self.reason)
    }
}
