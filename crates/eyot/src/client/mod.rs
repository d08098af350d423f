//! The AWS API from the outside: signed HTTP calls to eyot, and to AWS itself.
//!
//! One [`Api`] is one account and region somewhere. `iot.rs`, `logs.rs` have a method per operation that our commands
//! need; `endpoint.rs` finds the server, `credentials.rs` who we are there.

mod call;
mod credentials;
mod endpoint;
mod iot;
mod logs;
mod roots;

pub(crate) use call::{Api, CallError};
pub(crate) use endpoint::{ServerArgs, Target};
pub(crate) use iot::NewCertificate;
pub(crate) use logs::{FilterQuery, LogEvent};
pub(crate) use roots::amazon_roots;
