//! The API over HTTP: a whole server in memory on loopback, and requests byte for byte.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod operations;
mod protections;
mod server;
mod websocket;
