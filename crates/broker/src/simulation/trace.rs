//! Everything that happens in a run, as lines to read and as one number to compare.

use mqtt_wire::Packet;
use std::fmt::Write as _;
use std::time::Duration;

/// FNV-1a's, which is the same everywhere: only compared, never trusted.
const OFFSET_BASIS: u64 = 0xCBF2_9CE4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01B3;

pub(super) struct Trace {
    pub(super) digest: u64,
    lines: Vec<String>,
}

impl Trace {
    pub(super) fn new() -> Self {
        Self { digest: OFFSET_BASIS, lines: Vec::new() }
    }

    pub(super) fn note(&mut self, now: Duration, what: std::fmt::Arguments<'_>) {
        let mut line = format!("{:>12.3} s  ", now.as_secs_f64());
        line.write_fmt(what).expect("a string takes everything");
        for byte in line.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(PRIME);
        }
        self.lines.push(line);
    }

    pub(super) fn lines(&self) -> &[String] {
        &self.lines
    }
}

/// A packet in a few words.
pub(super) fn show(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Connect(connect) => {
            let clean = if connect.clean_start { ", clean" } else { "" };
            format!("CONNECT as {}{clean}", connect.client_id)
        }
        Packet::ConnAck(connack) => {
            let present = if connack.session_present { ", session present" } else { "" };
            format!("CONNACK {:?}{present}", connack.reason)
        }
        Packet::Publish(publish) => format!(
            "PUBLISH {}{} {} `{}`",
            publish.packet_id.map_or_else(|| "QoS 0".to_owned(), |id| id.to_string()),
            if publish.dup { " DUP" } else { "" },
            publish.topic.map_or("-", |topic| topic.as_str()),
            String::from_utf8_lossy(publish.payload)
        ),
        Packet::PubAck(ack) => format!("PUBACK {} {:?}", ack.packet_id, ack.reason),
        Packet::Subscribe(subscribe) => {
            let filters: Vec<_> =
                subscribe.filters.iter().map(|one| one.filter.as_str().to_owned()).collect();
            format!("SUBSCRIBE {} {}", subscribe.packet_id, filters.join(", "))
        }
        Packet::SubAck(suback) => {
            format!("SUBACK {} {:?}", suback.packet_id, suback.codes.iter().collect::<Vec<_>>())
        }
        Packet::Unsubscribe(unsubscribe) => {
            let filters: Vec<_> =
                unsubscribe.filters.iter().map(|filter| filter.as_str().to_owned()).collect();
            format!("UNSUBSCRIBE {} {}", unsubscribe.packet_id, filters.join(", "))
        }
        Packet::UnsubAck(unsuback) => format!("UNSUBACK {}", unsuback.packet_id),
        Packet::Disconnect(disconnect) => format!("DISCONNECT {:?}", disconnect.reason),
        other => format!("{}", other.kind()),
    }
}
