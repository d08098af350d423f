//! Who may talk to us at all: a web page must not be able to drive a server on localhost.
//!
//! A browser on this machine reaches loopback for every page that it shows. Two things give a page away: the `Host`
//! of a name that was rebound to 127.0.0.1, and the `Origin` or `Sec-Fetch-Site` of a request from another site.
//! Both are looked at before anything else, for every path.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode, Uri, header};
use axum::middleware::Next;

use crate::caller::{Caller, Door};

/// The names under which the API is reached.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    names: Arc<[String]>,
    addresses: Arc<[IpAddr]>,
}

/// Why a request is turned away, whatever it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no `Host`, or there are several.
    NoHost,
    /// The `Host` is not ours.
    OtherHost,
    /// A page of another site sent it.
    CrossSite,
}

impl Hosts {
    /// Loopback names and addresses, the address that is listened on, and the advertised names.
    pub fn new(bound: SocketAddr, advertised: impl IntoIterator<Item = String>) -> Self {
        let mut names = vec!["localhost".to_owned()];
        let mut addresses = vec![bound.ip()];
        for name in advertised {
            match name.parse() {
                Ok(address) => addresses.push(address),
                Err(_) => names.push(name.to_ascii_lowercase()),
            }
        }
        Self { names: names.into(), addresses: addresses.into() }
    }

    /// Whether a `Host` header's value, with or without a port, is one of ours.
    fn contains(&self, host: &str) -> bool {
        let Some(name) = without_port(host) else { return false };
        if let Ok(address) = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return address.is_loopback() || self.addresses.contains(&address);
        }
        // `stream-localhost` is what SDKs make of `localhost` for StartLiveTail.
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        self.names.iter().any(|known| known == name)
            || name == "stream-localhost"
            || name.ends_with(".localhost")
    }

    /// `transport`: how it came.
    fn check(&self, uri: &Uri, headers: &HeaderMap, transport: Transport) -> Result<(), Refusal> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().map_err(|_| Refusal::NoHost)?,
            _ => return Err(Refusal::NoHost),
        };
        // `GET http://name/ HTTP/1.1`: the name in the target counts as well.
        let target = uri.authority().map(axum::http::uri::Authority::as_str);
        let is_ours = self.contains(host) && target.is_none_or(|target| self.contains(target));
        if !is_ours && transport != Transport::TlsWithCertificate {
            return Err(Refusal::OtherHost);
        }
        let scheme = if transport == Transport::Plain { "http" } else { "https" };
        for origin in headers.get_all(header::ORIGIN) {
            if !origin.to_str().is_ok_and(|origin| is_same_origin(origin, host, scheme)) {
                return Err(Refusal::CrossSite);
            }
        }
        for site in headers.get_all("sec-fetch-site") {
            // [Fetch Metadata] `none`: typed in by the user. Everything unknown counts as foreign.
            if !matches!(site.as_bytes(), b"same-origin" | b"none") {
                return Err(Refusal::CrossSite);
            }
        }
        Ok(())
    }
}

/// The name or address of `name:port`, brackets kept; `None` when the port is none.
fn without_port(host: &str) -> Option<&str> {
    let end = match host.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(end);
    let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    (is_port && !name.is_empty()).then_some(name)
}

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Plain,
    Tls,
    /// No page can bring that, unless its user has put a device's key into the browser: a device may know us by a name
    /// that we do not know, such as that of a router in between.
    TlsWithCertificate,
}

impl Transport {
    fn of(caller: &Caller) -> Self {
        match &caller.door {
            Door::Api => Self::Plain,
            Door::Devices { certificate: None, .. } => Self::Tls,
            Door::Devices { certificate: Some(_), .. } => Self::TlsWithCertificate,
        }
    }
}

/// [RFC 6454] Name and port are the same; the scheme may be the other one, as some MQTT clients say `https` of what goes over
/// plain HTTP: no page has it for a port that speaks only one of them.
fn is_same_origin(origin: &str, host: &str, scheme: &str) -> bool {
    let Some((named, authority)) = origin.split_once("://") else { return false };
    let default_port = |scheme| match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let with_port = |text: &str, scheme| {
        let text = text.to_ascii_lowercase();
        let has_port = without_port(&text).is_some_and(|name| name.len() < text.len());
        if has_port { Some(text) } else { Some(format!("{text}:{}", default_port(scheme)?)) }
    };
    default_port(named).is_some() && with_port(authority, named) == with_port(host, scheme)
}

impl Refusal {
    fn response(self) -> Response<Body> {
        let (status, code, message) = match self {
            Self::NoHost => (StatusCode::BAD_REQUEST, "BadRequest", "the request must have one Host header"),
            Self::OtherHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "MisdirectedRequest",
                "this server is not reached under the name in the Host header; `--advertise NAME` adds one",
            ),
            Self::CrossSite => (
                StatusCode::FORBIDDEN,
                "AccessDeniedException",
                "pages of other sites may not use this server",
            ),
        };
        tracing::warn!(target: "eyot::api", code, "refused a request: {message}");
        // Built of constants: nothing in it can be wrong.
        Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-amzn-errortype", code)
            .header("x-amzn-requestid", uuid::Uuid::new_v4().to_string())
            .body(Body::from(format!("{{\"message\":\"{message}\"}}")))
            .expect("a response of constants")
    }
}

/// Lets a request through, or turns it away.
pub(crate) async fn check(State(hosts): State<Hosts>, request: Request, next: Next) -> Response<Body> {
    let caller = request.extensions().get::<Caller>().cloned();
    let transport = caller.as_ref().map_or(Transport::Plain, Transport::of);
    match hosts.check(request.uri(), request.headers(), transport) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            if let Some(caller) = caller {
                caller.turn_away();
            }
            refusal.response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn check_on(transport: Transport, target: &str, headers: &[(&'static str, &str)]) -> Result<(), Refusal> {
        let hosts = Hosts::new(
            "192.168.1.7:4566".parse().unwrap(),
            ["Cloud.example".to_owned(), "10.0.0.1".to_owned()],
        );
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        hosts.check(&target.parse().unwrap(), &headers, transport)
    }

    fn check(target: &str, headers: &[(&'static str, &str)]) -> Result<(), Refusal> {
        check_on(Transport::Plain, target, headers)
    }

    #[test]
    fn our_names_are_served() {
        let ours = [
            "localhost",
            "localhost:4566",
            "LOCALHOST:1",
            "localhost.",
            "127.0.0.1:4566",
            "127.9.9.9",
            "[::1]:4566",
            "192.168.1.7:4566",
            "cloud.example",
            "CLOUD.EXAMPLE:80",
            "10.0.0.1",
            "stream-localhost:4566",
        ];
        for host in ours {
            assert_eq!(check("/", &[("host", host)]), Ok(()), "{host}");
        }
    }

    #[test]
    fn other_names_are_misdirected() {
        let others = [
            "evil.example",
            "evil.example:4566",
            "127.0.0.1.evil.example:4566",
            "localhost.evil.example",
            "169.254.169.254:4566",
            "[::ffff:10.0.0.1]:4566",
            "xcloud.example",
            "",
            "localhost:x",
            "localhost:99999",
            "[::1",
            "user@localhost",
            "0.0.0.0",
            "localhost evil",
        ];
        for host in others {
            assert_eq!(check("/", &[("host", host)]), Err(Refusal::OtherHost), "{host}");
        }
        assert_eq!(check("http://evil.example/things", &[("host", "localhost")]), Err(Refusal::OtherHost));
        assert_eq!(check("/", &[]), Err(Refusal::NoHost));
        assert_eq!(check("/", &[("host", "localhost"), ("host", "localhost")]), Err(Refusal::NoHost));
    }

    #[test]
    fn other_sites_are_refused() {
        let host = ("host", "localhost:4566");
        for origin in [
            "http://evil.example",
            "https://localhost.evil.example",
            "null",
            "http://localhost:1",
            "https://localhost:4567",
            "file://localhost:4566",
            "localhost:4566",
            "http://localhost",
            "https://localhost",
            "",
        ] {
            assert_eq!(check("/", &[host, ("origin", origin)]), Err(Refusal::CrossSite), "{origin}");
        }
        for site in ["cross-site", "same-site", "anything"] {
            assert_eq!(check("/", &[host, ("sec-fetch-site", site)]), Err(Refusal::CrossSite), "{site}");
        }
        assert_eq!(
            check("/", &[host, ("origin", "http://LOCALHOST:4566"), ("sec-fetch-site", "same-origin")]),
            Ok(())
        );
        assert_eq!(check("/", &[host, ("origin", "https://localhost:4566")]), Ok(()));
        assert_eq!(check("/", &[("host", "localhost"), ("origin", "http://localhost")]), Ok(()));
        assert_eq!(check("/", &[("host", "localhost"), ("origin", "http://localhost:80")]), Ok(()));
        assert_eq!(check("/", &[host, ("sec-fetch-site", "none")]), Ok(()));
        let two = [host, ("origin", "http://localhost:4566"), ("origin", "http://evil.example")];
        assert_eq!(check("/", &two), Err(Refusal::CrossSite));
    }

    #[test]
    fn over_tls_a_certificate_stands_for_the_name_and_never_for_the_page() {
        let evil = ("host", "router.example:8443");
        assert_eq!(check_on(Transport::Tls, "/", &[evil]), Err(Refusal::OtherHost));
        assert_eq!(check_on(Transport::TlsWithCertificate, "/", &[evil]), Ok(()));
        let page = ("origin", "https://evil.example");
        assert_eq!(check_on(Transport::TlsWithCertificate, "/", &[evil, page]), Err(Refusal::CrossSite));
        let ours = ("origin", "https://localhost");
        assert_eq!(check_on(Transport::Tls, "/", &[("host", "localhost:443"), ours]), Ok(()));
        assert_eq!(
            check_on(Transport::Tls, "/", &[("host", "localhost:8443"), ours]),
            Err(Refusal::CrossSite)
        );
    }
}
