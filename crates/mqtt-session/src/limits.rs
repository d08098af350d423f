//! How much one client may do, and the three sets of values to choose from.

use mqtt_wire::topic::{MatchRules, TOPIC_BYTES_LIMIT};
use mqtt_wire::{PACKET_BYTES_LIMIT, QoS};
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Room for everything but the payload in the largest packet.
///
/// With AWS's payload this gives 149,504 bytes, the maximum packet size that AWS states to MQTT 5 clients. A topic
/// that is too long fits, so that it is refused by name and not as an oversize packet.
const PACKET_OVERHEAD_BYTES: usize = 18 * 1024;

/// Packet identifiers that one direction can have in flight at once.
const PACKET_IDS: usize = 65_535;

/// What one connection may do. Start from a [`Profile`] and change what you need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest payload of a PUBLISH and of a will, in bytes. AWS: 128 KiB.
    pub payload_bytes_max: usize,
    /// Longest topic and topic filter, in bytes of UTF-8; the first three levels of a basic-ingest topic do not
    /// count. AWS: 256.
    pub topic_bytes_max: usize,
    /// Most slashes in a topic and topic filter; those of `$aws/rules/NAME/` do not count. AWS: 7.
    pub topic_slashes_max: usize,
    /// Longest client identifier, in bytes of UTF-8. AWS: 128.
    pub client_id_bytes_max: usize,
    /// Most filters in one SUBSCRIBE or UNSUBSCRIBE; above it the connection closes. AWS: 8.
    pub filters_per_subscribe_max: usize,
    /// Most subscriptions of one connection; those above it are refused in the SUBACK. AWS: 50.
    pub subscriptions_max: usize,
    /// Longest name of a group that shares a subscription, in characters. AWS: 128.
    pub share_name_chars_max: usize,
    /// Highest QoS. AWS: 1, and a PUBLISH, will or SUBSCRIBE with QoS 2 closes the connection.
    pub qos_max: QoS,
    /// Whether what was sent before and is sent again on a new connection has its earlier identifier and DUP 1
    /// [MQTT311 4.4.0-1]. AWS: no.
    pub marks_redeliveries: bool,
    /// QoS 1 messages of the client whose PUBACK is owed; at this number we stop reading from it. AWS: 100.
    pub inflight_inbound_max: usize,
    /// QoS 1 messages to the client without their PUBACK; the next ones wait. AWS: 100.
    pub inflight_outbound_max: usize,
    /// QoS 1 messages that may wait for [`inflight_outbound_max`](Self::inflight_outbound_max), in number; those
    /// above it are dropped and counted.
    ///
    /// Ours, not AWS's: it has room for the 100 messages per second of AWS's per-connection limit during the
    /// 45 seconds after which the shortest keep-alive closes a dead connection.
    pub pending_deliveries_max: usize,
    /// The same bound in bytes, because one message may have 128 KiB and another 40 bytes.
    pub pending_bytes_max: usize,
    /// How long the session of a client of MQTT 3.1.1 with clean session 0 outlives its connection, in seconds.
    /// AWS: one hour.
    pub session_expiry_default_s: u32,
    /// Longest that a client of MQTT 5 may ask for, in seconds; longer ones are lowered to it. AWS: seven days.
    pub session_expiry_max_s: u32,
    /// QoS 1 messages that wait for one persistent session, or one group that shares a subscription; those above it
    /// are dropped and counted.
    ///
    /// Ours; AWS names none. It is what a device misses in a day at one message a second.
    pub queued_messages_max: usize,
    /// The same bound in bytes.
    pub queued_bytes_max: usize,
    /// Shortest keep-alive in seconds; shorter ones are raised to it. AWS: 30.
    pub keep_alive_min_s: u16,
    /// Longest keep-alive in seconds; longer ones and 0 are lowered to it. AWS: 1200. `None`: as the client asks,
    /// where 0 means that it is never disconnected for silence [MQTT311 3.1.2-24].
    pub keep_alive_max_s: Option<u16>,
    /// Topic aliases that a client of MQTT 5 may set; 0: none. AWS: 8.
    pub topic_aliases_max: u16,
    /// What the topics of all aliases of one connection may take together, in bytes. Ours: eight aliases of AWS's longest
    /// topics fit many times.
    pub alias_bytes_max: usize,
    /// Shortest and longest time in seconds after which an undelivered message of MQTT 5 expires; what a publisher says
    /// is brought between them. AWS: 1 to 604,800, seven days.
    pub message_expiry_s: RangeInclusive<u32>,
    /// Whether `a/#` takes `a`.
    pub match_rules: MatchRules,
    /// Whether retained messages are replayed to filters with wildcards. AWS: only to their exact topic.
    pub retained_on_wildcards: bool,
}

/// A named set of [`Limits`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// AWS IoT Core's quotas, so that what works here works there.
    #[default]
    Aws,
    /// Without AWS's walls; the bounds that are left protect the server's memory.
    Relaxed,
    /// Everything is counted and nothing is refused for its size or number. For benchmarks.
    None,
}

impl Limits {
    /// The limits of a profile.
    pub const fn of(profile: Profile) -> Self {
        match profile {
            Profile::Aws => Self::aws(),
            Profile::Relaxed => Self::relaxed(),
            Profile::None => Self::none(),
        }
    }

    /// [AWS General Reference, AWS IoT Core message broker and protocol limits]
    pub const fn aws() -> Self {
        Self {
            payload_bytes_max: 128 * 1024,
            topic_bytes_max: 256,
            topic_slashes_max: 7,
            client_id_bytes_max: 128,
            filters_per_subscribe_max: 8,
            subscriptions_max: 50,
            share_name_chars_max: 128,
            qos_max: QoS::AtLeastOnce,
            marks_redeliveries: false,
            inflight_inbound_max: 100,
            inflight_outbound_max: 100,
            pending_deliveries_max: 4_500,
            pending_bytes_max: 8 * 1024 * 1024,
            session_expiry_default_s: 3_600,
            session_expiry_max_s: 604_800,
            queued_messages_max: 86_400,
            queued_bytes_max: 32 * 1024 * 1024,
            keep_alive_min_s: 30,
            keep_alive_max_s: Some(1_200),
            topic_aliases_max: 8,
            alias_bytes_max: 64 * 1024,
            message_expiry_s: 1..=604_800,
            match_rules: MatchRules::Aws,
            retained_on_wildcards: false,
        }
    }

    /// What MQTT allows, as far as one client cannot take the server's memory.
    ///
    /// A payload is held in memory several times on its way (input, journal, receivers), so it stays at 1 MiB.
    pub const fn relaxed() -> Self {
        Self {
            payload_bytes_max: 1024 * 1024,
            topic_bytes_max: TOPIC_BYTES_LIMIT,
            topic_slashes_max: 128,
            client_id_bytes_max: 1_024,
            filters_per_subscribe_max: 1_000,
            subscriptions_max: 10_000,
            share_name_chars_max: 1_024,
            qos_max: QoS::ExactlyOnce,
            marks_redeliveries: true,
            inflight_inbound_max: 1_000,
            inflight_outbound_max: 1_000,
            pending_deliveries_max: 100_000,
            pending_bytes_max: 64 * 1024 * 1024,
            session_expiry_default_s: 604_800,
            session_expiry_max_s: u32::MAX,
            queued_messages_max: 1_000_000,
            queued_bytes_max: 256 * 1024 * 1024,
            keep_alive_min_s: 0,
            keep_alive_max_s: None,
            topic_aliases_max: 1_000,
            alias_bytes_max: 256 * 1024,
            message_expiry_s: 0..=u32::MAX,
            match_rules: MatchRules::Mqtt,
            retained_on_wildcards: true,
        }
    }

    /// No threshold that a client can reach; what is left are the protocol's own sizes.
    pub const fn none() -> Self {
        Self {
            payload_bytes_max: PACKET_BYTES_LIMIT,
            topic_bytes_max: TOPIC_BYTES_LIMIT,
            topic_slashes_max: TOPIC_BYTES_LIMIT,
            client_id_bytes_max: TOPIC_BYTES_LIMIT,
            filters_per_subscribe_max: usize::MAX,
            subscriptions_max: usize::MAX,
            share_name_chars_max: usize::MAX,
            qos_max: QoS::ExactlyOnce,
            marks_redeliveries: true,
            inflight_inbound_max: PACKET_IDS,
            inflight_outbound_max: PACKET_IDS,
            pending_deliveries_max: usize::MAX,
            pending_bytes_max: usize::MAX,
            session_expiry_default_s: 604_800,
            session_expiry_max_s: u32::MAX,
            queued_messages_max: usize::MAX,
            queued_bytes_max: usize::MAX,
            keep_alive_min_s: 0,
            keep_alive_max_s: None,
            topic_aliases_max: u16::MAX,
            alias_bytes_max: usize::MAX,
            message_expiry_s: 0..=u32::MAX,
            match_rules: MatchRules::Aws,
            retained_on_wildcards: false,
        }
    }

    /// Largest packet to accept, fixed header included: the bound for [`mqtt_wire::decode`].
    pub const fn packet_bytes_max(&self) -> usize {
        let bytes = self.payload_bytes_max.saturating_add(PACKET_OVERHEAD_BYTES);
        if bytes < PACKET_BYTES_LIMIT { bytes } else { PACKET_BYTES_LIMIT }
    }

    /// Outbound messages in flight, never more than there are identifiers for them.
    pub(crate) fn inflight_outbound(&self) -> usize {
        self.inflight_outbound_max.min(PACKET_IDS)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::aws()
    }
}

impl Profile {
    /// The name that the command line knows it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Relaxed => "relaxed",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no profile's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are no limits `{name}`, only `aws`, `relaxed` and `none`")]
pub struct UnknownProfile {
    name: String,
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        [Self::Aws, Self::Relaxed, Self::None]
            .into_iter()
            .find(|profile| profile.name() == name)
            .ok_or_else(|| UnknownProfile { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of AWS's quota page that concern one connection.
    #[test]
    fn the_aws_profile_has_awss_numbers() {
        let limits = Limits::default();
        assert_eq!(limits.payload_bytes_max, 131_072);
        assert_eq!(limits.packet_bytes_max(), 149_504);
        assert_eq!((limits.topic_bytes_max, limits.topic_slashes_max), (256, 7));
        assert_eq!(limits.client_id_bytes_max, 128);
        assert_eq!((limits.filters_per_subscribe_max, limits.subscriptions_max), (8, 50));
        assert_eq!((limits.inflight_inbound_max, limits.inflight_outbound_max), (100, 100));
        assert_eq!((limits.keep_alive_min_s, limits.keep_alive_max_s), (30, Some(1_200)));
    }

    #[test]
    fn no_profile_accepts_more_than_the_protocol_can_say() {
        assert_eq!(Limits::none().packet_bytes_max(), PACKET_BYTES_LIMIT);
        assert_eq!(Limits::none().inflight_outbound(), 65_535);
    }

    #[test]
    fn profiles_are_known_by_name() {
        for profile in [Profile::Aws, Profile::Relaxed, Profile::None] {
            assert_eq!(profile.name().parse(), Ok(profile));
        }
        let unknown = "strict".parse::<Profile>().unwrap_err().to_string();
        assert_eq!(unknown, "there are no limits `strict`, only `aws`, `relaxed` and `none`");
        assert_eq!(Limits::of(Profile::Relaxed), Limits::relaxed());
    }
}
