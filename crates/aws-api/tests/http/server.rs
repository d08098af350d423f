//! A whole server on loopback, and a client that sends exactly what it is told.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_api::sigv4::{Credentials, Message, Payload, sign};
use aws_api::{Api, Hosts, MetricKind, Parts, WebSockets, serve};
use broker::{Broker, BrokerConfig};
use logs::Logs;
use mqtt_session::Limits;
use pki::{Authority, ServerNames};
use registry::{Identity, Registry};
use rules::Rules;
use serde_json::Value;
use services::{IotLog, Retained, RetainedLimits, Shadows};
use store::{Store, StoreOptions};
use tokio::sync::oneshot;

/// A server in memory.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    runtime: Option<tokio::runtime::Runtime>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(aws_api::CONNECTIONS_MAX, Limits::aws())
    }

    /// One with so many connections of the API, and these limits of clients.
    pub(crate) fn with(connections_max: usize, limits: Limits) -> Self {
        let opening = Store::open(StoreOptions::in_memory()).unwrap();
        let (store, logs) = Logs::start(opening).unwrap();
        let identity = Identity { region: "us-east-1".to_owned(), account_id: "000000000000".to_owned() };
        let registry = Arc::new(Registry::load(&store, identity).unwrap());
        let rules = Arc::new(Rules::load(&store, Arc::clone(&logs), "000000000000", limits.clone()).unwrap());
        let shadows = Arc::new(Shadows::load(&store).unwrap());
        let retained = Arc::new(Retained::load(&store, RetainedLimits::default()).unwrap());
        let names = ServerNames::new(["localhost".to_owned()]).unwrap();
        let authority = Arc::new(Authority::in_memory(&names, SystemTime::now()).unwrap());
        let iot_log = Arc::new(IotLog::start(&store, Arc::clone(&logs), "000000000000").unwrap());
        let broker = broker::Parts {
            registry: Arc::clone(&registry),
            rules: Arc::clone(&rules),
            retained: Arc::clone(&retained),
            store: store.clone(),
            iot_log: Arc::clone(&iot_log),
            identities: authority.server_identities(),
        };
        let mut config = BrokerConfig::new("127.0.0.1:0".parse().unwrap());
        config.limits = limits.clone();
        let broker = Arc::new(Broker::start(config, broker).unwrap());

        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let api = Api::new(Parts {
            registry,
            rules,
            logs,
            shadows,
            retained,
            iot_log,
            broker,
            authority,
            store,
            limits,
            endpoint: "localhost".to_owned(),
            hosts: Hosts::new(address, []),
            device_hosts: Hosts::new(address, []),
            metrics: Arc::new(|page, _| page.single("eyot_more", MetricKind::Gauge, "More.", 1)),
        });
        let own = axum::Router::new().route("/_eyot/own", axum::routing::get(|| async { "own" }));
        let (end, ended) = oneshot::channel();
        let (websockets, _) = WebSockets::new();
        runtime.spawn(serve(listener, connections_max, api.router(own), websockets, async {
            let _ = ended.await;
        }));
        Self { address, end: Some(end), runtime: Some(runtime) }
    }

    /// Sends bytes, and reads until the server closes.
    pub(crate) fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // The server may refuse before it has read everything.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A request with exactly these headers.
    pub(crate) fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = format!("{method} {target} HTTP/1.1\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len()));
        let mut bytes = request.into_bytes();
        bytes.extend(body);
        let text = self.raw(&bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// A signed request, with more headers.
    pub(crate) fn signed(
        &self,
        service: &str,
        method: &str,
        target: &str,
        more: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let host = self.address.to_string();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = vec![("host", host.as_str())];
        headers.extend(more);
        let message = Message { method, path, query, headers: &headers, payload: Payload::Bytes(body) };
        let credentials =
            Credentials { access_key_id: "test", secret_access_key: "test", session_token: None };
        let added = sign(&message, &credentials, "us-east-1", service, 1_700_000_000_000);
        headers.extend(added.iter().map(|(name, value)| (*name, value.as_str())));
        self.send(method, target, &headers, body)
    }

    pub(crate) fn iot(&self, method: &str, target: &str, body: &str) -> Answer {
        self.signed("iot", method, target, &[], body.as_bytes())
    }

    pub(crate) fn data(&self, method: &str, target: &str, body: &str) -> Answer {
        self.signed("iotdata", method, target, &[], body.as_bytes())
    }

    pub(crate) fn logs(&self, operation: &str, body: &str) -> Answer {
        let target = format!("Logs_20140328.{operation}");
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", &target)];
        self.signed("logs", "POST", "/", &headers, body.as_bytes())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            let _ = end.send(());
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn has(&self, header: &str) -> bool {
        self.head.lines().any(|line| line == header.to_ascii_lowercase())
    }

    /// Asserts an error of the REST services.
    pub(crate) fn assert_error(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.has(&format!("x-amzn-errortype: {code}")), "{self:?}");
        assert!(self.head.contains("x-amzn-requestid: "), "{self:?}");
        self.json()["message"].as_str().unwrap().to_owned()
    }

    /// Asserts an error of CloudWatch Logs.
    pub(crate) fn assert_logs_error(&self, code: &str) -> String {
        assert_eq!((self.status, self.json()["__type"].as_str()), (400, Some(code)), "{self:?}");
        self.json()["message"].as_str().unwrap().to_owned()
    }
}
