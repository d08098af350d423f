//! A client's socket, with TLS or without.

use mio::net::TcpStream;
use rustls::ServerConnection;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;

/// Plaintext handed to rustls at once: one full TLS record.
///
/// Small packets sealed together cost a tenth of what they cost one by one.
const RECORD_BYTES_MAX: usize = 16 * 1024;

/// The bytes' way to a client and back. Never blocks.
pub(crate) enum Transport {
    /// Plain MQTT. No listener uses it yet; `--insecure-mqtt-port` and benchmarks will.
    #[expect(
        dead_code,
        reason = "the plain listener comes with `--insecure-mqtt-port`; its path is kept open here"
    )]
    Plain(TcpStream),
    /// MQTT over TLS, handshake done.
    Tls(TcpStream, Box<ServerConnection>),
}

/// What a read gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// So many bytes; there may be more.
    Some(usize),
    /// So many bytes, and nothing more at the moment. May be 0.
    Last(usize),
    /// The peer has closed its side.
    End,
}

impl Transport {
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) | Self::Tls(socket, _) => socket,
        }
    }

    /// Where the client has connected to; `None` when the system does not say any more.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Plain(socket) | Self::Tls(socket, _) => socket.local_addr().ok(),
        }
    }

    /// Reads decrypted bytes into the buffer.
    ///
    /// # Errors
    /// The connection is lost, or the peer broke TLS.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        match self {
            Self::Plain(socket) => match retry(|| socket.read(buffer)) {
                Ok(0) => Ok(Read::End),
                // A short read has emptied the socket; whether the end follows is in the next event.
                Ok(count) if count < buffer.len() => Ok(Read::Last(count)),
                Ok(count) => Ok(Read::Some(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Read::Last(0)),
                Err(error) => Err(error),
            },
            Self::Tls(socket, tls) => read_tls(socket, tls, buffer),
        }
    }

    /// Writes as much as the socket takes; gives how many of the bytes it took over.
    ///
    /// With TLS some may wait sealed inside: see [`Transport::flush`].
    ///
    /// # Errors
    /// The connection is lost.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => match retry(|| socket.write(bytes)) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
                other => other,
            },
            Self::Tls(socket, tls) => {
                let mut taken = 0;
                while seal_out(socket, tls)? && taken < bytes.len() {
                    let record = &bytes[taken..bytes.len().min(taken + RECORD_BYTES_MAX)];
                    taken += tls.writer().write(record)?;
                }
                Ok(taken)
            }
        }
    }

    /// Sends what waits inside, handshake messages and tickets included; gives whether nothing is left.
    ///
    /// # Errors
    /// The connection is lost.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Tls(socket, tls) => seal_out(socket, tls),
        }
    }

    /// Says good-bye as far as the socket takes it at once.
    pub(crate) fn close(&mut self) {
        if let Self::Tls(socket, tls) = self {
            tls.send_close_notify();
            // The peer may be gone already; the socket is closed either way.
            let _ = seal_out(socket, tls);
        }
        let _ = self.socket().shutdown(std::net::Shutdown::Write);
    }
}

fn read_tls(socket: &mut TcpStream, tls: &mut ServerConnection, buffer: &mut [u8]) -> io::Result<Read> {
    let mut filled = 0;
    loop {
        // First what is already decrypted: rustls takes no more in before that is read.
        while filled < buffer.len() {
            match tls.reader().read(&mut buffer[filled..]) {
                Ok(0) => return Ok(if filled == 0 { Read::End } else { Read::Some(filled) }),
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // The peer closed without close_notify, as many small devices do.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof && filled == 0 => {
                    return Ok(Read::End);
                }
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(Read::Some(filled)),
                Err(error) => return Err(error),
            }
        }
        if filled == buffer.len() {
            return Ok(Read::Some(filled));
        }
        match retry(|| tls.read_tls(socket)) {
            // The end is found out by the reader above, after what came before it.
            Ok(_) => {
                tls.process_new_packets().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Read::Last(filled)),
            Err(error) => return Err(error),
        }
    }
}

/// Sends what rustls has sealed; gives whether all of it went out.
pub(crate) fn seal_out(socket: &mut TcpStream, tls: &mut ServerConnection) -> io::Result<bool> {
    while tls.wants_write() {
        match retry(|| tls.write_tls(socket)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn retry<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match operation() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
