//! The MQTT broker: listeners, TLS, event loops, router.
//!
//! The journey of a publish through this crate:
//! `acceptor` takes the TCP connection, `handshake` brings it through TLS and CONNECT (what speaks HTTP goes to a `visitor`'s
//! host, and may come back as a `carried` WebSocket); from then on the
//! connection belongs to the `event_loop` of hash(client id). There `connection` moves bytes, `mqtt-session`
//! decides what they mean, `authorize` asks the policies, `router` finds subscribers and rules, `publication`
//! runs the rules and hands what they keep to the journal. The PUBACK leaves when that is durable.
//!
//! Threads: one acceptor, `loops` event loops. A connection, its session and its subscriptions belong to one loop and
//! are touched by no other thread; loops talk through `mailbox`es, in batches. There is no async runtime here; the
//! futures in `completion` resolve from these threads and run on anybody's.

mod acceptor;
mod account;
mod admission;
mod authorize;
mod broker;
mod carried;
mod clock;
mod completion;
mod config;
mod connection;
mod control;
mod counters;
mod denials;
mod event_loop;
mod handshake;
mod history;
mod iot_log;
mod lifecycle_events;
mod listener;
mod mailbox;
mod message;
mod outbox;
mod over_http;
mod publication;
mod reception;
mod refusal_log;
mod router;
mod seats;
mod sessions;
mod shared;
#[cfg(test)]
mod simulation;
mod slots;
mod spare;
mod tallies;
mod timers;
mod tls;
mod topics;
mod transport;
mod undecided;
mod visitor;

pub use admission::{UNFINISHED_MAX, UNFINISHED_PER_ADDRESS_MAX};
pub use broker::{Addresses, Broker};
pub use carried::{Carried, Ended, Identity, Line};
pub use completion::Settled;
pub use config::{BrokerConfig, CONNECT_DEADLINE, Parts, StartError, TlsVersions};
pub use control::{Asked, ClientState, ConnectionInfo, DirectMessage, Sent};
pub use counters::Counters;
pub use handshake::{Handshake, cause_of_tls, explain_tls};
pub use history::{
    AbsentReport, Audience, Blame, BlameKind, By, Cause, ClientReport, ConnectionReport, Findings, Happening,
    LastPublish, Load, Near, NearMiss, Receiver, SharedGroup, Surveyed, What, near_miss,
};
pub use over_http::{WebCaller, WebRequest};
pub use publication::{Publish, PublishError, Published, Source};
pub use reception::{HeldSeats, Pass, TurnedAway};
pub use tallies::Tally;
pub use visitor::{Visitor, WebHandler};
