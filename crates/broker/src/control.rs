//! What the API asks about one client, or has done to it: its loop answers.

use crate::completion::{Settled, Ticket};
use crate::history::ClientReport;
use mqtt_session::DisconnectReason;
use mqtt_wire::QoS;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// What is known about a client [AWS iot-data GetConnection].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientState {
    /// It is connected.
    Connected(ConnectionInfo),
    /// It has been, not long ago.
    Disconnected {
        /// When it left, in milliseconds since 1970.
        since_ms: i64,
        /// Why.
        reason: DisconnectReason,
    },
}

/// A connection that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
    /// Where the client is.
    pub source: SocketAddr,
    /// Where it connected to; `None` when the system does not say.
    pub target: Option<SocketAddr>,
    /// The keep-alive that applies, in seconds; 0: none.
    pub keep_alive_s: u16,
    /// How long its session outlives the connection, in seconds; 0: not at all.
    pub session_expiry_s: u32,
}

/// A message for one client, whatever it has subscribed to [AWS iot-data SendDirectMessage].
#[derive(Debug, Clone)]
pub struct DirectMessage {
    /// Its topic.
    pub topic: String,
    /// What it says.
    pub payload: Vec<u8>,
    /// Properties of MQTT 5, as a block that [`mqtt_wire::Properties::as_bytes`] gave.
    pub properties: Vec<u8>,
    /// Whether the client is to acknowledge it: then it is sent with QoS 1.
    pub confirm: bool,
}

/// What became of a direct message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way, or the client has acknowledged it.
    Done,
    /// The client's policies do not let it receive this topic.
    NotAllowed,
    /// It is larger than the client takes, or too many wait for it already.
    NoRoom,
}

/// Resolves with a loop's answer; `None`: there is no such client, or it left before it could answer.
#[must_use = "nothing is known before this resolves"]
#[derive(Debug)]
pub struct Asked<T> {
    answer: Arc<Mutex<Option<T>>>,
    settled: Settled,
}

/// The loop's side of an [`Asked`]. Dropping it without an answer says that there is none.
#[derive(Debug)]
pub(crate) struct Reply<T> {
    answer: Arc<Mutex<Option<T>>>,
    #[expect(dead_code, reason = "its drop resolves the future")]
    ticket: Ticket,
}

impl<T> Asked<T> {
    pub(crate) fn new() -> (Self, Reply<T>) {
        let answer = Arc::new(Mutex::new(None));
        let (settled, mut tickets) = Settled::after(1);
        let ticket = tickets.next().expect("one was asked for");
        (Self { answer: Arc::clone(&answer), settled }, Reply { answer, ticket })
    }
}

impl<T> Reply<T> {
    pub(crate) fn give(self, answer: T) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }
}

impl<T> Future for Asked<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        match Pin::new(&mut self.settled).poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(self.answer.lock().unwrap_or_else(PoisonError::into_inner).take()),
        }
    }
}

/// A question to the loop of a client.
#[derive(Debug)]
pub(crate) enum Question {
    State(Reply<ClientState>),
    Subscriptions(Reply<Vec<(String, QoS)>>),
    Explain(Reply<ClientReport>),
    Disconnect { prevent_will: bool, end_session: bool, reply: Reply<()> },
    Send { message: Box<DirectMessage>, reply: Reply<Sent> },
}
