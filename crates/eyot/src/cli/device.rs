//! `eyot device`.

use std::path::PathBuf;

use mqtt_wire::QoS;
use serde_json::json;

use crate::device::{Endpoint, Happening, Identity, Simulation};
use crate::duration::HumanDuration;
use crate::failure::Outcome;
use crate::provision::{DeviceFiles, telemetry_topic};
use crate::serve::Stop;
use crate::terminal::{Paint, say, say_json};
use crate::wall_clock;

use super::provision::thing_name;

/// The simulated Pico W alone: its temperature over mutual TLS, to eyot or to AWS
///
/// It measures while the server is away, keeps the last 512 readings, and sends them when the server is back; a late one
/// says when it was measured: {"temp": 27.512, "measured_at": 1764000000000}.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eyot device pico_w_simple --keys pico_w_simple-keys
  eyot device pico_w_simple --keys keys --endpoint 192.168.1.20:8883 --count 10
  eyot device pico_w_simple --keys keys --endpoint a1b2c3-ats.iot.eu-central-1.amazonaws.com")]
pub(super) struct Device {
    /// The thing's name: its client id, and the last level of its topic
    #[arg(value_name = "THING", value_parser = thing_name)]
    thing: String,
    /// Directory with certificate.der, private.der and root-ca.pem, as `eyot provision` writes it
    #[arg(long, value_name = "DIR")]
    keys: PathBuf,
    /// Where to connect [default: what connection.json in DIR says, else localhost:8883]
    #[arg(long, value_name = "HOST[:PORT]")]
    endpoint: Option<Endpoint>,
    /// Time between two readings
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = interval)]
    interval: HumanDuration,
    /// 0: forgotten once it was sent, as in the post; 1: kept and sent again until the server has it
    #[arg(long, value_name = "QOS", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1))]
    qos: u8,
    /// Stop after so many readings [default: run until Ctrl-C]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

/// Between a flood and a device that looks dead.
pub(super) fn interval(text: &str) -> Result<HumanDuration, String> {
    let interval: HumanDuration =
        text.parse().map_err(|error: crate::duration::DurationError| error.to_string())?;
    if (10..=3_600_000).contains(&interval.0.as_millis()) {
        Ok(interval)
    } else {
        Err("choose something from 10ms to 1h".to_owned())
    }
}

impl Device {
    pub(super) fn run(self) -> Outcome {
        let stop = Stop::on_signals()?;
        let files = DeviceFiles::at(self.keys);
        let connection = files.connection()?;
        let endpoint = self.endpoint.unwrap_or_else(|| match connection {
            Some(connection) => Endpoint { host: connection.endpoint, port: connection.port },
            None => Endpoint { host: "localhost".to_owned(), port: crate::provision::MQTTS_PORT },
        });
        let simulation = Simulation {
            client_id: self.thing.clone(),
            topic: telemetry_topic(&self.thing),
            identity: Identity::load(&files)?,
            endpoint,
            qos: if self.qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce },
            interval: self.interval.0,
            count: self.count,
        };
        let (json, paint) = (self.json, Paint::stdout());
        simulation
            .run(&stop, &mut |happening| if json { tell_json(happening) } else { tell(happening, paint) })
    }
}

fn tell(happening: Happening, paint: Paint) -> Outcome {
    let time = paint.dim(&wall_clock::to_clock(wall_clock::now_ms()));
    match happening {
        Happening::Connecting(endpoint) => say!("{time}  connecting to {endpoint}"),
        Happening::Connected => say!("{time}  {}", paint.green("connected")),
        Happening::Published { topic, payload } => say!("{time}  {topic} {payload}"),
        Happening::Trouble { what, retry_in, waiting } => {
            let kept = match waiting {
                0 => String::new(),
                1 => "; 1 reading is kept".to_owned(),
                many => format!("; {many} readings are kept"),
            };
            say!("{time}  {}; next attempt in {}{kept}", paint.red(&what), HumanDuration(retry_in))
        }
    }
}

fn tell_json(happening: Happening) -> Outcome {
    let at = wall_clock::now_ms();
    say_json(&match happening {
        Happening::Connecting(endpoint) => json!({ "at": at, "connecting": endpoint.to_string() }),
        Happening::Connected => json!({ "at": at, "connected": true }),
        Happening::Published { topic, payload } => json!({ "at": at, "topic": topic, "published": payload }),
        Happening::Trouble { what, retry_in, waiting } => {
            let retry_in_ms = u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX);
            json!({ "at": at, "trouble": what, "retryInMs": retry_in_ms, "waiting": waiting })
        }
    })
}
