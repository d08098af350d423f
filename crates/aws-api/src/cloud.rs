//! What handlers work with, and the router that leads to them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aws_model::Service;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use axum::routing::{any, get};
use broker::Broker;
use logs::Logs;
use mqtt_session::Limits;
use pki::Authority;
use registry::Registry;
use rules::Rules;
use serde_json::json;
use services::{IotLog, Retained, Shadows};
use store::Store;
use tokio::sync::Semaphore;

use crate::guard::{self, Hosts};
use crate::metrics::{Exposition, MetricsWriter, Requests};
use crate::ops::{Handler, SERVED};
use crate::{dispatch, error, explain, route, websocket};

/// The parts of the server that the API works with.
#[derive(Clone)]
pub struct Parts {
    /// Things, certificates, policies.
    pub registry: Arc<Registry>,
    /// Topic rules.
    pub rules: Arc<Rules>,
    /// Log groups.
    pub logs: Arc<Logs>,
    /// Device shadows.
    pub shadows: Arc<Shadows>,
    /// Messages that are kept for later subscribers.
    pub retained: Arc<Retained>,
    /// Logs what happens to AWSIotLogsV2.
    pub iot_log: Arc<IotLog>,
    /// Takes messages, and learns of changes.
    pub broker: Arc<Broker>,
    /// Issues certificates.
    pub authority: Arc<Authority>,
    /// What answers wait for.
    pub store: Store,
    /// What may be published; the same as the broker's.
    pub limits: Limits,
    /// What DescribeEndpoint returns: a bare host name or address.
    pub endpoint: String,
    /// Under which names the API is reached.
    pub hosts: Hosts,
    /// Under which names the ports for devices are.
    pub device_hosts: Hosts,
    /// Writes more metrics for `/_eyot/metrics`, given what waits in the broker.
    pub metrics: MetricsWriter,
}

/// The AWS APIs of one server.
#[derive(Debug, Clone)]
pub struct Api(Arc<Cloud>);

/// What every request works with.
pub(crate) struct Cloud {
    pub(crate) parts: Parts,
    pub(crate) router: route::Router,
    pub(crate) handlers: HashMap<(Service, &'static str), Handler>,
    pub(crate) requests: Requests,
    /// Bounds how many certificates are signed at the same time: each key keeps a core busy for a while.
    pub(crate) signing: Semaphore,
    /// Held while a topic rule is created or deleted together with its tags, which the registry keeps.
    pub(crate) rules_with_tags: tokio::sync::Mutex<()>,
    /// Bytes of large bodies that may still be taken.
    pub(crate) large_bodies: Semaphore,
    /// Bytes of large answers that may still be on their way.
    pub(crate) large_answers: Arc<Semaphore>,
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud").field("endpoint", &self.parts.endpoint).finish_non_exhaustive()
    }
}

impl Api {
    /// The APIs over these parts.
    pub fn new(parts: Parts) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self(Arc::new(Cloud {
            parts,
            router: route::Router::new(),
            handlers: SERVED.iter().map(|(service, name, handler)| ((*service, *name), *handler)).collect(),
            requests: Requests::default(),
            signing: Semaphore::new(cores),
            rules_with_tags: tokio::sync::Mutex::new(()),
            large_bodies: Semaphore::new(dispatch::LARGE_BODIES_BYTES_MAX),
            large_answers: Arc::new(Semaphore::new(dispatch::LARGE_ANSWERS_BYTES_MAX)),
        }))
    }

    /// Everything that is served, behind the guard: the AWS APIs, `/_eyot/health`, `/_eyot/metrics`, `/_eyot/explain`, and what the
    /// caller adds.
    ///
    /// MQTT over WebSocket is at `/mqtt`. `own` may have routes under `/_eyot/` and `/console`; whatever it does not take goes to the AWS APIs.
    pub fn router(&self, own: Router) -> Router {
        let aws: Router = Router::new()
            .route("/_eyot/health", get(health))
            .route("/_eyot/metrics", get(metrics))
            .route(explain::PATH, get(explain::answer))
            .route(&format!("{}/{{client_id}}", explain::PATH), get(explain::answer))
            .route(websocket::PATH, any(websocket::answer))
            .fallback(dispatch::handle)
            .with_state(Arc::clone(&self.0));
        let hosts = self.0.parts.hosts.clone();
        aws.merge(own).layer(axum::middleware::from_fn_with_state(hosts, guard::check))
    }

    /// What is served to devices, behind the guard: the data plane, and MQTT over WebSocket at `/mqtt`.
    pub fn device_router(&self) -> Router {
        let hosts = self.0.parts.device_hosts.clone();
        Router::new()
            .route(websocket::PATH, any(websocket::answer))
            .fallback(dispatch::handle)
            .with_state(Arc::clone(&self.0))
            .layer(axum::middleware::from_fn_with_state(hosts, guard::check))
    }
}

async fn health(State(cloud): State<Arc<Cloud>>) -> Response<Body> {
    let (status, body) = match cloud.parts.store.failure() {
        None => (200, json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")})),
        Some(failure) => (503, json!({"status": "failed", "reason": failure.to_string()})),
    };
    error::own_json(status, &body).into_response(&dispatch::new_request_id())
}

async fn metrics(State(cloud): State<Arc<Cloud>>) -> Response<Body> {
    let load = cloud.parts.broker.load().await.load;
    let mut page = Exposition::default();
    cloud.requests.write(&mut page);
    (cloud.parts.metrics)(&mut page, &load);
    // [Prometheus exposition formats] version 0.0.4
    crate::reply::Reply::bytes(200, "text/plain; version=0.0.4; charset=utf-8", page.into_text())
        .into_response(&dispatch::new_request_id())
}
