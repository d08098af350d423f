//! CONNECT: whether a session begins, before anybody asks for permission.

use crate::limits::Limits;
use crate::peer::Peer;
use crate::topics::{TopicExcess, check_topic};
use mqtt_wire::{ConnAck, Connect, PropertiesWriter, Property, ProtocolVersion, QoS, ReasonCode};
use std::num::{NonZeroU16, NonZeroU32};

/// What the caller needs to know about a CONNECT that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Whose choice the client identifier is.
    pub client_id: ClientId,
    /// The keep-alive that applies, in seconds; 0: silence is never too long. MQTT 3.1.1 has no way to tell the client.
    pub keep_alive_s: u16,
    /// The client wants to begin anew, whatever is left of it.
    pub clean_start: bool,
    /// How long the session outlives the connection, in seconds, as the limits allow; 0: not at all.
    pub session_expiry_s: u32,
}

/// Whose choice the client identifier is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientId {
    /// The one in the CONNECT.
    Given,
    /// The client sent none: the caller assigns a unique one [MQTT311 3.1.3-6], [MQTT5 3.1.3-6].
    Assign,
}

/// Room for the properties of any CONNACK that [`Accepted::connack`] makes: those of numbers, and a client identifier
/// that the caller assigns.
pub const CONNACK_PROPERTIES_BYTES_MAX: usize = 192;

impl Accepted {
    /// Whether the session outlives its connection.
    pub const fn is_persistent(&self) -> bool {
        self.session_expiry_s > 0
    }

    /// The answer to send once the client has permission; its properties are written to `out`.
    ///
    /// [AWS mqtt5-connack] AWS says what it offers even where the standard takes it for granted.
    pub fn connack<'o>(
        &self,
        peer: &Peer,
        limits: &Limits,
        session_present: bool,
        assigned_client_id: Option<&str>,
        out: &'o mut [u8; CONNACK_PROPERTIES_BYTES_MAX],
    ) -> ConnAck<'o> {
        let mut connack = ConnAck { session_present, ..ConnAck::new(ReasonCode::Success) };
        if peer.version == ProtocolVersion::V5 {
            let mut properties = PropertiesWriter::new(out);
            let offered = self.offered(limits);
            let assigned = assigned_client_id.map(Property::AssignedClientId);
            for property in offered.into_iter().flatten().chain(assigned) {
                // INVARIANT: `out` has room for all of them; an identifier of ours is a UUID.
                properties.push(property).expect("they fit");
            }
            connack.properties = properties.finish();
        }
        connack
    }

    fn offered(&self, limits: &Limits) -> [Option<Property<'static>>; 10] {
        let receive_maximum = u16::try_from(limits.inflight_inbound_max).unwrap_or(u16::MAX);
        let packet_bytes_max = u32::try_from(limits.packet_bytes_max()).unwrap_or(u32::MAX);
        [
            // Which may be less than the client asked for [MQTT5 3.2.2.3.2].
            Some(Property::SessionExpiryIntervalS(self.session_expiry_s)),
            NonZeroU16::new(receive_maximum).map(Property::ReceiveMaximum),
            // Its absence says 2 [MQTT5 3.2.2.3.4].
            (limits.qos_max < QoS::ExactlyOnce).then_some(Property::MaximumQoS(limits.qos_max)),
            NonZeroU32::new(packet_bytes_max).map(Property::MaximumPacketSize),
            Some(Property::TopicAliasMaximum(limits.topic_aliases_max)),
            Some(Property::WildcardSubscriptionAvailable(true)),
            Some(Property::SubscriptionIdentifierAvailable(false)),
            Some(Property::SharedSubscriptionAvailable(true)),
            Some(Property::RetainAvailable(true)),
            Some(Property::ServerKeepAliveS(self.keep_alive_s)),
        ]
    }
}

/// Why no session begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// [MQTT311 3.1.3-8]
    #[error("the client identifier is empty, which needs clean session 1")]
    ClientIdMissing,
    /// More than [`Limits::client_id_bytes_max`].
    #[error("the client identifier has {bytes} bytes, at most {bytes_max} are allowed")]
    ClientIdTooLong {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Identifiers that begin with `$` are AWS's own [AWS General Reference].
    #[error("the client identifier begins with `$`")]
    ClientIdReserved,
    /// More than [`Limits::qos_max`]; AWS closes without a CONNACK.
    #[error("the will has QoS 2, which is not supported")]
    WillQoS2,
    /// Authentication by other means than the certificate is not offered [MQTT5 4.12].
    #[error("the client wants to authenticate with a method of its own, which is not supported")]
    AuthenticationMethod,
    /// The will's topic is too long or too deep.
    #[error("the will topic {0}")]
    WillTopic(TopicExcess),
    /// More than [`Limits::payload_bytes_max`].
    #[error("the will has {bytes} bytes, at most {bytes_max} are allowed")]
    WillTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}

impl Refusal {
    /// What the CONNACK before closing says; `None`: close without a word, as AWS does.
    pub const fn answer(&self, version: ProtocolVersion) -> Option<ReasonCode> {
        match (version, self) {
            // [MQTT311 3.1.3-8] [MQTT311 3.1.3-9] An identifier that is not allowed is answered with 2.
            (_, Self::ClientIdMissing | Self::ClientIdTooLong { .. } | Self::ClientIdReserved) => {
                Some(ReasonCode::ClientIdentifierNotValid)
            }
            (ProtocolVersion::V311, _) => None,
            // [MQTT5 3.2.2-12]
            (ProtocolVersion::V5, Self::WillQoS2) => Some(ReasonCode::QoSNotSupported),
            (ProtocolVersion::V5, Self::WillTopic(_)) => Some(ReasonCode::TopicNameInvalid),
            (ProtocolVersion::V5, Self::WillTooLarge { .. }) => Some(ReasonCode::QuotaExceeded),
            (ProtocolVersion::V5, Self::AuthenticationMethod) => Some(ReasonCode::BadAuthenticationMethod),
        }
    }
}

/// How long the session outlives the connection, in seconds.
///
/// MQTT 3.1.1 has one flag for both ends of a session's life, and AWS's quota says how long it lasts. MQTT 5 has the
/// interval for its end, which the limits cap [MQTT5 3.1.2.11.2].
pub(crate) fn session_expiry_s(connect: &Connect<'_>, limits: &Limits) -> u32 {
    match connect.version {
        ProtocolVersion::V311 if connect.clean_start => 0,
        ProtocolVersion::V311 => limits.session_expiry_default_s,
        ProtocolVersion::V5 => {
            connect.properties.session_expiry_interval_s().unwrap_or(0).min(limits.session_expiry_max_s)
        }
    }
}

/// The user name is not looked at: device SDKs put their metrics there, and a certificate says who connects.
pub(crate) fn check(connect: &Connect<'_>, limits: &Limits) -> Result<ClientId, Refusal> {
    let client_id = check_client_id(connect, limits)?;
    if connect.properties.authentication_method().is_some() {
        return Err(Refusal::AuthenticationMethod);
    }
    if let Some(will) = &connect.will {
        check_will(will, limits)?;
    }
    Ok(client_id)
}

fn check_client_id(connect: &Connect<'_>, limits: &Limits) -> Result<ClientId, Refusal> {
    let (client_id, bytes_max) = (connect.client_id, limits.client_id_bytes_max);
    if client_id.is_empty() {
        // [MQTT5 3.1.3-6] Any client of MQTT 5 is told the identifier that it was given, so it may come back with it.
        let may_assign = connect.clean_start || connect.version == ProtocolVersion::V5;
        return if may_assign { Ok(ClientId::Assign) } else { Err(Refusal::ClientIdMissing) };
    }
    if client_id.len() > bytes_max {
        return Err(Refusal::ClientIdTooLong { bytes: client_id.len(), bytes_max });
    }
    // `#` and `+` are fine: Greengrass connects as `NAME#2`.
    if client_id.starts_with('$') {
        return Err(Refusal::ClientIdReserved);
    }
    Ok(ClientId::Given)
}

fn check_will(will: &mqtt_wire::Will<'_>, limits: &Limits) -> Result<(), Refusal> {
    let (bytes, bytes_max) = (will.payload.len(), limits.payload_bytes_max);
    if will.qos > limits.qos_max {
        return Err(Refusal::WillQoS2);
    }
    if bytes > bytes_max {
        return Err(Refusal::WillTooLarge { bytes, bytes_max });
    }
    check_topic(&will.topic, limits).map_err(Refusal::WillTopic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mqtt_wire::{Properties, ProtocolVersion::V311, TopicName, Will};

    fn connect(client_id: &str) -> Connect<'_> {
        Connect {
            version: V311,
            clean_start: true,
            keep_alive_s: 60,
            properties: Properties::NONE,
            client_id,
            will: None,
            username: None,
            password: None,
        }
    }

    fn will(topic: &str, qos: QoS) -> Connect<'_> {
        let topic = TopicName::parse(topic).unwrap();
        let properties = Properties::NONE;
        let will = Will { topic, payload: b"gone", qos, retain: false, properties };
        Connect { will: Some(will), ..connect("c") }
    }

    #[test]
    fn client_identifiers() {
        let limits = Limits::aws();
        let (longest, too_long) = ("x".repeat(128), "x".repeat(129));
        for given in ["pico_w_simple", "thing#2", "a+b", "ü", &longest] {
            assert_eq!(check(&connect(given), &limits), Ok(ClientId::Given), "{given}");
        }
        let refusal = Refusal::ClientIdTooLong { bytes: 129, bytes_max: 128 };
        assert_eq!(check(&connect(&too_long), &limits), Err(refusal));
        assert_eq!(check(&connect(&too_long), &Limits::none()), Ok(ClientId::Given));
        assert_eq!(check(&connect("$a"), &limits), Err(Refusal::ClientIdReserved));
    }

    /// [MQTT311 3.1.3-6] [MQTT311 3.1.3-7] [MQTT311 3.1.3-8]
    #[test]
    fn an_empty_identifier_needs_a_clean_session() {
        assert_eq!(check(&connect(""), &Limits::aws()), Ok(ClientId::Assign));
        let persistent = Connect { clean_start: false, ..connect("") };
        let refusal = check(&persistent, &Limits::aws()).unwrap_err();
        assert_eq!(refusal, Refusal::ClientIdMissing);
        assert_eq!(refusal.answer(V311), Some(ReasonCode::ClientIdentifierNotValid));
    }

    #[test]
    fn wills_obey_the_limits_of_messages() {
        let limits = Limits { payload_bytes_max: 4, ..Limits::aws() };
        assert_eq!(check(&will("a", QoS::AtLeastOnce), &limits), Ok(ClientId::Given));
        assert_eq!(check(&will("a", QoS::ExactlyOnce), &limits), Err(Refusal::WillQoS2));
        assert_eq!(Refusal::WillQoS2.answer(V311), None);
        let refusal = Refusal::WillTopic(TopicExcess::Slashes { slashes: 8, slashes_max: 7 });
        assert_eq!(check(&will("////////", QoS::AtMostOnce), &limits), Err(refusal));
        let limits = Limits { payload_bytes_max: 3, ..limits };
        let refusal = Refusal::WillTooLarge { bytes: 4, bytes_max: 3 };
        assert_eq!(check(&will("a", QoS::AtMostOnce), &limits), Err(refusal));
    }
}
