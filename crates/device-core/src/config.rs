//! What a device is told before it runs.

use crate::average::SAMPLES_MAX;
use crate::backoff::BackoffConfig;
use crate::payload::{PAYLOAD_BYTES_MAX, Text};
use crate::settings::{Settings, Will};
use core::fmt::Write as _;
use mqtt_wire::topic::TopicNameError;
use mqtt_wire::{QoS, TopicName};

/// Readings of the converter whose average is one temperature, unless told otherwise: its noise is a step or two.
pub const SAMPLES_PER_READING: u8 = 16;

/// Longest client identifier [AWS General Reference].
pub const CLIENT_ID_BYTES_MAX: usize = 128;

/// Longest topic: the 256 bytes of [AWS General Reference] and room for `$aws/rules/NAME/`, which do not count.
pub const TOPIC_BYTES_MAX: usize = 256 + 64;

/// Longest payload of the last will: a short text about the device's end.
pub const WILL_PAYLOAD_BYTES_MAX: usize = 128;

/// Bytes that a packet of the device has at most: the caller's send buffer.
///
/// CONNECT is 14 bytes, client identifier and will, PUBLISH at most 7 and topic and payload.
pub const SEND_BYTES_MAX: usize = 640;

const _: () =
    assert!(14 + CLIENT_ID_BYTES_MAX + 4 + TOPIC_BYTES_MAX + WILL_PAYLOAD_BYTES_MAX <= SEND_BYTES_MAX);
const _: () = assert!(7 + TOPIC_BYTES_MAX + PAYLOAD_BYTES_MAX <= SEND_BYTES_MAX);

/// What the device is and how it behaves. [`Config::new`] has the post's values.
#[derive(Clone, Debug)]
pub struct Config<'a> {
    /// Who it is.
    pub client_id: &'a str,
    /// Where it publishes; see [`telemetry_topic`].
    pub topic: &'a str,
    /// 1: a reading is kept and sent again until the server has it. 0, as in the post: it is forgotten when it was
    /// sent. Defaults to 1.
    pub qos: QoS,
    /// Time between two readings. Defaults to 2 s.
    pub interval_ms: u64,
    /// Readings of the converter that are averaged to one temperature, 1 to [`SAMPLES_MAX`]. Defaults to 16.
    pub samples_per_reading: u8,
    /// What the server publishes when the device vanishes, with QoS 1 and not retained. Defaults to nothing.
    pub will: Option<Will<'a>>,
    /// What the CONNECT promises, in seconds. Defaults to 60.
    pub keep_alive_s: u16,
    /// How long the device waits for others.
    pub deadlines: Deadlines,
    /// How long it waits after a failure.
    pub backoff: BackoffConfig,
    /// Must differ between devices, or they all come back at the same time. Need not be secret.
    pub seed: u64,
}

/// How long the device waits for others, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// For TCP and TLS together. Defaults to 30 s: signing with an RSA key takes a Pico W 7 s.
    pub transport_ms: u64,
    /// For the CONNACK. Defaults to 10 s.
    pub connack_ms: u64,
    /// For a PINGRESP and for a PUBACK. Defaults to 10 s.
    pub answer_ms: u64,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { transport_ms: 30_000, connack_ms: 10_000, answer_ms: 10_000 }
    }
}

/// Why a device cannot run with its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Empty, above [`CLIENT_ID_BYTES_MAX`], or with a null character.
    #[error("the client identifier must have 1 to 128 bytes and no null character")]
    ClientId,
    /// Above [`TOPIC_BYTES_MAX`].
    #[error("the topic has more than 320 bytes")]
    TopicTooLong,
    /// Not a topic name.
    #[error("the topic {0}")]
    Topic(TopicNameError),
    /// AWS IoT Core does not offer QoS 2.
    #[error("QoS 2 is not supported")]
    QoS2,
    /// An interval of zero would never rest.
    #[error("the interval is zero")]
    Interval,
    /// None, or more than [`SAMPLES_MAX`].
    #[error("a reading must be the average of 1 to 64 samples")]
    Samples,
    /// Not a topic name, or too long.
    #[error("the topic of the last will cannot be used")]
    WillTopic,
    /// Above [`WILL_PAYLOAD_BYTES_MAX`].
    #[error("the last will has more than 128 bytes")]
    WillTooLong,
}

impl<'a> Config<'a> {
    /// The post's behaviour for a device of this name on this topic, but with QoS 1.
    pub fn new(client_id: &'a str, topic: &'a str, seed: u64) -> Self {
        Self {
            client_id,
            topic,
            qos: QoS::AtLeastOnce,
            interval_ms: 2_000,
            samples_per_reading: SAMPLES_PER_READING,
            will: None,
            keep_alive_s: 60,
            deadlines: Deadlines::default(),
            backoff: BackoffConfig::default(),
            seed,
        }
    }

    /// What a configuration partition says.
    pub fn from_settings(settings: &Settings<'a>, seed: u64) -> Self {
        Self {
            qos: settings.qos,
            interval_ms: u64::from(settings.interval_ms),
            will: (!settings.will.topic.is_empty()).then_some(settings.will),
            keep_alive_s: settings.keep_alive_s,
            ..Self::new(settings.client_id, settings.topic, seed)
        }
    }

    /// Checks everything and returns the topic and the last will.
    pub(crate) fn check(&self) -> Result<(TopicName<'a>, Option<mqtt_wire::Will<'a>>), ConfigError> {
        let client_id = self.client_id.as_bytes();
        if client_id.is_empty() || client_id.len() > CLIENT_ID_BYTES_MAX || client_id.contains(&0) {
            return Err(ConfigError::ClientId);
        }
        if self.topic.len() > TOPIC_BYTES_MAX {
            return Err(ConfigError::TopicTooLong);
        }
        if self.qos == QoS::ExactlyOnce {
            return Err(ConfigError::QoS2);
        }
        if self.interval_ms == 0 {
            return Err(ConfigError::Interval);
        }
        if !(1..=SAMPLES_MAX).contains(&self.samples_per_reading) {
            return Err(ConfigError::Samples);
        }
        let topic = TopicName::parse(self.topic).map_err(ConfigError::Topic)?;
        Ok((topic, self.will.map(checked_will).transpose()?))
    }
}

fn checked_will(will: Will<'_>) -> Result<mqtt_wire::Will<'_>, ConfigError> {
    if will.topic.len() > TOPIC_BYTES_MAX {
        return Err(ConfigError::WillTopic);
    }
    if will.payload.len() > WILL_PAYLOAD_BYTES_MAX {
        return Err(ConfigError::WillTooLong);
    }
    Ok(mqtt_wire::Will {
        topic: TopicName::parse(will.topic).map_err(|_| ConfigError::WillTopic)?,
        payload: will.payload.as_bytes(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: mqtt_wire::Properties::NONE,
    })
}

/// Writes the post's topic, `$aws/rules/telemetry/CLIENT_ID`: basic ingest for the rule `telemetry`.
///
/// # Errors
/// The client identifier makes the topic longer than `out`.
pub fn telemetry_topic<'o>(
    client_id: &str,
    out: &'o mut [u8; TOPIC_BYTES_MAX],
) -> Result<&'o str, ConfigError> {
    let mut text = Text { out, written: 0 };
    write!(text, "$aws/rules/telemetry/{client_id}").map_err(|_| ConfigError::TopicTooLong)?;
    let written = text.written;
    Ok(core::str::from_utf8(&out[..written]).expect("two texts one after the other are a text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_posts_topic() {
        let mut out = [0; TOPIC_BYTES_MAX];
        assert_eq!(telemetry_topic("pico_w_simple", &mut out), Ok("$aws/rules/telemetry/pico_w_simple"));
        let long = "x".repeat(300);
        assert_eq!(telemetry_topic(&long, &mut out), Err(ConfigError::TopicTooLong));
    }

    #[test]
    fn wrong_configurations_are_refused() {
        let check = |change: fn(&mut Config<'static>)| {
            let mut config = Config::new("c", "t", 0);
            change(&mut config);
            config.check().err()
        };
        assert_eq!(check(|_| {}), None);
        assert_eq!(check(|config| config.client_id = ""), Some(ConfigError::ClientId));
        assert_eq!(check(|config| config.client_id = "a\0"), Some(ConfigError::ClientId));
        assert_eq!(check(|config| config.topic = "a/#"), Some(ConfigError::Topic(TopicNameError::Wildcard)));
        assert_eq!(check(|config| config.qos = QoS::ExactlyOnce), Some(ConfigError::QoS2));
        assert_eq!(check(|config| config.interval_ms = 0), Some(ConfigError::Interval));
        assert_eq!(check(|config| config.samples_per_reading = 0), Some(ConfigError::Samples));
        assert_eq!(check(|config| config.samples_per_reading = SAMPLES_MAX), None);
        assert_eq!(check(|config| config.samples_per_reading = SAMPLES_MAX + 1), Some(ConfigError::Samples));
        let long = "x".repeat(TOPIC_BYTES_MAX + 1);
        assert_eq!(Config::new("c", &long, 0).check(), Err(ConfigError::TopicTooLong));
        let will = |topic, payload| {
            Config { will: Some(Will { topic, payload }), ..Config::new("c", "t", 0) }.check().err()
        };
        assert_eq!(will("gone", ""), None);
        assert_eq!(will("", ""), Some(ConfigError::WillTopic));
        assert_eq!(will("gone/+", ""), Some(ConfigError::WillTopic));
        assert_eq!(will(&long, ""), Some(ConfigError::WillTopic));
        assert_eq!(will("gone", &long), Some(ConfigError::WillTooLong));
    }
}
