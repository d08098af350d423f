//! What the services have in common: loading at a start, and lists in pages.

/// Some of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// In order.
    pub items: Vec<T>,
    /// `after` of the next page; `None` on the last one.
    pub next: Option<String>,
}

/// Why what is stored could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The state could not be read.
    #[error("the stored state cannot be read")]
    Read(#[from] store::ReadError),
    /// A thread cannot be started.
    #[error("a thread cannot be started")]
    Thread(#[from] std::io::Error),
    /// A newer version of eyot wrote this record.
    #[error("{key} is stored in format {format}, which this version of eyot does not read")]
    NewerFormat {
        /// Which one.
        key: String,
        /// Its format.
        format: u8,
    },
    /// The record is not what we write.
    #[error("the stored {key} is damaged")]
    Damaged {
        /// Which one.
        key: String,
    },
}
