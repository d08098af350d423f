//! CONNECT: a client asks for a connection [MQTT311 3.1] [MQTT5 3.1].

use super::will::Will;
use crate::error::{DecodeError, EncodeError};
use crate::fixed_header::PacketKind;
use crate::properties::{Carrier, Properties};
use crate::reader::Reader;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// The name that MQTT 3.1.1 and 5 send; MQTT 3.1 sent `MQIsdp` [MQTT311 3.1.2-1] [MQTT5 3.1.2-1].
const PROTOCOL_NAME: &[u8] = b"MQTT";

/// Two bytes of length before every text and binary field.
const LENGTH_BYTES: usize = 2;

// The connect flags [MQTT311 3.1.2.3] [MQTT5 3.1.2.3].
const RESERVED: u8 = 0x01;
const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_QOS: u8 = 0x18;
const WILL_QOS_SHIFT: u8 = 3;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

/// A client's request for a connection.
///
/// ```text
/// body := name:text level:u8 flags:u8 keep_alive:u16 [properties]                     ; properties: MQTT 5
///         client_id:text [will] [user_name:text] [password:binary]
/// will := [properties] topic:text payload:binary
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version of this packet and of all that follow it on the connection.
    pub version: ProtocolVersion,
    /// The client wants no session of an earlier connection [MQTT311 3.1.2-6], [MQTT5 3.1.2-4].
    ///
    /// MQTT 3.1.1 calls it clean session, and its client leaves none behind either; with MQTT 5 the session expiry
    /// interval says that.
    pub clean_start: bool,
    /// Seconds within which the client promises to send something; 0 turns the promise off.
    pub keep_alive_s: u16,
    /// MQTT 5: what else is agreed for the connection.
    pub properties: Properties<'a>,
    /// Who connects. May be empty [MQTT311 3.1.3-6], [MQTT5 3.1.3-6].
    pub client_id: &'a str,
    /// What to publish when the connection ends without a DISCONNECT.
    pub will: Option<Will<'a>>,
    /// The user name.
    pub username: Option<&'a str>,
    /// The password; in MQTT 3.1.1 only with a user name.
    pub password: Option<&'a [u8]>,
}

impl<'a> Connect<'a> {
    pub(crate) fn decode(body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let version = decode_version(body)?;
        let flags = body.u8("connect flags")?;
        check_flags(flags, version)?;
        let keep_alive_s = body.u16("keep alive")?;
        let properties = match version {
            ProtocolVersion::V311 => Properties::NONE,
            ProtocolVersion::V5 => Properties::decode(body, Carrier::Packet(PacketKind::Connect))?,
        };
        let client_id = body.text("client identifier")?;
        let will = if flags & WILL != 0 {
            let qos = (flags & WILL_QOS) >> WILL_QOS_SHIFT;
            Some(Will::decode(qos, flags & WILL_RETAIN != 0, version, body)?)
        } else {
            None
        };
        let username = if flags & USER_NAME != 0 { Some(body.text("user name")?) } else { None };
        let password = if flags & PASSWORD != 0 { Some(body.binary("password")?) } else { None };
        let clean_start = flags & CLEAN_START != 0;
        Ok(Self { version, clean_start, keep_alive_s, properties, client_id, will, username, password })
    }

    pub(crate) fn encode_body(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        let version = self.version;
        if version == ProtocolVersion::V311 && self.password.is_some() && self.username.is_none() {
            return Err(EncodeError::PasswordWithoutUserName);
        }
        writer.binary("protocol name", PROTOCOL_NAME)?;
        writer.u8(version.level());
        writer.u8(self.flags());
        writer.u16(self.keep_alive_s);
        if version == ProtocolVersion::V5 {
            self.properties.encode(Carrier::Packet(PacketKind::Connect), writer)?;
        }
        writer.text("client identifier", self.client_id)?;
        if let Some(will) = self.will {
            will.encode(version, writer)?;
        }
        if let Some(username) = self.username {
            writer.text("user name", username)?;
        }
        if let Some(password) = self.password {
            writer.binary("password", password)?;
        }
        Ok(())
    }

    pub(crate) fn remaining_bytes(&self) -> usize {
        let properties = self.properties.encoded_len_in(self.version);
        let will = self.will.map_or(0, |will| will.bytes_len(self.version));
        let username = self.username.map_or(0, |username| LENGTH_BYTES + username.len());
        let password = self.password.map_or(0, |password| LENGTH_BYTES + password.len());
        let variable_header = LENGTH_BYTES + PROTOCOL_NAME.len() + 1 + 1 + 2 + properties;
        variable_header + LENGTH_BYTES + self.client_id.len() + will + username + password
    }

    fn flags(&self) -> u8 {
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let will = self
            .will
            .map_or(0, |will| WILL | will.qos.number() << WILL_QOS_SHIFT | bit(will.retain, WILL_RETAIN));
        will | bit(self.clean_start, CLEAN_START)
            | bit(self.username.is_some(), USER_NAME)
            | bit(self.password.is_some(), PASSWORD)
    }
}

/// Reads name and level.
pub(crate) fn decode_version(body: &mut Reader<'_>) -> Result<ProtocolVersion, DecodeError> {
    if body.binary("protocol name")? != PROTOCOL_NAME {
        return Err(DecodeError::UnsupportedProtocolName);
    }
    let level = body.u8("protocol level")?;
    ProtocolVersion::from_level(level).ok_or(DecodeError::UnsupportedProtocolLevel { level })
}

fn check_flags(flags: u8, version: ProtocolVersion) -> Result<(), DecodeError> {
    // [MQTT311 3.1.2-3] [MQTT5 3.1.2-3] The reserved flag is 0, or the client is disconnected.
    if flags & RESERVED != 0 {
        return Err(DecodeError::ReservedConnectFlag);
    }
    // [MQTT311 3.1.2-11] [MQTT311 3.1.2-13] [MQTT311 3.1.2-15] [MQTT5 3.1.2-11] [MQTT5 3.1.2-13] Without a will its
    // QoS and retain are 0.
    if flags & WILL == 0 && flags & (WILL_QOS | WILL_RETAIN) != 0 {
        return Err(DecodeError::WillFlagsWithoutWill);
    }
    // [MQTT311 3.1.2-22] Without a user name there is no password. MQTT 5 has lifted that [MQTT5 3.1.2.9].
    if version == ProtocolVersion::V311 && flags & USER_NAME == 0 && flags & PASSWORD != 0 {
        return Err(DecodeError::PasswordWithoutUserName);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Packet, decode};
    use crate::properties::{PropertiesWriter, Property};
    use crate::qos::QoS;
    use crate::topic::TopicName;
    use ProtocolVersion::{V5, V311};
    use core::num::NonZeroU16;
    use std::vec::Vec;

    /// Byte for byte what MicroPython's `umqtt.simple` sends for
    /// `MQTTClient("pico_w_simple", endpoint, port=8883, keepalive=10000, ssl=True)`.
    const UMQTT: &[u8] = b"\x10\x19\0\x04MQTT\x04\x02\x27\x10\0\x0dpico_w_simple";

    fn with_flags(flags: u8) -> Vec<u8> {
        let mut bytes = b"\x10\x0d\0\x04MQTT\x04\0\0\x3c\0\x01a".to_vec();
        bytes[9] = flags;
        bytes
    }

    #[test]
    fn the_connect_of_umqtt_simple() {
        let packet = Packet::Connect(Connect {
            version: V311,
            clean_start: true,
            keep_alive_s: 10_000,
            properties: Properties::NONE,
            client_id: "pico_w_simple",
            will: None,
            username: None,
            password: None,
        });
        assert_eq!(decode(UMQTT, V311, 1024), Ok(Some((packet, UMQTT.len()))));
        let mut out = [0; 64];
        let written = packet.encode(V311, &mut out).unwrap();
        assert_eq!(&out[..written], UMQTT);
    }

    #[test]
    fn every_optional_field_in_its_order() {
        let packet = Packet::Connect(Connect {
            version: V311,
            clean_start: false,
            keep_alive_s: 30,
            properties: Properties::NONE,
            client_id: "c",
            will: Some(Will {
                topic: TopicName::parse("w/t").unwrap(),
                payload: b"gone",
                qos: QoS::AtLeastOnce,
                retain: true,
                properties: Properties::NONE,
            }),
            username: Some("u"),
            password: Some(b"p\0"),
        });
        let bytes = b"\x10\x1f\0\x04MQTT\x04\xec\0\x1e\0\x01c\0\x03w/t\0\x04gone\0\x01u\0\x02p\0";
        let mut out = [0; 64];
        assert_eq!(packet.encode(V311, &mut out), Ok(bytes.len()));
        assert_eq!(&out[..bytes.len()], bytes);
        assert_eq!(decode(bytes, V311, 64), Ok(Some((packet, bytes.len()))));
    }

    #[test]
    fn other_levels_and_names_are_told_apart() {
        for level in [0, 3, 6, 0x84] {
            let mut other = UMQTT.to_vec();
            other[8] = level;
            assert_eq!(decode(&other, V311, 1024), Err(DecodeError::UnsupportedProtocolLevel { level }));
        }
        let mqtt31 = b"\x10\x0f\0\x06MQIsdp\x03\x02\0\x3c\0\x01a";
        assert_eq!(decode(mqtt31, V311, 1024), Err(DecodeError::UnsupportedProtocolName));
    }

    /// [MQTT311 3.1.2-3] [MQTT311 3.1.2-11] [MQTT311 3.1.2-22]
    #[test]
    fn contradictory_flags_are_refused() {
        assert!(matches!(decode(&with_flags(CLEAN_START), V311, 64), Ok(Some(_))));
        assert_eq!(decode(&with_flags(RESERVED), V311, 64), Err(DecodeError::ReservedConnectFlag));
        assert_eq!(decode(&with_flags(0x08), V311, 64), Err(DecodeError::WillFlagsWithoutWill));
        assert_eq!(decode(&with_flags(WILL_RETAIN), V311, 64), Err(DecodeError::WillFlagsWithoutWill));
        assert_eq!(decode(&with_flags(PASSWORD), V311, 64), Err(DecodeError::PasswordWithoutUserName));
    }

    /// [MQTT311 3.1.2-14]
    #[test]
    fn will_qos_three_is_refused() {
        let expected = Err(DecodeError::InvalidQoS { field: "will QoS", value: 3 });
        assert_eq!(decode(&with_flags(WILL | WILL_QOS), V311, 64), expected);
    }

    #[test]
    fn a_will_topic_has_no_wildcards() {
        let bytes = b"\x10\x12\0\x04MQTT\x04\x06\0\x1e\0\x01c\0\x01#\0\0";
        assert!(matches!(decode(bytes, V311, 64), Err(DecodeError::TopicName { field: "will topic", .. })));
    }

    /// [MQTT311 1.5.3-1] [MQTT311 1.5.3-2]
    #[test]
    fn client_identifiers_are_utf8_without_null() {
        let mut bytes = with_flags(CLEAN_START);
        *bytes.last_mut().unwrap() = 0;
        assert_eq!(decode(&bytes, V311, 64), Err(DecodeError::Null { field: "client identifier" }));
        *bytes.last_mut().unwrap() = 0xFF;
        assert_eq!(decode(&bytes, V311, 64), Err(DecodeError::Utf8 { field: "client identifier" }));
    }

    #[test]
    fn a_password_needs_a_user_name() {
        let connect = Connect {
            version: V311,
            clean_start: true,
            keep_alive_s: 0,
            properties: Properties::NONE,
            client_id: "",
            will: None,
            username: None,
            password: Some(b""),
        };
        let refused = Packet::Connect(connect).encode(V311, &mut [0; 64]);
        assert_eq!(refused, Err(EncodeError::PasswordWithoutUserName));
    }

    /// The level decides, whatever the caller says.
    #[test]
    fn mqtt_5_byte_for_byte() {
        let (mut block, mut will_block) = ([0; 16], [0; 16]);
        let mut properties = PropertiesWriter::new(&mut block);
        properties.push(Property::SessionExpiryIntervalS(120)).unwrap();
        properties.push(Property::ReceiveMaximum(NonZeroU16::new(20).unwrap())).unwrap();
        let mut will_properties = PropertiesWriter::new(&mut will_block);
        will_properties.push(Property::WillDelayIntervalS(5)).unwrap();
        let connect = Connect {
            version: V5,
            clean_start: true,
            keep_alive_s: 30,
            properties: properties.finish(),
            client_id: "c",
            will: Some(Will {
                topic: TopicName::parse("w").unwrap(),
                payload: b"x",
                qos: QoS::AtMostOnce,
                retain: false,
                properties: will_properties.finish(),
            }),
            username: None,
            password: Some(b"p"),
        };
        let packet = Packet::Connect(connect);
        let bytes = b"\x10\x25\0\x04MQTT\x05\x46\0\x1e\x08\x11\0\0\0\x78\x21\0\x14\0\x01c\
            \x05\x18\0\0\0\x05\0\x01w\0\x01x\0\x01p";
        for version in [V311, V5] {
            let mut out = [0; 64];
            assert_eq!(packet.encode(version, &mut out), Ok(bytes.len()));
            assert_eq!(&out[..bytes.len()], bytes);
            assert_eq!(packet.encoded_len(version), bytes.len());
            assert_eq!(decode(bytes, version, 64), Ok(Some((packet, bytes.len()))));
        }
        // 3.1.1 has no place for properties, and no password without a user name.
        let older = Connect { version: V311, username: Some("u"), ..connect };
        let mut out = [0; 64];
        let written = Packet::Connect(older).encode(V311, &mut out).unwrap();
        let Ok(Some((Packet::Connect(read), _))) = decode(&out[..written], V311, 64) else {
            panic!("not a connect")
        };
        assert_eq!((read.properties, read.will.unwrap().properties), (Properties::NONE, Properties::NONE));
    }
}
