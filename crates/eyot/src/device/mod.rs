//! The simulated Pico W: the firmware's own `device-core` over real TCP and real mutual TLS.

mod run;
mod sensor;
mod tls;

use std::time::Duration;

use mqtt_wire::QoS;

use crate::failure::Outcome;
use crate::serve::Stop;

pub(crate) use tls::{Addresses, Endpoint, Identity, verify_server};

/// A device about to run.
#[derive(Debug)]
pub(crate) struct Simulation {
    /// Its client id.
    pub(crate) client_id: String,
    /// Where it publishes.
    pub(crate) topic: String,
    /// What it authenticates with.
    pub(crate) identity: Identity,
    /// Where it connects.
    pub(crate) endpoint: Endpoint,
    /// 0, as in the post: forgotten once sent. 1: kept until the server has it.
    pub(crate) qos: QoS,
    /// Time between two readings.
    pub(crate) interval: Duration,
    /// It takes so many readings, and ends by itself when they are delivered.
    pub(crate) count: Option<u64>,
}

/// What happens to a device.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    /// It tries to connect.
    Connecting(Endpoint),
    /// It is connected and accepted.
    Connected,
    /// It sent a reading.
    Published {
        /// To this topic.
        topic: String,
        /// These bytes.
        payload: String,
    },
    /// The connection failed or was lost.
    Trouble {
        /// What went wrong.
        what: String,
        /// When it tries again.
        retry_in: Duration,
        /// Readings that it keeps until then.
        waiting: usize,
    },
}

impl Simulation {
    /// Runs until it is stopped, or has sent what it should.
    pub(crate) fn run(&self, stop: &Stop, tell: &mut dyn FnMut(Happening) -> Outcome) -> Outcome {
        run::Run::new(self, tell)?.until(stop)
    }
}
