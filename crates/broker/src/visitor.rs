//! Connections that speak HTTP: taken here, where the books on all of a machine's ports are, and served elsewhere.

use crate::reception::Pass;
use std::net::{SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::Instant;

/// A TCP connection of a device port that nothing was read from.
#[derive(Debug)]
pub struct Visitor {
    /// The connection, non-blocking.
    pub stream: TcpStream,
    /// Where the client is.
    pub peer: SocketAddr,
    /// When it must have sent its first request.
    pub deadline: Instant,
    /// To be finished with its first request.
    pub pass: Pass,
}

/// Takes visitors, on the accepting thread: must not wait. One that is dropped is closed.
pub type WebHandler = Box<dyn Fn(Visitor) + Send + Sync>;

/// Opened once; before that nobody is taken from the HTTPS and ALPN ports.
#[derive(Default)]
pub(crate) struct WebDoor(OnceLock<WebHandler>);

impl WebDoor {
    /// Gives whether it was the first time.
    pub(crate) fn open(&self, handler: WebHandler) -> bool {
        self.0.set(handler).is_ok()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.get().is_some()
    }

    pub(crate) fn hand_over(&self, visitor: Visitor) {
        if let Some(handler) = self.0.get() {
            handler(visitor);
        }
    }
}
