//! From an HTTP request to an operation's handler and back.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_model::{Operation, RequestParts, Service};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, header, request};
use broker::Identity;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, SemaphorePermit};
use uuid::Uuid;

use crate::caller::{Caller, Door};
use crate::cloud::{Cloud, Parts};
use crate::error::ApiError;
use crate::identity::{self, Forbidden};
use crate::permission::{self, Denied};
use crate::reply::Reply;
use crate::route::{Asked, Route};
use crate::sigv4::{Claim, Message, Payload, SignatureError};

/// Largest body of a request, in bytes.
///
/// A PutLogEvents batch may have 1 MiB of messages; escaped as JSON they double, and with control characters in them
/// grow sixfold.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Time for a body to arrive: 8 MiB at 300 KB/s.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of large bodies that are read and worked on at the same time, in all.
///
/// A JSON body of `[[],[],…` takes a good ten times its size once it is parsed: this bounds what such requests can
/// take to some hundred MiB. Bodies of at most [`SMALL_BODY_BYTES`] do not count: there are at most
/// [`CONNECTIONS_MAX`](crate::serve::CONNECTIONS_MAX) of them.
pub const LARGE_BODIES_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

/// Up to here a body is small: larger than any request of the control plane, and than most batches of log events.
pub const SMALL_BODY_BYTES: usize = 64 * 1024;

/// Bytes of large answers that are on their way at the same time, in all; those of at most [`SMALL_BODY_BYTES`] do
/// not count.
///
/// A client may take half a minute to read nothing of a page of log events, which has up to 6 MiB when its messages
/// are control characters: what a thousand such clients ask for must not all be in memory.
pub const LARGE_ANSWERS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long a request with a large body waits for others to end before it is told to come back.
const LARGE_BODY_WAIT: Duration = Duration::from_secs(10);

/// A request whose operation is known and whose input is checked.
pub(crate) struct Call {
    pub(crate) cloud: Arc<Cloud>,
    pub(crate) operation: &'static Operation,
    pub(crate) request_id: String,
    /// Who signed it: the access key id; or the certificate id of who sent it.
    pub(crate) principal: String,
    pub(crate) source_ip: Option<IpAddr>,
    /// When it came, in epoch milliseconds.
    pub(crate) now_ms: i64,
    /// The raw body: payloads of bytes.
    pub(crate) body: Bytes,
    input: Map<String, Value>,
}

impl Call {
    /// The input as the operation's generated type.
    pub(crate) fn typed<T: DeserializeOwned>(&mut self) -> Result<T, ApiError> {
        let input = std::mem::take(&mut self.input);
        // The tables let through what the types do not take only if the two were not generated together.
        serde_json::from_value(Value::Object(input)).map_err(|error| ApiError::internal(&error))
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.cloud.parts
    }

    /// Waits until a change is durable, and every event loop has taken it into account.
    ///
    /// Goes on when the client hangs up and drops the request: a change must not end stored and not told to the loops.
    pub(crate) async fn settled<T>(&self, done: registry::Done<T>) -> Result<T, ApiError> {
        let registry::Done { value, position, change } = done;
        let cloud = Arc::clone(&self.cloud);
        to_its_end(async move {
            committed(&cloud, position).await?;
            if !change.is_none() {
                cloud.parts.broker.settle(&change).await;
            }
            Ok(())
        })
        .await?;
        Ok(value)
    }

    /// The same for a change of the rules.
    pub(crate) async fn rules_settled<T>(&self, done: rules::Done<T>) -> Result<T, ApiError> {
        let rules::Done { value, position } = done;
        let cloud = Arc::clone(&self.cloud);
        to_its_end(async move {
            committed(&cloud, position).await?;
            if position.is_some() {
                cloud.parts.broker.rules_changed().await;
            }
            Ok(())
        })
        .await?;
        Ok(value)
    }

    /// Waits until a position of the journal is durable.
    pub(crate) async fn committed(&self, position: Option<store::Position>) -> Result<(), ApiError> {
        committed(&self.cloud, position).await
    }

    /// Runs what blocks on a thread made for that.
    pub(crate) async fn blocking<T, E>(
        &self,
        work: impl FnOnce(&Parts) -> Result<T, E> + Send + 'static,
    ) -> Result<T, ApiError>
    where
        T: Send + 'static,
        E: Send + 'static,
        ApiError: From<E>,
    {
        let cloud = Arc::clone(&self.cloud);
        match tokio::task::spawn_blocking(move || work(&cloud.parts)).await {
            Ok(outcome) => outcome.map_err(ApiError::from),
            Err(error) => Err(ApiError::internal(&error)),
        }
    }
}

async fn committed(cloud: &Cloud, position: Option<store::Position>) -> Result<(), ApiError> {
    if let Some(position) = position {
        cloud.parts.store.when_committed(position).await?;
    }
    Ok(())
}

/// Does something on a task of its own, which nobody drops, and waits for it.
async fn to_its_end(
    work: impl Future<Output = Result<(), ApiError>> + Send + 'static,
) -> Result<(), ApiError> {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(ApiError::internal(&error)))
}

/// The AWS APIs as one axum handler.
pub(crate) async fn handle(State(cloud): State<Arc<Cloud>>, request: Request) -> Response<Body> {
    let started = Instant::now();
    let request_id = new_request_id();
    let (head, body) = request.into_parts();
    let answer = answer(&cloud, &head, body, &request_id).await;
    let (service, name) = (answer.service, answer.operation.map_or("-", |operation| operation.name));
    // What finds no room among the large answers is an error like any other.
    let outcome = answer.outcome.and_then(|reply| {
        let body = held(&cloud, reply.body.clone())?;
        Ok(Reply { body, ..reply })
    });
    let (reply, code) = match outcome {
        Ok(reply) => (reply, ""),
        Err(error) => (
            error.reply(service, answer.operation, &request_id),
            error.code_and_status(service, answer.operation).0,
        ),
    };
    cloud.requests.count(service.name(), name, reply.status);
    tracing::debug!(
        target: "eyot::api",
        service = service.name(), operation = name, status = reply.status, code,
        ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX), %request_id, "request"
    );
    reply.into_response(&request_id)
}

/// An answer's bytes, which hold their share of [`LARGE_ANSWERS_BYTES_MAX`] until they are written.
fn held(cloud: &Cloud, bytes: Bytes) -> Result<Bytes, ApiError> {
    struct Held(Bytes, #[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);
    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    if bytes.len() <= SMALL_BODY_BYTES {
        return Ok(bytes);
    }
    let permits = u32::try_from(bytes.len().min(LARGE_ANSWERS_BYTES_MAX)).unwrap_or(u32::MAX);
    match Arc::clone(&cloud.large_answers).try_acquire_many_owned(permits) {
        Ok(permit) => Ok(Bytes::from_owner(Held(bytes, permit))),
        Err(_) => Err(ApiError::unavailable(&"too many large answers wait to be read by their clients")),
    }
}

/// What became of a request.
struct Answer {
    service: Service,
    operation: Option<&'static Operation>,
    outcome: Result<Reply, ApiError>,
}

async fn answer(cloud: &Arc<Cloud>, head: &request::Parts, body: Body, request_id: &str) -> Answer {
    let headers = text_headers(&head.headers);
    let message = Message {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &headers,
        // The signature is read here, not verified.
        payload: Payload::Unsigned,
    };
    let caller = head.extensions.get::<Caller>();
    let identity = identify(cloud, caller, &message);
    // Nothing is read from somebody who does not say who it is.
    let (body, _room) = match &identity {
        Ok(_) => match collect(cloud, &head.headers, body).await {
            Ok((body, room)) => (Ok(body), room),
            Err(error) => (Err(error), None),
        },
        Err(_) => (Ok(Bytes::new()), None),
    };
    let action = body.as_ref().ok().and_then(|body| form_action(&head.headers, body));
    let is_for_devices = caller.is_some_and(|caller| caller.door != Door::Api);
    let claim = Claim::read(&message);
    let asked = Asked {
        method: message.method,
        path: message.path,
        target: head.headers.get("x-amz-target").map(|target| target.to_str().unwrap_or_default()),
        // A path that two services have is the data plane's there.
        signed_for: match &claim {
            _ if is_for_devices => Some(Service::IotData.signing_name()),
            Ok(claim) => Some(claim.service()),
            Err(_) => None,
        },
        action: action.as_deref(),
    };
    let (operation, labels) = match cloud.router.route(&asked) {
        Route::Operation(operation, labels) => (operation, labels),
        Route::Unknown(service) => {
            let error = ApiError::unknown_operation("there is no such operation");
            return Answer { service, operation: None, outcome: Err(error) };
        }
        Route::BadLabel(service) => {
            let error = ApiError::invalid("the path is not percent-encoded UTF-8");
            return Answer { service, operation: None, outcome: Err(error) };
        }
    };
    let no_input = Map::new();
    let outcome = async {
        let identity = identity.map_err(|nobody| {
            if let (Nobody::Forbidden(forbidden), Some(caller)) = (&nobody, caller) {
                let request = permission::as_logged(operation.name, &no_input);
                forbidden.note(&cloud.parts.broker, caller, request);
            }
            ApiError::from(nobody)
        })?;
        if is_for_devices && !matches!(operation.service, Service::IotData | Service::IotJobsData) {
            return Err(ApiError::unknown_operation(
                "this port serves the data plane alone; the control plane is on the API's port",
            ));
        }
        let body = body?;
        let handler = cloud.handlers.get(&(operation.service, operation.name));
        let handler = handler.ok_or_else(|| ApiError::not_implemented(operation.service, operation.name))?;
        let header = |name: &str| {
            headers.iter().find(|(known, _)| *known == name).map(|(_, value)| Cow::Borrowed(*value))
        };
        let query = parameters(message.query);
        let input = operation.input(&RequestParts {
            labels: &labels,
            query: &query,
            header: &header,
            body: &body,
        })?;
        let principal = match identity {
            Identity::Certificate(id) => {
                let caller =
                    caller.ok_or_else(|| ApiError::internal(&"a certificate without a connection"))?;
                permit(cloud, caller, &id, operation, &input)?;
                id.to_string()
            }
            Identity::AccessKey(id) => id.into(),
            Identity::Insecure => return Err(ApiError::internal(&"HTTP is never of the plain MQTT port")),
        };
        handler(Call {
            cloud: Arc::clone(cloud),
            operation,
            request_id: request_id.to_owned(),
            principal,
            source_ip: caller.map(|caller| caller.peer.ip()),
            now_ms: now_ms(),
            body,
            input,
        })
        .await
    };
    Answer { service: operation.service, operation: Some(operation), outcome: outcome.await }
}

/// Who sent a request. On the API's port every well-formed signature is somebody's.
fn identify(cloud: &Cloud, caller: Option<&Caller>, message: &Message<'_>) -> Result<Identity, Nobody> {
    match caller {
        Some(caller) if caller.door != Door::Api => {
            identity::of_request(&cloud.parts.registry, caller, message, now_ms()).map_err(Nobody::Forbidden)
        }
        _ => {
            let claim = Claim::read(message).map_err(Nobody::Unsigned)?;
            Ok(Identity::AccessKey(claim.access_key_id().into()))
        }
    }
}

/// Whoever sent a request did not show who it is.
enum Nobody {
    /// On a port for devices.
    Forbidden(Forbidden),
    /// On the API's port.
    Unsigned(SignatureError),
}

impl From<Nobody> for ApiError {
    fn from(nobody: Nobody) -> Self {
        match nobody {
            Nobody::Forbidden(forbidden) => forbidden.into(),
            Nobody::Unsigned(error) => error.into(),
        }
    }
}

/// Whether the policies of a certificate allow what is asked for; the log says why not.
fn permit(
    cloud: &Cloud,
    caller: &Caller,
    id: &pki::CertificateId,
    operation: &'static Operation,
    input: &Map<String, Value>,
) -> Result<(), ApiError> {
    let (ip, peer) = (caller.peer.ip(), caller.peer);
    // It was there a moment ago.
    let principal = cloud.parts.registry.principal(id).filter(|principal| principal.is_active());
    let principal = principal.ok_or_else(ApiError::forbidden)?;
    permission::permit(&principal, operation.name, input, ip, caller.server_name(), now_ms() / 1000).map_err(
        |denied| match denied {
            Denied::ByPolicy { action, resource, reason, blame } => {
                tracing::warn!(
                    target: "eyot::authorize", certificate_id = %id, %peer, %action, resource, reason, "denied"
                );
                let request = permission::as_logged(operation.name, input);
                let broker = &cloud.parts.broker;
                broker.denied_over_http(caller.web(), request, action, &resource, &reason, blame);
                ApiError::forbidden()
            }
            Denied::NeedsSignature => ApiError::forbidden_because(
                "a client certificate cannot be permitted this operation: sign the request, and send it without one",
            ),
        },
    )
}

/// Headers as text; those that are none are never asked for.
pub(crate) fn text_headers(headers: &HeaderMap) -> Vec<(&str, &str)> {
    headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect()
}

/// The whole body, within limits of size and time. A large one takes its share of [`LARGE_BODIES_BYTES_MAX`] as soon as
/// it turns out to be large, all at once, and holds it as long as the permit lives: who holds a part and waits for the rest
/// would wait for others who do the same. The wait for room does not count as the client's time.
async fn collect<'a>(
    cloud: &'a Cloud,
    headers: &HeaderMap,
    mut body: Body,
) -> Result<(Bytes, Option<SemaphorePermit<'a>>), ApiError> {
    // A body whose length nobody announced may become as large as any.
    let announced = announced_bytes(headers).unwrap_or(BODY_BYTES_MAX);
    if announced > BODY_BYTES_MAX {
        return Err(ApiError::too_large(BODY_BYTES_MAX));
    }
    let (mut read, mut room) = (Vec::new(), None);
    let mut deadline = tokio::time::Instant::now() + BODY_TIMEOUT;
    loop {
        let frame = tokio::time::timeout_at(deadline, body.frame()).await;
        let frame = frame.map_err(|_| ApiError::body_broken("the request's body did not arrive in time"))?;
        let Some(frame) = frame else { return Ok((read.into(), room)) };
        let frame = frame.map_err(|_| ApiError::body_broken("the request's body broke off"))?;
        // Trailers say nothing that is read here.
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > BODY_BYTES_MAX {
            return Err(ApiError::too_large(BODY_BYTES_MAX));
        }
        read.extend_from_slice(&data);
        if read.len() > SMALL_BODY_BYTES && room.is_none() {
            let begun = tokio::time::Instant::now();
            room = Some(make_room(cloud, announced).await?);
            deadline += begun.elapsed();
        }
    }
}

async fn make_room(cloud: &Cloud, bytes: usize) -> Result<SemaphorePermit<'_>, ApiError> {
    let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
    match tokio::time::timeout(LARGE_BODY_WAIT, cloud.large_bodies.acquire_many(permits)).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(ApiError::unavailable(&"too many requests with large bodies at the same time")),
    }
}

fn announced_bytes(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The operation that a form of the query protocol names.
fn form_action(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    if !content_type.starts_with("application/x-www-form-urlencoded") {
        return None;
    }
    let form = parameters(std::str::from_utf8(body).ok()?);
    form.into_iter().find(|(name, _)| name == "Action").map(|(_, value)| value)
}

/// Parameters of a query or form, decoded.
pub(crate) fn parameters(text: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    text.split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

pub(crate) fn new_request_id() -> String {
    Uuid::new_v4().to_string()
}

pub(crate) fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn parameters_are_decoded() {
        let found = parameters("a=x%2Fy&b=1+2&flag&&c=%C3%BC");
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, [("a", "x/y"), ("b", "1 2"), ("flag", ""), ("c", "ü")]);
    }

    #[test]
    fn forms_name_their_action() {
        let mut headers = HeaderMap::new();
        assert_eq!(form_action(&headers, b"Action=GetCallerIdentity"), None);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"),
        );
        let action = form_action(&headers, b"Action=GetCallerIdentity&Version=2011-06-15");
        assert_eq!(action.as_deref(), Some("GetCallerIdentity"));
        assert_eq!(form_action(&headers, b"\xff"), None);
    }
}
