//! What clients are told when something is not done. The only place that knows AWS's error names and their shapes.

use std::borrow::Cow;

use aws_model::{InputError, Operation, Protocol, Service, summary};
use axum::http::{HeaderName, HeaderValue};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::identity::Forbidden;
use crate::reply::Reply;
use crate::sigv4::SignatureError;

/// An error answer, before it is known in which protocol.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    kind: Kind,
    message: Cow<'static, str>,
    /// Members besides the message, such as `resourceArn`.
    more: Map<String, Value>,
}

/// What kind of error: its name may differ from service to service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An error of the service's model; its status is in the tables.
    Modelled(&'static str),
    /// An error outside of the model.
    Other(&'static str, u16),
    /// The input breaks a constraint.
    Validation,
    /// The input cannot be read.
    Malformed,
    /// Try again later.
    Unavailable,
    /// Our fault.
    Internal,
}

impl ApiError {
    /// An error of the service's model, by its name there.
    pub(crate) fn modelled(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: Kind::Modelled(code), message: message.into(), more: Map::new() }
    }

    /// There is no such thing, certificate, group, …
    pub(crate) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::modelled("ResourceNotFoundException", message)
    }

    /// The request is wrong: `InvalidRequestException`, in CloudWatch Logs `InvalidParameterException`.
    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: Kind::Validation, message: message.into(), more: Map::new() }
    }

    /// A conflict with a resource that is there, named in the answer.
    pub(crate) fn already_exists(message: impl Into<Cow<'static, str>>, id: &str, arn: &str) -> Self {
        let mut error = Self::modelled("ResourceAlreadyExistsException", message);
        error.more.insert("resourceId".to_owned(), Value::from(id));
        error.more.insert("resourceArn".to_owned(), Value::from(arn));
        error
    }

    /// An operation of AWS that eyot does not have yet.
    pub(crate) fn not_implemented(service: Service, operation: &str) -> Self {
        let message = format!("eyot does not have the operation {operation} of {} yet", service.name());
        Self { kind: Kind::Other("NotImplemented", 501), message: message.into(), more: Map::new() }
    }

    /// An operation or path that AWS does not have either.
    pub(crate) fn unknown_operation(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind: Kind::Other("UnknownOperationException", 404),
            message: message.into(),
            more: Map::new(),
        }
    }

    /// The data plane's answer to who may not. Why is in the log. [verified 134]
    pub(crate) fn forbidden() -> Self {
        Forbidden::bare().into()
    }

    /// The same with words for the client.
    pub(crate) fn forbidden_because(message: &'static str) -> Self {
        Forbidden::because(message).into()
    }

    /// The body is larger than `limit` bytes.
    pub(crate) fn too_large(limit: usize) -> Self {
        let message = format!("the request's body is larger than {limit} bytes");
        Self {
            kind: Kind::Other("RequestEntityTooLargeException", 413),
            message: message.into(),
            more: Map::new(),
        }
    }

    /// The body did not arrive in time, or broke off.
    pub(crate) fn body_broken(message: &'static str) -> Self {
        Self { kind: Kind::Other("RequestTimeoutException", 408), message: message.into(), more: Map::new() }
    }

    /// Not possible at the moment; the full reason goes to the log.
    pub(crate) fn unavailable(error: &dyn std::fmt::Display) -> Self {
        tracing::warn!(target: "eyot::api", %error, "a request could not be served");
        Self {
            kind: Kind::Unavailable,
            message: "the service is not available at the moment".into(),
            more: Map::new(),
        }
    }

    /// Our fault; the full reason goes to the log.
    pub(crate) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(target: "eyot::api", %error, "a request failed");
        Self { kind: Kind::Internal, message: "internal failure".into(), more: Map::new() }
    }

    /// What the client is told.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The error's name and HTTP status in a service. Operations differ in what they call our own faults.
    pub(crate) fn code_and_status(
        &self,
        service: Service,
        operation: Option<&'static Operation>,
    ) -> (&'static str, u16) {
        let modelled = |code| (code, service.error_status(code).unwrap_or(400));
        match self.kind {
            Kind::Modelled(code) => modelled(code),
            Kind::Other(code, status) => (code, status),
            Kind::Validation => (service.validation_code(), 400),
            Kind::Malformed if service.protocol() == Protocol::RestJson => (service.validation_code(), 400),
            Kind::Malformed => ("SerializationException", 400),
            Kind::Unavailable => match service {
                Service::Sts => ("ServiceUnavailable", 503),
                _ => modelled("ServiceUnavailableException"),
            },
            Kind::Internal => {
                let codes = operation.map_or(&[][..], |operation| operation.errors);
                let internal = codes.iter().find(|code| code.starts_with("Internal"));
                (internal.copied().unwrap_or("InternalFailure"), 500)
            }
        }
    }

    /// The answer as the service's protocol has it.
    pub(crate) fn reply(
        &self,
        service: Service,
        operation: Option<&'static Operation>,
        request_id: &str,
    ) -> Reply {
        let (code, status) = self.code_and_status(service, operation);
        let mut body = self.more.clone();
        match service.protocol() {
            Protocol::RestJson => {
                body.insert("message".to_owned(), Value::from(&*self.message));
                let mut reply = Reply::json(status, &Value::Object(body), service.protocol());
                reply
                    .headers
                    .push((HeaderName::from_static("x-amzn-errortype"), HeaderValue::from_static(code)));
                reply
            }
            Protocol::Json11 => {
                body.insert("__type".to_owned(), Value::from(code));
                body.insert("message".to_owned(), Value::from(&*self.message));
                // [AWS json 1.1] Every error of the client is 400, also what is unknown.
                let status = if status == 404 { 400 } else { status };
                Reply::json(status, &Value::Object(body), service.protocol())
            }
            Protocol::Query => {
                let fault = if status < 500 { "Sender" } else { "Receiver" };
                Reply::xml(
                    status,
                    format!(
                        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>{fault}</Type>\
                     <Code>{code}</Code><Message>{}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>",
                        crate::reply::xml_text(&self.message)
                    ),
                )
            }
        }
    }
}

impl From<InputError> for ApiError {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Malformed(message) => {
                Self { kind: Kind::Malformed, message: message.into(), more: Map::new() }
            }
            InputError::Invalid(violations) => Self::invalid(summary(&violations)),
        }
    }
}

impl From<SignatureError> for ApiError {
    /// Names and statuses as the control plane has them, aws-map 4.2.
    fn from(error: SignatureError) -> Self {
        let code = match error {
            SignatureError::Missing => "MissingAuthenticationTokenException",
            SignatureError::Incomplete(_) => "IncompleteSignatureException",
            SignatureError::Mismatch
            | SignatureError::Expired { .. }
            | SignatureError::NotYetCurrent { .. } => "InvalidSignatureException",
        };
        Self { kind: Kind::Other(code, 403), message: error.to_string().into(), more: Map::new() }
    }
}

impl From<Forbidden> for ApiError {
    /// [verified 14, 137] The gateway in front of the data plane puts a colon behind the name.
    fn from(forbidden: Forbidden) -> Self {
        let more = Map::new();
        Self { kind: Kind::Other("ForbiddenException:", 403), message: forbidden.message, more }
    }
}

impl From<store::AppendError> for ApiError {
    fn from(error: store::AppendError) -> Self {
        match error {
            store::AppendError::TooLarge { limit_bytes, .. } => {
                Self::invalid(format!("the request is larger than the journal takes: {limit_bytes} bytes"))
            }
            other => Self::unavailable(&other),
        }
    }
}

/// An answer of our own endpoints.
pub(crate) fn own_json(status: u16, value: &Value) -> Reply {
    let body = serde_json::to_vec(value).unwrap_or_else(|_| json!({}).to_string().into_bytes());
    Reply::bytes(status, "application/json", Bytes::from(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(reply: &Reply) -> String {
        String::from_utf8(reply.body.to_vec()).unwrap()
    }

    #[test]
    fn rest_json_errors_have_their_name_in_a_header() {
        let error = ApiError::already_exists("there", "id", "arn:x");
        let reply = error.reply(Service::Iot, None, "r");
        assert_eq!(reply.status, 409);
        assert!(
            reply
                .headers
                .iter()
                .any(|(name, value)| name == "x-amzn-errortype" && value == "ResourceAlreadyExistsException")
        );
        assert_eq!(text(&reply), r#"{"message":"there","resourceArn":"arn:x","resourceId":"id"}"#);
    }

    #[test]
    fn json_errors_have_their_name_in_the_body() {
        let reply =
            ApiError::not_found("The specified log group does not exist.").reply(Service::Logs, None, "r");
        assert_eq!(reply.status, 400);
        assert_eq!(
            text(&reply),
            r#"{"__type":"ResourceNotFoundException","message":"The specified log group does not exist."}"#
        );
        assert_eq!(ApiError::unknown_operation("x").reply(Service::Logs, None, "r").status, 400);
    }

    #[test]
    fn query_errors_are_xml() {
        let reply = ApiError::invalid("a < b").reply(Service::Sts, None, "r");
        assert!(
            text(&reply).contains("<Code>ValidationError</Code><Message>a &lt; b</Message>"),
            "{}",
            text(&reply)
        );
    }

    #[test]
    fn each_service_has_its_own_names() {
        let of = |error: &ApiError, service| error.code_and_status(service, None);
        let invalid = ApiError::invalid("x");
        assert_eq!(of(&invalid, Service::Iot), ("InvalidRequestException", 400));
        assert_eq!(of(&invalid, Service::Logs), ("InvalidParameterException", 400));
        let malformed = ApiError::from(InputError::Malformed("x".to_owned()));
        assert_eq!(of(&malformed, Service::Iot), ("InvalidRequestException", 400));
        assert_eq!(of(&malformed, Service::Logs), ("SerializationException", 400));
        let closed = ApiError::from(store::AppendError::Closed);
        assert_eq!(of(&closed, Service::Iot), ("ServiceUnavailableException", 503));
        assert_eq!(of(&closed, Service::Logs), ("ServiceUnavailableException", 500));
        let rule = Service::Iot.operation("CreateTopicRule");
        assert_eq!(ApiError::internal(&"x").code_and_status(Service::Iot, rule), ("InternalException", 500));
        let thing = Service::Iot.operation("CreateThing");
        assert_eq!(
            ApiError::internal(&"x").code_and_status(Service::Iot, thing),
            ("InternalFailureException", 500)
        );
        assert_eq!(of(&ApiError::not_implemented(Service::Iot, "X"), Service::Iot), ("NotImplemented", 501));
    }

    #[test]
    fn reasons_of_ours_stay_in_the_log() {
        let reply = ApiError::internal(&"/secret/path").reply(Service::Iot, None, "r");
        assert!(!text(&reply).contains("secret"));
    }
}
