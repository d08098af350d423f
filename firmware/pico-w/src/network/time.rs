//! The date, from time servers [RFC 4330], before anything is encrypted and every hour.

use core::fmt;
use device_core::settings::Settings;

use device_core::calendar::DateTime;
use device_core::sntp::{Request, SNTP_BYTES, SNTP_PORT, SntpError};
use device_core::{ClockError, QUERY_MS_MAX, TimeSource, TimeSync};
use embassy_futures::select::{Either, select};
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{IpAddress, Stack};
use embassy_time::{Duration, Instant, Timer, with_timeout};

use super::{ADDRESSED, dhcp_option, socket};
use crate::clock::{self, now_ms};
use crate::entropy;

/// How long the log gets before a restart: a full ring of lines at 115200 baud.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Keeps the clock right, forever.
#[embassy_executor::task]
pub(super) async fn keep(stack: Stack<'static>, settings: &'static Settings<'static>) -> ! {
    let mut addressed = ADDRESSED.receiver().expect("one receiver is all that there is");
    let mut time_sync = TimeSync::new(entropy::next_u64());
    loop {
        addressed.get_and(|is_addressed| *is_addressed).await;
        let offered = dhcp_option::ntp_server(stack).await;
        time_sync.set_sources(!settings.ntp_host.is_empty(), offered.is_some());
        time_sync.handle_network(true, now_ms());
        let asked = async {
            loop {
                match time_sync.poll(now_ms()) {
                    Some(source) => ask(stack, settings, &mut time_sync, source, offered).await,
                    None => {
                        let next_ms = time_sync.poll_timeout().unwrap_or(now_ms() + 60_000);
                        Timer::at(Instant::from_millis(next_ms)).await;
                    }
                }
            }
        };
        match select(addressed.get_and(|is_addressed| !*is_addressed), asked).await {
            Either::First(_) => {}
            Either::Second(never) => never,
        }
        time_sync.handle_network(false, now_ms());
    }
}

async fn ask(
    stack: Stack<'_>,
    settings: &Settings<'_>,
    time_sync: &mut TimeSync,
    source: TimeSource,
    offered: Option<[u8; 4]>,
) {
    let name = match source {
        TimeSource::Configured => settings.ntp_host,
        TimeSource::Dhcp => "the network's time server",
        TimeSource::Fallback(host) => host,
    };
    let address = match (source, offered) {
        (TimeSource::Dhcp, Some([a, b, c, d])) => Some(IpAddress::v4(a, b, c, d)),
        _ => socket::resolve(stack, name).await,
    };
    let answered = match address {
        Some(address) => with_timeout(Duration::from_millis(QUERY_MS_MAX), query(stack, address)).await,
        None => Ok(Err(QueryError::NoAddress)),
    };
    match answered {
        Ok(Ok(unix_ms)) => match clock::set(unix_ms) {
            Ok(()) => {
                log::info!("time: {} from {name}", DateTime::from_unix_s(unix_ms / 1_000));
                time_sync.handle_answer(now_ms());
                return;
            }
            Err(error @ ClockError::Ahead { .. }) => {
                log::error!("time: {name}: {error}; restarting, because it does not go back");
                Timer::after(LAST_WORDS).await;
                cortex_m::peripheral::SCB::sys_reset();
            }
            Err(error) => log::warn!("time: {name}: {error}"),
        },
        Ok(Err(reason)) => log::warn!("time: {name}: {reason}"),
        Err(_) => log::warn!("time: {name}: no answer"),
    }
    time_sync.handle_no_answer(now_ms());
}

/// Why a server did not tell the time.
enum QueryError {
    NoAddress,
    NotSent,
    Answer(SntpError),
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress => f.write_str("the name has no address"),
            Self::NotSent => f.write_str("the question cannot be sent"),
            Self::Answer(error) => error.fmt(f),
        }
    }
}

async fn query(stack: Stack<'_>, server: IpAddress) -> Result<u64, QueryError> {
    let (mut receive_meta, mut send_meta) = ([PacketMetadata::EMPTY; 2], [PacketMetadata::EMPTY; 2]);
    let (mut receive, mut send) = ([0; 2 * SNTP_BYTES], [0; SNTP_BYTES]);
    let mut socket = UdpSocket::new(stack, &mut receive_meta, &mut receive, &mut send_meta, &mut send);
    socket.bind(0).map_err(|_| QueryError::NotSent)?;
    // A stranger who has not seen the request cannot guess it, so cannot answer in the server's place.
    let request = Request::new(entropy::next_u64());
    let sent = socket.send_to(&request.bytes(), (server, SNTP_PORT)).await;
    sent.map_err(|_| QueryError::NotSent)?;
    let mut answer = [0; 2 * SNTP_BYTES];
    loop {
        // Longer datagrams are nobody's answer.
        let Ok((read, from)) = socket.recv_from(&mut answer).await else { continue };
        if from.endpoint.addr != server || from.endpoint.port != SNTP_PORT {
            continue;
        }
        return request.check(&answer[..read], clock::BUILT_AT_UNIX_MS).map_err(QueryError::Answer);
    }
}
