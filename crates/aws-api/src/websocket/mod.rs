//! MQTT over WebSocket: `GET /mqtt` on the API's port and on those for devices.
//!
//! [`answer`] looks at who asks and at what is asked for, and prepares the client's pipe to the broker; when the answer
//! has been sent, [`Upgrade::run`] carries the client's bytes.

mod carry;
mod frame;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use broker::{Carried, Cause, HeldSeats, Identity, Line, TurnedAway, WebRequest};
use bytes::Bytes;
use serde_json::json;
use services::{EventType, Transport};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use crate::caller::{Caller, Door};
use crate::cloud::Cloud;
use crate::dispatch::{new_request_id, now_ms, text_headers};
use crate::identity;
use crate::sigv4::{Message, Payload};

/// [AWS iot protocols]
pub(crate) const PATH: &str = "/mqtt";

/// [MQTT311 6.0.0-4] Also of MQTT 5.
const SUBPROTOCOL: &str = "mqtt";

/// [RFC 6455 1.3]
const ACCEPT_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What who asks for a WebSocket wants.
const CONNECT: WebRequest<'static> =
    WebRequest { kind: Some(EventType::Connect), protocol: Transport::Mqtt, topic: None };

/// A WebSocket that begins when the answer to its request has been sent.
#[derive(Debug)]
pub(crate) struct Upgrade {
    cloud: Arc<Cloud>,
    pipe: std::os::unix::net::UnixStream,
    carried: Carried,
    /// Of our end of the pipe, and of the connection where it had none of the broker's.
    seats: HeldSeats,
}

impl Upgrade {
    /// Carries the client's bytes until the end. `early` came behind the request. Gives what is to be dropped after the
    /// stream.
    pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        stream: &mut S,
        early: Bytes,
    ) -> HeldSeats {
        let Self { cloud, pipe, carried, seats } = self;
        let peer = carried.peer;
        let pipe = match pipe.set_nonblocking(true).and_then(|()| UnixStream::from_std(pipe)) {
            Ok(pipe) => pipe,
            Err(error) => {
                tracing::error!(target: "eyot::api", %peer, %error, "cannot begin a WebSocket");
                return seats;
            }
        };
        let line = Arc::clone(&carried.line);
        cloud.parts.broker.bring(carried);
        let lasts_s = cloud.parts.limits.websocket_duration_max_s;
        let lasts = (lasts_s < u32::MAX).then(|| Duration::from_secs(lasts_s.into()));
        carry::carry(stream, early, pipe, &line, lasts).await;
        seats
    }
}

/// Why there is no WebSocket, for whoever may have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoWebSocket {
    /// It is an ordinary request.
    NotAsked,
    OtherVersion,
    BadKey,
    /// [MQTT311 6.0.0-3]
    OtherProtocol,
    Full(TurnedAway),
    Failed,
}

/// `GET /mqtt`.
pub(crate) async fn answer(State(cloud): State<Arc<Cloud>>, request: Request) -> Response<Body> {
    let request_id = new_request_id();
    let (head, _) = request.into_parts();
    let Some(caller) = head.extensions.get::<Caller>() else {
        tracing::error!(target: "eyot::api", "a request without its connection");
        return NoWebSocket::Failed.response(&request_id);
    };
    let headers = text_headers(&head.headers);
    let message = Message {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &headers,
        payload: Payload::Bytes(b""),
    };
    let identity = match identity::of_request(&cloud.parts.registry, caller, &message, now_ms()) {
        Ok(identity) => identity,
        Err(forbidden) => {
            let reason = &*forbidden.message;
            tracing::warn!(target: "eyot::connect", peer = %caller.peer, reason, "WebSocket refused");
            forbidden.note(&cloud.parts.broker, caller, CONNECT);
            return forbidden.response(&request_id);
        }
    };
    let asked = asked(&head.method, head.version, &head.headers);
    let prepared = asked.and_then(|accept| {
        prepare(&cloud, caller, identity).map(|upgrade| {
            caller.upgrade(upgrade);
            accept
        })
    });
    match prepared {
        Ok(accept) => switching(&accept),
        Err(reason) => {
            tracing::warn!(target: "eyot::connect", peer = %caller.peer, reason = reason.sentence(), "WebSocket refused");
            // Of the others the broker knows already, or they are ours.
            if reason.is_the_clients() {
                let (broker, sentence) = (&cloud.parts.broker, reason.sentence());
                broker.refused_over_http(caller.web(), CONNECT, Cause::Upgrade, sentence);
            }
            reason.response(&request_id)
        }
    }
}

/// What is to stand in `Sec-WebSocket-Accept`, if this asks for MQTT over WebSocket. [RFC 6455 4.2.1]
fn asked(method: &Method, version: Version, headers: &HeaderMap) -> Result<String, NoWebSocket> {
    let lists = |name: header::HeaderName, wanted: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|item| item.trim().eq_ignore_ascii_case(wanted)))
    };
    let is_asked = *method == Method::GET
        && version == Version::HTTP_11
        && lists(header::UPGRADE, "websocket")
        && lists(header::CONNECTION, "upgrade");
    if !is_asked {
        return Err(NoWebSocket::NotAsked);
    }
    let one = |name: header::HeaderName| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none()).map(HeaderValue::as_bytes)
    };
    if one(header::SEC_WEBSOCKET_VERSION) != Some(b"13") {
        return Err(NoWebSocket::OtherVersion);
    }
    let key = one(header::SEC_WEBSOCKET_KEY).ok_or(NoWebSocket::BadKey)?;
    if STANDARD.decode(key).ok().is_none_or(|key| key.len() != 16) {
        return Err(NoWebSocket::BadKey);
    }
    if !lists(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return Err(NoWebSocket::OtherProtocol);
    }
    Ok(STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, ACCEPT_GUID].concat())))
}

fn prepare(cloud: &Arc<Cloud>, caller: &Caller, identity: Identity) -> Result<Upgrade, NoWebSocket> {
    // Both ends of the pipe; and the connection itself, which no longer is one of the API's.
    let descriptors = if caller.door == Door::Api { 3 } else { 2 };
    let pass = cloud.parts.broker.admit(caller.peer.ip(), descriptors).map_err(NoWebSocket::Full)?;
    let (pass, seats) = pass.split();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(|error| {
        tracing::error!(target: "eyot::api", %error, "cannot make a pipe for a WebSocket");
        NoWebSocket::Failed
    })?;
    let carried = Carried {
        pipe: theirs,
        identity,
        peer: caller.peer,
        local: caller.local,
        domain_name: caller.server_name().map(str::to_owned),
        line: Arc::new(Line::default()),
        pass,
    };
    Ok(Upgrade { cloud: Arc::clone(cloud), pipe: ours, carried, seats })
}

fn switching(accept: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    headers.insert(
        header::SEC_WEBSOCKET_ACCEPT,
        HeaderValue::from_str(accept).expect("base64 is a header's value"),
    );
    response
}

impl NoWebSocket {
    fn is_the_clients(self) -> bool {
        match self {
            Self::NotAsked | Self::OtherVersion | Self::BadKey | Self::OtherProtocol => true,
            Self::Full(_) | Self::Failed => false,
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::NotAsked => {
                "this is MQTT over WebSocket: ask for it with GET and Upgrade: websocket over HTTP/1.1"
            }
            Self::OtherVersion => "Sec-WebSocket-Version must be 13",
            Self::BadKey => "Sec-WebSocket-Key must be 16 bytes in base64",
            Self::OtherProtocol => "Sec-WebSocket-Protocol must name mqtt",
            Self::Full(TurnedAway::Full) => {
                "every connection that the limit of open files allows is in use; raise it: ulimit -n 65536"
            }
            Self::Full(TurnedAway::Busy) => {
                "too many connections of this address are open without a finished CONNECT"
            }
            Self::Failed => "the server cannot take the connection at the moment",
        }
    }

    fn response(self, request_id: &str) -> Response<Body> {
        let (status, code) = match self {
            Self::NotAsked | Self::OtherVersion => (StatusCode::UPGRADE_REQUIRED, "UpgradeRequired"),
            Self::BadKey | Self::OtherProtocol => (StatusCode::BAD_REQUEST, "BadRequestException"),
            Self::Full(_) | Self::Failed => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException"),
        };
        let body = json!({ "message": self.sentence(), "traceId": request_id }).to_string();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("x-amzn-errortype", HeaderValue::from_static(code));
        if let Ok(request_id) = HeaderValue::from_str(request_id) {
            headers.insert("x-amzn-requestid", request_id);
        }
        if status == StatusCode::UPGRADE_REQUIRED {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            // [RFC 6455 4.2.2]
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: [(header::HeaderName, &str); 5] = [
        (header::UPGRADE, "WebSocket"),
        (header::CONNECTION, "keep-alive, Upgrade"),
        (header::SEC_WEBSOCKET_VERSION, "13"),
        (header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
        (header::SEC_WEBSOCKET_PROTOCOL, "mqttv3.1, mqtt"),
    ];

    fn but(name: header::HeaderName, value: &str) -> Result<String, NoWebSocket> {
        let mut headers: HeaderMap =
            USUAL.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        asked(&Method::GET, Version::HTTP_11, &headers)
    }

    #[test]
    fn the_example_of_the_standard() {
        let accept = Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned());
        assert_eq!(but(header::HOST, "localhost"), accept);
        assert_eq!(but(header::SEC_WEBSOCKET_PROTOCOL, "mqtt"), accept);
    }

    #[test]
    fn what_is_missing_is_told() {
        assert_eq!(but(header::UPGRADE, "h2c"), Err(NoWebSocket::NotAsked));
        assert_eq!(but(header::CONNECTION, "close"), Err(NoWebSocket::NotAsked));
        assert_eq!(but(header::SEC_WEBSOCKET_VERSION, "8"), Err(NoWebSocket::OtherVersion));
        assert_eq!(but(header::SEC_WEBSOCKET_KEY, "short"), Err(NoWebSocket::BadKey));
        assert_eq!(but(header::SEC_WEBSOCKET_PROTOCOL, "mqttv3.1"), Err(NoWebSocket::OtherProtocol));
        assert_eq!(asked(&Method::GET, Version::HTTP_11, &HeaderMap::new()), Err(NoWebSocket::NotAsked));
    }
}
