//! What the device asks its caller to do.

use mqtt_wire::{DecodeError, PacketKind, ReasonCode};

/// The next thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open TCP and TLS to the endpoint, then call
    /// [`handle_transport_connected`](crate::Device::handle_transport_connected), or
    /// [`handle_closed`](crate::Device::handle_closed) when it fails. A [`Close`](Self::Close) may come first.
    OpenTransport,
    /// Send this many bytes from the start of the buffer: one whole packet.
    Send {
        /// How many bytes.
        bytes: usize,
        /// Which packet they are.
        kind: PacketKind,
    },
    /// Read the converter so often, and call [`handle_samples`](crate::Device::handle_samples). Comes in every state
    /// but the last: measuring does not depend on the connection.
    Sample {
        /// How many readings make one temperature.
        samples: u8,
    },
    /// Close the transport, or give up opening it. The device knows: no `handle_closed` is needed.
    Close(CloseReason),
}

/// Why the device closes its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// TCP and TLS were not up in time.
    #[error("the connection could not be opened in time")]
    TransportTimeout,
    /// The server did not answer the CONNECT.
    #[error("the server did not answer CONNECT in time")]
    ConnAckTimeout,
    /// The server refused the CONNECT.
    #[error("the server refused the connection: {0}")]
    Refused(ReasonCode),
    /// The server did not answer a PINGREQ: the connection is dead, whatever TCP believes.
    #[error("the server did not answer PINGREQ in time")]
    PingTimeout,
    /// The server did not acknowledge a reading. It will be sent again.
    #[error("the server did not acknowledge a reading in time")]
    PubAckTimeout,
    /// What the server sent is not MQTT 3.1.1.
    #[error("the server sent something that is not MQTT: {0}")]
    Malformed(DecodeError),
    /// The server sent a packet that nothing asked for.
    #[error("the server sent an unexpected {0}")]
    Unexpected(PacketKind),
    /// [`handle_offline`](crate::Device::handle_offline) was called.
    #[error("the network is gone")]
    Offline,
    /// [`handle_stop`](crate::Device::handle_stop) was called.
    #[error("the device was told to stop")]
    Stopped,
}
