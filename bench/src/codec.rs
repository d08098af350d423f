//! PUBLISH to bytes and back. Floor: copying the same bytes.

use crate::measure::compare;
use mqtt_wire::ProtocolVersion::V311;
use mqtt_wire::{Packet, PacketId, Properties, Publish, QoS, TopicName, decode};
use std::hint::black_box;
use std::path::Path;

pub(crate) fn run(_: &Path) {
    for (size, payload) in [("59 bytes", "{\"temp\": 27.51254}".to_owned()), ("1 KB", "x".repeat(1_000))] {
        let publish = Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: Some(TopicName::parse("$aws/rules/telemetry/pico_w_simple").unwrap()),
            packet_id: PacketId::new(7),
            properties: Properties::NONE,
            payload: payload.as_bytes(),
        });
        let mut bytes = vec![0; publish.encoded_len(V311)];
        let length = publish.encode(V311, &mut bytes).unwrap();
        bytes.truncate(length);
        let (mut out, mut copied) = (vec![0; length], vec![0; length]);
        compare(
            &format!("decode PUBLISH QoS 1, {size}"),
            || decode(black_box(&bytes), V311, 1 << 20).is_ok(),
            || copied.copy_from_slice(black_box(&bytes)),
        );
        compare(
            &format!("encode PUBLISH QoS 1, {size}"),
            || black_box(&publish).encode(V311, black_box(&mut out)).unwrap(),
            || copied.copy_from_slice(black_box(&bytes)),
        );
    }
}
