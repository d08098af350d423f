//! What a rule does with its result: one file per action that eyot carries out.

mod cloudwatch_logs;
mod kind;
mod republish;

use iot_sql::{Output, SqlVersion};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use kind::ActionKind;

use crate::engine::Run;
use crate::{Consequences, Failure};

/// What an action's run gives.
pub(crate) type Outcome = Result<(), Failure>;

/// One action, compiled.
#[derive(Debug)]
pub(crate) enum Action {
    CloudwatchLogs(cloudwatch_logs::CloudwatchLogs),
    Republish(republish::RepublishAction),
    /// A kind of AWS's that eyot stores and cannot carry out yet.
    Unavailable(&'static ActionKind),
}

impl Action {
    /// Reads `{"KIND": {…}}`; the error says what is wrong.
    pub(crate) fn parse(action: &Value, version: SqlVersion) -> Result<Self, String> {
        let members = action.as_object().ok_or("an action is an object")?;
        // A client library writes the kinds that are not used as nulls, or leaves them out.
        let mut used = members.iter().filter(|(_, settings)| !settings.is_null());
        let (Some((name, settings)), None) = (used.next(), used.next()) else {
            return Err("an action has exactly one kind".to_owned());
        };
        let kind = ActionKind::find(name).ok_or_else(|| format!("`{name}` is no kind of action"))?;
        if !settings.is_object() {
            return Err(format!("the settings of `{name}` are an object"));
        }
        match kind.name {
            cloudwatch_logs::NAME => {
                cloudwatch_logs::CloudwatchLogs::parse(settings, version).map(Self::CloudwatchLogs)
            }
            republish::NAME => republish::RepublishAction::parse(settings, version).map(Self::Republish),
            _ => Ok(Self::Unavailable(kind)),
        }
        .map_err(|reason| format!("{name}: {reason}"))
    }

    /// Its name in reports of failures, AWS's.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::CloudwatchLogs(_) => cloudwatch_logs::CLASS,
            Self::Republish(_) => republish::CLASS,
            Self::Unavailable(kind) => kind.class,
        }
    }

    pub(crate) fn run(&self, run: &Run<'_>, result: &Output, consequences: &mut Consequences) -> Outcome {
        match self {
            Self::CloudwatchLogs(action) => action.run(run, result, consequences),
            Self::Republish(action) => action.run(run, result, consequences),
            Self::Unavailable(kind) => {
                let error = format!("the action `{}` is not available in eyot yet", kind.name);
                Err(run.failure(kind.class, String::new(), error))
            }
        }
    }
}

/// Typed settings of an action; members that we do not know are kept in the definition and ignored here.
fn settings<T: DeserializeOwned>(settings: &Value) -> Result<T, String> {
    T::deserialize(settings).map_err(|error| error.to_string())
}
