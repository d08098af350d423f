//! One rule, ready to run.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use iot_sql::{SqlVersion, Statement};
use logs::Logs;
use mqtt_session::Limits;
use serde::{Deserialize, Serialize};
use services::IotLog;

use crate::actions::Action;
use crate::rules::RULE_ACTIONS_MAX;
use crate::{LoadError, RuleDefinition, RuleError};

/// The format of the records this version writes, and the newest it reads.
const RECORD_FORMAT: u8 = 1;

/// What rules need of the server.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) logs: Arc<Logs>,
    pub(crate) account_id: String,
    /// What topics may be published to, and how filters match.
    pub(crate) limits: Limits,
    /// Where what happens to messages is logged; set once, at the start.
    pub(crate) iot_log: OnceLock<Arc<IotLog>>,
}

/// A rule: its definition, and what was compiled from it.
#[derive(Debug)]
pub struct Rule {
    name: String,
    created_at_ms: i64,
    definition: RuleDefinition,
    pub(crate) statement: Statement,
    pub(crate) actions: Vec<Action>,
    pub(crate) error_action: Option<Action>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) surroundings: Arc<Surroundings>,
    /// Differs from rule to rule.
    pub(crate) salt: u128,
}

/// What happened to a rule since the server started.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) matched: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) actions_succeeded: AtomicU64,
    pub(crate) actions_failed: AtomicU64,
}

impl Counters {
    /// Messages that reached the rule.
    pub fn matched(&self) -> u64 {
        self.matched.load(Ordering::Relaxed)
    }

    /// Messages whose SQL could not be evaluated.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Actions carried out, error actions included.
    pub fn actions_succeeded(&self) -> u64 {
        self.actions_succeeded.load(Ordering::Relaxed)
    }

    /// Actions that failed, error actions included.
    pub fn actions_failed(&self) -> u64 {
        self.actions_failed.load(Ordering::Relaxed)
    }
}

/// The stored form, behind one byte with [`RECORD_FORMAT`].
#[derive(Serialize, Deserialize)]
struct Record {
    created_at_ms: i64,
    definition: RuleDefinition,
}

/// A number for each name, spread over both halves.
fn salt(name: &str) -> u128 {
    let hash = u128::from(BuildHasherDefault::<DefaultHasher>::new().hash_one(name));
    hash << 64 | hash
}

impl Rule {
    /// Checks and compiles a definition.
    pub(crate) fn compile(
        name: &str,
        mut definition: RuleDefinition,
        created_at_ms: i64,
        surroundings: Arc<Surroundings>,
    ) -> Result<Self, RuleError> {
        // [AWS iot CreateTopicRule] The API's default is the first version.
        let version = match definition.aws_iot_sql_version.as_deref() {
            None => SqlVersion::V2015_10_08,
            Some(text) => SqlVersion::parse(text)
                .ok_or_else(|| RuleError::UnknownSqlVersion { version: text.to_owned() })?,
        };
        definition.aws_iot_sql_version = Some(version.as_str().to_owned());
        let statement = Statement::parse(&definition.sql, version)?;
        if definition.actions.len() > RULE_ACTIONS_MAX {
            let got = definition.actions.len();
            return Err(RuleError::TooManyActions { max: RULE_ACTIONS_MAX, got });
        }
        let parse = |place: String, action| {
            Action::parse(action, version).map_err(|reason| RuleError::InvalidAction { place, reason })
        };
        let actions = definition
            .actions
            .iter()
            .enumerate()
            .map(|(index, action)| parse(format!("action {}", index + 1), action))
            .collect::<Result<_, _>>()?;
        let error_action = definition
            .error_action
            .as_ref()
            .map(|action| parse("error action".to_owned(), action))
            .transpose()?;
        Ok(Self {
            name: name.to_owned(),
            created_at_ms,
            definition,
            statement,
            actions,
            error_action,
            counters: Arc::default(),
            surroundings,
            salt: salt(name),
        })
    }

    /// Keeps counting where the rule of the same name stopped.
    pub(crate) fn count_on(&mut self, previous: &Self) {
        self.counters = previous.counters.clone();
    }

    /// The stored form.
    pub(crate) fn to_record(&self) -> Vec<u8> {
        let record = Record { created_at_ms: self.created_at_ms, definition: self.definition.clone() };
        let mut bytes = vec![RECORD_FORMAT];
        serde_json::to_writer(&mut bytes, &record).expect("a rule is JSON and memory takes it");
        bytes
    }

    /// A stored rule, compiled again.
    pub(crate) fn from_record(
        key: &[u8],
        bytes: &[u8],
        surroundings: Arc<Surroundings>,
    ) -> Result<Self, LoadError> {
        let name = String::from_utf8_lossy(key).into_owned();
        let damaged = |reason: String| LoadError::Damaged { name: name.clone(), reason };
        let json = match bytes.split_first() {
            Some((&RECORD_FORMAT, json)) => json,
            Some((&format, _)) if format > RECORD_FORMAT => {
                return Err(LoadError::NewerFormat { name, format, known: RECORD_FORMAT });
            }
            _ => return Err(damaged("it has no format".to_owned())),
        };
        let Record { created_at_ms, definition } =
            serde_json::from_slice(json).map_err(|error| damaged(error.to_string()))?;
        Self::compile(&name, definition, created_at_ms, surroundings)
            .map_err(|error| damaged(error.to_string()))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the user wrote, with the SQL version filled in.
    pub fn definition(&self) -> &RuleDefinition {
        &self.definition
    }

    /// When it was created, in milliseconds since 1970; replacing it does not change this.
    pub fn created_at_ms(&self) -> i64 {
        self.created_at_ms
    }

    /// Whether messages run it.
    pub fn is_enabled(&self) -> bool {
        !self.definition.rule_disabled
    }

    /// The FROM filter; `None` when only basic ingest reaches it.
    pub fn topic_filter(&self) -> Option<&str> {
        self.statement.topic_filter()
    }

    /// What happened to it so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}
