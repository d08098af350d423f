//! The codec of the client rumqttc, in both versions: the same bytes say the same, in both directions.
//!
//! Where it is not the standard, or not able to say all of it:
//! - a password is a text to it, and credentials that are empty are none;
//! - in MQTT 5 it reads no DISCONNECT without a body [MQTT5 3.14.2.1] and none without properties, and it writes those
//!   with a wrong length; the reason 0x8C, which only the list of all codes gives to a DISCONNECT [MQTT5 2.4], it does
//!   not know there; it reads no AUTH;
//! - in a PUBLISH it miscounts the bytes of a subscription identifier, so that a part of the properties becomes payload.
#![expect(clippy::unwrap_used, reason = "what is made here is valid, or the test fails")]

#[path = "../../../crates/mqtt-wire/tests/made/mod.rs"]
#[allow(dead_code, reason = "the laws of the codec use more of it")]
mod made;
mod support;

use bytes::BytesMut;
use differential::Said;
use made::{BUFFER_BYTES, Made, made_in};
use mqtt_wire::ProtocolVersion::{V5, V311};
use mqtt_wire::{Packet, Properties, ReasonCode};
use proptest::prelude::*;
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;
use support::{agree, config};

/// The codes of [`v5::PubAckReason`] and [`v5::PubRecReason`], in their order.
const PUBACK: [u8; 9] = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
/// The codes of [`v5::PubRelReason`] and [`v5::PubCompReason`], in their order.
const PUBREL: [u8; 2] = [0x00, 0x92];
/// The codes of [`v5::UnsubAckReason`], in their order.
const UNSUBACK: [u8; 7] = [0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91];
/// The codes of [`v5::ConnectReturnCode`], in their order; the second to fourth are names of 3.1.1.
const CONNACK: [u8; 25] = [
    0x00, 0x01, 0x02, 0x03, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90,
    0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
];

proptest! {
    #![proptest_config(config())]

    #[test]
    fn mqtt_311(made in made_in(V311)) {
        let read = |bytes: &[u8]| v4::Packet::read(&mut bytes.into(), BUFFER_BYTES);
        let write = |packet: v4::Packet| {
            let mut out = BytesMut::new();
            packet.write(&mut out, BUFFER_BYTES).unwrap();
            out.to_vec()
        };
        if is_in_reach(&made) {
            agree(&made, read, said_4, write, |said| said)?;
        }
    }

    #[test]
    fn mqtt_5(made in made_in(V5)) {
        let read = |bytes: &[u8]| v5::Packet::read(&mut bytes.into(), None);
        let write = |packet: v5::Packet| {
            let mut out = BytesMut::new();
            packet.write(&mut out, None).unwrap();
            out.to_vec()
        };
        if is_in_reach(&made) {
            agree(&made, read, said_5, write, |said| said)?;
        }
    }
}

/// Whether rumqttc can read and write the packet; the head of this file says what it cannot.
fn is_in_reach(made: &Made) -> bool {
    let identifier_alone = |properties: &Properties<'_>| {
        properties.subscription_ids().count() == 0 || properties.iter().count() == 1
    };
    made.with(|packet| match packet {
        Packet::Connect(connect) => {
            let is_text = |password: &[u8]| !password.is_empty() && std::str::from_utf8(password).is_ok();
            connect.username != Some("") && connect.password.is_none_or(is_text)
        }
        Packet::Publish(publish) => identifier_alone(&publish.properties),
        Packet::Disconnect(disconnect) => {
            let is_known = disconnect.reason != ReasonCode::BadAuthenticationMethod;
            made.version == V311 || is_known && !disconnect.properties.is_empty()
        }
        Packet::Auth(_) => false,
        _ => true,
    })
}

fn said_ack(name: &str, id: u16, reason: u8) -> Said {
    Said::packet(name).with("id", id).with("reason", reason)
}

fn present(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn said_4(packet: &v4::Packet) -> Said {
    match packet {
        v4::Packet::Connect(connect) => {
            let said = Said::packet("CONNECT")
                .with("clean start", connect.clean_session)
                .with("keep alive", connect.keep_alive)
                .with("client identifier", &connect.client_id)
                .maybe("user name", connect.login.as_ref().and_then(|login| present(&login.username)))
                .maybe(
                    "password",
                    connect.login.as_ref().and_then(|login| present(&login.password)).map(str::as_bytes),
                );
            match &connect.last_will {
                None => said,
                Some(will) => said
                    .with("will topic", &will.topic)
                    .with("will payload", &will.message[..])
                    .with("will qos", will.qos as u8)
                    .with("will retain", will.retain),
            }
        }
        v4::Packet::ConnAck(connack) => {
            let reason = [0x00, 0x84, 0x85, 0x88, 0x86, 0x87][connack.code as usize];
            Said::packet("CONNACK").with("session present", connack.session_present).with("reason", reason)
        }
        v4::Packet::Publish(publish) => Said::packet("PUBLISH")
            .with("dup", publish.dup)
            .with("qos", publish.qos as u8)
            .with("retain", publish.retain)
            .with("topic", &publish.topic)
            .maybe("id", (publish.pkid > 0).then_some(publish.pkid))
            .with("payload", &publish.payload[..]),
        v4::Packet::PubAck(ack) => said_ack("PUBACK", ack.pkid, 0),
        v4::Packet::PubRec(ack) => said_ack("PUBREC", ack.pkid, 0),
        v4::Packet::PubRel(ack) => said_ack("PUBREL", ack.pkid, 0),
        v4::Packet::PubComp(ack) => said_ack("PUBCOMP", ack.pkid, 0),
        v4::Packet::Subscribe(subscribe) => {
            let filters =
                subscribe.filters.iter().map(|filter| (&filter.path, filter.qos as u8, false, (false, 0)));
            Said::packet("SUBSCRIBE").with("id", subscribe.pkid).list("filters", filters)
        }
        v4::Packet::SubAck(suback) => {
            let reasons = suback.return_codes.iter().map(|code| match code {
                v4::SubscribeReasonCode::Success(qos) => *qos as u8,
                v4::SubscribeReasonCode::Failure => 0x80,
            });
            Said::packet("SUBACK").with("id", suback.pkid).list("reasons", reasons)
        }
        v4::Packet::Unsubscribe(unsubscribe) => {
            Said::packet("UNSUBSCRIBE").with("id", unsubscribe.pkid).list("filters", &unsubscribe.topics)
        }
        v4::Packet::UnsubAck(unsuback) => Said::packet("UNSUBACK").with("id", unsuback.pkid),
        v4::Packet::PingReq => Said::packet("PINGREQ"),
        v4::Packet::PingResp => Said::packet("PINGRESP"),
        v4::Packet::Disconnect => Said::packet("DISCONNECT").with("reason", 0),
    }
}

/// What the answers have: an explanation and user properties.
macro_rules! answer {
    ($said:expr, $properties:expr) => {
        match $properties {
            None => $said,
            Some(properties) => $said
                .maybe("reason string", properties.reason_string.as_ref())
                .list("user property", &properties.user_properties),
        }
    };
}

fn said_5(packet: &v5::Packet) -> Said {
    match packet {
        v5::Packet::Connect(connect, will, login) => said_connect(connect, will.as_ref(), login.as_ref()),
        v5::Packet::ConnAck(connack) => said_connack(connack),
        v5::Packet::Publish(publish) => said_publish(publish),
        v5::Packet::PubAck(ack) => {
            answer!(said_ack("PUBACK", ack.pkid, PUBACK[ack.reason as usize]), &ack.properties)
        }
        v5::Packet::PubRec(ack) => {
            answer!(said_ack("PUBREC", ack.pkid, PUBACK[ack.reason as usize]), &ack.properties)
        }
        v5::Packet::PubRel(ack) => {
            answer!(said_ack("PUBREL", ack.pkid, PUBREL[ack.reason as usize]), &ack.properties)
        }
        v5::Packet::PubComp(ack) => {
            answer!(said_ack("PUBCOMP", ack.pkid, PUBREL[ack.reason as usize]), &ack.properties)
        }
        v5::Packet::Subscribe(subscribe) => {
            let filters = subscribe.filters.iter().map(|filter| {
                let handling = match filter.retain_forward_rule {
                    v5::RetainForwardRule::OnEverySubscribe => 0,
                    v5::RetainForwardRule::OnNewSubscribe => 1,
                    v5::RetainForwardRule::Never => 2,
                };
                (&filter.path, filter.qos as u8, filter.nolocal, (filter.preserve_retain, handling))
            });
            let said = Said::packet("SUBSCRIBE").with("id", subscribe.pkid).list("filters", filters);
            match &subscribe.properties {
                None => said,
                Some(properties) => said
                    .list("subscription identifier", properties.id)
                    .list("user property", &properties.user_properties),
            }
        }
        v5::Packet::SubAck(suback) => {
            let reasons = suback.return_codes.iter().map(|code| suback_code(*code));
            let said = Said::packet("SUBACK").with("id", suback.pkid).list("reasons", reasons);
            answer!(said, &suback.properties)
        }
        v5::Packet::Unsubscribe(unsubscribe) => {
            let said = Said::packet("UNSUBSCRIBE").with("id", unsubscribe.pkid);
            let said = said.list("filters", &unsubscribe.filters);
            let user = unsubscribe.properties.iter().flat_map(|properties| &properties.user_properties);
            said.list("user property", user)
        }
        v5::Packet::UnsubAck(unsuback) => {
            let reasons = unsuback.reasons.iter().map(|reason| UNSUBACK[*reason as usize]);
            let said = Said::packet("UNSUBACK").with("id", unsuback.pkid).list("reasons", reasons);
            answer!(said, &unsuback.properties)
        }
        v5::Packet::PingReq(_) => Said::packet("PINGREQ"),
        v5::Packet::PingResp(_) => Said::packet("PINGRESP"),
        v5::Packet::Disconnect(disconnect) => {
            let said = Said::packet("DISCONNECT").with("reason", disconnect.reason_code as u8);
            let properties = disconnect.properties.as_ref();
            let said = said
                .maybe(
                    "session expiry interval",
                    properties.and_then(|properties| properties.session_expiry_interval),
                )
                .maybe(
                    "server reference",
                    properties.and_then(|properties| properties.server_reference.as_ref()),
                );
            answer!(said, properties)
        }
        v5::Packet::Auth(_) => unreachable!("rumqttc reads none"),
    }
}

fn suback_code(code: v5::SubscribeReasonCode) -> u8 {
    use v5::SubscribeReasonCode as Code;
    match code {
        Code::Success(qos) => qos as u8,
        Code::Failure | Code::Unspecified => 0x80,
        Code::ImplementationSpecific => 0x83,
        Code::NotAuthorized => 0x87,
        Code::TopicFilterInvalid => 0x8F,
        Code::PkidInUse => 0x91,
        Code::QuotaExceeded => 0x97,
        Code::SharedSubscriptionsNotSupported => 0x9E,
        Code::SubscriptionIdNotSupported => 0xA1,
        Code::WildcardSubscriptionsNotSupported => 0xA2,
    }
}

fn said_connect(connect: &v5::Connect, will: Option<&v5::LastWill>, login: Option<&v5::Login>) -> Said {
    let mut said = Said::packet("CONNECT")
        .with("clean start", connect.clean_start)
        .with("keep alive", connect.keep_alive)
        .with("client identifier", &connect.client_id)
        .maybe("user name", login.and_then(|login| present(&login.username)))
        .maybe("password", login.and_then(|login| present(&login.password)).map(str::as_bytes));
    if let Some(properties) = &connect.properties {
        said = said
            .maybe("session expiry interval", properties.session_expiry_interval)
            .maybe("receive maximum", properties.receive_maximum)
            .maybe("maximum packet size", properties.max_packet_size)
            .maybe("topic alias maximum", properties.topic_alias_max)
            .maybe("request response information", properties.request_response_info)
            .maybe("request problem information", properties.request_problem_info)
            .list("user property", &properties.user_properties)
            .maybe("authentication method", properties.authentication_method.as_ref())
            .maybe("authentication data", properties.authentication_data.as_deref());
    }
    let Some(will) = will else { return said };
    let said = said
        .with("will topic", std::str::from_utf8(&will.topic).unwrap())
        .with("will payload", &will.message[..])
        .with("will qos", will.qos as u8)
        .with("will retain", will.retain);
    let Some(properties) = &will.properties else { return said };
    said.maybe("will will delay interval", properties.delay_interval)
        .maybe("will payload format indicator", properties.payload_format_indicator)
        .maybe("will message expiry interval", properties.message_expiry_interval)
        .maybe("will content type", properties.content_type.as_ref())
        .maybe("will response topic", properties.response_topic.as_ref())
        .maybe("will correlation data", properties.correlation_data.as_deref())
        .list("will user property", &properties.user_properties)
}

fn said_connack(connack: &v5::ConnAck) -> Said {
    let said = Said::packet("CONNACK")
        .with("session present", connack.session_present)
        .with("reason", CONNACK[connack.code as usize]);
    let Some(properties) = &connack.properties else { return said };
    let said = said
        .maybe("session expiry interval", properties.session_expiry_interval)
        .maybe("receive maximum", properties.receive_max)
        .maybe("maximum QoS", properties.max_qos)
        .maybe("retain available", properties.retain_available)
        .maybe("maximum packet size", properties.max_packet_size)
        .maybe("assigned client identifier", properties.assigned_client_identifier.as_ref())
        .maybe("topic alias maximum", properties.topic_alias_max)
        .maybe("wildcard subscription available", properties.wildcard_subscription_available)
        .maybe("subscription identifier available", properties.subscription_identifiers_available)
        .maybe("shared subscription available", properties.shared_subscription_available)
        .maybe("server keep alive", properties.server_keep_alive)
        .maybe("response information", properties.response_information.as_ref())
        .maybe("server reference", properties.server_reference.as_ref())
        .maybe("authentication method", properties.authentication_method.as_ref())
        .maybe("authentication data", properties.authentication_data.as_deref());
    answer!(said, Some(properties))
}

fn said_publish(publish: &v5::Publish) -> Said {
    let said = Said::packet("PUBLISH")
        .with("dup", publish.dup)
        .with("qos", publish.qos as u8)
        .with("retain", publish.retain)
        .with("topic", std::str::from_utf8(&publish.topic).unwrap())
        .maybe("id", (publish.pkid > 0).then_some(publish.pkid))
        .with("payload", &publish.payload[..]);
    let Some(properties) = &publish.properties else { return said };
    said.maybe("payload format indicator", properties.payload_format_indicator)
        .maybe("message expiry interval", properties.message_expiry_interval)
        .maybe("topic alias", properties.topic_alias)
        .maybe("response topic", properties.response_topic.as_ref())
        .maybe("correlation data", properties.correlation_data.as_deref())
        .list("user property", &properties.user_properties)
        .list("subscription identifier", &properties.subscription_identifiers)
        .maybe("content type", properties.content_type.as_ref())
}
