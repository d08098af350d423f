//! The API's listener, and what it has in common with the devices' ports: HTTP/1.1 with limits, so that slow or endless
//! clients cost little.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use broker::Pass;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_io_timeout::TimeoutStream;

use crate::caller::{Caller, Door};

/// Connections that need to be served at the same time; see [`serve`].
///
/// A connection costs a few tens of KB. SDKs keep ten open per client at most.
pub const CONNECTIONS_MAX: usize = 1_024;

/// Time for the head of a request, and how long a connection may idle between two.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Headers of a request. Browsers send about 20, SDKs 10.
pub const HEADERS_MAX: usize = 100;

/// Bytes of a request's head, and of what is read ahead of its body.
///
/// An MQTT topic of 256 bytes triples in percent-encoding; a session token has 1 to 2 KB, user properties 8 KB.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How long a client may take nothing of an answer before its connection is ended.
///
/// Who reads on, however slowly, is not cut off.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection that we ended is still read.
///
/// Closing with bytes unread resets it, and the client that is still sending loses the answer which says why.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Log lines about connections that ended without an answer that are written one after the other: enough for a workshop's
/// clients with the same mistake.
const COMPLAINTS_MAX: u32 = 20;

/// How often there may be one more of them: anybody can make thousands.
const COMPLAINT_EVERY: Duration = Duration::from_millis(100);

/// How long to wait after the system refused a connection, usually because there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Counts WebSockets: they outlive the port that they came by, until the broker ends.
#[derive(Debug, Clone)]
pub struct WebSockets(
    #[expect(dead_code, reason = "the sender sees when the last is dropped")] watch::Receiver<()>,
);

/// Resolves when there is no WebSocket any more.
#[derive(Debug)]
pub struct WebSocketsEnd(watch::Sender<()>);

impl WebSockets {
    /// None yet. To be dropped before the end is waited for.
    pub fn new() -> (Self, WebSocketsEnd) {
        let (sender, receiver) = watch::channel(());
        (Self(receiver), WebSocketsEnd(sender))
    }
}

impl WebSocketsEnd {
    /// Waits for the last.
    pub async fn wait(self) {
        self.0.closed().await;
    }
}

/// What all connections of one port share.
#[derive(Clone)]
pub(crate) struct Serving {
    router: Router,
    complaints: Arc<Complaints>,
    ended: watch::Receiver<bool>,
    websockets: WebSockets,
}

/// Ends the connections of a port.
pub(crate) struct ServingEnd(watch::Sender<bool>);

impl Serving {
    pub(crate) fn new(router: Router, websockets: WebSockets) -> (Self, ServingEnd) {
        let (ending, ended) = watch::channel(false);
        (Self { router, complaints: Arc::default(), ended, websockets }, ServingEnd(ending))
    }

    pub(crate) fn complaints(&self) -> &Complaints {
        &self.complaints
    }

    /// Resolves when the port ends.
    pub(crate) async fn ended(&self) {
        // A sender that was dropped is an end as well.
        let _ = self.ended.clone().changed().await;
    }
}

impl ServingEnd {
    /// Lets running requests end, and waits for that.
    pub(crate) async fn wait(self) {
        // Nobody listens when there is no connection.
        let _ = self.0.send(true);
        self.0.closed().await;
    }
}

/// Serves connections until `end` resolves, then lets running requests end and returns.
///
/// At most `connections_max` at a time; the next ones wait in the system's queue. WebSockets do not count: they are the
/// broker's.
/// `router` is what [`Api::router`](crate::Api::router) gives. The caller bounds how long it waits for the return.
pub async fn serve(
    listener: TcpListener,
    connections_max: usize,
    router: Router,
    websockets: WebSockets,
    end: impl Future<Output = ()>,
) {
    let mut end = pin!(end);
    let slots = Arc::new(Semaphore::new(connections_max));
    let (serving, serving_end) = Serving::new(router, websockets);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            () = &mut end => break,
        };
        let Some((stream, peer, slot)) = accepted else { continue };
        // Answers are small and written whole: waiting for more would only delay them.
        let _ = stream.set_nodelay(true);
        let caller = Caller::new(peer, stream.local_addr().ok(), Door::Api);
        tokio::spawn(connection(serving.clone(), None, slot, caller, stream));
    }
    drop(listener);
    drop(serving);
    serving_end.wait().await;
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, slot)),
        Err(error) => {
            tracing::warn!(target: "eyot::api", %error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Serves one connection to its end.
///
/// `pass` is finished by the first request, and dropped after the connection is closed; `slot` is given back when the
/// connection becomes a WebSocket.
pub(crate) async fn connection<S>(
    serving: Serving,
    pass: Option<Pass>,
    slot: OwnedSemaphorePermit,
    caller: Caller,
    mut stream: S,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let Serving { router, complaints, mut ended, websockets } = serving;
    let pass = Mutex::new(pass);
    let service = hyper::service::service_fn(|request: hyper::Request<Incoming>| {
        if let Some(pass) = &mut *pass.lock().unwrap_or_else(PoisonError::into_inner) {
            pass.finish();
        }
        let router = router.clone();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(caller.clone());
        let caller = &caller;
        async move {
            let mut response = call(router, request).await;
            if caller.ends_with_the_answer() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut io = Box::pin(TimeoutStream::new(&mut stream));
    io.as_mut().set_write_timeout_pinned(Some(WRITE_TIMEOUT));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // A client that has sent everything may say so and still wait for its answer.
        .half_close(true)
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(io), service);
    let (outcome, linger) = tokio::select! {
        outcome = &mut connection => (outcome, true),
        _ = ended.changed() => {
            Pin::new(&mut connection).graceful_shutdown();
            ((&mut connection).await, false)
        }
    };
    // hyper has left the connection alone if the last answer was that it changes its protocol.
    let early = connection.into_parts().read_buf;
    if let Err(error) = outcome {
        complaints.about(caller.peer, &error);
    } else if let Some(upgrade) = caller.take_upgrade() {
        // The port may end now; whoever waits for WebSockets knows of this one.
        drop((slot, ended, router));
        let seats = upgrade.run(&mut stream, early).await;
        drop(stream);
        drop(seats);
        drop(websockets);
        return;
    }
    if linger {
        // Told at once: a client that still took the connection for good would send its next request into nothing.
        let _ = poll_fn(|context| Pin::new(&mut stream).poll_shutdown(context)).await;
        // Either end is fine: it is over.
        let _ = tokio::time::timeout(LINGER_TIMEOUT, discard(&mut stream)).await;
    }
    drop(stream);
}

/// Tells of connections that ended without an answer: rubbish, half a request, a client that does not read.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Mutex<Untold>);

#[derive(Debug)]
struct Untold {
    connections: u64,
    /// How many may be told now.
    may_tell: u32,
    since: Instant,
}

impl Default for Untold {
    fn default() -> Self {
        Self { connections: 0, may_tell: COMPLAINTS_MAX, since: Instant::now() }
    }
}

impl Untold {
    /// Another one: gives how many there were since one was told, if this is to be told.
    fn add(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.since);
        let more = u32::try_from(passed.as_millis() / COMPLAINT_EVERY.as_millis()).unwrap_or(u32::MAX);
        if more > 0 {
            self.may_tell = self.may_tell.saturating_add(more).min(COMPLAINTS_MAX);
            self.since = now;
        }
        self.connections += 1;
        self.may_tell = self.may_tell.checked_sub(1)?;
        Some(std::mem::take(&mut self.connections))
    }
}

impl Complaints {
    fn about(&self, peer: SocketAddr, error: &hyper::Error) {
        if let Some(connections) = self.add() {
            let reason = explained(error);
            tracing::warn!(target: "eyot::api", %peer, connections, reason, "connection ended early");
        }
    }

    /// A connection that did not come as far as HTTP.
    pub(crate) fn about_refused(&self, peer: SocketAddr, reason: &str) {
        if let Some(connections) = self.add() {
            tracing::warn!(target: "eyot::connect", %peer, connections, reason, "connection refused");
        }
    }

    /// At most [`COMPLAINTS_MAX`] lines at once, then one in [`COMPLAINT_EVERY`]; those between are counted.
    fn add(&self) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(Instant::now())
    }
}

/// Why a connection ended, for somebody who looks for a mistake in a client.
fn explained(error: &hyper::Error) -> String {
    let what = if error.is_incomplete_message() {
        "the client closed in the middle of a request"
    } else if error.is_timeout() {
        "the client did not send its request in time"
    } else if error.is_parse() {
        "what the client sent is not HTTP/1.1; HTTPS is not spoken here"
    } else {
        "the connection was lost"
    };
    let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    format!("{what} ({cause})")
}

/// Reads until the client has closed its side, or something is wrong.
async fn discard(stream: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = [0; 4096];
    while let Ok(1..) = stream.read(&mut buffer).await {}
}

async fn call(mut router: Router, request: hyper::Request<Body>) -> hyper::Response<Body> {
    use tower_service::Service as _;
    match router.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_complaints_is_counted_and_one_later_is_told() {
        let start = Instant::now();
        let mut untold = Untold { since: start, ..Untold::default() };
        for _ in 0..COMPLAINTS_MAX {
            assert_eq!(untold.add(start), Some(1));
        }
        assert_eq!((untold.add(start), untold.add(start)), (None, None));
        assert_eq!(untold.add(start + COMPLAINT_EVERY), Some(3));
        assert_eq!(untold.add(start + COMPLAINT_EVERY), None);
    }
}
