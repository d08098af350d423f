//! The cloud as a whole: parts → run → drain.
//!
//! [`Cloud::start`] is the order in which things begin, [`Cloud::drain`] the order in which they end; `parts.rs` opens
//! what keeps state, `http.rs` serves the API, `names.rs` says under which names we are reached.

mod home;
mod http;
mod metrics;
mod names;
mod open_files;
mod own_endpoints;
mod parts;
mod sntp;
mod steady_clock;
mod stop;
mod upkeep;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, BrokerConfig, StartError};
use iot_policy::PolicyDocument;
use mqtt_session::Limits;

use crate::config::Settings;
use crate::device::Endpoint;
use crate::failure::{Context as _, Failure, Outcome};
use crate::ready::{self, Ready};

use home::Home;
use http::Http;
use open_files::Shares;
use parts::Parts;
use sntp::Sntp;
use upkeep::Upkeep;

pub(crate) use names::{Machine, Names};
pub(crate) use open_files::FILES_OF_SERVER;
pub(crate) use stop::Stop;

/// How long a drain waits for clients and requests before it leaves them.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// What to do when a port is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortsInUse {
    /// Say so and end: clients would look for us in vain elsewhere.
    Refuse,
    /// Take a free one and note it.
    FallBack,
}

/// A running server.
pub(crate) struct Cloud {
    home: Home,
    parts: Parts,
    broker: Arc<Broker>,
    http: Http,
    upkeep: Upkeep,
    sntp: Option<Sntp>,
    ready: Ready,
    ready_files: Vec<PathBuf>,
    names: Names,
    notes: Vec<String>,
}

impl Cloud {
    /// Starts everything, and says so in the ready file.
    pub(crate) fn start(settings: Settings, ports: PortsInUse) -> Outcome<Self> {
        let names = Names::of(&settings, &Machine::this());
        let shares = open_files::shares();
        let home = Home::open(&settings)?;
        let mut notes = Vec::new();
        // Before the directory: the most usual mistake, a server that runs already, is told by its port.
        let listener = listen(SocketAddr::new(settings.api_host.0, settings.api_port), ports, &mut notes)?;
        let limits = settings.limits_in_force();
        let parts = Parts::open(&settings, &limits, &names, &home)?;
        let broker = Arc::new(start_broker(&settings, &limits, shares, &parts, ports, &mut notes)?);
        let sntp = settings.sntp_port.map(|port| Sntp::start(SocketAddr::new(settings.device_host(), port)));
        let sntp = sntp.transpose()?;

        let api = listener.local_addr().context(|| "the API's listener has no address".to_owned())?;
        let addresses = broker.addresses();
        let ready = Ready {
            pid: std::process::id(),
            api: Some(api),
            mqtts: Some(addresses.mqtts),
            https: addresses.https,
            alpn: addresses.alpn,
            mqtt: addresses.insecure_mqtt,
            sntp: sntp.as_ref().map(Sntp::address),
            ca: parts.authority.ca_path().unwrap_or_default(),
            console: None,
        };
        // Not the names that `--lan` puts into the certificate: anybody on the network can answer mDNS for those, and the
        // API is not on the network.
        let advertised = settings.advertise.clone().unwrap_or_default();
        let api_parts = parts.for_api(&broker, limits, &names, api, advertised);
        let http =
            Http::start(listener, shares.api, api_parts, Arc::clone(&broker), &parts.authority, &ready)?;
        let upkeep = Upkeep::start(&parts, &broker)?;

        let ready_files: Vec<PathBuf> =
            [Some(home.dir().join(ready::FILE_NAME)), settings.ready_file].into_iter().flatten().collect();
        let cloud = Self { home, parts, broker, http, upkeep, sntp, ready, ready_files, names, notes };
        for path in &cloud.ready_files {
            if let Err(error) = cloud.ready.write(path) {
                if *path == cloud.home.dir().join(ready::FILE_NAME) && store::disk::is_shortage(&error) {
                    tracing::warn!(target: "eyot", %error, "commands will not find this server by its directory");
                    continue;
                }
                // Nobody may find a server that does not run.
                cloud.ready_files.iter().for_each(|path| cloud.ready.remove(path));
                return Err(Failure::new(format!("cannot write `{}`", path.display())).because(&error));
            }
        }
        if let Some(address) = addresses.insecure_mqtt {
            tracing::warn!(target: "eyot", %address,
                "the insecure MQTT port is open: every program of this machine may connect, without TLS and as any client");
        }
        let broker::Addresses { mqtts, https, alpn, insecure_mqtt } = addresses;
        let shown = |address: Option<SocketAddr>| address.map(tracing::field::display);
        tracing::info!(
            target: "eyot", version = env!("CARGO_PKG_VERSION"), %api, %mqtts, https = shown(https), alpn = shown(alpn),
            mqtt = shown(insecure_mqtt), "ready"
        );
        Ok(cloud)
    }

    /// Which addresses are in use.
    pub(crate) fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Where everything is kept.
    pub(crate) fn data_dir(&self) -> &Path {
        self.home.dir()
    }

    /// Where devices connect: what DescribeEndpoint returns, and the port.
    pub(crate) fn device_endpoint(&self) -> Endpoint {
        Endpoint { host: self.names.endpoint.clone(), port: self.broker.mqtts_addr().port() }
    }

    /// Under which names we are reached.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// What the person who started it should know.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Calls this when the journal has failed for good: nothing can be acknowledged any more.
    pub(crate) fn on_journal_failure(&self, tell: impl Fn() + Send + Sync + 'static) {
        let store = self.parts.store.clone();
        self.parts.store.on_commit(Box::new(move |committed| {
            if committed.is_err() && store.failure().is_some() {
                tell();
            }
        }));
    }

    /// Ends in order: nobody finds us any more; requests are answered, then devices are let go, and what they were
    /// promised is on the disk before the journal closes.
    pub(crate) fn drain(self) {
        tracing::info!(target: "eyot", "draining");
        for path in &self.ready_files {
            self.ready.remove(path);
        }
        self.upkeep.end();
        if let Some(sntp) = self.sntp {
            sntp.end();
        }
        let farewells = self.http.drain(DRAIN_DEADLINE);
        self.broker.drain(DRAIN_DEADLINE);
        farewells.finish();
        self.parts.close();
        tracing::info!(target: "eyot", "drained");
    }
}

fn start_broker(
    settings: &Settings,
    limits: &Limits,
    shares: Shares,
    parts: &Parts,
    ports: PortsInUse,
    notes: &mut Vec<String>,
) -> Outcome<Broker> {
    let host = settings.device_host();
    let mut config = BrokerConfig::new(SocketAddr::new(host, settings.mqtts_port));
    config.https = Some(SocketAddr::new(host, settings.https_port));
    config.alpn = settings.alpn_port.map(|port| SocketAddr::new(host, port));
    config.insecure_mqtt = settings.insecure_mqtt_port.map(|port| SocketAddr::new(host, port));
    config.insecure_policy = settings.insecure_policy.as_deref().map(insecure_policy).transpose()?;
    config.loops = settings.loops();
    config.limits = limits.clone();
    config.connections_max = shares.devices;
    config.tls_versions = settings.tls_versions();
    config.connect_deadline = settings.connect_timeout.0;
    loop {
        let (address, source) = match Broker::start(config.clone(), parts.for_broker()) {
            Ok(broker) => return Ok(broker),
            Err(StartError::Listen { address, source }) => (address, source),
            Err(other) => {
                let failure = Failure::new("the broker cannot start").because(&other);
                return Err(if parts::is_short(&other) {
                    failure.advice(parts::SHORT_ADVICE)
                } else {
                    failure
                });
            }
        };
        let mut listeners = [
            ("--mqtts-port", Some(&mut config.mqtts)),
            ("--https-port", config.https.as_mut()),
            ("--alpn-port", config.alpn.as_mut()),
            ("--insecure-mqtt-port", config.insecure_mqtt.as_mut()),
        ];
        let port = listeners.iter_mut().find_map(|(flag, listener)| {
            listener.as_mut().filter(|listener| ***listener == address).map(|listener| (*flag, listener))
        });
        let Some((flag, listener)) = port else {
            return Err(cannot_listen(address, "--mqtts-port", &source));
        };
        if !is_taken(&source) || ports == PortsInUse::Refuse || listener.port() == 0 {
            return Err(cannot_listen(address, flag, &source));
        }
        notes.push(format!("port {} is in use, so devices connect to another one", listener.port()));
        listener.set_port(0);
    }
}

fn insecure_policy(path: &Path) -> Outcome<Arc<PolicyDocument>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("cannot read `{}`", path.display())).because(&error))?;
    PolicyDocument::parse(&text).map(Arc::new).map_err(|error| {
        Failure::new(format!("`{}` is no policy document", path.display()))
            .because(&error)
            .advice("it has the form of the document that `aws iot create-policy` takes")
    })
}

fn listen(address: SocketAddr, ports: PortsInUse, notes: &mut Vec<String>) -> Outcome<TcpListener> {
    match TcpListener::bind(address) {
        Err(error) if is_taken(&error) && ports == PortsInUse::FallBack => {
            notes.push(format!("port {} is in use, so the API is on another one", address.port()));
            let any = SocketAddr::new(address.ip(), 0);
            TcpListener::bind(any).map_err(|error| cannot_listen(any, "--api-port", &error))
        }
        other => other.map_err(|error| cannot_listen(address, "--api-port", &error)),
    }
}

fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

fn cannot_listen(address: SocketAddr, flag: &str, error: &io::Error) -> Failure {
    let failure = Failure::new(format!("cannot listen on {address}"));
    let (ip, port) = (address.ip(), address.port());
    match error.kind() {
        io::ErrorKind::AddrInUse => failure
            .why(format!("port {port} is in use by another program"))
            .advice(format!("see which one: ss -ltnp 'sport = :{port}'; is it an eyot that runs already?"))
            .advice(format!("choose another port with {flag} N; {flag} 0 picks a free one")),
        io::ErrorKind::AddrNotAvailable => failure
            .why(format!("{ip} is not an address of this machine"))
            .advice("0.0.0.0 listens on all of its addresses"),
        io::ErrorKind::PermissionDenied => failure
            .why(format!("port {port} is reserved for the system"))
            .advice(format!("choose one above 1023 with {flag} N")),
        _ => failure.because(error),
    }
}
