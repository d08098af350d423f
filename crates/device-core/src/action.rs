//! What the device asks its caller to do.

use mqtt_wire::{ConnectReturnCode, DecodeError, PacketKind};

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
    /// Read the sensor and call [`handle_reading`](crate::Device::handle_reading).
    Sample,
    /// Close the transport, or give up opening it. The device knows: no `handle_closed` is needed.
    Close(CloseReason),
    /// Show something.
    Led(LedPattern),
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
    #[error("the server refused the connection: {0:?}")]
    Refused(ConnectReturnCode),
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
    /// [`handle_stop`](crate::Device::handle_stop) was called.
    #[error("the device was told to stop")]
    Stopped,
}

/// What the LED shows: a number of flashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedPattern {
    /// An attempt to connect begins: two flashes, as the post's device shows while it waits for Wi-Fi.
    Connecting,
    /// A reading has been sent: one flash.
    Published,
}

impl LedPattern {
    /// How long the LED is on, and off again, per flash; the post's value.
    pub const FLASH_MS: u64 = 50;

    /// How many flashes.
    pub const fn flashes(self) -> u32 {
        match self {
            Self::Connecting => 2,
            Self::Published => 1,
        }
    }
}
