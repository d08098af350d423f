//! Why a rule is refused.

use iot_sql::SqlError;
use store::AppendError;

/// Why an operation on rules was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RuleError {
    /// The name is empty, too long, or has other characters than letters, digits and `_`.
    #[error("`{name}` is no rule name: 1 to 128 letters, digits and `_`")]
    InvalidName {
        /// The name.
        name: String,
    },
    /// A rule of this name is there already.
    #[error("a rule `{name}` exists already")]
    AlreadyExists {
        /// The name.
        name: String,
    },
    /// There is no rule of this name.
    #[error("there is no rule `{name}`")]
    NoSuchRule {
        /// The name.
        name: String,
    },
    /// The SQL was refused.
    #[error("{0}")]
    Sql(#[from] SqlError),
    /// `awsIotSqlVersion` names no version.
    #[error("`{version}` is no SQL version: 2015-10-08, 2016-03-23 or beta")]
    UnknownSqlVersion {
        /// The version.
        version: String,
    },
    /// More actions than [`crate::RULE_ACTIONS_MAX`].
    #[error("a rule may have {max} actions, this has {got}")]
    TooManyActions {
        /// The limit.
        max: usize,
        /// How many there are.
        got: usize,
    },
    /// An action is not what its kind asks for.
    #[error("{place}: {reason}")]
    InvalidAction {
        /// `action 1` and so on, or `error action`.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store had lost changes, and what it kept could not be read again.
    #[error("the stored rules cannot be read again: {0}")]
    Reread(String),
    /// The change could not be stored.
    #[error("the rule could not be stored")]
    Store(#[from] AppendError),
}

/// Why the stored rules could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The state could not be read.
    #[error("the stored rules cannot be read")]
    Read(#[from] store::ReadError),
    /// A newer version of eyot wrote this rule.
    #[error("rule `{name}` is stored in format {format}, this version of eyot reads up to {known}")]
    NewerFormat {
        /// The rule.
        name: String,
        /// The record's format.
        format: u8,
        /// The newest we know.
        known: u8,
    },
    /// The record is not what we write.
    #[error("the stored rule `{name}` is damaged: {reason}")]
    Damaged {
        /// The rule.
        name: String,
        /// What is wrong.
        reason: String,
    },
}
