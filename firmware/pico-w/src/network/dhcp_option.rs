//! DHCP's option 42, the network's own time server: the stack does not ask for it, so the board does.

use device_core::{INFORM_PACKET_BYTES, Inform};
use embassy_net::raw::{IpProtocol, IpVersion, PacketMetadata, RawSocket};
use embassy_net::{HardwareAddress, Stack};
use embassy_time::{Duration, with_timeout};

use crate::entropy;

/// The server that just gave us the address answers at once, or never.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Bytes of an answer at most: an Ethernet frame's content.
const ANSWER_BYTES_MAX: usize = 1_500;

/// The time server that the network names, if it does.
pub(super) async fn ntp_server(stack: Stack<'_>) -> Option<[u8; 4]> {
    let address = stack.config_v4()?.address.address().octets();
    let HardwareAddress::Ethernet(hardware_address) = stack.hardware_address();
    let transaction_id = entropy::next_u64() as u32;
    let inform = Inform { transaction_id, address, hardware_address: hardware_address.0 };

    let (mut receive_meta, mut send_meta) = ([PacketMetadata::EMPTY; 2], [PacketMetadata::EMPTY; 1]);
    let (mut receive, mut send) = ([0; ANSWER_BYTES_MAX], [0; INFORM_PACKET_BYTES]);
    let socket = RawSocket::new(
        stack,
        Some(IpVersion::Ipv4),
        Some(IpProtocol::Udp),
        &mut receive_meta,
        &mut receive,
        &mut send_meta,
        &mut send,
    );
    let mut packet = [0; INFORM_PACKET_BYTES];
    let length = inform.write_ipv4_packet(&mut packet);
    socket.send(&packet[..length]).await;
    let answered = async {
        let mut packet = [0; ANSWER_BYTES_MAX];
        loop {
            // The socket sees all of UDP; only the answer to this question counts.
            if let Ok(read) = socket.recv(&mut packet).await
                && inform.is_answered_by(&packet[..read])
            {
                return inform.ntp_server(&packet[..read]);
            }
        }
    };
    with_timeout(ANSWER_MAX, answered).await.ok().flatten()
}
