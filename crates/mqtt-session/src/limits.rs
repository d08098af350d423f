//! What clients may do: every limit by name, and the three sets of values to choose from.
//!
//! Each limit is defined once, below: what it bounds, its unit, its value in the three profiles, what happens to who
//! exceeds it, and why it is what it is. The macro makes of that the field of [`Limits`], the profiles, and the
//! [`Setting`] by which the command line, the settings file and `docs/spec/limits.md` know it.

use crate::limit_value::LimitValue;
use crate::profile::Profile;
use crate::rate::Rate;
use mqtt_wire::topic::{MatchRules, TOPIC_BYTES_LIMIT};
use mqtt_wire::{PACKET_BYTES_LIMIT, QoS};

/// Room for everything but the payload in the largest packet.
///
/// With AWS's payload this gives 149,504 bytes, the maximum packet size that AWS states to MQTT 5 clients. A topic
/// that is too long fits, so that it is refused by name and not as an oversize packet.
const PACKET_OVERHEAD_BYTES: usize = 18 * 1024;

/// Packet identifiers that one direction can have in flight at once.
const PACKET_IDS: usize = 65_535;

/// Any number.
const ANY: std::ops::RangeInclusive<u64> = 0..=u64::MAX;
/// Any number but 0: without one nothing could be done at all.
const SOME: std::ops::RangeInclusive<u64> = 1..=u64::MAX;

macro_rules! limits {
    ($(
        $(#[doc = $about:literal])+
        $name:ident: $type:ty [$unit:literal, $allowed:expr] {
            aws: $aws:expr, relaxed: $relaxed:expr, none: $none:expr,
            excess: $excess:literal,
            why: $why:literal $(,)?
        }
    )+) => {
        /// What clients may do. Start from a [`Profile`] and change what you need.
        ///
        /// Names that begin with `connection_`, `client_`, `topic_` or `account_` say what they hold for; the others hold
        /// for a packet or a connection.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $(
                $(#[doc = $about])+
                ///
                #[doc = concat!("Beyond it: ", $excess, ". ", $why, ".")]
                pub $name: $type,
            )+
        }

        impl Limits {
            /// AWS IoT Core's quotas. [AWS General Reference, AWS IoT Core message broker and protocol limits]
            pub const fn aws() -> Self {
                Self { $($name: $aws,)+ }
            }

            /// What MQTT allows, as far as one client cannot take the server's memory.
            pub const fn relaxed() -> Self {
                Self { $($name: $relaxed,)+ }
            }

            /// No threshold that a client can reach; what is left are the protocol's own sizes.
            pub const fn none() -> Self {
                Self { $($name: $none,)+ }
            }
        }

        impl Setting {
            /// Every limit, in the order of their definition.
            pub const ALL: &[Self] = &[$(
                Self {
                    name: stringify!($name),
                    unit: $unit,
                    about: concat!($($about),+),
                    excess: $excess,
                    why: $why,
                    value: |limits| limits.$name.show(),
                    set: |limits, text| <$type>::parse(text, &$allowed).map(|value| limits.$name = value),
                },
            )+];
        }
    };
}

limits! {
    /// Shortest keep-alive; shorter ones are raised to it.
    keep_alive_min_s: u16 ["seconds", ANY] {
        aws: 30, relaxed: 0, none: 0,
        excess: "the minimum applies; MQTT 5 is told in the CONNACK",
        why: "AWS's number",
    }
    /// Longest keep-alive; longer ones and 0 are lowered to it. `off`: as the client asks, where 0 means that it is never
    /// disconnected for silence [MQTT311 3.1.2-24].
    keep_alive_max_s: Option<u16> ["seconds", SOME] {
        aws: Some(1_200), relaxed: None, none: None,
        excess: "the maximum applies, and is told in the same way; silence of one and a half keep-alives ends the connection (MQTT 5: 0x8D)",
        why: "AWS's number",
    }
    /// Largest payload of a PUBLISH and of a will.
    payload_bytes_max: usize ["bytes", 1..=PACKET_BYTES_LIMIT as u64] {
        aws: 128 * 1024, relaxed: 1024 * 1024, none: PACKET_BYTES_LIMIT,
        excess: "the connection ends (MQTT 5: 0x97); a CONNECT with such a will is refused; HTTP: 400",
        why: "AWS's number; `relaxed` stops at 1 MiB, since a payload is in memory several times on its way (input, journal, receivers); what is kept of one message, by rules or retained, may take 16 MiB",
    }
    /// Longest topic and topic filter in UTF-8; the first three levels of a basic-ingest topic do not count.
    topic_bytes_max: usize ["bytes", 1..=TOPIC_BYTES_LIMIT as u64] {
        aws: 256, relaxed: TOPIC_BYTES_LIMIT, none: TOPIC_BYTES_LIMIT,
        excess: "PUBLISH: the connection ends (MQTT 5: 0x90); SUBSCRIBE: 0x80 for that filter (MQTT 5: 0x8F); HTTP: 400",
        why: "AWS's number; 65,535 is all that MQTT can say",
    }
    /// Most slashes in a topic and topic filter; those of `$aws/rules/NAME/` do not count.
    topic_slashes_max: usize ["slashes", ANY] {
        aws: 7, relaxed: 128, none: TOPIC_BYTES_LIMIT,
        excess: "as for `topic_bytes_max`",
        why: "AWS's number; the router takes filters of 128 levels, 127 slashes",
    }
    /// Longest client identifier in UTF-8.
    client_id_bytes_max: usize ["bytes", 1..=TOPIC_BYTES_LIMIT as u64] {
        aws: 128, relaxed: 1_024, none: TOPIC_BYTES_LIMIT,
        excess: "CONNECT is refused (MQTT 5: 0x85)",
        why: "AWS's number",
    }
    /// Most filters in one SUBSCRIBE or UNSUBSCRIBE.
    filters_per_subscribe_max: usize ["filters", SOME] {
        aws: 8, relaxed: 1_000, none: usize::MAX,
        excess: "the connection ends (MQTT 5: 0x97)",
        why: "AWS's number, and what its clients saw [verified 5]",
    }
    /// Most subscriptions of one connection.
    subscriptions_max: usize ["subscriptions", ANY] {
        aws: 50, relaxed: 10_000, none: usize::MAX,
        excess: "0x80 for that filter in the SUBACK (MQTT 5: 0x97)",
        why: "AWS's number, and what its clients saw [verified 6]",
    }
    /// Longest ShareName of a shared subscription.
    share_name_chars_max: usize ["characters", SOME] {
        aws: 128, relaxed: 1_024, none: usize::MAX,
        excess: "as for `topic_bytes_max`",
        why: "AWS's number",
    }
    /// Highest QoS.
    qos_max: QoS ["1 or 2", ANY] {
        aws: QoS::AtLeastOnce, relaxed: QoS::ExactlyOnce, none: QoS::ExactlyOnce,
        excess: "PUBLISH and SUBSCRIBE: the connection ends (MQTT 5: 0x9B); a CONNECT with such a will is refused",
        why: "AWS does not offer QoS 2",
    }
    /// Whether what was sent before and is sent again on a new connection has its earlier identifier and DUP 1.
    marks_redeliveries: bool ["true or false", ANY] {
        aws: false, relaxed: true, none: true,
        excess: "redeliveries look like new messages",
        why: "AWS's rule; [MQTT311 4.4.0-1] has the other",
    }
    /// QoS 1 messages of a client whose PUBACK is owed.
    inflight_inbound_max: usize ["messages", 1..=PACKET_IDS as u64] {
        aws: 100, relaxed: 1_000, none: PACKET_IDS,
        excess: "nothing more is read until a PUBACK has left",
        why: "AWS's number; it is the Receive Maximum of the CONNACK",
    }
    /// QoS 1 messages to a client without their PUBACK.
    inflight_outbound_max: usize ["messages", 1..=PACKET_IDS as u64] {
        aws: 100, relaxed: 1_000, none: PACKET_IDS,
        excess: "the next ones wait",
        why: "AWS's number",
    }
    /// QoS 1 messages that may wait for a client: for its window, its socket or its rate.
    pending_deliveries_max: usize ["messages", ANY] {
        aws: 4_500, relaxed: 100_000, none: usize::MAX,
        excess: "dropped and counted",
        why: "ours: 100 messages a second during the 45 s after which the shortest keep-alive ends a dead connection",
    }
    /// The same bound in bytes.
    pending_bytes_max: usize ["bytes", ANY] {
        aws: 8 * 1024 * 1024, relaxed: 64 * 1024 * 1024, none: usize::MAX,
        excess: "dropped and counted; an empty queue takes one message of any size",
        why: "ours: one message may have 128 KiB and another 40 bytes",
    }
    /// How long the session of a client of MQTT 3.1.1 with clean session 0 outlives its connection.
    session_expiry_default_s: u32 ["seconds", ANY] {
        aws: 3_600, relaxed: 604_800, none: 604_800,
        excess: "the session ends with all that is queued for it",
        why: "AWS's number: an hour",
    }
    /// Longest that a client of MQTT 5 may ask for; longer ones are lowered to it.
    session_expiry_max_s: u32 ["seconds", ANY] {
        aws: 604_800, relaxed: u32::MAX, none: u32::MAX,
        excess: "the maximum applies, and is told in the CONNACK",
        why: "AWS's number: seven days",
    }
    /// How long a connection may stand without the PUBACK of a message that is then still sent again on the next one.
    unacknowledged_max_s: u32 ["seconds", ANY] {
        aws: 3_600, relaxed: u32::MAX, none: u32::MAX,
        excess: "when the connection ends, the message is dropped and counted",
        why: "AWS's number: it tries for an hour",
    }
    /// QoS 1 messages that wait for one persistent session, or one group that shares a subscription.
    queued_messages_max: usize ["messages", ANY] {
        aws: 86_400, relaxed: 1_000_000, none: usize::MAX,
        excess: "dropped and counted",
        why: "ours, AWS names none: what a device misses in a day at one message a second",
    }
    /// The same bound in bytes.
    queued_bytes_max: usize ["bytes", ANY] {
        aws: 32 * 1024 * 1024, relaxed: 256 * 1024 * 1024, none: usize::MAX,
        excess: "dropped and counted",
        why: "ours: one message may have 128 KiB and another 40 bytes",
    }
    /// Topic aliases that a client of MQTT 5 may set; 0: none.
    topic_aliases_max: u16 ["aliases", ANY] {
        aws: 8, relaxed: 1_000, none: u16::MAX,
        excess: "the connection ends (0x94)",
        why: "AWS's number",
    }
    /// What the topics of all aliases of one connection may take together.
    alias_bytes_max: usize ["bytes", ANY] {
        aws: 64 * 1024, relaxed: 256 * 1024, none: usize::MAX,
        excess: "the connection ends (0x97)",
        why: "ours: eight aliases of AWS's longest topics fit many times",
    }
    /// Shortest time after which an undelivered message of MQTT 5 expires; shorter ones are raised to it.
    message_expiry_min_s: u32 ["seconds", ANY] {
        aws: 1, relaxed: 0, none: 0,
        excess: "the minimum applies",
        why: "AWS's number",
    }
    /// Longest such time; longer ones are lowered to it.
    message_expiry_max_s: u32 ["seconds", ANY] {
        aws: 604_800, relaxed: u32::MAX, none: u32::MAX,
        excess: "the maximum applies",
        why: "AWS's number: seven days",
    }
    /// Whether `a/#` takes `a`: `aws` does not, `mqtt` does.
    match_rules: MatchRules ["aws or mqtt", ANY] {
        aws: MatchRules::Aws, relaxed: MatchRules::Mqtt, none: MatchRules::Aws,
        excess: "such a message does not match",
        why: "AWS's rule; [MQTT311 4.7.1.2] has the other",
    }
    /// Whether retained messages are replayed to filters with wildcards.
    retained_on_wildcards: bool ["true or false", ANY] {
        aws: false, relaxed: true, none: false,
        excess: "only a filter that is exactly the topic brings its retained message",
        why: "AWS's rule; [MQTT311 3.3.1-6] has the other",
    }
    /// PUBLISH packets of one connection in a second, in and out together.
    connection_publishes_per_s: Rate ["per second", SOME] {
        aws: Rate::per_second(100), relaxed: Rate::UNLIMITED, none: Rate::UNLIMITED,
        excess: "in: discarded without PUBACK (MQTT 5 with QoS 1: PUBACK 0x97); out: QoS 0 is discarded, QoS 1 waits; the connection stays",
        why: "AWS's number",
    }
    /// Bytes of one connection in a second, in each direction.
    connection_bytes_per_s: Rate ["bytes per second", SOME] {
        aws: Rate::per_second(512 * 1024), relaxed: Rate::UNLIMITED, none: Rate::UNLIMITED,
        excess: "delayed: reading, or sending, pauses until they are paid off; the silence is not held against the client",
        why: "AWS's number",
    }
    /// CONNECT packets of one client id in a second.
    client_connects_per_s: Rate ["per second", SOME] {
        aws: Rate::per_second(1), relaxed: Rate::UNLIMITED, none: Rate::UNLIMITED,
        excess: "CONNECT is refused (MQTT 5: CONNACK 0x97); who is connected stays",
        why: "AWS's number; its own clients wait for seconds between two",
    }
    /// CONNECT packets of all clients in a second.
    account_connects_per_s: Rate ["per second", SOME] {
        aws: Rate::per_second(500), relaxed: Rate::UNLIMITED, none: Rate::UNLIMITED,
        excess: "CONNECT is refused (MQTT 5: CONNACK 0x97)",
        why: "AWS's number in its large regions",
    }
    /// Clients that are connected at once.
    account_connections_max: usize ["connections", SOME] {
        aws: 500_000, relaxed: usize::MAX, none: usize::MAX,
        excess: "CONNECT is refused (MQTT 5: CONNACK 0x97)",
        why: "AWS's number; open files may bound it earlier",
    }
    /// How long a WebSocket may last.
    websocket_duration_max_s: u32 ["seconds", SOME] {
        aws: 86_400, relaxed: u32::MAX, none: u32::MAX,
        excess: "the connection ends with WEBSOCKET_TTL_EXPIRATION (MQTT 5: 0xA0)",
        why: "AWS's number: 24 hours",
    }
    /// PUBLISH packets and HTTP publishes of all clients in a second.
    account_publishes_in_per_s: Rate ["per second", SOME] {
        aws: Rate::per_second(20_000), relaxed: Rate::UNLIMITED, none: Rate::UNLIMITED,
        excess: "as for `connection_publishes_per_s`; HTTP: 429",
        why: "AWS's number in its large regions",
    }
    /// Messages to clients and matching rules in a second, a copy for each.
    account_publishes_out_per_s: Rate ["per second", SOME] {
        aws: Rate::per_second(20_000), relaxed: Rate::UNLIMITED, none: Rate::UNLIMITED,
        excess: "QoS 0 is discarded, QoS 1 waits; rules are counted and run all the same",
        why: "AWS's number in its large regions",
    }
    /// Subscriptions of all connected clients.
    account_subscriptions_max: usize ["subscriptions", SOME] {
        aws: 500_000, relaxed: usize::MAX, none: usize::MAX,
        excess: "0x80 for that filter in the SUBACK (MQTT 5: 0x97)",
        why: "AWS's number",
    }
    /// Filters in SUBSCRIBE packets of all clients in a second.
    account_subscribes_per_s: Rate ["per second", SOME] {
        aws: Rate::per_second(500), relaxed: Rate::UNLIMITED, none: Rate::UNLIMITED,
        excess: "0x80 for that filter in the SUBACK (MQTT 5: 0x97)",
        why: "AWS's number, and what its clients saw [verified 8]",
    }
    /// Topics that have a retained message.
    account_retained_max: usize ["messages", ANY] {
        aws: 500_000, relaxed: usize::MAX, none: usize::MAX,
        excess: "delivered and not retained (MQTT 5 with QoS 1: PUBACK 0x97)",
        why: "AWS's number",
    }
    /// Memory of all retained messages.
    account_retained_bytes_max: usize ["bytes", ANY] {
        aws: 1024 * 1024 * 1024, relaxed: 1024 * 1024 * 1024, none: usize::MAX,
        excess: "delivered and not retained (MQTT 5 with QoS 1: PUBACK 0x97)",
        why: "ours: without it the messages that AWS's number allows would be 64 GB",
    }
    /// Publishes with RETAIN 1 of all clients in a second.
    account_retained_per_s: Rate ["per second", SOME] {
        aws: Rate::per_second(500), relaxed: Rate::UNLIMITED, none: Rate::UNLIMITED,
        excess: "as for `account_publishes_in_per_s`",
        why: "AWS's number in its large regions, as far as is known",
    }
    /// Publishes with RETAIN 1 to one topic in a second.
    topic_retained_per_s: Rate ["per second", SOME] {
        aws: Rate::per_second(1), relaxed: Rate::UNLIMITED, none: Rate::UNLIMITED,
        excess: "as for `account_publishes_in_per_s`",
        why: "AWS's number, as far as is known",
    }
    /// Messages in a second that are queued for clients that are away, a copy for each of them.
    queued_messages_per_s: Rate ["per second", SOME] {
        aws: Rate::per_second(500), relaxed: Rate::UNLIMITED, none: Rate::UNLIMITED,
        excess: "dropped and counted; those who are connected get them all the same",
        why: "AWS's number",
    }
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

    /// Changes the limit of this name.
    ///
    /// # Errors
    /// There is none of this name, or this is no value for it.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), LimitError> {
        let setting = Setting::named(name).ok_or_else(|| LimitError::unknown(name))?;
        (setting.set)(self, value).map_err(|expected| LimitError::Value {
            name: setting.name,
            value: value.to_owned(),
            expected,
        })
    }

    /// Whether they fit together.
    ///
    /// # Errors
    /// Two of them that do not.
    pub fn check(&self) -> Result<(), LimitError> {
        let keep_alive_fits = self.keep_alive_max_s.is_none_or(|max| self.keep_alive_min_s <= max);
        let pairs = [
            (keep_alive_fits, "keep_alive_min_s", "keep_alive_max_s"),
            (
                self.message_expiry_min_s <= self.message_expiry_max_s,
                "message_expiry_min_s",
                "message_expiry_max_s",
            ),
        ];
        let wrong = pairs.into_iter().find(|(fits, ..)| !fits);
        wrong.map_or(Ok(()), |(_, least, most)| Err(LimitError::Order { least, most }))
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

/// One limit, as users know it.
#[derive(Debug)]
pub struct Setting {
    /// Its name: the field of [`Limits`].
    pub name: &'static str,
    /// What its number counts, or the words that it may be.
    pub unit: &'static str,
    about: &'static str,
    /// What happens to who exceeds it.
    pub excess: &'static str,
    /// Why it is what it is.
    pub why: &'static str,
    value: fn(&Limits) -> String,
    set: fn(&mut Limits, &str) -> Result<(), String>,
}

impl Setting {
    /// The one of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|setting| setting.name == name)
    }

    /// What it bounds.
    pub fn about(&self) -> &'static str {
        self.about.trim_start()
    }

    /// Its value among these limits, as [`Limits::set`] takes it.
    pub fn value(&self, limits: &Limits) -> String {
        (self.value)(limits)
    }
}

/// Why a limit cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// A name that is no limit's.
    #[error("there is no limit `{name}`{}", similar.map(|similar| format!("; is it `{similar}`?")).unwrap_or_default())]
    Unknown {
        /// The name.
        name: String,
        /// The limit whose name is most like it.
        similar: Option<&'static str>,
    },
    /// A value that is none for this limit.
    #[error("{name} cannot be `{value}`: {expected}")]
    Value {
        /// The limit.
        name: &'static str,
        /// The value.
        value: String,
        /// What it should be.
        expected: String,
    },
    /// A minimum above its maximum.
    #[error("{least} is above {most}")]
    Order {
        /// The minimum.
        least: &'static str,
        /// The maximum.
        most: &'static str,
    },
}

impl LimitError {
    fn unknown(name: &str) -> Self {
        let parts: Vec<&str> = name.split(['_', '-']).filter(|part| part.len() > 2).collect();
        let shared = |setting: &&Setting| parts.iter().filter(|part| setting.name.contains(**part)).count();
        let similar = Setting::ALL.iter().rev().max_by_key(shared).filter(|setting| shared(setting) > 0);
        Self::Unknown { name: name.to_owned(), similar: similar.map(|setting| setting.name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of AWS's quota page.
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
        assert_eq!((limits.message_expiry_min_s, limits.message_expiry_max_s), (1, 604_800));
        assert_eq!((limits.topic_aliases_max, limits.share_name_chars_max), (8, 128));
        assert_eq!(limits.connection_publishes_per_s.count(), 100);
        assert_eq!(limits.connection_bytes_per_s.count(), 524_288);
        assert_eq!((limits.client_connects_per_s.count(), limits.account_connects_per_s.count()), (1, 500));
        assert_eq!((limits.account_connections_max, limits.account_subscriptions_max), (500_000, 500_000));
        assert_eq!(limits.account_publishes_in_per_s.count(), 20_000);
        assert_eq!(limits.account_publishes_out_per_s.count(), 20_000);
        assert_eq!((limits.account_subscribes_per_s.count(), limits.account_retained_max), (500, 500_000));
        assert_eq!((limits.account_retained_per_s.count(), limits.topic_retained_per_s.count()), (500, 1));
        assert_eq!(limits.queued_messages_per_s.count(), 500);
        assert_eq!(limits.unacknowledged_max_s, 3_600);
        assert_eq!((limits.session_expiry_default_s, limits.session_expiry_max_s), (3_600, 604_800));
        assert_eq!(limits.websocket_duration_max_s, 24 * 60 * 60);
        assert_eq!(limits.qos_max, QoS::AtLeastOnce);
    }

    #[test]
    fn no_profile_accepts_more_than_the_protocol_can_say() {
        assert_eq!(Limits::none().packet_bytes_max(), PACKET_BYTES_LIMIT);
        assert_eq!(Limits::none().inflight_outbound(), 65_535);
        assert_eq!(Limits::of(Profile::Relaxed), Limits::relaxed());
    }

    /// So that a table of them can be given back as it is, and no profile breaks a rule of its own.
    #[test]
    fn every_value_of_every_profile_can_be_set() {
        for profile in Profile::ALL {
            let (limits, mut copy) = (Limits::of(profile), Limits::none());
            for setting in Setting::ALL {
                let value = setting.value(&limits);
                assert_eq!(copy.set(setting.name, &value), Ok(()), "{profile} {}", setting.name);
            }
            assert_eq!(copy, limits);
            assert_eq!(limits.check(), Ok(()));
        }
    }

    #[test]
    fn every_limit_says_what_it_is() {
        for setting in Setting::ALL {
            let Setting { name, unit, excess, why, .. } = setting;
            assert!(!unit.is_empty() && !excess.is_empty() && !why.is_empty(), "{name}");
            assert!(
                setting.about().ends_with('.') && !excess.ends_with('.') && !why.ends_with('.'),
                "{name}"
            );
            assert_eq!(
                Setting::named(name).map(Setting::about),
                Some(setting.about()),
                "{name} is there twice"
            );
        }
    }

    #[test]
    fn one_limit_can_be_changed_by_name() {
        let mut limits = Limits::aws();
        limits.set("subscriptions_max", "51").unwrap();
        limits.set("payload_bytes_max", "16MiB").unwrap();
        limits.set("connection_publishes_per_s", "unlimited").unwrap();
        let expected = Limits {
            subscriptions_max: 51,
            payload_bytes_max: 16 * 1024 * 1024,
            connection_publishes_per_s: Rate::UNLIMITED,
            ..Limits::aws()
        };
        assert_eq!(limits, expected);
    }

    #[test]
    fn mistakes_are_told_with_what_is_right() {
        let mut limits = Limits::aws();
        let mut told = |name, value| limits.set(name, value).unwrap_err().to_string();
        assert_eq!(
            told("publishes_per_s", "1"),
            "there is no limit `publishes_per_s`; is it `connection_publishes_per_s`?"
        );
        assert_eq!(
            told("payload-bytes-max", "1"),
            "there is no limit `payload-bytes-max`; is it `payload_bytes_max`?"
        );
        assert_eq!(told("x", "1"), "there is no limit `x`");
        let wrong = "inflight_inbound_max cannot be `0`: it must be a whole number from 1 to 65535";
        assert_eq!(told("inflight_inbound_max", "0"), wrong);
        let wrong =
            "connection_publishes_per_s cannot be `0`: it must be a whole number from 1 on, or `unlimited`";
        assert_eq!(told("connection_publishes_per_s", "0"), wrong);
        assert_eq!(limits, Limits::aws(), "nothing was changed");
    }

    #[test]
    fn a_minimum_stays_below_its_maximum() {
        let limits = Limits { keep_alive_min_s: 2_000, ..Limits::aws() };
        assert_eq!(limits.check().unwrap_err().to_string(), "keep_alive_min_s is above keep_alive_max_s");
        let limits = Limits { message_expiry_max_s: 0, ..Limits::aws() };
        assert_eq!(
            limits.check().unwrap_err().to_string(),
            "message_expiry_min_s is above message_expiry_max_s"
        );
    }
}
