//! A client's socket: with TLS, without, or a pipe to whoever carries its bytes.

use crate::carried::{Ended, Line};
use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use rustls::ServerConnection;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;

/// Plaintext handed to rustls at once: one full TLS record.
///
/// Small packets sealed together cost a tenth of what they cost one by one.
const RECORD_BYTES_MAX: usize = 16 * 1024;

/// The bytes' way to a client and back. Never blocks.
pub(crate) enum Transport {
    /// Plain MQTT.
    Plain(TcpStream),
    /// MQTT over TLS.
    Tls(TcpStream, Box<ServerConnection>),
    /// MQTT over WebSocket, unframed.
    Carried(Pipe),
    /// Plain MQTT over a link that a simulation carries.
    #[cfg(test)]
    Simulated(crate::simulation::Line),
}

/// The broker's end of a carried connection.
pub(crate) struct Pipe {
    pub(crate) socket: UnixStream,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) line: Arc<Line>,
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.line.hang_up();
    }
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
    /// What to watch for events.
    pub(crate) fn socket(&mut self) -> &mut dyn Source {
        match self {
            Self::Plain(socket) | Self::Tls(socket, _) => socket,
            Self::Carried(pipe) => &mut pipe.socket,
            #[cfg(test)]
            Self::Simulated(line) => line,
        }
    }

    /// Its name in the log.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Plain(_) => "tcp",
            Self::Tls(..) => "tls",
            Self::Carried(_) => "websocket",
            #[cfg(test)]
            Self::Simulated(_) => "simulated",
        }
    }

    /// How the connection has ended, as far as somebody else has told: looked at when reading or writing ends.
    pub(crate) fn ended(&self) -> Option<&Ended> {
        match self {
            Self::Plain(_) | Self::Tls(..) => None,
            Self::Carried(pipe) => pipe.line.ended(),
            #[cfg(test)]
            Self::Simulated(_) => None,
        }
    }

    /// Where the client has connected to; `None` when the system does not say any more.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Plain(socket) | Self::Tls(socket, _) => socket.local_addr().ok(),
            Self::Carried(pipe) => pipe.local,
            #[cfg(test)]
            Self::Simulated(_) => None,
        }
    }

    /// Reads decrypted bytes into the buffer.
    ///
    /// # Errors
    /// The connection is lost, or the peer broke TLS.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        match self {
            Self::Plain(socket) => read_plain(socket, buffer),
            Self::Tls(socket, tls) => read_tls(socket, tls, buffer),
            Self::Carried(pipe) => read_plain(&mut pipe.socket, buffer),
            #[cfg(test)]
            Self::Simulated(line) => read_plain(line, buffer),
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
            Self::Plain(socket) => write_plain(socket, bytes),
            Self::Carried(pipe) => write_plain(&mut pipe.socket, bytes),
            #[cfg(test)]
            Self::Simulated(line) => write_plain(line, bytes),
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
            Self::Plain(_) | Self::Carried(_) => Ok(true),
            #[cfg(test)]
            Self::Simulated(_) => Ok(true),
            Self::Tls(socket, tls) => seal_out(socket, tls),
        }
    }

    /// Says good-bye as far as the socket takes it at once.
    pub(crate) fn close(&mut self) {
        if let Self::Tls(_, tls) = self {
            tls.send_close_notify();
        }
        self.hang_up();
    }

    /// Sends what waits inside, such as an alert, as far as the socket takes it, and says no more.
    pub(crate) fn hang_up(&mut self) {
        // The peer may be gone already; the socket is closed either way.
        let _ = self.flush();
        let _ = match self {
            Self::Plain(socket) | Self::Tls(socket, _) => socket.shutdown(Shutdown::Write),
            Self::Carried(pipe) => pipe.socket.shutdown(Shutdown::Write),
            #[cfg(test)]
            Self::Simulated(line) => line.shut_down(),
        };
    }
}

fn read_plain(socket: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<Read> {
    match retry(|| socket.read(buffer)) {
        Ok(0) => Ok(Read::End),
        // A short read has emptied the socket; whether the end follows is in the next event.
        Ok(count) if count < buffer.len() => Ok(Read::Last(count)),
        Ok(count) => Ok(Read::Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Read::Last(0)),
        Err(error) => Err(error),
    }
}

fn write_plain(socket: &mut impl io::Write, bytes: &[u8]) -> io::Result<usize> {
    match retry(|| socket.write(bytes)) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        other => other,
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
fn seal_out(socket: &mut TcpStream, tls: &mut ServerConnection) -> io::Result<bool> {
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
