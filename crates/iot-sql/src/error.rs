//! Why a statement was refused, and why an evaluation failed.

use std::fmt;

use crate::SqlVersion;

/// A range of bytes in the SQL text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset behind the last byte.
    pub end: usize,
}

/// Why SQL was refused. The caller's answer is AWS's `SqlParseException` for every variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// Another token was needed here.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What could have stood here.
        expected: String,
        /// What stands here, in backticks, or `the end`.
        found: String,
        /// Where.
        span: Span,
    },
    /// No token of the language begins with this character.
    #[error("unexpected character `{character}`{hint}")]
    UnexpectedCharacter {
        /// The character.
        character: char,
        /// What to write instead, beginning with `: `; empty when we do not know.
        hint: &'static str,
        /// Where.
        span: Span,
    },
    /// A quote without its partner.
    #[error("this string has no closing {quote}")]
    UnterminatedString {
        /// The quote that opened it.
        quote: char,
        /// From the opening quote to the end.
        span: Span,
    },
    /// No such function, in AWS or here.
    #[error("unknown function `{name}`{}", Nearest(.nearest))]
    UnknownFunction {
        /// The name as written.
        name: String,
        /// A known function that is spelled nearly the same.
        nearest: Option<&'static str>,
        /// The name.
        span: Span,
    },
    /// Too few or too many arguments.
    #[error("`{name}` takes {expected}, got {got}")]
    WrongArity {
        /// The function.
        name: &'static str,
        /// Such as `1 argument` or `1 to 2 arguments`.
        expected: String,
        /// How many there are.
        got: usize,
        /// The function's name.
        span: Span,
    },
    /// `cast(… AS …)` names no type.
    #[error("unknown type `{name}`: `cast` knows {known}")]
    UnknownType {
        /// The name as written.
        name: String,
        /// The types there are in this version.
        known: &'static str,
        /// The name.
        span: Span,
    },
    /// The feature belongs to a later SQL version than the rule's.
    #[error("{feature} needs SQL version {needs}, this is {version}")]
    NeedsVersion {
        /// Such as `` `length` ``.
        feature: String,
        /// The first version that has it.
        needs: SqlVersion,
        /// The version that was asked for.
        version: SqlVersion,
        /// Where.
        span: Span,
    },
    /// AWS IoT SQL has this and eyot will: it does not yet.
    #[error("eyot does not have {feature} yet")]
    NotYet {
        /// Such as `nested queries`.
        feature: String,
        /// Where.
        span: Span,
    },
    /// The text after FROM is no topic filter.
    #[error("the topic filter `{filter}` {reason}")]
    BadTopicFilter {
        /// The text.
        filter: String,
        /// What is wrong with it, beginning with a verb.
        reason: String,
        /// The string.
        span: Span,
    },
    /// Nothing gives this column a name.
    #[error("this column has no name: write `{column} AS name`")]
    NeedsAlias {
        /// The expression, shortened.
        column: String,
        /// The expression.
        span: Span,
    },
    /// Deeper than [`crate::limits::EXPRESSION_DEPTH_MAX`].
    #[error("expressions may nest {max} levels deep")]
    TooDeep {
        /// The limit.
        max: usize,
        /// Where it was passed.
        span: Span,
    },
    /// Longer than [`crate::limits::SQL_BYTES_MAX`].
    #[error("SQL may have {max} bytes, this has {got}")]
    TooLong {
        /// The limit.
        max: usize,
        /// The length.
        got: usize,
    },
}

impl SqlError {
    /// A short, stable name of the kind of error, for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unexpected { .. } => "unexpected",
            Self::UnexpectedCharacter { .. } => "unexpected_character",
            Self::UnterminatedString { .. } => "unterminated_string",
            Self::UnknownFunction { .. } => "unknown_function",
            Self::WrongArity { .. } => "wrong_arity",
            Self::UnknownType { .. } => "unknown_type",
            Self::NeedsVersion { .. } => "needs_version",
            Self::NotYet { .. } => "not_yet",
            Self::BadTopicFilter { .. } => "bad_topic_filter",
            Self::NeedsAlias { .. } => "needs_alias",
            Self::TooDeep { .. } => "too_deep",
            Self::TooLong { .. } => "too_long",
        }
    }

    /// The bytes of the SQL that this is about.
    pub fn span(&self) -> Span {
        match self {
            Self::Unexpected { span, .. }
            | Self::UnexpectedCharacter { span, .. }
            | Self::UnterminatedString { span, .. }
            | Self::UnknownFunction { span, .. }
            | Self::WrongArity { span, .. }
            | Self::UnknownType { span, .. }
            | Self::NeedsVersion { span, .. }
            | Self::NotYet { span, .. }
            | Self::BadTopicFilter { span, .. }
            | Self::NeedsAlias { span, .. }
            | Self::TooDeep { span, .. } => *span,
            Self::TooLong { max, got } => Span { start: *max, end: *got },
        }
    }

    /// Offset of the first byte that this is about.
    pub fn offset(&self) -> usize {
        self.span().start
    }
}

/// `: did you mean …`, or nothing.
struct Nearest<'a>(&'a Option<&'static str>);

impl fmt::Display for Nearest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, ": did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}

/// Why a message could not be evaluated. A rule that fails this way runs its error action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The statement asks for the payload's content and the payload is not JSON.
    #[error("the payload is not JSON: {reason} at byte {offset}")]
    NotJson {
        /// What is wrong.
        reason: &'static str,
        /// Where in the payload.
        offset: usize,
    },
    /// More work than [`crate::limits::STEPS_MAX`].
    #[error("evaluation took more than {max} steps")]
    TooMuchWork {
        /// The limit.
        max: u64,
    },
}

impl EvalError {
    /// A short, stable name of the kind of error, for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "payload_not_json",
            Self::TooMuchWork { .. } => "too_much_work",
        }
    }
}
