//! Who sent a request to the data plane: the holder of a certificate, or who signed it.
//!
//! A certificate counts before a signature: SDKs sign whatever they send, and its policies give less than IAM, which is
//! not modelled. Looked at for every request: neither a resumed TLS session nor a connection that is kept open outlives
//! its certificate.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use broker::{Broker, Cause, Identity, WebRequest};
use pki::CertificateId;
use registry::Registry;
use serde_json::json;

use crate::caller::Caller;
use crate::sigv4::{Claim, GATEWAY, Message};

/// Signing names of the data plane. [AWS iot protocols] SDKs sign HTTP for the one, and WebSockets for the other.
const SERVICES: [&str; 2] = ["iotdata", GATEWAY];

/// Why a request to the data plane is turned away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Forbidden {
    /// What the client is told.
    pub(crate) message: Cow<'static, str>,
    /// What somebody is told who looks for the mistake, if that is more.
    reason: Option<String>,
    cause: Cause,
}

/// Who sent a request.
///
/// # Errors
/// There is no usable certificate and no signature that counts here; the log says why a certificate does not.
pub(crate) fn of_request(
    registry: &Registry,
    caller: &Caller,
    message: &Message<'_>,
    now_ms: i64,
) -> Result<Identity, Forbidden> {
    let identity = look(registry, caller, message, now_ms);
    if identity.is_err() {
        caller.turn_away();
    }
    identity
}

fn look(
    registry: &Registry,
    caller: &Caller,
    message: &Message<'_>,
    now_ms: i64,
) -> Result<Identity, Forbidden> {
    if let Some(id) = caller.certificate() {
        return of_certificate(registry, caller, *id);
    }
    let claim = Claim::read(message).map_err(|error| Forbidden::signature(error.to_string()))?;
    // No key of anybody's is known: what comes over a network could be signed by anyone.
    if !caller.is_local() {
        return Err(Forbidden::signature(
            "signatures cannot be verified here, so they count on this machine's loopback address alone: present a \
             client certificate",
        ));
    }
    if !SERVICES.contains(&claim.service()) {
        let services = SERVICES.join(" or ");
        return Err(Forbidden::signature(format!(
            "Credential should be scoped to correct service: {services}, not '{}'.",
            claim.service()
        )));
    }
    claim.check_time(now_ms).map_err(|error| Forbidden::signature(error.to_string()))?;
    Ok(Identity::AccessKey(claim.access_key_id().into()))
}

fn of_certificate(registry: &Registry, caller: &Caller, id: CertificateId) -> Result<Identity, Forbidden> {
    let reason = match registry.principal(&id) {
        Some(principal) if principal.is_active() => return Ok(Identity::Certificate(id)),
        Some(principal) => {
            format!("certificate {id} is {}, and only ACTIVE ones may be used", principal.status)
        }
        None => format!("certificate {id} is not registered"),
    };
    tracing::warn!(target: "eyot::authorize", certificate_id = %id, peer = %caller.peer, reason, "denied");
    Err(Forbidden { reason: Some(reason), ..Forbidden::bare() })
}

impl Forbidden {
    /// [verified 134] What AWS says to who has no permission. Why is in the log.
    pub(crate) const fn bare() -> Self {
        Self { message: Cow::Borrowed("Forbidden"), reason: None, cause: Cause::NotActive }
    }

    pub(crate) fn because(message: &'static str) -> Self {
        Self { message: message.into(), ..Self::bare() }
    }

    fn signature(message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), reason: None, cause: Cause::Signature }
    }

    /// For `eyot explain`, metrics and AWSIotLogsV2.
    pub(crate) fn note(&self, broker: &Broker, caller: &Caller, request: WebRequest<'_>) {
        let reason = self.reason.as_deref().unwrap_or(&self.message);
        broker.refused_over_http(caller.web(), request, self.cause.clone(), reason);
    }

    /// [verified 14] As AWS's gateway answers, with the colon behind the error's name.
    pub(crate) fn response(&self, request_id: &str) -> Response<Body> {
        let body = json!({ "message": self.message, "traceId": request_id }).to_string();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::FORBIDDEN;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("x-amzn-errortype", HeaderValue::from_static("ForbiddenException:"));
        if let Ok(request_id) = HeaderValue::from_str(request_id) {
            headers.insert("x-amzn-requestid", request_id);
        }
        // Pages of other sites never come this far.
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("x-amzn-ErrorMessage,x-amzn-RequestId,x-amzn-ErrorType,Date"),
        );
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::Door;

    fn caller(peer: &str, local: &str) -> Caller {
        Caller::new(peer.parse().unwrap(), local.parse().ok(), Door::Api)
    }

    #[test]
    fn only_this_machine_is_local() {
        assert!(caller("127.0.0.1:1", "127.0.0.1:8443").is_local());
        assert!(caller("[::1]:1", "[::1]:8443").is_local());
        assert!(caller("[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:8443").is_local());
        assert!(!caller("192.168.1.9:1", "192.168.1.7:8443").is_local());
        assert!(
            !caller("192.168.1.9:1", "127.0.0.1:8443").is_local(),
            "handed on by something of this machine"
        );
        assert!(!caller("127.0.0.1:1", "192.168.1.7:8443").is_local());
        assert!(!caller("127.0.0.1:1", "").is_local());
    }

    #[test]
    fn a_refusal_has_the_shape_of_awss() {
        let response = Forbidden::bare().response("r");
        assert_eq!(response.status(), 403);
        assert_eq!(response.headers()["x-amzn-errortype"], "ForbiddenException:");
        assert_eq!(response.headers()["x-amzn-requestid"], "r");
    }
}
