//! Why a policy document is refused.

/// Why a policy document is refused. The text says where in the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// More than [`DOCUMENT_CHARS_MAX`](crate::DOCUMENT_CHARS_MAX) characters.
    #[error("the policy document has {chars} characters without white space, at most {max} are allowed")]
    TooLong {
        /// How many it has, white space not counted.
        chars: usize,
        /// The limit.
        max: usize,
    },
    /// Not JSON, or the same member twice.
    #[error("the policy document is not valid JSON: {reason}")]
    NotJson {
        /// What is wrong, with line and column.
        reason: String,
    },
    /// JSON, but no policy.
    #[error("policy document: {place}: {reason}")]
    Malformed {
        /// Where, such as `Statement[0].Effect`.
        place: String,
        /// What is wrong there.
        reason: String,
    },
}
