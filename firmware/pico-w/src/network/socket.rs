//! The network's end of the tunnel: name, TCP connection, and bytes both ways.

use embassy_futures::select::{Either, Either3, select, select3};
use embassy_net::dns::DnsQueryType;
use embassy_net::tcp::{ConnectError, TcpReader, TcpSocket, TcpWriter};
use embassy_net::{IpAddress, Stack};
use embassy_time::{Duration, with_timeout};
use embedded_io_async::Write as _;

use crate::tunnel::{INWARD, OUTCOME, OUTWARD, OpenError, REQUEST, Request, begin, end};

/// What the server may have under way to us: our window.
const RECEIVE_BYTES: usize = 4_096;
/// What we may have under way to the server.
const SEND_BYTES: usize = 4_096;
/// A name server that has not answered by then will not: the stack asks several times.
const RESOLVE_MAX: Duration = Duration::from_secs(10);
/// Three attempts of TCP to connect.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Bytes that nobody acknowledges for this long are on no connection: half-open, or the server is gone.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// A connection without traffic is probed, so that a half-open one is noticed.
const PROBE_EVERY: Duration = Duration::from_secs(10);
/// How long the last bytes and the end of the connection may take.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// Serves one connection after the other.
#[embassy_executor::task]
pub(super) async fn serve(stack: Stack<'static>) -> ! {
    let (mut receive, mut send) = ([0; RECEIVE_BYTES], [0; SEND_BYTES]);
    loop {
        let Request::Open { attempt, host, port } = REQUEST.wait().await else { continue };
        let mut socket = TcpSocket::new(stack, &mut receive, &mut send);
        // A new request, or giving up, ends the attempt.
        let opened = match select(open(stack, &mut socket, host, port), REQUEST.wait()).await {
            Either::First(opened) => opened,
            Either::Second(request) => {
                socket.abort();
                REQUEST.signal(request);
                continue;
            }
        };
        if let Err(error) = opened {
            socket.abort();
            OUTCOME.signal((attempt, Err(error)));
            continue;
        }
        begin();
        OUTCOME.signal((attempt, Ok(())));
        carry(&mut socket).await;
        end();
        farewell(&mut socket).await;
    }
}

async fn open(stack: Stack<'_>, socket: &mut TcpSocket<'_>, host: &str, port: u16) -> Result<(), OpenError> {
    if !stack.is_config_up() {
        return Err(OpenError::Offline);
    }
    let address = resolve(stack, host).await.ok_or(OpenError::NotFound)?;
    socket.set_timeout(Some(SILENCE_MAX));
    socket.set_keep_alive(Some(PROBE_EVERY));
    match with_timeout(CONNECT_MAX, socket.connect((address, port))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(ConnectError::ConnectionReset)) => Err(OpenError::Refused),
        Ok(Err(ConnectError::TimedOut)) | Err(_) => Err(OpenError::Timeout),
        Ok(Err(_)) => Err(OpenError::Offline),
    }
}

/// The address of a name, or the address that the text is.
pub(super) async fn resolve(stack: Stack<'_>, host: &str) -> Option<IpAddress> {
    let addresses = with_timeout(RESOLVE_MAX, stack.dns_query(host, DnsQueryType::A)).await.ok()?.ok()?;
    addresses.first().copied()
}

/// Until one side ends it.
async fn carry(socket: &mut TcpSocket<'_>) {
    let (mut reader, mut writer) = socket.split();
    let ended = select3(inward(&mut reader), outward(&mut writer), REQUEST.wait()).await;
    if let Either3::Third(request @ Request::Open { .. }) = ended {
        // Somebody wants another connection: this one is over, and the request still stands.
        REQUEST.signal(request);
    }
}

async fn inward(reader: &mut TcpReader<'_>) {
    let mut chunk = [0; 512];
    while let Ok(read @ 1..) = reader.read(&mut chunk).await {
        INWARD.write_all(&chunk[..read]).await;
    }
}

async fn outward(writer: &mut TcpWriter<'_>) {
    let mut chunk = [0; 512];
    loop {
        let read = OUTWARD.read(&mut chunk).await;
        if writer.write_all(&chunk[..read]).await.is_err() {
            return;
        }
    }
}

/// Sends what is left, such as TLS's goodbye, and ends the connection.
async fn farewell(socket: &mut TcpSocket<'_>) {
    let last = async {
        let mut chunk = [0; 512];
        while let Ok(read) = OUTWARD.try_read(&mut chunk) {
            if socket.write_all(&chunk[..read]).await.is_err() {
                return;
            }
        }
        socket.close();
        // The connection is given up either way.
        let _ = socket.flush().await;
    };
    let _ = with_timeout(FAREWELL_MAX, last).await;
    socket.abort();
}
