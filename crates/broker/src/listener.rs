//! The listening socket.

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

/// Binds and listens; port 0 picks a free one.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
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
