//! The listener: HTTP/1.1 with limits, so that slow or endless clients cost little.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWrite as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutStream;

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

/// Shortest time between two log lines about connections that ended without an answer: anybody can make thousands.
const COMPLAINT_EVERY: Duration = Duration::from_millis(100);

/// How long to wait after the system refused a connection, usually because there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves connections until `end` resolves, then lets running requests end and returns.
///
/// At most `connections_max` at a time; the next ones wait in the system's queue.
/// `router` is what [`Api::router`](crate::Api::router) gives. The caller bounds how long it waits for the return.
pub async fn serve(
    listener: TcpListener,
    connections_max: usize,
    router: Router,
    end: impl Future<Output = ()>,
) {
    let mut end = pin!(end);
    let slots = Arc::new(Semaphore::new(connections_max));
    let complaints = Arc::new(Complaints::default());
    let (ending, ended) = watch::channel(false);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            () = &mut end => break,
        };
        let Some((stream, peer, slot)) = accepted else { continue };
        let router = router.clone();
        let ended = ended.clone();
        let complaints = Arc::clone(&complaints);
        tokio::spawn(async move {
            connection(stream, peer, router, ended, &complaints).await;
            drop(slot);
        });
    }
    drop(listener);
    drop(ended);
    // Nobody listens when there is no connection.
    let _ = ending.send(true);
    ending.closed().await;
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
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

async fn connection(
    mut stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    mut ended: watch::Receiver<bool>,
    complaints: &Complaints,
) {
    // Answers are small and written whole: waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            Ok::<_, Infallible>(call(router, request).await)
        }
    });
    let mut io = Box::pin(TimeoutStream::new(&mut stream));
    io.as_mut().set_write_timeout_pinned(Some(WRITE_TIMEOUT));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // A client that has sent everything may say so and still wait for its answer.
        .half_close(true)
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let (outcome, linger) = tokio::select! {
        outcome = connection.as_mut() => (outcome, true),
        _ = ended.changed() => {
            connection.as_mut().graceful_shutdown();
            (connection.await, false)
        }
    };
    if let Err(error) = outcome {
        complaints.about(peer, &error);
    }
    if linger {
        // Told at once: a client that still took the connection for good would send its next request into nothing.
        let _ = poll_fn(|context| Pin::new(&mut stream).poll_shutdown(context)).await;
        // Either end is fine: it is over.
        let _ = tokio::time::timeout(LINGER_TIMEOUT, discard(&stream)).await;
    }
}

/// Tells of connections that ended without an answer: rubbish, half a request, a client that does not read.
#[derive(Debug, Default)]
struct Complaints(Mutex<Untold>);

#[derive(Debug, Default)]
struct Untold {
    connections: u64,
    told_at: Option<Instant>,
}

impl Complaints {
    /// At most one line in [`COMPLAINT_EVERY`]; those between are counted.
    fn about(&self, peer: SocketAddr, error: &hyper::Error) {
        let mut untold = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        untold.connections += 1;
        if untold.told_at.is_some_and(|at| at.elapsed() < COMPLAINT_EVERY) {
            return;
        }
        let connections = std::mem::take(&mut untold.connections);
        untold.told_at = Some(Instant::now());
        let reason = explained(error);
        tracing::warn!(target: "eyot::api", %peer, connections, reason, "connection ended early");
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
async fn discard(stream: &TcpStream) {
    let mut buffer = [0; 4096];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut buffer) {
            Ok(1..) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}

async fn call(mut router: Router, request: hyper::Request<Body>) -> hyper::Response<Body> {
    use tower_service::Service as _;
    match router.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
