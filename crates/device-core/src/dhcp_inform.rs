//! DHCPINFORM: which time server does this network have? [RFC 2131 4.4.3]
//!
//! The board's network stack gets its address by DHCP and does not ask for more, so the device asks itself, with whole
//! IPv4 packets beside the stack. Whoever can answer could answer the stack's DHCP just as well.

/// Bytes of the question: an IPv4 packet.
pub const INFORM_PACKET_BYTES: usize = IP_BYTES + UDP_BYTES + BOOTP_BYTES_MIN;

const IP_BYTES: usize = 20;
const UDP_BYTES: usize = 8;
/// Some servers drop what is shorter [RFC 1542 2.1].
const BOOTP_BYTES_MIN: usize = 300;

const UDP: u8 = 17;
const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;
const BROADCAST: [u8; 4] = [255; 4];

// Places in the BOOTP message [RFC 2131 2].
const XID: usize = 4;
const CIADDR: usize = 12;
const CHADDR: usize = 28;
const COOKIE: usize = 236;
const OPTIONS: usize = 240;

const OP_REQUEST: u8 = 1;
const OP_REPLY: u8 = 2;
const ETHERNET: u8 = 1;
const ETHERNET_ADDRESS_BYTES: u8 = 6;
const MAGIC_COOKIE: [u8; 4] = [99, 130, 83, 99];

// Options [RFC 2132].
const PAD: u8 = 0;
const NTP_SERVERS: u8 = 42;
const MESSAGE_TYPE: u8 = 53;
const PARAMETER_REQUEST: u8 = 55;
const END: u8 = 255;

const ACK: u8 = 5;
const INFORM: u8 = 8;

/// A question for the network's time server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inform {
    /// A random number, new for each question, by which the answer is known.
    pub transaction_id: u32,
    /// The address that the board has.
    pub address: [u8; 4],
    /// The address of its radio.
    pub hardware_address: [u8; 6],
}

impl Inform {
    /// Writes the question and returns its size, which is [`INFORM_PACKET_BYTES`]: an IPv4 packet to everybody.
    pub fn write_ipv4_packet(&self, out: &mut [u8; INFORM_PACKET_BYTES]) -> usize {
        out.fill(0);
        let (ip, udp) = out.split_at_mut(IP_BYTES);
        ip[0] = 0x45;
        ip[2..4].copy_from_slice(&(INFORM_PACKET_BYTES as u16).to_be_bytes());
        // Time to live.
        ip[8] = 64;
        ip[9] = UDP;
        ip[12..16].copy_from_slice(&self.address);
        ip[16..20].copy_from_slice(&BROADCAST);
        let checksum = !sum(0, ip);
        ip[10..12].copy_from_slice(&checksum.to_be_bytes());

        udp[..2].copy_from_slice(&CLIENT_PORT.to_be_bytes());
        udp[2..4].copy_from_slice(&SERVER_PORT.to_be_bytes());
        udp[4..6].copy_from_slice(&((UDP_BYTES + BOOTP_BYTES_MIN) as u16).to_be_bytes());
        self.write_message(&mut udp[UDP_BYTES..]);
        let checksum = !udp_sum(ip, udp);
        // Zero would say that there is no checksum [RFC 768].
        let checksum = if checksum == 0 { u16::MAX } else { checksum };
        udp[6..8].copy_from_slice(&checksum.to_be_bytes());
        INFORM_PACKET_BYTES
    }

    fn write_message(&self, message: &mut [u8]) {
        message[..3].copy_from_slice(&[OP_REQUEST, ETHERNET, ETHERNET_ADDRESS_BYTES]);
        message[XID..][..4].copy_from_slice(&self.transaction_id.to_be_bytes());
        message[CIADDR..][..4].copy_from_slice(&self.address);
        message[CHADDR..][..6].copy_from_slice(&self.hardware_address);
        message[COOKIE..][..4].copy_from_slice(&MAGIC_COOKIE);
        let options = [MESSAGE_TYPE, 1, INFORM, PARAMETER_REQUEST, 1, NTP_SERVERS, END];
        message[OPTIONS..][..options.len()].copy_from_slice(&options);
    }

    /// The time server's address, if this packet is the answer to this question and names one.
    pub fn ntp_server(&self, ipv4_packet: &[u8]) -> Option<[u8; 4]> {
        let options = self.answer(ipv4_packet)?;
        // [RFC 2132 8.3] One or more addresses, the preferred one first.
        let servers = option(options, NTP_SERVERS)?;
        let first: [u8; 4] = *servers.first_chunk()?;
        (servers.len().is_multiple_of(4) && is_one_host(first)).then_some(first)
    }

    /// Whether this packet is the answer to this question, also if it names no time server: waiting is over.
    pub fn is_answered_by(&self, ipv4_packet: &[u8]) -> bool {
        self.answer(ipv4_packet).is_some()
    }

    /// The options of the answer to this question.
    fn answer<'p>(&self, ipv4_packet: &'p [u8]) -> Option<&'p [u8]> {
        let message = udp_payload(ipv4_packet)?;
        let (head, options) = message.split_at_checked(OPTIONS)?;
        let is_ours = head[..3] == [OP_REPLY, ETHERNET, ETHERNET_ADDRESS_BYTES]
            && head[XID..][..4] == self.transaction_id.to_be_bytes()
            && head[CHADDR..][..6] == self.hardware_address
            && head[COOKIE..] == MAGIC_COOKIE;
        (is_ours && option(options, MESSAGE_TYPE)? == [ACK]).then_some(options)
    }
}

/// What a whole UDP packet from a DHCP server to a client carries.
fn udp_payload(packet: &[u8]) -> Option<&[u8]> {
    let first = *packet.first()?;
    let ip_bytes = usize::from(first & 0x0F) * 4;
    if first >> 4 != 4 || ip_bytes < IP_BYTES {
        return None;
    }
    // Behind the packet's end there may be the padding of an Ethernet frame.
    let packet = packet.get(..usize::from(u16_at(packet, 2)?))?;
    let (ip, udp) = packet.split_at_checked(ip_bytes)?;
    // More fragments, or not the first.
    let is_fragment = u16_at(ip, 6)? & 0x3FFF != 0;
    if ip[9] != UDP || is_fragment || sum(0, ip) != u16::MAX {
        return None;
    }
    if u16_at(udp, 0)? != SERVER_PORT || u16_at(udp, 2)? != CLIENT_PORT {
        return None;
    }
    let udp = udp.get(..usize::from(u16_at(udp, 4)?))?;
    let has_checksum = u16_at(udp, 6)? != 0;
    if has_checksum && udp_sum(ip, udp) != u16::MAX {
        return None;
    }
    udp.get(UDP_BYTES..)
}

/// The first option with this code. Those hidden in the server's name and the file [RFC 2132 9.3] are not looked at:
/// no server hides three short options.
fn option(mut options: &[u8], wanted: u8) -> Option<&[u8]> {
    loop {
        let (code, rest) = options.split_first()?;
        match *code {
            PAD => options = rest,
            END => return None,
            code => {
                let (length, rest) = rest.split_first()?;
                let (value, rest) = rest.split_at_checked(usize::from(*length))?;
                if code == wanted {
                    return Some(value);
                }
                options = rest;
            }
        }
    }
}

/// Neither nobody nor many.
const fn is_one_host(address: [u8; 4]) -> bool {
    let address = core::net::Ipv4Addr::from_octets(address);
    !(address.is_unspecified() || address.is_broadcast() || address.is_multicast() || address.is_loopback())
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The sum of a UDP packet and of its pseudo-header [RFC 768].
fn udp_sum(ip: &[u8], udp: &[u8]) -> u16 {
    let length = (udp.len() as u16).to_be_bytes();
    let pseudo = sum(sum(0, &ip[12..20]), &[0, UDP, length[0], length[1]]);
    sum(pseudo, udp)
}

/// The ones' complement sum of the Internet checksum [RFC 1071], to go on with.
fn sum(begun: u16, bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        u32::from(u16::from_be_bytes([pair[0], low]))
    });
    // INVARIANT: a packet has at most 32,768 words, so 32 bits hold their sum.
    let mut total = u32::from(begun) + words.sum::<u32>();
    while total > u32::from(u16::MAX) {
        total = (total & 0xFFFF) + (total >> 16);
    }
    total as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const QUESTION: Inform = Inform {
        transaction_id: 0x3903_F326,
        address: [192, 168, 1, 57],
        hardware_address: [0x28, 0xCD, 0xC1, 1, 2, 3],
    };

    fn question() -> [u8; INFORM_PACKET_BYTES] {
        let mut packet = [0xAA; INFORM_PACKET_BYTES];
        assert_eq!(QUESTION.write_ipv4_packet(&mut packet), packet.len());
        packet
    }

    /// A server's packet with these options, changed, with right checksums.
    fn answer(options: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut packet = question()[..IP_BYTES + UDP_BYTES + OPTIONS].to_vec();
        packet.extend(options);
        packet[12..16].copy_from_slice(&[192, 168, 1, 1]);
        packet[16..20].copy_from_slice(&QUESTION.address);
        packet[20..24].copy_from_slice(&[0, 67, 0, 68]);
        packet[28] = OP_REPLY;
        let length = packet.len() as u16;
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        packet[24..26].copy_from_slice(&(length - 20).to_be_bytes());
        change(&mut packet);
        packet[10..12].fill(0);
        let checksum = !sum(0, &packet[..20]);
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        packet[26..28].fill(0);
        let checksum = !udp_sum(&packet[..20], &packet[20..]);
        packet[26..28].copy_from_slice(&checksum.to_be_bytes());
        packet
    }

    const GOOD: [u8; 14] = [53, 1, 5, 0, 42, 8, 192, 168, 1, 9, 192, 168, 1, 10];

    #[test]
    fn the_questions_bytes() {
        let packet = question();
        let ip = [0x45, 0, 0x01, 0x48, 0, 0, 0, 0, 64, 17, 0xB7, 0xC4, 192, 168, 1, 57, 255, 255, 255, 255];
        assert_eq!(packet[..20], ip);
        assert_eq!(packet[20..26], [0, 68, 0, 67, 0x01, 0x34]);
        assert_eq!(packet[28..32], [1, 1, 6, 0]);
        assert_eq!(packet[32..36], [0x39, 0x03, 0xF3, 0x26]);
        assert_eq!(packet[40..44], QUESTION.address);
        assert_eq!(packet[56..62], QUESTION.hardware_address);
        assert_eq!(packet[264..276], [99, 130, 83, 99, 53, 1, 8, 55, 1, 42, 255, 0]);
        assert_eq!((sum(0, &packet[..20]), udp_sum(&packet[..20], &packet[20..])), (u16::MAX, u16::MAX));
    }

    /// The example that RFC 1071 works through.
    #[test]
    fn the_checksum_of_the_internet() {
        assert_eq!(sum(0, &[0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7]), 0xDDF2);
        assert_eq!(sum(0, &[0x12]), 0x1200, "an odd byte is the upper one");
    }

    #[test]
    fn the_answer_names_the_first_server() {
        assert_eq!(QUESTION.ntp_server(&answer(&GOOD, |_| {})), Some([192, 168, 1, 9]));
        let padded = [answer(&GOOD, |_| {}), std::vec![0xEE; 30]].concat();
        assert_eq!(QUESTION.ntp_server(&padded), Some([192, 168, 1, 9]), "the padding of a frame");
        let mut without_checksum = answer(&GOOD, |_| {});
        without_checksum[26..28].fill(0);
        assert_eq!(QUESTION.ntp_server(&without_checksum), Some([192, 168, 1, 9]));
        let long_header = answer(&GOOD, |_| {});
        let mut long_header = [&long_header[..20], &[1, 1, 1, 1], &long_header[20..]].concat();
        long_header[0] = 0x46;
        let length = long_header.len() as u16;
        long_header[2..4].copy_from_slice(&length.to_be_bytes());
        long_header[10..12].fill(0);
        let checksum = !sum(0, &long_header[..24]);
        long_header[10..12].copy_from_slice(&checksum.to_be_bytes());
        assert_eq!(QUESTION.ntp_server(&long_header), Some([192, 168, 1, 9]), "options of IP");
    }

    #[test]
    fn what_is_not_the_answer_names_nobody() {
        type Change = fn(&mut Vec<u8>);
        let changes: [(&str, Change); 14] = [
            ("IP version 6", |packet| packet[0] = 0x65),
            ("an IP header that is too short", |packet| packet[0] = 0x44),
            ("TCP", |packet| packet[9] = 6),
            ("a first fragment", |packet| packet[6] = 0x20),
            ("a later fragment", |packet| packet[7] = 1),
            ("another port of the sender", |packet| packet[21] = 66),
            ("another port of the receiver", |packet| packet[23] = 67),
            ("a question", |packet| packet[28] = 1),
            ("not Ethernet", |packet| packet[29] = 6),
            ("another transaction", |packet| packet[35] ^= 1),
            ("another board", |packet| packet[61] ^= 1),
            ("another cookie", |packet| packet[267] ^= 1),
            ("a NAK", |packet| packet[270] = 6),
            ("longer than it is", |packet| packet[3] = packet[3].wrapping_add(1)),
        ];
        for (what, change) in changes {
            assert_eq!(QUESTION.ntp_server(&answer(&GOOD, change)), None, "{what}");
        }
        let options: [(&str, &[u8]); 8] = [
            ("no options", &[]),
            ("no type", &[42, 4, 10, 0, 0, 1, 255]),
            ("no server", &[53, 1, 5, 255]),
            ("a server behind the end", &[53, 1, 5, 255, 42, 4, 10, 0, 0, 1]),
            ("five bytes", &[53, 1, 5, 42, 5, 10, 0, 0, 1, 9]),
            ("an empty list", &[53, 1, 5, 42, 0, 255]),
            ("cut off", &[53, 1, 5, 42, 8, 10, 0, 0, 1]),
            ("everybody", &[53, 1, 5, 42, 4, 255, 255, 255, 255]),
        ];
        for (what, options) in options {
            assert_eq!(QUESTION.ntp_server(&answer(options, |_| {})), None, "{what}");
        }
        for damaged in [10, 26, 80] {
            let mut packet = answer(&GOOD, |_| {});
            packet[damaged] ^= 1;
            assert_eq!(QUESTION.ntp_server(&packet), None, "a wrong checksum at {damaged}");
        }
        let packet = answer(&GOOD, |_| {});
        for end in 0..packet.len() {
            assert_eq!(QUESTION.ntp_server(&packet[..end]), None, "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
            options in proptest::collection::vec(any::<u8>(), 0..300),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5),
        ) {
            let _ = QUESTION.ntp_server(&bytes);
            let mut options = options;
            let _ = QUESTION.ntp_server(&answer(&options, |_| {}));
            options.splice(0..0, GOOD);
            let mut packet = answer(&options, |_| {});
            let _ = QUESTION.ntp_server(&packet);
            for (at, byte) in changes {
                let at = at.index(packet.len());
                packet[at] = byte;
            }
            let _ = QUESTION.ntp_server(&packet);
        }
    }
}
