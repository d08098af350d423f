//! Answers on their way out.

use aws_model::Protocol;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use serde::Serialize;

/// An HTTP answer without what every answer has.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

impl Reply {
    /// Bytes of some type.
    pub(crate) fn bytes(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status, content_type, headers: Vec::new(), body: body.into() }
    }

    /// A value as JSON; `()` is an empty body.
    pub(crate) fn json<T: Serialize>(status: u16, value: &T, protocol: Protocol) -> Self {
        let content_type = match protocol {
            Protocol::Json11 => "application/x-amz-json-1.1",
            _ => "application/json",
        };
        let mut body = serde_json::to_vec(value).expect("shapes have text keys and no failing members");
        if body == b"null" {
            body.clear();
        }
        Self::bytes(status, content_type, body)
    }

    /// XML, of the query protocol.
    pub(crate) fn xml(status: u16, body: String) -> Self {
        Self::bytes(status, "text/xml", body)
    }

    /// The HTTP response.
    pub(crate) fn into_response(self, request_id: &str) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if let Ok(request_id) = HeaderValue::from_str(request_id) {
            headers.insert(HeaderName::from_static("x-amzn-requestid"), request_id);
        }
        headers.extend(self.headers);
        response
    }
}

/// Text as it may stand between XML tags.
pub(crate) fn xml_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // XML 1.0 has no other control characters.
            '\t' | '\n' | '\r' => out.push(character),
            control if control < ' ' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}
