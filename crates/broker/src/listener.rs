//! The listening sockets.

use crate::StartError;
use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Connections that the kernel keeps for us until we take them.
///
/// A fleet that reconnects after a power cut waits here; beyond it the kernel drops SYNs, and clients repeat them.
const BACKLOG: i32 = 4_096;

/// Silence after which the kernel asks whether the peer is still there.
///
/// MQTT keep-alive finds dead peers of its own; this is for handshakes, and lets a NAT keep its entry.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// What is spoken where a connection came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    /// MQTT over TLS.
    Mqtts,
    /// HTTPS.
    Https,
    /// What ALPN names.
    Alpn,
    /// MQTT without TLS.
    Insecure,
}

/// One listening socket, as the accepting thread sees it.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) port: Port,
    /// The kernel's queue may hold connections: its event comes once, and we may have stopped before the end.
    pub(crate) may_accept: bool,
}

impl Listener {
    /// Binds and listens.
    pub(crate) fn open(address: SocketAddr, port: Port) -> Result<Self, StartError> {
        if port == Port::Insecure && !address.ip().is_loopback() {
            return Err(StartError::InsecureBeyondLoopback(address));
        }
        let socket = listen(address).map_err(|source| StartError::Listen { address, source })?;
        Ok(Self { socket, port, may_accept: false })
    }

    /// Whether its connections are served by the HTTP side.
    pub(crate) fn needs_web(&self) -> bool {
        matches!(self.port, Port::Https | Port::Alpn)
    }
}

/// Binds and listens; port 0 picks a free one.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A server that starts again must not wait for the old one's connections to time out.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` then serves IPv4 as well, whatever the system's default is.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Sets what every accepted socket needs.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Writes are gathered per turn already; waiting for more would only add delay.
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(TCP_KEEPALIVE))
}

/// Whether an accept failed because of the one connection, so that the next may be tried at once.
pub(crate) fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
