//! What AWS IoT writes into the log group `AWSIotLogsV2`: one JSON object per thing that happened, in AWS's format.
//!
//! Off until somebody calls SetV2LoggingOptions. `settings` decides what is written, `event` is one line of it, `writer` brings
//! lines to the log group on a thread of its own: whoever logs never waits, and what finds no room is dropped, counted and told.
//!
//! The brokers' event loops, the rules and the API log here; the writing itself does not.

mod event;
mod settings;
mod writer;

pub use event::{EventType, LogEvent, Transport};
pub use settings::{EventConfiguration, LogLevel, LogTarget, LoggingOptions, SettingsError, TargetType};

use crate::LoadError;
use logs::Logs;
use settings::Settings;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use store::{AppendError, Keyspace, Store, Transaction};
use writer::Writer;

/// The log group. [AWS cwl-format]
pub const GROUP: &str = "AWSIotLogsV2";

/// Key: `settings`. Value: format, JSON.
const KEYSPACE: Keyspace = Keyspace("iot_logging");
const KEY: &[u8] = b"settings";

/// The format of the record.
const FORMAT: u8 = 1;

/// The log of one server. Share it by `Arc`.
#[derive(Debug)]
pub struct IotLog {
    store: Store,
    logs: Arc<Logs>,
    account_id: String,
    /// The most verbose level that anything is logged at; 0: nothing is. Read before anything else is done.
    verbosity: AtomicU8,
    /// `None`: never configured.
    settings: RwLock<Option<Arc<Settings>>>,
    /// Held while settings are changed, so that what is in memory is what is on the disk.
    changing: Mutex<()>,
    writer: Writer,
}

/// How many events there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IotLogCounts {
    /// In the log group.
    pub written: u64,
    /// Dropped, because more came than could be written.
    pub dropped: u64,
    /// Refused by the log store.
    pub failed: u64,
}

/// Why settings were not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// They are not allowed, or there are none to change.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// They could not be stored.
    #[error("the logging options could not be stored")]
    Store(#[from] AppendError),
}

impl IotLog {
    /// Loads the settings and starts the thread that writes.
    ///
    /// # Errors
    /// [`LoadError`] when they cannot be read, or there is no thread to be had.
    pub fn start(store: &Store, logs: Arc<Logs>, account_id: &str) -> Result<Self, LoadError> {
        let settings = match store.get(KEYSPACE, KEY)? {
            None => None,
            Some(record) => Some(read(&record)?),
        };
        let log = Self {
            store: store.clone(),
            logs: Arc::clone(&logs),
            account_id: account_id.to_owned(),
            verbosity: AtomicU8::new(0),
            settings: RwLock::new(None),
            changing: Mutex::default(),
            writer: Writer::start(logs, account_id)?,
        };
        log.use_settings(settings);
        Ok(log)
    }

    /// Whether anything of this level is logged at all: one load, for hot paths.
    pub fn wants(&self, level: LogLevel) -> bool {
        self.verbosity.load(Ordering::Relaxed) >= level as u8
    }

    /// An identifier for a message's way through the log, if it is logged; see [`LogEvent::trace_id`].
    pub fn trace_id(&self) -> Option<String> {
        self.wants(LogLevel::Info).then(|| uuid::Uuid::new_v4().to_string())
    }

    /// Logs something, if it is to be logged. Never waits.
    pub fn log(&self, event: &LogEvent<'_>) {
        if !self.wants(event.level) {
            return;
        }
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(settings) = settings else { return };
        if let Some(group) = settings.destination_of(event) {
            self.writer.queue(group, event.at_ms, event.to_json(&self.account_id));
        }
    }

    /// The options, and the levels of single targets; `None`: never configured.
    pub fn options(&self) -> Option<LoggingOptions> {
        self.settings().map(|settings| settings.options())
    }

    /// The levels of single targets, by type and name.
    pub fn levels(&self) -> Option<Vec<(LogTarget, LogLevel)>> {
        self.settings().map(|settings| settings.levels())
    }

    /// SetV2LoggingOptions. What is `None` stays as it was. Blocks until it is durable, and the log group is there that the first
    /// `aws logs tail` looks for.
    ///
    /// # Errors
    /// [`SettingsError`], and the journal's.
    pub fn set_options(&self, options: LoggingOptions, now_ms: i64) -> Result<(), ChangeError> {
        self.change(|settings| settings.unwrap_or_default().with_options(options))?;
        if self.wants(LogLevel::Error)
            && let Err(error) = writer::create_group(&self.logs, GROUP, now_ms)
        {
            // The writer tries again with the first event.
            tracing::warn!(target: "eyot::iot_log", group = GROUP, %error, "the log group was not created");
        }
        Ok(())
    }

    /// SetV2LoggingLevel.
    ///
    /// # Errors
    /// [`SettingsError::NotConfigured`], [`SettingsError::TooManyLevels`], and the journal's.
    pub fn set_level(&self, target: LogTarget, level: LogLevel) -> Result<(), ChangeError> {
        self.change(|settings| settings.ok_or(SettingsError::NotConfigured)?.with_level(target, level))
    }

    /// DeleteV2LoggingLevel. There need be none.
    ///
    /// # Errors
    /// The journal's.
    pub fn delete_level(&self, target: &LogTarget) -> Result<(), ChangeError> {
        self.change(|settings| Ok(settings.unwrap_or_default().without_level(target)))
    }

    /// How many events there were since the start.
    pub fn counts(&self) -> IotLogCounts {
        self.writer.counts()
    }

    /// Writes what waits and ends the thread. Close it before the log store.
    pub fn close(&self) {
        self.verbosity.store(0, Ordering::Relaxed);
        self.writer.stop();
    }

    fn settings(&self) -> Option<Arc<Settings>> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(
        &self,
        make: impl FnOnce(Option<Settings>) -> Result<Settings, SettingsError>,
    ) -> Result<(), ChangeError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.settings();
        let settings = make(before.as_deref().cloned())?;
        if before.as_deref() == Some(&settings) {
            return Ok(());
        }
        let mut record = vec![FORMAT];
        serde_json::to_writer(&mut record, &settings).expect("settings are JSON and memory takes them");
        let mut transaction = Transaction::new();
        transaction.put(KEYSPACE, KEY, record);
        // In memory only what is on the disk: there is nothing to take back after a full one.
        self.store.commit(transaction).wait()?;
        self.use_settings(Some(settings));
        Ok(())
    }

    fn use_settings(&self, settings: Option<Settings>) {
        let verbosity = settings.as_ref().map_or(LogLevel::Disabled, Settings::verbosity);
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings.map(Arc::new);
        self.verbosity.store(verbosity as u8, Ordering::Relaxed);
    }
}

impl Drop for IotLog {
    fn drop(&mut self) {
        self.close();
    }
}

fn read(record: &[u8]) -> Result<Settings, LoadError> {
    let key = "logging options".to_owned();
    match record.split_first() {
        Some((&FORMAT, json)) => serde_json::from_slice(json).map_err(|_| LoadError::Damaged { key }),
        Some((&format, _)) if format > FORMAT => Err(LoadError::NewerFormat { key, format }),
        _ => Err(LoadError::Damaged { key }),
    }
}
