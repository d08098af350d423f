//! The codec of the broker RMQTT, in both versions: the same bytes say the same, in both directions.
//!
//! Where it is not the standard: it takes a message expiry interval of 0 and an empty client identifier without clean
//! start for malformed (the first says *expires at once* [MQTT5 3.3.2.3.3], the second is for the server to refuse with
//! 0x85 [MQTT5 3.1.3-8]), and a property with its default value is to it as one that is not there.
#![expect(clippy::unwrap_used, reason = "what is made here is valid, or the test fails")]

#[path = "../../../crates/mqtt-wire/tests/made/mod.rs"]
#[allow(dead_code, reason = "the laws of the codec use more of it")]
mod made;
mod support;

use bytes::BytesMut;
use differential::Said;
use made::{Made, made_in};
use mqtt_wire::ProtocolVersion::{V5, V311};
use proptest::prelude::*;
use rmqtt_codec::types::QoS;
use rmqtt_codec::{v3, v5};
use support::{agree, config};
use tokio_util::codec::{Decoder as _, Encoder as _};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn mqtt_311(made in made_in(V311)) {
        let read = |bytes: &[u8]| v3::Codec::new(0).decode(&mut bytes.into()).map(|read| read.unwrap().0);
        let write = |packet| {
            let mut out = BytesMut::new();
            v3::Codec::new(0).encode(packet, &mut out).unwrap();
            out.to_vec()
        };
        if !is_refused_by_rmqtt(&made) {
            agree(&made, read, said_3, write, |said| said)?;
        }
    }

    #[test]
    fn mqtt_5(made in made_in(V5)) {
        let read = |bytes: &[u8]| v5::Codec::new(0, 0).decode(&mut bytes.into()).map(|read| read.unwrap().0);
        let write = |packet| {
            let mut out = BytesMut::new();
            v5::Codec::new(0, 0).encode(packet, &mut out).unwrap();
            out.to_vec()
        };
        if !is_refused_by_rmqtt(&made) {
            agree(&made, read, said_5, write, without_defaults)?;
        }
    }
}

/// The packets that are left out below, each in its smallest form.
#[test]
fn what_rmqtt_refuses_and_we_take() {
    let expires_at_once = b"\x30\x09\0\x01a\x05\x02\0\0\0\0".as_slice();
    let nameless = b"\x10\x0d\0\x04MQTT\x05\0\0\x3c\0\0\0".as_slice();
    for bytes in [expires_at_once, nameless] {
        assert!(v5::Codec::new(0, 0).decode(&mut bytes.into()).is_err(), "{bytes:02x?}");
        assert!(matches!(mqtt_wire::decode(bytes, V5, 64), Ok(Some(_))), "{bytes:02x?}");
    }
}

fn is_refused_by_rmqtt(made: &Made) -> bool {
    made.with(|packet| match packet {
        mqtt_wire::Packet::Connect(connect) => {
            let will_expires = connect.will.and_then(|will| will.properties.message_expiry_interval_s());
            connect.client_id.is_empty() && !connect.clean_start || will_expires == Some(0)
        }
        mqtt_wire::Packet::Publish(publish) => publish.properties.message_expiry_interval_s() == Some(0),
        _ => false,
    })
}

fn without_defaults(said: Said) -> Said {
    said.without("session expiry interval", 0)
        .without("request problem information", 1)
        .without("request response information", 0)
        .without("receive maximum", 65_535)
        .without("topic alias maximum", 0)
        .without("retain available", 1)
        .without("wildcard subscription available", 1)
        .without("subscription identifier available", 1)
        .without("shared subscription available", 1)
        .without("payload format indicator", 0)
}

fn number(qos: QoS) -> u8 {
    qos.into()
}

fn said_3(packet: &v3::Packet) -> Said {
    match packet {
        v3::Packet::Connect(connect) => {
            let said = Said::packet("CONNECT")
                .with("clean start", connect.clean_session)
                .with("keep alive", connect.keep_alive)
                .with("client identifier", &connect.client_id[..])
                .maybe("user name", connect.username.as_deref())
                .maybe("password", connect.password.as_deref());
            match &connect.last_will {
                None => said,
                Some(will) => said
                    .with("will topic", &will.topic[..])
                    .with("will payload", &will.message[..])
                    .with("will qos", number(will.qos))
                    .with("will retain", will.retain),
            }
        }
        v3::Packet::ConnectAck(connack) => {
            let reason = [0x00, 0x84, 0x85, 0x88, 0x86, 0x87][usize::from(u8::from(connack.return_code))];
            Said::packet("CONNACK").with("session present", connack.session_present).with("reason", reason)
        }
        v3::Packet::Publish(publish) => Said::packet("PUBLISH")
            .with("dup", publish.dup)
            .with("qos", number(publish.qos))
            .with("retain", publish.retain)
            .with("topic", &publish.topic[..])
            .maybe("id", publish.packet_id)
            .with("payload", &publish.payload[..]),
        v3::Packet::PublishAck { packet_id } => {
            Said::packet("PUBACK").with("id", packet_id).with("reason", 0)
        }
        v3::Packet::PublishReceived { packet_id } => {
            Said::packet("PUBREC").with("id", packet_id).with("reason", 0)
        }
        v3::Packet::PublishRelease { packet_id } => {
            Said::packet("PUBREL").with("id", packet_id).with("reason", 0)
        }
        v3::Packet::PublishComplete { packet_id } => {
            Said::packet("PUBCOMP").with("id", packet_id).with("reason", 0)
        }
        v3::Packet::Subscribe { packet_id, topic_filters } => {
            let filters =
                topic_filters.iter().map(|(filter, qos)| (&filter[..], number(*qos), false, (false, 0)));
            Said::packet("SUBSCRIBE").with("id", packet_id).list("filters", filters)
        }
        v3::Packet::SubscribeAck { packet_id, status } => {
            let reasons = status.iter().map(|code| match code {
                v3::SubscribeReturnCode::Success(qos) => number(*qos),
                v3::SubscribeReturnCode::Failure => 0x80,
            });
            Said::packet("SUBACK").with("id", packet_id).list("reasons", reasons)
        }
        v3::Packet::Unsubscribe { packet_id, topic_filters } => Said::packet("UNSUBSCRIBE")
            .with("id", packet_id)
            .list("filters", topic_filters.iter().map(|filter| &filter[..])),
        v3::Packet::UnsubscribeAck { packet_id } => Said::packet("UNSUBACK").with("id", packet_id),
        v3::Packet::PingRequest => Said::packet("PINGREQ"),
        v3::Packet::PingResponse => Said::packet("PINGRESP"),
        v3::Packet::Disconnect => Said::packet("DISCONNECT").with("reason", 0),
    }
}

type Pairs = [(bytestring::ByteString, bytestring::ByteString)];

fn pairs(said: Said, name: &str, pairs: &Pairs) -> Said {
    said.list(name, pairs.iter().map(|(name, value)| (&name[..], &value[..])))
}

fn answer(said: Said, reason_string: &Option<bytestring::ByteString>, user: &Pairs) -> Said {
    pairs(said.maybe("reason string", reason_string.as_deref()), "user property", user)
}

fn said_5(packet: &v5::Packet) -> Said {
    match packet {
        v5::Packet::Connect(connect) => said_connect(connect),
        v5::Packet::ConnectAck(connack) => said_connack(connack),
        v5::Packet::Publish(publish) => {
            let properties = publish.properties.as_ref().unwrap();
            let said = Said::packet("PUBLISH")
                .with("dup", publish.dup)
                .with("qos", number(publish.qos))
                .with("retain", publish.retain)
                .with("topic", &publish.topic[..])
                .maybe("id", publish.packet_id)
                .with("payload", &publish.payload[..])
                .with("payload format indicator", u8::from(properties.is_utf8_payload))
                .maybe("message expiry interval", properties.message_expiry_interval)
                .maybe("content type", properties.content_type.as_deref())
                .maybe("response topic", properties.response_topic.as_deref())
                .maybe("correlation data", properties.correlation_data.as_deref())
                .maybe("topic alias", properties.topic_alias)
                .list("subscription identifier", &properties.subscription_ids);
            pairs(said, "user property", &properties.user_properties)
        }
        v5::Packet::PublishAck(ack) => said_ack("PUBACK", ack),
        v5::Packet::PublishReceived(ack) => said_ack("PUBREC", ack),
        v5::Packet::PublishRelease(ack) => said_ack2("PUBREL", ack),
        v5::Packet::PublishComplete(ack) => said_ack2("PUBCOMP", ack),
        v5::Packet::Subscribe(subscribe) => {
            let filters = subscribe.topic_filters.iter().map(|(filter, options)| {
                let retain = (options.retain_as_published, u8::from(options.retain_handling));
                (&filter[..], number(options.qos), options.no_local, retain)
            });
            let said = Said::packet("SUBSCRIBE")
                .with("id", subscribe.packet_id)
                .list("filters", filters)
                .list("subscription identifier", subscribe.id);
            pairs(said, "user property", &subscribe.user_properties)
        }
        v5::Packet::SubscribeAck(suback) => {
            let reasons = suback.status.iter().map(|code| u8::from(*code));
            let said = Said::packet("SUBACK").with("id", suback.packet_id).list("reasons", reasons);
            answer(said, &suback.reason_string, &suback.properties)
        }
        v5::Packet::Unsubscribe(unsubscribe) => {
            let filters = unsubscribe.topic_filters.iter().map(|filter| &filter[..]);
            let said = Said::packet("UNSUBSCRIBE").with("id", unsubscribe.packet_id).list("filters", filters);
            pairs(said, "user property", &unsubscribe.user_properties)
        }
        v5::Packet::UnsubscribeAck(unsuback) => {
            let reasons = unsuback.status.iter().map(|code| u8::from(*code));
            let said = Said::packet("UNSUBACK").with("id", unsuback.packet_id).list("reasons", reasons);
            answer(said, &unsuback.reason_string, &unsuback.properties)
        }
        v5::Packet::PingRequest => Said::packet("PINGREQ"),
        v5::Packet::PingResponse => Said::packet("PINGRESP"),
        v5::Packet::Disconnect(disconnect) => {
            let said = Said::packet("DISCONNECT")
                .with("reason", u8::from(disconnect.reason_code))
                .maybe("session expiry interval", disconnect.session_expiry_interval_secs)
                .maybe("server reference", disconnect.server_reference.as_deref());
            let said = said.without("session expiry interval", 0);
            answer(said, &disconnect.reason_string, &disconnect.user_properties)
        }
        v5::Packet::Auth(auth) => {
            let said = Said::packet("AUTH")
                .with("reason", u8::from(auth.reason_code))
                .maybe("authentication method", auth.auth_method.as_deref())
                .maybe("authentication data", auth.auth_data.as_deref());
            answer(said, &auth.reason_string, &auth.user_properties)
        }
    }
}

fn said_ack(name: &str, ack: &v5::PublishAck) -> Said {
    let said = Said::packet(name).with("id", ack.packet_id).with("reason", u8::from(ack.reason_code));
    answer(said, &ack.reason_string, &ack.properties)
}

fn said_ack2(name: &str, ack: &v5::PublishAck2) -> Said {
    let said = Said::packet(name).with("id", ack.packet_id).with("reason", u8::from(ack.reason_code));
    answer(said, &ack.reason_string, &ack.properties)
}

fn said_connect(connect: &v5::Connect) -> Said {
    let said = Said::packet("CONNECT")
        .with("clean start", connect.clean_start)
        .with("keep alive", connect.keep_alive)
        .with("client identifier", &connect.client_id[..])
        .maybe("user name", connect.username.as_deref())
        .maybe("password", connect.password.as_deref())
        .with("session expiry interval", connect.session_expiry_interval_secs)
        .maybe("authentication method", connect.auth_method.as_deref())
        .maybe("authentication data", connect.auth_data.as_deref())
        .with("request problem information", u8::from(connect.request_problem_info))
        .with("request response information", u8::from(connect.request_response_info))
        .maybe("receive maximum", connect.receive_max)
        .with("topic alias maximum", connect.topic_alias_max)
        .maybe("maximum packet size", connect.max_packet_size);
    let said = pairs(said, "user property", &connect.user_properties);
    let Some(will) = &connect.last_will else { return without_defaults(said) };
    let said = said
        .with("will topic", &will.topic[..])
        .with("will payload", &will.message[..])
        .with("will qos", number(will.qos))
        .with("will retain", will.retain)
        .maybe("will will delay interval", will.will_delay_interval_sec)
        .maybe("will correlation data", will.correlation_data.as_deref())
        .maybe("will message expiry interval", will.message_expiry_interval)
        .maybe("will content type", will.content_type.as_deref())
        .maybe("will payload format indicator", will.is_utf8_payload.map(u8::from))
        .maybe("will response topic", will.response_topic.as_deref());
    without_defaults(pairs(said, "will user property", &will.user_properties))
}

fn said_connack(connack: &v5::ConnectAck) -> Said {
    let maximum_qos = Some(number(connack.max_qos)).filter(|number| *number < 2);
    let said = Said::packet("CONNACK")
        .with("session present", connack.session_present)
        .with("reason", u8::from(connack.reason_code))
        .maybe("session expiry interval", connack.session_expiry_interval_secs)
        .with("receive maximum", connack.receive_max)
        .maybe("maximum QoS", maximum_qos)
        .maybe("maximum packet size", connack.max_packet_size)
        .maybe("assigned client identifier", connack.assigned_client_id.as_deref())
        .with("topic alias maximum", connack.topic_alias_max)
        .with("retain available", u8::from(connack.retain_available))
        .with("wildcard subscription available", u8::from(connack.wildcard_subscription_available))
        .with("subscription identifier available", u8::from(connack.subscription_identifiers_available))
        .with("shared subscription available", u8::from(connack.shared_subscription_available))
        .maybe("server keep alive", connack.server_keepalive_sec)
        .maybe("response information", connack.response_info.as_deref())
        .maybe("server reference", connack.server_reference.as_deref())
        .maybe("authentication method", connack.auth_method.as_deref())
        .maybe("authentication data", connack.auth_data.as_deref());
    without_defaults(answer(said, &connack.reason_string, &connack.user_properties))
}
