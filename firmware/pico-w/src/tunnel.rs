//! One TCP connection between two executors: thread mode asks for it and reads and writes; the network serves it.
//!
//! ```text
//! thread mode   open ──request──▶  network/socket.rs: resolve, connect
//!               ◀──outcome──
//!               write ──pipe──▶ socket ──▶ server
//!               read  ◀──pipe── socket ◀── server
//!               close ──request──▶
//! ```

use core::fmt;
use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pipe::Pipe;
use embassy_sync::signal::Signal;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use portable_atomic::{AtomicBool, AtomicU32, Ordering};

/// From the server to TLS: some segments, so that the socket's window stays open while TLS computes.
const INWARD_BYTES: usize = 4_096;
/// From TLS to the server: the largest flight of a handshake is a certificate chain.
const OUTWARD_BYTES: usize = 2_048;

pub(crate) static INWARD: Pipe<CriticalSectionRawMutex, INWARD_BYTES> = Pipe::new();
pub(crate) static OUTWARD: Pipe<CriticalSectionRawMutex, OUTWARD_BYTES> = Pipe::new();
pub(crate) static REQUEST: Signal<CriticalSectionRawMutex, Request> = Signal::new();
pub(crate) static OUTCOME: Signal<CriticalSectionRawMutex, Outcome> = Signal::new();
/// Set by the network when the connection is over; what is in `INWARD` may still be read.
static IS_OVER: AtomicBool = AtomicBool::new(true);
static OVER: Signal<CriticalSectionRawMutex, ()> = Signal::new();

/// What became of which attempt.
pub(crate) type Outcome = (Attempt, Result<(), OpenError>);

/// Tells one attempt to connect from another: what comes of one that was given up is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt(u32);

/// What thread mode wants. A later wish replaces an earlier one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Request {
    /// Connect.
    Open { attempt: Attempt, host: &'static str, port: u16 },
    /// Hang up.
    Close,
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// There is no network.
    Offline,
    /// The name has no address.
    NotFound,
    /// The server did not take the connection.
    Refused,
    /// Nobody answered.
    Timeout,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offline => "no network",
            Self::NotFound => "the name has no address",
            Self::Refused => "the connection was refused",
            Self::Timeout => "no answer",
        })
    }
}

/// Thread mode's end. There is one at a time: the application has one connection.
pub(crate) struct Tunnel(());

impl Tunnel {
    /// Connects. Giving up this future is allowed.
    pub(crate) async fn open(host: &'static str, port: u16) -> Result<Self, OpenError> {
        static ATTEMPTS: AtomicU32 = AtomicU32::new(0);
        let attempt = Attempt(ATTEMPTS.fetch_add(1, Ordering::Relaxed));
        // Dropped, also when this future is, it hangs up.
        let tunnel = Self(());
        REQUEST.signal(Request::Open { attempt, host, port });
        loop {
            let (of, outcome) = OUTCOME.wait().await;
            if of == attempt {
                return outcome.map(|()| tunnel);
            }
        }
    }

    fn is_drained() -> bool {
        IS_OVER.load(Ordering::Acquire) && INWARD.is_empty()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        REQUEST.signal(Request::Close);
    }
}

/// The network's side: a new connection begins, without what the last one left.
pub(crate) fn begin() {
    INWARD.clear();
    OUTWARD.clear();
    OVER.reset();
    IS_OVER.store(false, Ordering::Release);
}

/// The network's side: the connection is over.
pub(crate) fn end() {
    IS_OVER.store(true, Ordering::Release);
    OVER.signal(());
}

impl ErrorType for Tunnel {
    type Error = ErrorKind;
}

impl Read for Tunnel {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, ErrorKind> {
        loop {
            if Self::is_drained() {
                return Ok(0);
            }
            match select(INWARD.read(into), OVER.wait()).await {
                Either::First(read) => return Ok(read),
                // Once more, for what had arrived before the end.
                Either::Second(()) => {}
            }
        }
    }
}

impl Write for Tunnel {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        if IS_OVER.load(Ordering::Acquire) {
            return Err(ErrorKind::ConnectionReset);
        }
        match select(OUTWARD.write(bytes), OVER.wait()).await {
            Either::First(written) => Ok(written),
            Either::Second(()) => {
                // For a reader that waits too.
                OVER.signal(());
                Err(ErrorKind::ConnectionReset)
            }
        }
    }

    /// The network sends by itself what is in the pipe.
    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}
