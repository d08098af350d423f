//! `eyot demo`: the whole journey on this machine.

mod event_line;
mod steps;

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use mqtt_wire::QoS;

use crate::client::{Api, Target};
use crate::config::{Given, Settings};
use crate::device::{Happening, Identity, Simulation};
use crate::directory::TemporaryDir;
use crate::duration::HumanDuration;
use crate::failure::{Context as _, Failure, Outcome};
use crate::provision::{GROUP, telemetry_topic};
use crate::serve::{Cloud, PortsInUse, Stop};
use crate::terminal::{Paint, say};
use crate::wall_clock;

use super::logs::NewEvents;
use event_line::EventLine;
use steps::THING;

/// How often the log group is looked at: an event should seem to appear at once.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// How long the next event may take, beyond the interval, before we say that something is wrong.
const EVENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Without `--messages`: after how many events the line about the real board comes.
const EVENTS_BEFORE_INVITATION: u64 = 3;

/// The whole journey on this machine: a simulated Pico W's readings arrive in a log group
///
/// It starts the cloud and provisions a Pico W through the AWS API, step by step as in the post.
///
/// It runs in a temporary directory that is removed at the end, or in DIR, which then keeps everything. The simulated
/// Pico W is the firmware's own logic; TCP, mutual TLS, policies, rule and log store are the real ones.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eyot demo
  eyot demo --messages 5
  eyot demo --data-dir my-cloud --interval 500ms")]
pub(super) struct Demo {
    /// Stop after so many events, with exit code 0 [default: run until Ctrl-C]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    messages: Option<u64>,
    /// Time between two readings
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = super::device::interval)]
    interval: HumanDuration,
    /// Keep everything in this directory [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Demo {
    pub(super) fn run(self) -> Outcome {
        let stop = Stop::on_signals()?;
        let temporary = match &self.data_dir {
            Some(_) => None,
            None => Some(
                TemporaryDir::create("eyot-demo")
                    .context(|| "cannot make a temporary directory".to_owned())?,
            ),
        };
        let data_dir = match (&self.data_dir, &temporary) {
            (Some(dir), _) => dir.clone(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => return Err(Failure::new("there is no directory")),
        };
        let settings = Settings::resolve(Given { data_dir: Some(data_dir), ..Given::default() })?;
        let cloud = Cloud::start(settings, PortsInUse::FallBack)?;
        let shown = self.show(&cloud, &stop);
        cloud.drain();
        shown
    }

    fn show(&self, cloud: &Cloud, stop: &Stop) -> Outcome {
        let paint = Paint::stdout();
        let ready = cloud.ready();
        let url = ready.api_url().ok_or_else(|| Failure::new("the API does not listen"))?;
        say!("{} in {}", paint.bold("your own AWS IoT Core"), cloud.data_dir().display())?;
        say!("  AWS API     {url}")?;
        let endpoint = cloud.device_endpoint();
        say!("  MQTT, TLS   {endpoint}")?;
        if self.messages.is_none() {
            say!("  look too    eyot logs tail {GROUP} --follow --endpoint-url {url}")?;
        }
        for note in cloud.notes() {
            say!("  {} {note}", paint.yellow("!"))?;
        }
        say!("")?;

        let api = Api::new(Target::given(&url))?;
        let files = steps::run(&api, &cloud.data_dir().join("devices").join(THING))?;
        let mut events = NewEvents::new(GROUP.to_owned(), wall_clock::now_ms(), None);
        let simulation = Simulation {
            client_id: THING.to_owned(),
            topic: telemetry_topic(THING),
            identity: Identity::load(&files)?,
            endpoint,
            qos: QoS::AtMostOnce,
            interval: self.interval.0,
            count: None,
        };
        say!("{} a simulated Pico W publishes every {}, over mutual TLS", paint.green("✔"), self.interval)?;
        say!("")?;
        let device_stop = stop.clone();
        let (tell, told) = mpsc::channel();
        let device = std::thread::Builder::new()
            .name("pico-w".to_owned())
            .spawn(move || {
                simulation.run(&device_stop, &mut |happening| {
                    // The demo may have ended.
                    let _ = tell.send(happening);
                    Ok(())
                })
            })
            .context(|| "cannot start a thread".to_owned())?;
        let shown = self.show_events(&api, &mut events, &told, stop);
        stop.now();
        let ended = device.join().map_err(|_| Failure::new("the simulated Pico W crashed"))?;
        shown.and(ended)
    }

    fn show_events(
        &self,
        api: &Api,
        events: &mut NewEvents,
        told: &Receiver<Happening>,
        stop: &Stop,
    ) -> Outcome {
        let mut line = EventLine::new(Paint::stdout());
        let mut count = 0;
        let mut last_trouble = None;
        let patience = self.interval.0 + EVENT_TIMEOUT;
        let mut deadline = Instant::now() + patience;
        let invitation_after = self.messages.unwrap_or(EVENTS_BEFORE_INVITATION);
        loop {
            for event in events.look(api)? {
                say!("{}", line.of(&event))?;
                deadline = Instant::now() + patience;
                count += 1;
                if count == invitation_after {
                    invite()?;
                }
                if Some(count) == self.messages {
                    return Ok(());
                }
            }
            last_trouble = told.try_iter().fold(last_trouble, |last, happening| match happening {
                Happening::Trouble { what, .. } => Some(what),
                Happening::Connected => None,
                _ => last,
            });
            if Instant::now() >= deadline {
                let failure =
                    Failure::new(format!("no event arrived in `{GROUP}` for {}", patience.as_secs()));
                return Err(match last_trouble {
                    Some(what) => failure.why(format!("the simulated Pico W says: {what}")),
                    None => failure.why("the simulated Pico W publishes, but nothing reaches the log group"),
                }
                .advice("run it again with EYOT_LOG=debug to see what the server does"));
            }
            if stop.wait_for(LOOK_PAUSE) {
                return Ok(());
            }
        }
    }
}

fn invite() -> Outcome {
    let paint = Paint::stdout();
    say!("")?;
    say!(
        "{} run `eyot serve --lan`, `eyot provision {THING} --telemetry --out keys`, and copy keys/*.der and the post's main.py to it (README, \"A real board\"); or the firmware in Rust: docs/pico.md",
        paint.bold("connect your real board:")
    )?;
    say!("")
}
