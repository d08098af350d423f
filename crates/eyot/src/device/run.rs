//! Carries out what `device-core` decides: sockets, clock and sensor of the simulated Pico W.

use std::io::{self, Read as _, Write as _};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use device_core::{Action, CloseReason, Config, Device, Phase, SEND_BYTES_MAX, Samples};
use mqtt_wire::{Packet, ProtocolVersion::V311, decode};

use crate::failure::{Failure, Outcome};
use crate::serve::Stop;
use crate::wall_clock;

use super::sensor::Sensor;
use super::tls::TlsStream;
use super::{Happening, Simulation};

/// How long a read or a rest lasts before we look whether to stop.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// Bytes read at once. The server sends a device four bytes at a time.
const READ_BYTES: usize = 1024;

/// How long the server may take to read the last bytes and hang up, too. After that they are its affair.
const LEAVE_MAX: Duration = Duration::from_secs(5);

/// What a device is told and tells while it runs.
pub(super) struct Run<'a> {
    simulation: &'a Simulation,
    device: Device<'a>,
    sensor: Sensor,
    began: Instant,
    /// Readings taken, for `--count`.
    taken: u64,
    /// The connection that a thread opens: that may take its time, and the sensor is read meanwhile.
    opening: Option<Receiver<Outcome<TlsStream>>>,
    stream: Option<TlsStream>,
    /// Why the connection is gone, until it is told.
    trouble: Option<String>,
    is_connected: bool,
    tell: &'a mut dyn FnMut(Happening) -> Outcome,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        simulation: &'a Simulation,
        tell: &'a mut dyn FnMut(Happening) -> Outcome,
    ) -> Outcome<Self> {
        let mut seed = [0; 8];
        aws_lc_rs::rand::fill(&mut seed).map_err(|_| Failure::new("the system gives no random numbers"))?;
        let seed = u64::from_le_bytes(seed);
        let mut config = Config::new(&simulation.client_id, &simulation.topic, seed);
        config.interval_ms = u64::try_from(simulation.interval.as_millis()).unwrap_or(u64::MAX);
        config.qos = simulation.qos;
        let mut device = Device::new(config)
            .map_err(|error| Failure::new("no device can run like this").because(&error))?;
        // A host has its network and knows the time: only the server may be away.
        device.handle_online(0);
        Ok(Self {
            simulation,
            device,
            sensor: Sensor::new(seed),
            began: Instant::now(),
            taken: 0,
            opening: None,
            stream: None,
            trouble: None,
            is_connected: false,
            tell,
        })
    }

    /// Until it is stopped, or has sent what it should.
    pub(super) fn until(mut self, stop: &Stop) -> Outcome {
        let mut out = [0; SEND_BYTES_MAX];
        loop {
            while let Some(action) = self.device.poll_action(self.now_ms(), &mut out) {
                self.carry_out(action, &out)?;
                self.stop_at_count();
            }
            self.tell_phase()?;
            if self.device.phase() == Phase::Stopped {
                return Ok(());
            }
            if stop.is_said() {
                self.device.handle_stop();
                continue;
            }
            self.wait(stop);
            self.stop_at_count();
        }
    }

    fn stop_at_count(&mut self) {
        let gone = self.device.delivered() + self.device.dropped();
        if self.simulation.count.is_some_and(|count| gone >= count) {
            self.device.handle_stop();
        }
    }

    fn carry_out(&mut self, action: Action, out: &[u8]) -> Outcome {
        // The CONNACK is told before what it leads to.
        self.tell_phase()?;
        match action {
            Action::OpenTransport => {
                (self.tell)(Happening::Connecting(self.simulation.endpoint.clone()))?;
                self.open();
            }
            Action::Send { bytes, .. } => self.send(&out[..bytes])?,
            Action::Sample { samples } => self.sample(samples),
            Action::Close(CloseReason::Stopped) => self.leave(),
            Action::Close(reason) => {
                self.hang_up();
                self.trouble = Some(reason.to_string());
            }
        }
        Ok(())
    }

    fn open(&mut self) {
        // The host's clock may have been set since the last time.
        let now_ms = self.now_ms();
        self.device.handle_time(u64::try_from(wall_clock::now_ms()).unwrap_or(0), now_ms);
        let (identity, endpoint) = (self.simulation.identity.clone(), self.simulation.endpoint.clone());
        let (opened, opening) = mpsc::channel();
        let open = move || {
            // Nobody waits for it any more when the attempt was given up.
            let _ = opened.send(identity.connect(&endpoint));
        };
        match std::thread::Builder::new().name("open".to_owned()).spawn(open) {
            Ok(_) => self.opening = Some(opening),
            Err(error) => self.lost(error.to_string()),
        }
    }

    /// What comes after the last reading that is wanted is not measured.
    fn sample(&mut self, samples: u8) {
        if self.simulation.count.is_some_and(|count| self.taken >= count) {
            return;
        }
        self.taken += 1;
        let mut taken = Samples::new();
        (0..samples).for_each(|_| taken.add(self.sensor.read(self.began.elapsed())));
        self.device.handle_samples(&taken, self.now_ms());
    }

    fn send(&mut self, packet: &[u8]) -> Outcome {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        if let Err(error) = stream.write_all(packet).and_then(|()| stream.flush()) {
            self.lost(error.to_string());
            return Ok(());
        }
        if let Ok(Some((Packet::Publish(publish), _))) = decode(packet, V311, SEND_BYTES_MAX) {
            let payload = String::from_utf8_lossy(publish.payload).into_owned();
            (self.tell)(Happening::Published { topic: self.simulation.topic.clone(), payload })?;
        }
        Ok(())
    }

    /// Waits for bytes, for the device's next deadline, or for the next look at `stop`.
    fn wait(&mut self, stop: &Stop) {
        let until_ms = self.device.poll_timeout().unwrap_or(u64::MAX);
        let left = Duration::from_millis(until_ms.saturating_sub(self.now_ms())).min(LOOK_PAUSE);
        if left.is_zero() {
            return;
        }
        if let Some(opening) = &self.opening {
            match opening.recv_timeout(left) {
                Ok(Ok(stream)) => {
                    (self.stream, self.opening) = (Some(stream), None);
                    self.device.handle_transport_connected(self.now_ms());
                }
                Ok(Err(failure)) => self.lost(failure.on_one_line()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.lost("connecting came to no end".to_owned()),
            }
            return;
        }
        let Some(stream) = &mut self.stream else {
            stop.wait_for(left);
            return;
        };
        let mut bytes = [0; READ_BYTES];
        let read = stream.sock.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut bytes));
        match read {
            Ok(0) => self.lost(self.hung_up()),
            Ok(count) => {
                let now_ms = self.now_ms();
                self.device.handle_bytes(&bytes[..count], now_ms);
            }
            Err(error) if is_timeout(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.lost(self.hung_up()),
            Err(error) => self.lost(error.to_string()),
        }
    }

    /// AWS and we hang up without a word; the usual reasons are worth more than none.
    fn hung_up(&self) -> String {
        let when = if self.is_connected { "hung up" } else { "hung up before it answered CONNECT" };
        format!(
            "the server {when}: certificate not active, or the policy does not allow it; its log says why"
        )
    }

    fn lost(&mut self, what: String) {
        self.hang_up();
        self.trouble = Some(what);
        self.device.handle_closed(self.now_ms());
    }

    /// Waits for the server to hang up after the DISCONNECT: it has read everything then, also what it does not
    /// acknowledge.
    fn leave(&mut self) {
        if let Some(stream) = &mut self.stream {
            let deadline = Instant::now() + LEAVE_MAX;
            let mut bytes = [0; READ_BYTES];
            while let Some(left) =
                deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            {
                let read = stream.sock.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut bytes));
                if !matches!(read, Ok(1..)) {
                    break;
                }
            }
        }
        self.hang_up();
    }

    fn hang_up(&mut self) {
        self.opening = None;
        if let Some(mut stream) = self.stream.take() {
            stream.conn.send_close_notify();
            // The connection is given up either way.
            let _ = stream.flush();
        }
        self.is_connected = false;
    }

    fn tell_phase(&mut self) -> Outcome {
        match self.device.phase() {
            Phase::Connected if !self.is_connected => {
                self.is_connected = true;
                (self.tell)(Happening::Connected)?;
            }
            Phase::Resting { until_ms } => {
                if let Some(what) = self.trouble.take() {
                    let retry_in = Duration::from_millis(until_ms.saturating_sub(self.now_ms()));
                    let waiting = self.device.waiting();
                    (self.tell)(Happening::Trouble { what, retry_in, waiting })?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
