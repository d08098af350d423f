//! Our own endpoints under `/_eyot/` that commands ask: where devices connect, and which CA they must trust.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use pki::Authority;

use crate::ready::Ready;

/// `/_eyot/ready`: the ready file. `/_eyot/ca.pem`: the CA certificate, which is public.
///
/// They are read by `eyot provision` and the like, which may know no more than the API's address.
pub(super) fn router(ready: &Ready, authority: &Arc<Authority>) -> Router {
    let ready = serde_json::to_string(ready).unwrap_or_default();
    let ca = authority.ca_pem();
    Router::new()
        .route(
            "/_eyot/ready",
            get(move || async move { ([(header::CONTENT_TYPE, "application/json")], ready) }),
        )
        .route(
            "/_eyot/ca.pem",
            get(move || async move { ([(header::CONTENT_TYPE, "application/x-pem-file")], ca) }),
        )
}
