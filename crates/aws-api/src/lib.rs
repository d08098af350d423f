//! The AWS HTTP APIs: SigV4, routes, errors, handlers.
//!
//! The way of a request:
//! [`serve`] reads it under limits, `guard` turns away pages of other sites and foreign `Host`s, `dispatch` takes the
//! signature, finds the operation with `route` in the tables of `aws-model`, checks the input there, and calls the
//! handler under `ops/` — one file per noun. A handler makes one call into a domain crate and answers; where something
//! changed, it waits until the change is durable and every event loop of the broker knows it. `error` is the only
//! place that knows AWS's error names.
//!
//! [`Api::router`] gives an axum router with everything, own endpoints of the caller included, so that nothing is
//! served unguarded; [`serve`] serves it. [`Api::device_router`] and [`serve_devices`] are the same for devices: HTTPS, the
//! data plane alone, for the holder of a certificate or who signed (`identity`), as far as the certificate's policies go
//! (`permission`). Both have MQTT over `websocket`. [`sigv4`] is for clients too.
//!
//! On loopback any well-formed signature is accepted, as every local emulator does. Who serves this on another
//! address must verify: see [`sigv4::Claim::verify`]. `identity` refuses signatures there.

mod caller;
mod cloud;
mod devices;
mod dispatch;
mod error;
mod explain;
mod guard;
mod identity;
mod metrics;
mod ops;
mod permission;
mod reply;
mod route;
mod serve;
pub mod sigv4;
mod token;
mod websocket;

pub use cloud::{Api, Parts};
pub use devices::{HTTPS_CONNECTIONS_MAX, serve_devices};
pub use dispatch::{
    BODY_BYTES_MAX, BODY_TIMEOUT, LARGE_ANSWERS_BYTES_MAX, LARGE_BODIES_BYTES_MAX, SMALL_BODY_BYTES,
};
pub use guard::Hosts;
pub use metrics::{Exposition, Family, MetricKind, MetricsWriter};
pub use ops::served_operations;
pub use serve::{
    CONNECTIONS_MAX, HEAD_BYTES_MAX, HEAD_TIMEOUT, HEADERS_MAX, WRITE_TIMEOUT, WebSockets, WebSocketsEnd,
    serve,
};
