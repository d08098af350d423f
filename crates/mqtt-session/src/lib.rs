//! One client's MQTT state machine: packets' meaning in, events and acknowledgements out.
//!
//! Between the codec (`mqtt-wire`: bytes to packets) and the broker (sockets, permissions, routing) this crate knows
//! what a packet means for *this* connection: which limits it breaks, which packet identifiers are in flight, when
//! silence has lasted too long, what becomes of the will. No socket, disk, clock or randomness: `now` is an argument
//! and the session never waits.
//!
//! ```text
//! CONNECT ──accept──▶ Session ──receive(packet)──▶ Event      the caller checks permissions and acts
//!                        │  ◀──expect_ack───────── QoS 1: the PUBACK is owed …
//!                        │  ──acks_ready(position)▶ … and leaves once the journal holds its message
//!                        │  ◀──deliver(message)──── send now, queued, or dropped
//!                        │  ──poll_timeout────────▶ handle_timeout
//!                        └──take_will(reason)─────▶ the will, when the reason publishes it
//! ```
//!
//! MQTT 3.1.1 and 5 with the limits and deviations of AWS IoT Core, which [`Limits`] names one by one. What outlives the
//! connection is handed over: [`Session::end`] gives the subscriptions and what is still to be delivered,
//! [`Session::resume`] takes the former back.
#![forbid(unsafe_code)]

mod accept;
mod acknowledge;
mod aliases;
mod attached;
mod deliver;
mod disconnect;
mod keep_alive;
mod limit_value;
mod limits;
mod peer;
mod profile;
pub mod rate;
mod session;
mod subscriptions;
mod throttled;
mod topics;
mod violation;
mod will;

pub use accept::{Accepted, CONNACK_PROPERTIES_BYTES_MAX, ClientId, Refusal};
pub use acknowledge::Owed;
pub use aliases::Topic;
pub use attached::Attached;
pub use deliver::{Delivery, DropReason, Outgoing, Undelivered};
pub use disconnect::DisconnectReason;
pub use limits::{LimitError, Limits, Setting};
pub use peer::Peer;
pub use profile::{Profile, UnknownProfile};
pub use rate::Rate;
pub use session::{Ended, Event, Exchanges, Session};
pub use subscriptions::{FilterRefusal, Subscribed, check_filter};
pub use throttled::{Quota, Throttled};
pub use topics::{BasicIngest, TopicExcess, basic_ingest, check_topic};
pub use violation::Violation;
pub use will::Will;
