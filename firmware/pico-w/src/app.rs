//! The application, in thread mode: carries out what `Device` decides.

use device_core::settings::Settings;
use device_core::{
    Action, CloseReason, Config, ConfigError, Deadlines, Device, LedPattern, Phase, SEND_BYTES_MAX,
};
use embassy_executor::SendSpawner;
use embassy_futures::select::{Either, Either3, Either4, select, select3, select4};
use embassy_time::{Duration, Instant, Timer, with_timeout};
use static_cell::StaticCell;

use crate::clock::{self, now_ms};
use crate::network::{self, STATUS, Status};
use crate::progress::APPLICATION;
use crate::sensor::{self, MEASURED, Sensor};
use crate::tls::{Client, Connection, Fault, TlsFailure};
use crate::tunnel::Tunnel;
use crate::{entropy, memory};

/// The longest the loop rests before it promises again.
const REST_MAX: Duration = Duration::from_secs(10);
/// What one turn of the loop may take beside a rest: writing a packet.
const TURN_MAX: Duration = Duration::from_secs(30);
/// What opening a connection may take: its deadline, and an RSA key that is just signing when it passes.
const OPEN_MAX: Duration = Duration::from_secs(60);
/// A packet that cannot be written for this long is on no connection.
const WRITE_MAX: Duration = Duration::from_secs(20);
/// Bytes read at once. The server sends four at a time.
const READ_BYTES: usize = 128;

/// Runs forever.
#[embassy_executor::task]
pub(crate) async fn run(settings: &'static Settings<'static>, sensor: Sensor, network: SendSpawner) -> ! {
    APPLICATION.promise(OPEN_MAX);
    let client = Client::new(settings);
    let device = match new_device(settings, entropy::next_u64()) {
        Ok(device) => device,
        Err(error) => stay_unusable(&error).await,
    };
    let client = match client {
        Ok(client) => client,
        Err(reason) => stay_unusable(&reason).await,
    };
    log::info!("device: `{}` publishes to {}", settings.client_id, settings.topic);
    network.spawn(sensor::measure(sensor, settings.interval_ms).expect("spawned once"));
    App { settings, device, trouble: None }.run(client).await
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
        APPLICATION.promise(TURN_MAX);
        Timer::after(REST_MAX).await;
    }
}

struct App {
    settings: &'static Settings<'static>,
    device: &'static mut Device<'static>,
    /// What is wrong with the server or with this board, shown until a connection stands: an attempt is shorter than a
    /// round of flashes.
    trouble: Option<LedPattern>,
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

    /// Keeps the readings and waits until the device wants a connection.
    async fn until_open(&mut self) {
        let mut out = [0; SEND_BYTES_MAX];
        loop {
            self.begin_turn();
            match self.device.poll_action(now_ms(), &mut out) {
                Some(Action::OpenTransport) => return,
                // The sensor measures by itself. There is no connection to send on.
                Some(Action::Sample { .. } | Action::Send { .. }) => {}
                Some(Action::Close(reason)) => log::warn!("mqtt: {reason}"),
                None => {
                    let measured = MEASURED.ready_to_receive();
                    if let Either3::Second(status) = select3(self.rest(), STATUS.wait(), measured).await {
                        handle_status(self.device, status);
                    }
                }
            }
        }
    }

    async fn open<'c>(&mut self, client: &'c mut Client) -> Result<Connection<'c>, ()> {
        let Settings { endpoint_host: host, endpoint_port: port, .. } = *self.settings;
        network::show(self.trouble.unwrap_or(LedPattern::Connecting));
        log::info!("tcp: connecting to {host}:{port}");
        APPLICATION.promise(OPEN_MAX);
        let begun_ms = now_ms();
        let Self { device, trouble, .. } = self;
        let opened = with_timeout(Duration::from_millis(Deadlines::default().transport_ms), async {
            let tunnel = Tunnel::open(host, port).await.map_err(|error| {
                log::warn!("tcp: {error}");
                // What was wrong with a server that is no longer there is no longer known.
                *trouble = None;
                network::show(LedPattern::Connecting);
            })?;
            client.connect(tunnel).await.map_err(|failure| *trouble = tell(&failure))
        });
        let connection = keeping_readings(device, opened).await.unwrap_or_else(|_| {
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
        let delivered_before = self.device.delivered();
        let mut shown = delivered_before;
        loop {
            self.begin_turn();
            if self.device.delivered() > shown {
                if shown == delivered_before {
                    // Only now: a server may accept a board whose readings it then refuses.
                    self.trouble = None;
                    network::show(LedPattern::Off);
                }
                shown = self.device.delivered();
                network::show(LedPattern::Published);
            }
            if self.device.phase() == Phase::Connected && !was_connected {
                was_connected = true;
                let (waiting, dropped) = (self.device.waiting(), self.device.dropped() + sensor::lost());
                log::info!("mqtt: connected; {waiting} readings wait, {dropped} were dropped");
            }
            match self.device.poll_action(now_ms(), &mut out) {
                Some(Action::Sample { .. }) => {}
                Some(Action::Send { bytes, .. }) => {
                    let written = write(&mut connection, &out[..bytes]);
                    if let Err(failure) = keeping_readings(self.device, written).await {
                        let is_proven = self.device.delivered() > delivered_before;
                        self.lost(failure, was_connected, is_proven);
                        return;
                    }
                }
                Some(Action::Close(reason)) => {
                    log::warn!("mqtt: {reason}");
                    match reason {
                        CloseReason::Refused(_) => self.refused(),
                        _ => network::show(LedPattern::Connecting),
                    }
                    // The last words must not outlast the promise.
                    let _ = keeping_readings(self.device, with_timeout(WRITE_MAX, connection.close())).await;
                    return;
                }
                Some(Action::OpenTransport) => {
                    // The device believes that there is no connection, so there is none.
                    return;
                }
                None => match select4(
                    connection.read(&mut read),
                    self.rest(),
                    STATUS.wait(),
                    MEASURED.ready_to_receive(),
                )
                .await
                {
                    Either4::First(Ok(bytes @ 1..)) => {
                        self.device.handle_bytes(&read[..bytes], now_ms());
                    }
                    Either4::First(heard) => {
                        let is_proven = self.device.delivered() > delivered_before;
                        self.lost(heard.err(), was_connected, is_proven);
                        return;
                    }
                    Either4::Second(()) | Either4::Fourth(()) => {}
                    Either4::Third(status) => handle_status(self.device, status),
                },
            }
        }
    }

    /// The connection is over; with a reason, unless the server just hung up.
    fn lost(&mut self, failure: Option<TlsFailure>, was_connected: bool, is_proven: bool) {
        match failure {
            Some(failure) if failure.fault() != Fault::Other => self.trouble = tell(&failure),
            // A server that does not want the certificate, or the client id, says no more than that.
            _ if !was_connected => {
                log::warn!("mqtt: the server hung up before it accepted this board; its log says why");
                self.refused();
            }
            // Nor one whose policy lets this board connect, but not publish.
            _ if !is_proven => {
                log::warn!(
                    "mqtt: the server hung up at the first message: does its policy allow publishing to {}?",
                    self.settings.topic
                );
                self.refused();
            }
            Some(failure) => self.trouble = tell(&failure),
            None => log::warn!("mqtt: the server hung up"),
        }
        network::show(self.trouble.unwrap_or(LedPattern::Connecting));
        self.device.handle_closed(now_ms());
    }

    fn refused(&mut self) {
        self.trouble = Some(LedPattern::Refused);
        network::show(LedPattern::Refused);
    }

    fn begin_turn(&mut self) {
        APPLICATION.promise(REST_MAX + TURN_MAX);
        if let Some(unix_ms) = clock::unix_ms() {
            self.device.handle_time(unix_ms, now_ms());
        }
        while let Ok((samples, measured_at_ms)) = MEASURED.try_receive() {
            self.device.handle_samples(&samples, measured_at_ms);
        }
    }

    /// Until the device is due, or it is time for the next promise.
    fn rest(&self) -> Timer {
        let latest = Instant::now() + REST_MAX;
        let due = self.device.poll_timeout().map_or(latest, Instant::from_millis);
        Timer::at(due.min(latest))
    }
}

/// Carries on, and takes the readings of the meantime: thread mode's queue for them is short.
async fn keeping_readings<T>(device: &mut Device<'_>, work: impl Future<Output = T>) -> T {
    let keeping = async {
        loop {
            let (samples, measured_at_ms) = MEASURED.receive().await;
            device.handle_samples(&samples, measured_at_ms);
        }
    };
    match select(work, keeping).await {
        Either::First(done) => done,
        Either::Second(never) => never,
    }
}

fn handle_status(device: &mut Device<'_>, status: Status) {
    match status {
        Status::Online => device.handle_online(now_ms()),
        Status::Offline => device.handle_offline(now_ms()),
    }
}

/// Logs it, and shows whose fault it is.
fn tell(failure: &TlsFailure) -> Option<LedPattern> {
    log::warn!("tls: {failure}");
    let trouble = match failure.fault() {
        Fault::ServerNotTrusted => LedPattern::ServerNotTrusted,
        Fault::Refused => LedPattern::Refused,
        Fault::Other => return None,
    };
    network::show(trouble);
    Some(trouble)
}

/// Writes all of it. The error is TLS's, or none when the server takes nothing.
async fn write(connection: &mut Connection<'_>, bytes: &[u8]) -> Result<(), Option<TlsFailure>> {
    match with_timeout(WRITE_MAX, connection.write(bytes)).await {
        Ok(written) => written.map_err(Some),
        Err(_) => {
            log::warn!("tcp: the server takes nothing");
            Err(None)
        }
    }
}
