//! The application, in thread mode: carries out what `Device` decides.

use device_core::settings::Settings;
use device_core::{
    Action, CloseReason, Config, ConfigError, Device, LedPattern, PacketKind, Phase, SEND_BYTES_MAX,
};
use embassy_futures::select::{Either3, select3};
use embassy_time::{Duration, Instant, Timer, with_timeout};
use static_cell::StaticCell;

use crate::board::SensorPins;
use crate::clock::{self, now_ms};
use crate::network::{self, STATUS, Status};
use crate::sensor::Sensor;
use crate::tls::{Client, Connection, Fault, TlsFailure};
use crate::tunnel::Tunnel;
use crate::{entropy, memory, progress};

/// The longest the loop rests before it promises again.
const REST_MAX: Duration = Duration::from_secs(10);
/// What one turn of the loop may take beside a rest: reading the sensor, writing a packet.
const TURN_MAX: Duration = Duration::from_secs(30);
/// What opening a connection may take: its deadline, and an RSA key that is just signing when it passes.
const OPEN_MAX: Duration = Duration::from_secs(60);
/// A packet that cannot be written for this long is on no connection.
const WRITE_MAX: Duration = Duration::from_secs(20);
/// Bytes read at once. The server sends four at a time.
const READ_BYTES: usize = 128;

/// Runs forever.
#[embassy_executor::task]
pub(crate) async fn run(settings: &'static Settings<'static>, pins: SensorPins) -> ! {
    progress::promise(OPEN_MAX);
    let mut sensor = Sensor::new(pins);
    let mut generator = entropy::generator(&mut sensor, settings);
    let seed = entropy::seed_of(&mut generator);
    let client = Client::new(settings, generator);
    let device = match new_device(settings, seed) {
        Ok(device) => device,
        Err(error) => stay_unusable(&error).await,
    };
    let client = match client {
        Ok(client) => client,
        Err(reason) => stay_unusable(&reason).await,
    };
    log::info!("device: `{}` publishes to {}", settings.client_id, settings.topic);
    App { settings, sensor, device }.run(client).await
}

/// A function of its own, so that the room for moving the ring is on the stack only now.
#[inline(never)]
fn new_device(
    settings: &'static Settings<'static>,
    seed: u64,
) -> Result<&'static mut Device<'static>, ConfigError> {
    static DEVICE: StaticCell<Device<'static>> = StaticCell::new();
    Device::new(Config::from_settings(settings, seed)).map(|device| DEVICE.init(device))
}

/// The settings were whole, but cannot be used.
async fn stay_unusable(reason: &dyn core::fmt::Display) -> ! {
    loop {
        log::error!("configuration: {reason}: write it again with `eyot pico image`");
        network::show(LedPattern::ConfigurationUnusable);
        progress::promise(TURN_MAX);
        Timer::after(REST_MAX).await;
    }
}

struct App {
    settings: &'static Settings<'static>,
    sensor: Sensor,
    device: &'static mut Device<'static>,
}

impl App {
    async fn run(&mut self, mut client: Client) -> ! {
        loop {
            self.until_open().await;
            let opened = self.open(&mut client).await;
            match opened {
                Ok(connection) => self.connected(connection).await,
                Err(()) => self.device.handle_closed(now_ms()),
            }
        }
    }

    /// Measures and waits until the device wants a connection.
    async fn until_open(&mut self) {
        let mut out = [0; SEND_BYTES_MAX];
        loop {
            self.begin_turn();
            match self.device.poll_action(now_ms(), &mut out) {
                Some(Action::OpenTransport) => return,
                Some(Action::Sample { samples }) => self.sample(samples).await,
                // There is no connection to send on or to close.
                Some(Action::Send { .. }) => {}
                Some(Action::Close(reason)) => log::warn!("mqtt: {reason}"),
                None => {
                    embassy_futures::select::select(self.rest(), self.status()).await;
                }
            }
        }
    }

    async fn open<'c>(&mut self, client: &'c mut Client) -> Result<Connection<'c>, ()> {
        let Settings { endpoint_host: host, endpoint_port: port, .. } = *self.settings;
        network::show(LedPattern::Connecting);
        log::info!("tcp: connecting to {host}:{port}");
        progress::promise(OPEN_MAX);
        let deadline_ms = self.device.poll_timeout().unwrap_or(now_ms());
        let deadline = Instant::from_millis(deadline_ms);
        let begun_ms = now_ms();
        let opened = embassy_time::with_deadline(deadline, async {
            let tunnel = Tunnel::open(host, port).await.map_err(|error| {
                log::warn!("tcp: {error}");
            })?;
            client.connect(tunnel).await.map_err(|failure| tell(&failure))
        });
        let connection = opened.await.unwrap_or_else(|_| {
            log::warn!("tls: no answer in time");
            Err(())
        })?;
        log::info!("tls: handshake took {} ms", now_ms() - begun_ms);
        memory::report();
        Ok(connection)
    }

    /// Until the connection is over.
    async fn connected(&mut self, mut connection: Connection<'_>) {
        self.device.handle_transport_connected(now_ms());
        let mut out = [0; SEND_BYTES_MAX];
        let mut read = [0; READ_BYTES];
        let mut was_connected = false;
        loop {
            self.begin_turn();
            if self.device.phase() == Phase::Connected && !was_connected {
                was_connected = true;
                log::info!("mqtt: connected");
                network::show(LedPattern::Off);
            }
            match self.device.poll_action(now_ms(), &mut out) {
                Some(Action::Sample { samples }) => self.sample(samples).await,
                Some(Action::Send { bytes, kind }) => {
                    if !write(&mut connection, &out[..bytes]).await {
                        self.device.handle_closed(now_ms());
                        return;
                    }
                    if kind == PacketKind::Publish {
                        network::show(LedPattern::Published);
                    }
                }
                Some(Action::Close(reason)) => {
                    log::warn!("mqtt: {reason}");
                    if matches!(reason, CloseReason::Refused(_)) {
                        network::show(LedPattern::Refused);
                    }
                    // The last words must not outlast the promise.
                    let _ = with_timeout(WRITE_MAX, connection.close()).await;
                    return;
                }
                Some(Action::OpenTransport) => {
                    // The device believes that there is no connection, so there is none.
                    return;
                }
                None => match select3(connection.read(&mut read), self.rest(), STATUS.wait()).await {
                    Either3::First(Ok(0)) => {
                        log::warn!("mqtt: the server hung up");
                        if !was_connected {
                            network::show(LedPattern::Refused);
                        }
                        self.device.handle_closed(now_ms());
                        return;
                    }
                    Either3::First(Ok(bytes)) => self.device.handle_bytes(&read[..bytes], now_ms()),
                    Either3::First(Err(failure)) => {
                        tell(&failure);
                        self.device.handle_closed(now_ms());
                        return;
                    }
                    Either3::Second(()) => {}
                    Either3::Third(status) => handle_status(self.device, status),
                },
            }
        }
    }

    fn begin_turn(&mut self) {
        progress::promise(REST_MAX + TURN_MAX);
        if let Some(unix_ms) = clock::unix_ms() {
            self.device.handle_time(unix_ms, now_ms());
        }
    }

    async fn sample(&mut self, samples: u8) {
        let samples = self.sensor.read(samples).await;
        self.device.handle_samples(&samples, now_ms());
    }

    /// Until the device is due, or it is time for the next promise.
    fn rest(&self) -> Timer {
        let latest = Instant::now() + REST_MAX;
        let due = self.device.poll_timeout().map_or(latest, Instant::from_millis);
        Timer::at(due.min(latest))
    }

    async fn status(&mut self) {
        let status = STATUS.wait().await;
        handle_status(self.device, status);
    }
}

fn handle_status(device: &mut Device<'_>, status: Status) {
    match status {
        Status::Online => device.handle_online(now_ms()),
        Status::Offline => device.handle_offline(now_ms()),
    }
}

/// Logs it, and shows whose fault it is.
fn tell(failure: &TlsFailure) {
    log::warn!("tls: {failure}");
    match failure.fault() {
        Fault::ServerNotTrusted => network::show(LedPattern::ServerNotTrusted),
        Fault::Refused => network::show(LedPattern::Refused),
        Fault::Other => {}
    }
}

/// Whether all of it was taken.
async fn write(connection: &mut Connection<'_>, bytes: &[u8]) -> bool {
    match with_timeout(WRITE_MAX, connection.write(bytes)).await {
        Ok(Ok(())) => true,
        Ok(Err(failure)) => {
            tell(&failure);
            false
        }
        Err(_) => {
            log::warn!("tcp: the server takes nothing");
            false
        }
    }
}
