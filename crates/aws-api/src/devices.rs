//! The ports for devices: HTTPS with a client's certificate or a signature, and MQTT over WebSocket.
//!
//! The broker's accepting thread takes the connections, under the limits that hold for all of a device's ports, and hands
//! them over here.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use broker::{Broker, Cause, Handshake, Visitor, WebCaller, WebRequest, cause_of_tls, explain_tls};
use pki::CertificateId;
use services::Transport;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::{self, HandshakeKind, server::Acceptor};
use tokio_rustls::server::TlsStream;

use crate::caller::{Caller, Door};
use crate::serve::{Serving, WebSockets, connection};

/// Connections that speak HTTPS at the same time. More wait until others have ended or become WebSockets, as long as
/// unfinished connections may.
///
/// A connection costs a few tens of KB, and a small body or answer as much again.
pub const HTTPS_CONNECTIONS_MAX: usize = 1_024;

/// Visitors that wait for this task, which only starts others.
const VISITORS_MAX: usize = 1_024;

/// Plaintext and ciphertext that rustls may hold for one connection, in bytes, each: one full record.
const TLS_BUFFER_BYTES_MAX: usize = 16 * 1024;

/// Serves the broker's visitors until `end` resolves, then lets running requests end and returns.
///
/// `router` is what [`Api::device_router`](crate::Api::device_router) gives. The caller bounds how long it waits for the
/// return.
pub async fn serve_devices(
    broker: Arc<Broker>,
    connections_max: usize,
    router: Router,
    websockets: WebSockets,
    end: impl Future<Output = ()>,
) {
    let mut end = pin!(end);
    let slots = Arc::new(Semaphore::new(connections_max));
    let (serving, serving_end) = Serving::new(router, websockets);
    let (sender, mut visitors) = mpsc::channel(VISITORS_MAX);
    broker.open_web(Box::new(move |visitor: Visitor| {
        // One that is not taken is dropped, and so closed: the server ends, or cannot keep up.
        if let Err(TrySendError::Full(visitor)) = sender.try_send(visitor) {
            tracing::warn!(target: "eyot::api", peer = %visitor.peer, "the HTTPS port is too far behind for a connection");
        }
    }));
    loop {
        let visitor = tokio::select! {
            visitor = visitors.recv() => visitor,
            () = &mut end => break,
        };
        let Some(visitor) = visitor else { break };
        tokio::spawn(visit(serving.clone(), Arc::clone(&broker), Arc::clone(&slots), visitor));
    }
    drop(visitors);
    drop((serving, broker));
    serving_end.wait().await;
}

async fn visit(serving: Serving, broker: Arc<Broker>, slots: Arc<Semaphore>, visitor: Visitor) {
    let Visitor { stream, peer, deadline, pass } = visitor;
    let shaken = tokio::select! {
        shaken = shake_hands(&broker, slots, stream, deadline) => shaken,
        // Nothing was promised yet.
        () = serving.ended() => return,
    };
    match shaken {
        Ok((slot, stream)) => {
            let (tcp, tls) = stream.get_ref();
            let handshake = match tls.handshake_kind() {
                Some(HandshakeKind::Resumed) => Handshake::Resumed,
                _ => Handshake::Full,
            };
            broker.count_handshake(handshake);
            drop(broker);
            let certificate = tls.peer_certificates().and_then(<[_]>::first);
            let door = Door::Devices {
                certificate: certificate.map(|certificate| CertificateId::of_der(certificate)),
                server_name: tls.server_name().map(str::to_owned),
            };
            let caller = Caller::new(peer, tcp.local_addr().ok(), door);
            connection(serving, Some(pass), slot, caller, stream).await;
        }
        Err(Refused { cause, reason }) => {
            broker.count_handshake(Handshake::Failed);
            serving.complaints().about_refused(peer, &reason);
            // It is not known yet what it would have spoken.
            let request = WebRequest { kind: None, protocol: Transport::Http, topic: None };
            let caller = WebCaller { peer, certificate_id: None };
            broker.refused_over_http(caller, request, cause, &reason);
            drop(pass);
        }
    }
}

/// Why there is no TLS.
struct Refused {
    cause: Cause,
    reason: String,
}

impl Refused {
    fn new(cause: Cause, reason: impl Into<String>) -> Self {
        Self { cause, reason: reason.into() }
    }
}

/// # Errors
/// Why there is no TLS.
async fn shake_hands(
    broker: &Broker,
    slots: Arc<Semaphore>,
    stream: std::net::TcpStream,
    deadline: Instant,
) -> Result<(OwnedSemaphorePermit, TlsStream<TcpStream>), Refused> {
    let deadline = deadline.into();
    let late = |_| Refused::new(Cause::Late, "the TLS handshake did not come in time");
    let busy = |_| Refused::new(Cause::Overloaded, "too many HTTPS connections at the same time");
    let ours = |reason: String| Refused::new(Cause::Overloaded, reason);
    let slot = timeout_at(deadline, slots.acquire_owned()).await.map_err(busy)?;
    let slot = slot.map_err(|_| ours("the server ends".to_owned()))?;
    let stream = TcpStream::from_std(stream).map_err(|error| ours(error.to_string()))?;
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream);
    let hello = timeout_at(deadline, hello).await.map_err(late)?.map_err(|error| explained(&error))?;
    let config = broker.web_tls(hello.client_hello().alpn());
    let stream = hello.into_stream_with(config, |tls| tls.set_buffer_limit(Some(TLS_BUFFER_BYTES_MAX)));
    let stream = timeout_at(deadline, stream).await.map_err(late)?.map_err(|error| explained(&error))?;
    Ok((slot, stream))
}

fn explained(error: &std::io::Error) -> Refused {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(error) => Refused::new(cause_of_tls(error), explain_tls(error)),
        None => Refused::new(Cause::Lost, format!("the connection was lost in the TLS handshake: {error}")),
    }
}
