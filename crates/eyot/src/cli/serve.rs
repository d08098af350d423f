//! `eyot serve`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::{Given, Settings};
use crate::failure::{Failure, Outcome};
use crate::serve::{Cloud, PortsInUse, Stop};
use crate::terminal::{Paint, say, whoever_listens};

/// Run the cloud: the AWS API for tools, MQTT over mutual TLS for devices
///
/// Every setting is also a variable (EYOT_API_PORT) and a line of eyot.toml in the data directory (api-port = 4566);
/// flags win over variables, variables over the file. Ctrl-C and SIGTERM drain and end with 0; a second one ends at
/// once. EYOT_LOG chooses what is logged, such as EYOT_LOG=debug or EYOT_LOG=warn,eyot::rules=debug.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eyot serve
  eyot serve --lan                        boards of your network may connect
  eyot serve --lan --sntp-port 123        they may ask for the time, too
  eyot serve --alpn-port 443              SDKs may use AWS's own port (needs the right to do so)
  eyot serve --in-memory --api-port 0 --mqtts-port 0 --https-port 0 --ready-file ready.json    for tests
  EYOT_DATA_DIR=/srv/eyot eyot serve --advertise iot.example.org")]
pub(super) struct Serve {
    #[command(flatten)]
    given: Given,
}

impl Serve {
    pub(super) fn run(self) -> Outcome {
        let stop = Stop::on_signals()?;
        let settings = Settings::resolve(self.given)?;
        let cloud = Cloud::start(settings, PortsInUse::Refuse)?;
        let journal_failed = Arc::new(AtomicBool::new(false));
        {
            let (stop, failed) = (stop.clone(), Arc::clone(&journal_failed));
            cloud.on_journal_failure(move || {
                failed.store(true, Ordering::SeqCst);
                stop.now();
            });
        }
        // A closed standard output is no reason not to serve.
        let said = whoever_listens(introduce(&cloud));
        if said.is_ok() {
            stop.wait();
        }
        cloud.drain();
        said?;
        if journal_failed.load(Ordering::SeqCst) {
            return Err(Failure::new("the journal failed: nothing more can be acknowledged")
                .why("the disk refused to write or to sync; the log says where")
                .advice("look after the disk, then start again: what was acknowledged is replayed"));
        }
        Ok(())
    }
}

/// One line per listener, and with `--lan` what a board needs.
fn introduce(cloud: &Cloud) -> Outcome {
    let paint = Paint::stdout();
    let ready = cloud.ready();
    if let Some(url) = ready.api_url() {
        say!("{} {url}  (aws --endpoint-url {url} …)", paint.bold("AWS API    "))?;
    }
    if let Some(mqtts) = ready.mqtts {
        let endpoint = cloud.device_endpoint();
        say!("{} {mqtts}  (devices connect to {endpoint})", paint.bold("MQTT, TLS  "))?;
        let names = cloud.names();
        if !names.lan.is_empty() {
            let others = names.lan_names().join(", ");
            let ca = ready.ca.display();
            say!(
                "{} connect it to {endpoint} (or {others}); CA {ca}; its keys: eyot provision THING --telemetry",
                paint.bold("a board    ")
            )?;
        }
    }
    if let Some(https) = ready.https {
        say!("{} {https}  (publish over HTTPS, MQTT over WebSocket at /mqtt)", paint.bold("HTTPS, WSS "))?;
    }
    if let Some(alpn) = ready.alpn {
        say!("{} {alpn}  (like AWS's port 443: ALPN says what is spoken)", paint.bold("ALPN       "))?;
    }
    if let Some(mqtt) = ready.mqtt {
        say!(
            "{} {mqtt}  (INSECURE: no TLS, and everybody on this machine gets in)",
            paint.yellow("MQTT, plain")
        )?;
    }
    if let Some(sntp) = ready.sntp {
        say!("{} {sntp}  (UDP; this machine's clock)", paint.bold("time, SNTP "))?;
    }
    say!("{} {}", paint.bold("data       "), cloud.data_dir().display())?;
    for note in cloud.notes() {
        say!("{} {note}", paint.yellow("note       "))?;
    }
    say!("{}", paint.dim("Ctrl-C ends it"))
}
