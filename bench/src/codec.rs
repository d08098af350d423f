//! PUBLISH to bytes and back, in both versions. Floor: copying the same bytes.

use crate::measure::compare;
use mqtt_wire::ProtocolVersion::{self, V5, V311};
use mqtt_wire::{Packet, PacketId, Properties, PropertiesWriter, Property, Publish, QoS, TopicName, decode};
use std::hint::black_box;
use std::path::Path;

pub(crate) fn run(_: &Path) {
    let (small, large) = ("{\"temp\": 27.51254}", "x".repeat(1_000));
    measure("QoS 1, 59 bytes", V311, small, Properties::NONE);
    measure("QoS 1, 1 KB", V311, &large, Properties::NONE);
    measure("5.0, 60 bytes", V5, small, Properties::NONE);
    let mut block = [0; 128];
    let mut writer = PropertiesWriter::new(&mut block);
    for property in [
        Property::PayloadFormatIsUtf8(true),
        Property::MessageExpiryIntervalS(3_600),
        Property::ContentType("application/json"),
        Property::UserProperty("line", "7"),
        Property::UserProperty("trace", "00-4bf92f3577b34da6"),
    ] {
        writer.push(property).unwrap();
    }
    measure("5.0, 5 properties", V5, small, writer.finish());
}

fn measure(name: &str, version: ProtocolVersion, payload: &str, properties: Properties<'_>) {
    let publish = Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Some(TopicName::parse("$aws/rules/telemetry/pico_w_simple").unwrap()),
        packet_id: PacketId::new(7),
        properties,
        payload: payload.as_bytes(),
    });
    let mut bytes = vec![0; publish.encoded_len(version)];
    let length = publish.encode(version, &mut bytes).unwrap();
    bytes.truncate(length);
    let (mut out, mut copied) = (vec![0; length], vec![0; length]);
    compare(
        &format!("decode PUBLISH {name}"),
        || decode(black_box(&bytes), version, 1 << 20).is_ok(),
        || copied.copy_from_slice(black_box(&bytes)),
    );
    compare(
        &format!("encode PUBLISH {name}"),
        || black_box(&publish).encode(version, black_box(&mut out)).unwrap(),
        || copied.copy_from_slice(black_box(&bytes)),
    );
}
