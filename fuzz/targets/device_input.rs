//! What a device reads from others: a DHCP server's answer, a time server's, and the bytes of an MQTT server.
#![no_main]

use device_core::sntp::{self, Request, SNTP_BYTES};
use device_core::{Action, Config, Device, INFORM_PACKET_BYTES, Inform, Phase, SEND_BYTES_MAX};
use libfuzzer_sys::fuzz_target;

const INFORM: Inform =
    Inform { transaction_id: 7, address: [10, 0, 0, 2], hardware_address: [2, 0, 0, 0, 0, 1] };

/// Of IPv4, and of UDP and BOOTP behind it.
const IP_BYTES: usize = 20;
const HEADS_BYTES: usize = IP_BYTES + 8 + 240;

fuzz_target!(|bytes: &[u8]| {
    check_dhcp(bytes);
    check_time(bytes);
    check_server(bytes);
});

/// The input is a packet, and the options of one whose heads are right.
fn check_dhcp(bytes: &[u8]) {
    let _ = INFORM.ntp_server(bytes);
    if let Some(server) = INFORM.ntp_server(&dhcp_answer(bytes)) {
        assert!(bytes.windows(4).any(|window| window == server), "{server:?} comes from nowhere");
    }
}

/// The question, turned round. Without the optional checksum of UDP.
fn dhcp_answer(options: &[u8]) -> Vec<u8> {
    let mut question = [0; INFORM_PACKET_BYTES];
    INFORM.write_ipv4_packet(&mut question);
    let mut answer = question[..HEADS_BYTES].to_vec();
    answer.extend(options.iter().take(usize::from(u16::MAX) - HEADS_BYTES));
    let length = answer.len() as u16;
    answer[2..4].copy_from_slice(&length.to_be_bytes());
    answer[20..24].copy_from_slice(&[0, 67, 0, 68]);
    answer[24..26].copy_from_slice(&(length - IP_BYTES as u16).to_be_bytes());
    answer[26..28].fill(0);
    answer[28] = 2;
    answer[10..12].fill(0);
    let words = answer[..IP_BYTES].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let sum = words.sum::<u32>();
    let checksum = !((sum & 0xFFFF) + (sum >> 16)) as u16;
    answer[10..12].copy_from_slice(&checksum.to_be_bytes());
    answer
}

/// A question gets an answer that the asker understands, and nothing else gets any.
fn check_time(bytes: &[u8]) {
    const UNIX_MS: u64 = 1_764_000_000_123;
    let nonce = bytes.last_chunk().copied().map_or(0, u64::from_be_bytes);
    let request = Request::new(nonce);
    let _ = request.check(bytes, UNIX_MS);
    if let Some(answer) = sntp::answer(bytes, UNIX_MS) {
        assert_eq!(bytes.len(), SNTP_BYTES);
        assert_eq!(request.check(&answer, UNIX_MS), Ok(UNIX_MS));
        assert_eq!(sntp::answer(&answer, UNIX_MS), None, "two servers would answer each other forever");
    }
}

/// A server's bytes mean the same however they arrive, and always leave a device that waits for something.
fn check_server(bytes: &[u8]) {
    let whole = heard(&[bytes]);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(whole, heard(&single));
}

fn heard(pieces: &[&[u8]]) -> (Phase, u64, usize) {
    let mut device = Device::new(Config::new("device", "topic", 1)).expect("a valid configuration");
    device.handle_online(0);
    settle(&mut device);
    device.handle_transport_connected(0);
    settle(&mut device);
    for piece in pieces {
        device.handle_bytes(piece, 0);
    }
    settle(&mut device);
    assert!(device.poll_timeout() > Some(0));
    (device.phase(), device.delivered(), device.waiting())
}

fn settle(device: &mut Device<'_>) {
    let mut out = [0; SEND_BYTES_MAX];
    let mut actions = 0;
    while let Some(action) = device.poll_action(0, &mut out) {
        actions += 1;
        assert!(actions < 10, "the device does not come to rest");
        if let Action::Sample { .. } = action {
            let mut samples = device_core::Samples::new();
            samples.add(device_core::AdcReading::from_12_bits(876));
            device.handle_samples(&samples, 0);
        }
    }
}
