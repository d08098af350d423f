//! MQTT packets from any bytes.
//!
//! What must hold: no panic; a packet that arrives byte by byte is judged like one that arrives at once; what was
//! understood can be written again and means the same; the bound on the size is exact.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mqtt_wire::{DecodeError, Packet, decode};

/// Above what libFuzzer is told to make, so that only the input's own lengths decide.
const PACKET_BYTES_MAX: usize = 64 * 1024;

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    // As the broker's connection does: decode, skip, again.
    while let Some(packet_bytes) = check_first(rest) {
        rest = &rest[packet_bytes..];
    }
});

/// Checks the packet at the start of `bytes`, and gives its size if there is one.
fn check_first(bytes: &[u8]) -> Option<usize> {
    let whole = decode(bytes, PACKET_BYTES_MAX);
    check_arriving(bytes, &whole);
    let (packet, packet_bytes) = whole.ok()??;
    assert!(packet_bytes <= bytes.len());
    walk(&packet);
    check_written(&packet, &bytes[..packet_bytes]);
    assert_eq!(decode(bytes, packet_bytes), Ok(Some((packet, packet_bytes))));
    let refused = DecodeError::TooLarge { packet_bytes, packet_bytes_max: packet_bytes - 1 };
    assert_eq!(decode(bytes, packet_bytes - 1), Err(refused));
    Some(packet_bytes)
}

/// Nothing is said before it is certain, and what is said stays.
fn check_arriving(bytes: &[u8], whole: &Result<Option<(Packet<'_>, usize)>, DecodeError>) {
    for arrived in 0..bytes.len() {
        match decode(&bytes[..arrived], PACKET_BYTES_MAX) {
            Ok(None) => {}
            judged => return assert_eq!(&judged, whole, "after {arrived} bytes"),
        }
    }
}

/// The lists in a packet are decoded when they are walked.
fn walk(packet: &Packet<'_>) {
    let items = match packet {
        Packet::Subscribe(subscribe) => subscribe.filters.iter().count(),
        Packet::Unsubscribe(unsubscribe) => unsubscribe.filters.iter().count(),
        Packet::SubAck(suback) => suback.codes.iter().count(),
        _ => 1,
    };
    assert!(items > 0);
}

fn check_written(packet: &Packet<'_>, read: &[u8]) {
    let mut out = vec![0; packet.encoded_len()];
    assert_eq!(packet.encode(&mut out), Ok(out.len()));
    assert_eq!(decode(&out, out.len()), Ok(Some((*packet, out.len()))));
    // A remaining length may be written with superfluous bytes; nothing else has two spellings.
    assert!(out.len() < read.len() || out == read, "{read:02x?} became {out:02x?}");
    let short = out.len() - 1;
    assert!(packet.encode(&mut out[..short]).is_err());
}
