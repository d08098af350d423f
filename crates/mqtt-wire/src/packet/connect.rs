//! CONNECT: a client asks for a connection [MQTT311 3.1].

use crate::error::{DecodeError, EncodeError};
use crate::qos::QoS;
use crate::reader::Reader;
use crate::topic::TopicName;
use crate::writer::Writer;

/// The name that MQTT 3.1.1 and 5 send; MQTT 3.1 sent `MQIsdp` [MQTT311 3.1.2-1].
const PROTOCOL_NAME: &[u8] = b"MQTT";

/// The level of MQTT 3.1.1 [MQTT311 3.1.2-2].
const PROTOCOL_LEVEL: u8 = 4;

/// Two bytes of length before every text and binary field.
const LENGTH_BYTES: usize = 2;

// The connect flags [MQTT311 3.1.2.3].
const RESERVED: u8 = 0x01;
const CLEAN_SESSION: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_QOS: u8 = 0x18;
const WILL_QOS_SHIFT: u8 = 3;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

/// A client's request for a connection.
///
/// ```text
/// body := name:text level:u8 flags:u8 keep_alive:u16
///         client_id:text [will_topic:text will_payload:binary] [user_name:text] [password:binary]
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The client wants no session of an earlier connection, and leaves none behind [MQTT311 3.1.2-6].
    pub clean_session: bool,
    /// Seconds within which the client promises to send something; 0 turns the promise off.
    pub keep_alive_s: u16,
    /// Who connects. May be empty [MQTT311 3.1.3-6].
    pub client_id: &'a str,
    /// What to publish when the connection ends without a DISCONNECT.
    pub will: Option<Will<'a>>,
    /// The user name.
    pub username: Option<&'a str>,
    /// The password; only with a user name.
    pub password: Option<&'a [u8]>,
}

/// The message that the server publishes for a client that is gone [MQTT311 3.1.2.5].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where it goes.
    pub topic: TopicName<'a>,
    /// What it says.
    pub payload: &'a [u8],
    /// With which QoS it is published.
    pub qos: QoS,
    /// Whether it becomes the topic's retained message.
    pub retain: bool,
}

impl<'a> Connect<'a> {
    pub(crate) fn decode(body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        if body.binary("protocol name")? != PROTOCOL_NAME {
            return Err(DecodeError::UnsupportedProtocolName);
        }
        let level = body.u8("protocol level")?;
        if level != PROTOCOL_LEVEL {
            return Err(DecodeError::UnsupportedProtocolLevel { level });
        }
        let flags = body.u8("connect flags")?;
        check_flags(flags)?;
        let keep_alive_s = body.u16("keep alive")?;
        let client_id = body.text("client identifier")?;
        let will = if flags & WILL != 0 { Some(Will::decode(flags, body)?) } else { None };
        let username = if flags & USER_NAME != 0 { Some(body.text("user name")?) } else { None };
        let password = if flags & PASSWORD != 0 { Some(body.binary("password")?) } else { None };
        let clean_session = flags & CLEAN_SESSION != 0;
        Ok(Self { clean_session, keep_alive_s, client_id, will, username, password })
    }

    pub(crate) fn encode_body(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if self.password.is_some() && self.username.is_none() {
            return Err(EncodeError::PasswordWithoutUserName);
        }
        writer.binary("protocol name", PROTOCOL_NAME)?;
        writer.u8(PROTOCOL_LEVEL);
        writer.u8(self.flags());
        writer.u16(self.keep_alive_s);
        writer.text("client identifier", self.client_id)?;
        if let Some(will) = self.will {
            writer.binary("will topic", will.topic.as_str().as_bytes())?;
            writer.binary("will payload", will.payload)?;
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
        let will =
            self.will.map_or(0, |will| 2 * LENGTH_BYTES + will.topic.as_str().len() + will.payload.len());
        let username = self.username.map_or(0, |username| LENGTH_BYTES + username.len());
        let password = self.password.map_or(0, |password| LENGTH_BYTES + password.len());
        let variable_header = LENGTH_BYTES + PROTOCOL_NAME.len() + 1 + 1 + 2;
        variable_header + LENGTH_BYTES + self.client_id.len() + will + username + password
    }

    fn flags(&self) -> u8 {
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let will = self
            .will
            .map_or(0, |will| WILL | will.qos.number() << WILL_QOS_SHIFT | bit(will.retain, WILL_RETAIN));
        will | bit(self.clean_session, CLEAN_SESSION)
            | bit(self.username.is_some(), USER_NAME)
            | bit(self.password.is_some(), PASSWORD)
    }
}

impl<'a> Will<'a> {
    fn decode(flags: u8, body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let value = (flags & WILL_QOS) >> WILL_QOS_SHIFT;
        // [MQTT311 3.1.2-14] Three is no QoS.
        let qos = QoS::from_number(value).ok_or(DecodeError::InvalidQoS { field: "will QoS", value })?;
        let topic = TopicName::decode(body, "will topic")?;
        let payload = body.binary("will payload")?;
        Ok(Self { topic, payload, qos, retain: flags & WILL_RETAIN != 0 })
    }
}

fn check_flags(flags: u8) -> Result<(), DecodeError> {
    // [MQTT311 3.1.2-3] The reserved flag is 0, or the client is disconnected.
    if flags & RESERVED != 0 {
        return Err(DecodeError::ReservedConnectFlag);
    }
    // [MQTT311 3.1.2-11] [MQTT311 3.1.2-13] [MQTT311 3.1.2-15] Without a will its QoS and retain are 0.
    if flags & WILL == 0 && flags & (WILL_QOS | WILL_RETAIN) != 0 {
        return Err(DecodeError::WillFlagsWithoutWill);
    }
    // [MQTT311 3.1.2-22] Without a user name there is no password.
    if flags & USER_NAME == 0 && flags & PASSWORD != 0 {
        return Err(DecodeError::PasswordWithoutUserName);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Packet, decode};
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
            clean_session: true,
            keep_alive_s: 10_000,
            client_id: "pico_w_simple",
            will: None,
            username: None,
            password: None,
        });
        assert_eq!(decode(UMQTT, 1024), Ok(Some((packet, UMQTT.len()))));
        let mut out = [0; 64];
        let written = packet.encode(&mut out).unwrap();
        assert_eq!(&out[..written], UMQTT);
    }

    #[test]
    fn every_optional_field_in_its_order() {
        let packet = Packet::Connect(Connect {
            clean_session: false,
            keep_alive_s: 30,
            client_id: "c",
            will: Some(Will {
                topic: TopicName::parse("w/t").unwrap(),
                payload: b"gone",
                qos: QoS::AtLeastOnce,
                retain: true,
            }),
            username: Some("u"),
            password: Some(b"p\0"),
        });
        let bytes = b"\x10\x1f\0\x04MQTT\x04\xec\0\x1e\0\x01c\0\x03w/t\0\x04gone\0\x01u\0\x02p\0";
        let mut out = [0; 64];
        assert_eq!(packet.encode(&mut out), Ok(bytes.len()));
        assert_eq!(&out[..bytes.len()], bytes);
        assert_eq!(decode(bytes, 64), Ok(Some((packet, bytes.len()))));
    }

    #[test]
    fn other_levels_and_names_are_told_apart() {
        let mut mqtt5 = UMQTT.to_vec();
        mqtt5[8] = 5;
        assert_eq!(decode(&mqtt5, 1024), Err(DecodeError::UnsupportedProtocolLevel { level: 5 }));
        let mqtt31 = b"\x10\x0f\0\x06MQIsdp\x03\x02\0\x3c\0\x01a";
        assert_eq!(decode(mqtt31, 1024), Err(DecodeError::UnsupportedProtocolName));
    }

    /// [MQTT311 3.1.2-3] [MQTT311 3.1.2-11] [MQTT311 3.1.2-22]
    #[test]
    fn contradictory_flags_are_refused() {
        assert!(matches!(decode(&with_flags(CLEAN_SESSION), 64), Ok(Some(_))));
        assert_eq!(decode(&with_flags(RESERVED), 64), Err(DecodeError::ReservedConnectFlag));
        assert_eq!(decode(&with_flags(0x08), 64), Err(DecodeError::WillFlagsWithoutWill));
        assert_eq!(decode(&with_flags(WILL_RETAIN), 64), Err(DecodeError::WillFlagsWithoutWill));
        assert_eq!(decode(&with_flags(PASSWORD), 64), Err(DecodeError::PasswordWithoutUserName));
    }

    /// [MQTT311 3.1.2-14]
    #[test]
    fn will_qos_three_is_refused() {
        let expected = Err(DecodeError::InvalidQoS { field: "will QoS", value: 3 });
        assert_eq!(decode(&with_flags(WILL | WILL_QOS), 64), expected);
    }

    #[test]
    fn a_will_topic_has_no_wildcards() {
        let bytes = b"\x10\x12\0\x04MQTT\x04\x06\0\x1e\0\x01c\0\x01#\0\0";
        assert!(matches!(decode(bytes, 64), Err(DecodeError::TopicName { field: "will topic", .. })));
    }

    /// [MQTT311 1.5.3-1] [MQTT311 1.5.3-2]
    #[test]
    fn client_identifiers_are_utf8_without_null() {
        let mut bytes = with_flags(CLEAN_SESSION);
        *bytes.last_mut().unwrap() = 0;
        assert_eq!(decode(&bytes, 64), Err(DecodeError::Null { field: "client identifier" }));
        *bytes.last_mut().unwrap() = 0xFF;
        assert_eq!(decode(&bytes, 64), Err(DecodeError::Utf8 { field: "client identifier" }));
    }

    #[test]
    fn a_password_needs_a_user_name() {
        let connect = Connect {
            clean_session: true,
            keep_alive_s: 0,
            client_id: "",
            will: None,
            username: None,
            password: Some(b""),
        };
        let refused = Packet::Connect(connect).encode(&mut [0; 64]);
        assert_eq!(refused, Err(EncodeError::PasswordWithoutUserName));
    }
}
