//! What is logged: SetV2LoggingOptions and SetV2LoggingLevel.

use super::{GROUP, LogEvent};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Levels of single targets. Each event looks for at most three of them, so this bounds memory, not time.
const LEVELS_MAX: usize = 10_000;

/// Event configurations: AWS has some thirty event types.
const EVENT_CONFIGURATIONS_MAX: usize = 100;

/// How much is logged, from nothing to everything. The numbers are compared; they are stored by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[repr(u8)]
pub enum LogLevel {
    /// Nothing.
    Disabled = 0,
    /// What failed.
    Error = 1,
    /// And what will, if nothing is done.
    Warn = 2,
    /// And what happened.
    Info = 3,
    /// And its steps.
    Debug = 4,
}

impl LogLevel {
    const ALL: [Self; 5] = [Self::Disabled, Self::Error, Self::Warn, Self::Info, Self::Debug];

    /// As AWS writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "DISABLED",
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
        }
    }

    /// Reads AWS's name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
}

/// What a level is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TargetType {
    /// Everything that no other level is for.
    Default,
    /// The things of a group.
    ThingGroup,
    /// One client.
    ClientId,
    /// Connections and requests from one address.
    SourceIp,
    /// One certificate.
    PrincipalId,
}

impl TargetType {
    const ALL: [Self; 5] =
        [Self::Default, Self::ThingGroup, Self::ClientId, Self::SourceIp, Self::PrincipalId];

    /// As AWS writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "DEFAULT",
            Self::ThingGroup => "THING_GROUP",
            Self::ClientId => "CLIENT_ID",
            Self::SourceIp => "SOURCE_IP",
            Self::PrincipalId => "PRINCIPAL_ID",
        }
    }

    /// Reads AWS's name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Whom a level is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogTarget {
    /// What kind of target it is.
    pub kind: TargetType,
    /// Its name; empty for [`TargetType::Default`].
    pub name: String,
}

/// A level, and perhaps a log group, for one type of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventConfiguration {
    /// Which, such as `Publish-In`. What eyot does not log may be named, too.
    pub event_type: String,
    /// How much of it; `None`: as the default level says.
    pub level: Option<LogLevel>,
    /// To which log group; `None`: to [`GROUP`].
    pub destination: Option<String>,
}

/// What SetV2LoggingOptions is given, and GetV2LoggingOptions gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoggingOptions {
    /// The role that AWS would write logs with; kept, and not used.
    pub role_arn: Option<String>,
    /// How much is logged where nothing else is said.
    pub default_level: Option<LogLevel>,
    /// Log nothing, whatever the levels say.
    pub disable_all: Option<bool>,
    /// Levels and log groups of single types of events.
    pub events: Option<Vec<EventConfiguration>>,
}

/// Why settings are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// There are no options yet.
    #[error("logging is not configured: call SetV2LoggingOptions first")]
    NotConfigured,
    /// There are as many levels as there may be.
    #[error("at most {LEVELS_MAX} targets may have a level of their own")]
    TooManyLevels,
    /// Something in them is not allowed.
    #[error("{0}")]
    Invalid(String),
}

/// What is logged, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settings {
    role_arn: Option<String>,
    default_level: LogLevel,
    disable_all: bool,
    events: Vec<EventConfiguration>,
    thing_groups: BTreeMap<String, LogLevel>,
    clients: BTreeMap<String, LogLevel>,
    addresses: BTreeMap<String, LogLevel>,
    principals: BTreeMap<String, LogLevel>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            role_arn: None,
            // Nobody who only names a role wants a line for every message.
            default_level: LogLevel::Error,
            disable_all: false,
            events: Vec::new(),
            thing_groups: BTreeMap::new(),
            clients: BTreeMap::new(),
            addresses: BTreeMap::new(),
            principals: BTreeMap::new(),
        }
    }
}

impl Settings {
    pub(super) fn with_options(mut self, options: LoggingOptions) -> Result<Self, SettingsError> {
        let LoggingOptions { role_arn, default_level, disable_all, events } = options;
        if let Some(role_arn) = role_arn.as_deref().filter(|role_arn| !is_role(role_arn)) {
            let text = format!("roleArn `{role_arn}` is no ARN of a role: arn:aws:iam::ACCOUNT:role/NAME");
            return Err(SettingsError::Invalid(text));
        }
        self.role_arn = role_arn.or(self.role_arn);
        self.default_level = default_level.unwrap_or(self.default_level);
        // [AWS SetV2LoggingOptions] "The default is false."
        self.disable_all = disable_all.unwrap_or(false);
        if let Some(events) = events {
            if events.len() > EVENT_CONFIGURATIONS_MAX {
                let text = format!("at most {EVENT_CONFIGURATIONS_MAX} event configurations are allowed");
                return Err(SettingsError::Invalid(text));
            }
            for event in &events {
                let name = event.destination.as_deref().unwrap_or(GROUP);
                logs::check_group_name(name)
                    .map_err(|error| SettingsError::Invalid(format!("logDestination `{name}`: {error}")))?;
            }
            let types: BTreeSet<&str> = events.iter().map(|event| event.event_type.as_str()).collect();
            if types.len() < events.len() {
                let text = "an event type may stand in one of the eventConfigurations only".to_owned();
                return Err(SettingsError::Invalid(text));
            }
            self.events = events;
        }
        Ok(self)
    }

    pub(super) fn with_level(mut self, target: LogTarget, level: LogLevel) -> Result<Self, SettingsError> {
        let count = [&self.thing_groups, &self.clients, &self.addresses, &self.principals];
        let count: usize = count.into_iter().map(BTreeMap::len).sum();
        match self.levels_of(target.kind) {
            None => self.default_level = level,
            Some(levels) if count >= LEVELS_MAX && !levels.contains_key(&target.name) => {
                return Err(SettingsError::TooManyLevels);
            }
            Some(levels) => drop(levels.insert(target.name, level)),
        }
        Ok(self)
    }

    pub(super) fn without_level(mut self, target: &LogTarget) -> Self {
        match self.levels_of(target.kind) {
            // [AWS DeleteV2LoggingLevel] There is always a default level; nothing is left of it.
            None => self.default_level = LogLevel::Disabled,
            Some(levels) => drop(levels.remove(&target.name)),
        }
        self
    }

    pub(super) fn options(&self) -> LoggingOptions {
        LoggingOptions {
            role_arn: self.role_arn.clone(),
            default_level: Some(self.default_level),
            disable_all: Some(self.disable_all),
            events: Some(self.events.clone()),
        }
    }

    /// The default first, then by type and name.
    pub(super) fn levels(&self) -> Vec<(LogTarget, LogLevel)> {
        let of = |kind, levels: &BTreeMap<String, LogLevel>| -> Vec<_> {
            levels.iter().map(|(name, level)| (LogTarget { kind, name: name.clone() }, *level)).collect()
        };
        let mut all =
            vec![(LogTarget { kind: TargetType::Default, name: String::new() }, self.default_level)];
        all.extend(of(TargetType::ThingGroup, &self.thing_groups));
        all.extend(of(TargetType::ClientId, &self.clients));
        all.extend(of(TargetType::SourceIp, &self.addresses));
        all.extend(of(TargetType::PrincipalId, &self.principals));
        all
    }

    /// The most verbose level of all.
    pub(super) fn verbosity(&self) -> LogLevel {
        if self.disable_all {
            return LogLevel::Disabled;
        }
        let events = self.events.iter().filter_map(|event| event.level);
        self.levels().into_iter().map(|(_, level)| level).chain(events).max().unwrap_or(LogLevel::Disabled)
    }

    /// The log group that an event goes to; `None`: it is not logged.
    ///
    /// A level of its client, address or principal counts before one of its event type, and that before the default; of
    /// several targets the most verbose counts (chosen: docs/spec/logging.md).
    pub(super) fn destination_of(&self, event: &LogEvent<'_>) -> Option<&str> {
        if self.disable_all {
            return None;
        }
        let configured = self.events.iter().find(|configured| configured.event_type == event.kind.name());
        let client = event.client_id.and_then(|client_id| self.clients.get(client_id));
        let principal = event.principal_id.and_then(|id| self.principals.get(id));
        let address = event.source_ip.filter(|_| !self.addresses.is_empty());
        let address = address.and_then(|ip| self.addresses.get(&ip.to_string()));
        let level = [client, principal, address].into_iter().flatten().max().copied();
        let level =
            level.or(configured.and_then(|configured| configured.level)).unwrap_or(self.default_level);
        let group = configured.and_then(|configured| configured.destination.as_deref()).unwrap_or(GROUP);
        (event.level <= level).then_some(group)
    }

    fn levels_of(&mut self, kind: TargetType) -> Option<&mut BTreeMap<String, LogLevel>> {
        match kind {
            TargetType::Default => None,
            TargetType::ThingGroup => Some(&mut self.thing_groups),
            TargetType::ClientId => Some(&mut self.clients),
            TargetType::SourceIp => Some(&mut self.addresses),
            TargetType::PrincipalId => Some(&mut self.principals),
        }
    }
}

/// Whether it is `arn:PARTITION:iam::ACCOUNT:role/NAME`.
fn is_role(arn: &str) -> bool {
    let fields: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = fields[..] else { return false };
    let is_account = !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_digit());
    is_account && !partition.is_empty() && resource.strip_prefix("role/").is_some_and(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::EventType;
    use super::*;

    fn target(kind: TargetType, name: &str) -> LogTarget {
        LogTarget { kind, name: name.to_owned() }
    }

    fn event<'e>(level: LogLevel, kind: EventType, client_id: &'e str) -> LogEvent<'e> {
        let source_ip = Some(std::net::Ipv4Addr::new(192, 0, 2, 1).into());
        LogEvent { client_id: Some(client_id), source_ip, ..LogEvent::new(0, level, kind) }
    }

    #[test]
    fn targets_count_before_event_types_and_those_before_the_default() {
        let events = vec![EventConfiguration {
            event_type: "Publish-In".to_owned(),
            level: Some(LogLevel::Debug),
            destination: Some("elsewhere".to_owned()),
        }];
        let options = LoggingOptions { events: Some(events), ..LoggingOptions::default() };
        let settings = Settings::default().with_options(options).unwrap();
        let settings =
            settings.with_level(target(TargetType::ClientId, "quiet"), LogLevel::Disabled).unwrap();
        let settings = settings.with_level(target(TargetType::ClientId, "loud"), LogLevel::Info).unwrap();
        let of = |level, kind, client_id| settings.destination_of(&event(level, kind, client_id));
        assert_eq!(of(LogLevel::Error, EventType::Connect, "any"), Some(GROUP));
        assert_eq!(of(LogLevel::Info, EventType::Connect, "any"), None);
        assert_eq!(of(LogLevel::Info, EventType::PublishIn, "any"), Some("elsewhere"));
        assert_eq!(of(LogLevel::Info, EventType::Connect, "loud"), Some(GROUP));
        assert_eq!(of(LogLevel::Error, EventType::PublishIn, "quiet"), None);
        assert_eq!(settings.verbosity(), LogLevel::Debug);
        let loud_address =
            settings.clone().with_level(target(TargetType::SourceIp, "192.0.2.1"), LogLevel::Info).unwrap();
        assert!(loud_address.destination_of(&event(LogLevel::Info, EventType::Connect, "quiet")).is_some());
        let off = LoggingOptions { disable_all: Some(true), ..LoggingOptions::default() };
        let off = settings.with_options(off).unwrap();
        assert_eq!(off.destination_of(&event(LogLevel::Error, EventType::Connect, "loud")), None);
        assert_eq!(off.verbosity(), LogLevel::Disabled);
    }

    #[test]
    fn levels_are_bounded_and_the_default_is_listed_first() {
        let mut settings = Settings::default();
        for number in 0..LEVELS_MAX {
            settings = settings
                .with_level(target(TargetType::ClientId, &number.to_string()), LogLevel::Info)
                .unwrap();
        }
        let more = target(TargetType::SourceIp, "192.0.2.1");
        assert_eq!(
            settings.clone().with_level(more.clone(), LogLevel::Info),
            Err(SettingsError::TooManyLevels)
        );
        let settings = settings.without_level(&target(TargetType::ClientId, "7"));
        let settings = settings.with_level(more, LogLevel::Warn).unwrap();
        let settings = settings.with_level(target(TargetType::ClientId, "8"), LogLevel::Debug).unwrap();
        let levels = settings.levels();
        assert_eq!(levels.len(), LEVELS_MAX + 1);
        assert_eq!(levels[0], (target(TargetType::Default, ""), LogLevel::Error));
    }
}
