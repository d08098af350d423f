//! Clients whose bytes somebody else carries: MQTT over WebSocket.
//!
//! Who carries unframes what comes and frames what goes, on threads of its own. Between it and the client's loop is a
//! pair of Unix sockets: the kernel's buffers bound what is under way, and each side waits for the other as it would
//! for a client on TCP. What no byte can say is on the [`Line`].

use crate::reception::Pass;
use pki::CertificateId;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// A client that speaks MQTT through a pipe.
#[derive(Debug)]
pub struct Carried {
    /// The broker's end: unframed MQTT, in both directions.
    pub pipe: UnixStream,
    /// Who it is, as the carrier has found out.
    pub identity: Identity,
    /// Where the client is.
    pub peer: SocketAddr,
    /// Where it connected to; `None` when the system does not say.
    pub local: Option<SocketAddr>,
    /// The server name that it asked TLS for.
    pub domain_name: Option<String>,
    /// What both ends tell each other.
    pub line: Arc<Line>,
    /// The seat of `pipe`, and a place among the unfinished.
    pub pass: Pass,
}

/// Who a client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The holder of a certificate: its policies decide, as long as it is ACTIVE.
    Certificate(CertificateId),
    /// Who signed with SigV4. IAM's policies are not modelled: may do everything that is not reserved.
    AccessKey(Box<str>),
    /// Anybody who reaches the plain port: the policy that was given for it decides.
    Insecure,
}

/// What the two ends of a carried connection tell each other beside its bytes.
#[derive(Debug, Default)]
pub struct Line {
    ended: OnceLock<Ended>,
    is_hung_up: AtomicBool,
}

/// How a carried connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The client said so: a Close frame. [AWS iot-lifecycle-events: as DISCONNECT]
    ByClient,
    /// It has lasted as long as a WebSocket may.
    Expired,
    /// The client broke the carrier's protocol, in this way.
    Violation(String),
}

impl Line {
    /// The carrier tells, before it closes its end, how the connection ended; the first word counts. Without one it was
    /// lost.
    pub fn end(&self, ended: Ended) {
        // A second end is no news.
        let _ = self.ended.set(ended);
    }

    /// Whether the broker has closed its end: what the client has not taken yet may be thrown away.
    pub fn is_hung_up(&self) -> bool {
        self.is_hung_up.load(Ordering::Acquire)
    }

    pub(crate) fn ended(&self) -> Option<&Ended> {
        self.ended.get()
    }

    pub(crate) fn hang_up(&self) {
        self.is_hung_up.store(true, Ordering::Release);
    }
}
