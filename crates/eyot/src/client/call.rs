//! One signed call, and what came back.

use std::sync::OnceLock;
use std::time::Duration;

use aws_api::sigv4;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use ureq::http;
use ureq::tls::{PemItem, RootCerts, TlsConfig};

use crate::failure::{Failure, Outcome};
use crate::wall_clock;

use super::credentials::Credentials;
use super::roots::SYSTEM_BUNDLES;
use super::{ServerArgs, Target};

/// How long one call may take: a server that is asked to sign an RSA certificate on a busy laptop needs seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest answer read; AWS's pages end at 1 MB, ours at 10,000 events.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// All but what RFC 3986 leaves as it is, which is what SigV4 demands of paths and queries.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Percent-encodes one path segment or query value.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// An account and region somewhere, to call operations of.
#[derive(Debug)]
pub(crate) struct Api {
    agent: ureq::Agent,
    target: Target,
    credentials: Credentials,
    /// AWS has a data endpoint per account; asked for once.
    data_host: OnceLock<String>,
}

/// A service: where it is and under which name calls to it are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// The control plane.
    Iot,
    /// Shadows and publishing.
    IotData,
    /// CloudWatch Logs.
    Logs,
    /// Our own endpoints under `/_eyot/`.
    Eyot,
}

impl Service {
    fn signing_name(self) -> &'static str {
        match self {
            Self::Iot | Self::Eyot => "iot",
            Self::IotData => "iotdata",
            Self::Logs => "logs",
        }
    }
}

/// A call about to be made.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// The operation's name, for errors.
    pub(crate) operation: &'a str,
    /// Its service.
    pub(crate) service: Service,
    /// GET, POST, …
    pub(crate) method: &'static str,
    /// Percent-encoded.
    pub(crate) path: String,
    /// Not yet percent-encoded.
    pub(crate) query: Vec<(&'a str, &'a str)>,
    /// Besides those of the signature.
    pub(crate) headers: Vec<(&'a str, String)>,
    /// May be empty.
    pub(crate) body: Vec<u8>,
}

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The service said no.
    #[error("{operation}: {code}: {message}")]
    Refused { operation: String, code: String, message: String },
    /// Nobody answered, or not in HTTP.
    #[error("cannot reach {target}: {source}")]
    Unreachable { target: Target, source: ureq::Error },
    /// Something answered that is not the service.
    #[error("{operation}: the answer makes no sense: {why}")]
    Nonsense { operation: String, why: String },
}

impl CallError {
    /// Whether the service refused with this error.
    pub(crate) fn is(&self, name: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == name)
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused { operation, code, message } => {
                Self::new(format!("the server refused {operation}")).why(format!("{code}: {message}"))
            }
            CallError::Unreachable { target, source } => {
                Self::new(format!("cannot reach {target}")).because(&source).advice(target.advice())
            }
            CallError::Nonsense { operation, why } => {
                Self::new(format!("{operation} brought no usable answer"))
                    .why(why)
                    .advice("does an eyot listen at that address?")
            }
        }
    }
}

impl Api {
    /// The server that the arguments name.
    pub(crate) fn of(arguments: &ServerArgs) -> Outcome<Self> {
        Self::new(arguments.target()?)
    }

    /// A server.
    pub(crate) fn new(target: Target) -> Outcome<Self> {
        let credentials = Credentials::for_target(&target)?;
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(CALL_TIMEOUT))
            .max_redirects(0)
            .user_agent(concat!("eyot/", env!("CARGO_PKG_VERSION")));
        if target.is_loopback() {
            // HTTP_PROXY knows nothing about this machine's own addresses.
            config = config.proxy(None);
        } else {
            config = config.tls_config(TlsConfig::builder().root_certs(system_roots()).build());
        }
        Ok(Self { agent: config.build().new_agent(), target, credentials, data_host: OnceLock::new() })
    }

    /// Where calls go.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// A call whose answer is JSON; an empty one is `null`.
    pub(crate) fn json(&self, call: &Call<'_>) -> Result<Value, CallError> {
        let bytes = self.bytes(call)?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| CallError::Nonsense {
            operation: call.operation.to_owned(),
            why: format!("not JSON: {error}"),
        })
    }

    /// A call whose answer is taken as it is.
    pub(crate) fn bytes(&self, call: &Call<'_>) -> Result<Vec<u8>, CallError> {
        let base = self.base_url(call.service)?;
        let query = call
            .query
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect::<Vec<_>>();
        let query = query.join("&");
        let separator = if query.is_empty() { "" } else { "?" };
        let url = format!("{base}{}{separator}{query}", call.path);
        let host = base.split_once("://").map_or(base.as_str(), |(_, host)| host);

        let mut request = http::Request::builder().method(call.method).uri(&url);
        for (name, value) in self.signed_headers(call, host, &query) {
            request = request.header(name, value);
        }
        let unreachable = |source| CallError::Unreachable { target: self.target.clone(), source };
        let answer = if call.body.is_empty() {
            request.body(()).map_err(ureq::Error::from).and_then(|request| self.agent.run(request))
        } else {
            request
                .body(&call.body[..])
                .map_err(ureq::Error::from)
                .and_then(|request| self.agent.run(request))
        };
        let mut answer = answer.map_err(unreachable)?;
        let status = answer.status().as_u16();
        let kind =
            answer.headers().get("x-amzn-errortype").and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        let bytes =
            answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(unreachable)?;
        if (200..300).contains(&status) {
            return Ok(bytes);
        }
        Err(refusal(call.operation, status, kind, &bytes))
    }

    fn signed_headers(&self, call: &Call<'_>, host: &str, query: &str) -> Vec<(String, String)> {
        let mut headers: Vec<(String, String)> = vec![("host".to_owned(), host.to_owned())];
        headers.extend(call.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        if !call.body.is_empty() && !call.headers.iter().any(|(name, _)| *name == "content-type") {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        let message = sigv4::Message {
            method: call.method,
            path: &call.path,
            query,
            headers: &headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>(),
            payload: sigv4::Payload::Bytes(&call.body),
        };
        let region = self.target.region();
        let added = sigv4::sign(
            &message,
            &self.credentials.borrowed(),
            &region,
            call.service.signing_name(),
            wall_clock::now_ms(),
        );
        headers.extend(added.into_iter().map(|(name, value)| (name.to_owned(), value)));
        headers
    }

    fn base_url(&self, service: Service) -> Result<String, CallError> {
        match &self.target {
            Target::Eyot { url, .. } => Ok(url.clone()),
            Target::Aws { region, domain } => Ok(match service {
                Service::Iot | Service::Eyot => format!("https://iot.{region}.{domain}"),
                Service::Logs => format!("https://logs.{region}.{domain}"),
                Service::IotData => match self.data_host.get() {
                    Some(host) => format!("https://{host}"),
                    None => {
                        let host = self.describe_endpoint()?;
                        format!("https://{}", self.data_host.get_or_init(|| host))
                    }
                },
            }),
        }
    }
}

/// What a refusal says: the name from the header or the body, the text from the body.
fn refusal(operation: &str, status: u16, kind: Option<String>, body: &[u8]) -> CallError {
    let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let text = |names: [&str; 2]| names.iter().find_map(|name| json[name].as_str()).map(str::to_owned);
    let code = kind.or_else(|| text(["__type", "code"])).unwrap_or_else(|| format!("HTTP status {status}"));
    // `com.amazonaws.logs#ResourceNotFoundException:http://…` is what some services make of the name.
    let code = code.rsplit('#').next().unwrap_or_default().split(':').next().unwrap_or_default().to_owned();
    let message = text(["message", "Message"])
        .unwrap_or_else(|| String::from_utf8_lossy(&body[..body.len().min(200)]).trim().to_owned());
    CallError::Refused { operation: operation.to_owned(), code, message }
}

/// The authorities that this system trusts.
fn system_roots() -> RootCerts {
    let given = std::env::var_os("SSL_CERT_FILE").map(std::path::PathBuf::from);
    let bundles = given.into_iter().chain(SYSTEM_BUNDLES.iter().map(Into::into));
    let pem = bundles.filter_map(|path| std::fs::read(path).ok()).next().unwrap_or_default();
    let certificates: Vec<_> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    RootCerts::from(certificates)
}
