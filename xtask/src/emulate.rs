//! `cargo xtask emulate`: the whole journey with an emulated Pico W that runs the real firmware.
//!
//! A server, an image for a board, and the emulator that runs it: all the real programs, started as a person would
//! start them. What they need is built first.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use pico_image::Board;
use serde_json::Value;

use crate::firmware::{self, Radio};
use crate::server::{Folder, Server};
use crate::shell::{self, Failure, Outcome, cargo};
use crate::tools;

/// Where the post's rule writes.
const GROUP: &str = "iot-core-telemetry";
const THING: &str = "pico_w_emulated";
/// A name that only the emulated network knows.
const SERVER_NAME: &str = "eyot.test";
const SSID: &str = "emulated";
const PASSWORD: &str = "emulated-password";
/// The next event comes within seconds of emulated time, of which a busy machine makes minutes.
const EVENT_MAX: Duration = Duration::from_mins(5);
/// What a person wants to see of an endless run, and what is enough to measure.
const DEFAULT_MESSAGES: u64 = 5;

/// Options of `cargo xtask emulate`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// End with success after so many readings in the log group.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MESSAGES, value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,
    /// The board's kind of key. Signing with RSA takes it seconds.
    #[arg(long, value_enum, default_value = "p256")]
    key: Key,
    /// Leave the maker's radio firmware out: the emulated radio needs none.
    #[arg(long)]
    dummy_radio_firmware: bool,
}

/// A board's kind of key.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Key {
    /// ECDSA on P-256
    P256,
    /// RSA-2048, as in the post
    Rsa,
}

impl Key {
    /// As `eyot pico image --key` calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::Rsa => "rsa",
        }
    }
}

/// Shows a run to a person.
pub(crate) fn run(options: &Options) -> Outcome {
    tools::firmware_packages(&["thumbv6m-none-eabi"])?;
    let radio = if options.dummy_radio_firmware { Radio::Dummy } else { Radio::Real };
    let firmware = firmware::build(Board::PicoW, radio)?.uf2;
    println!();
    let mut show = |line: &str| println!("{line}");
    journey(&firmware, options.key, options.messages, &mut show)?;
    println!(
        "\n{} readings went from the emulated board's sensor to the log group {GROUP}",
        options.messages
    );
    Ok(())
}

/// Runs the release firmware, which must be built, until one reading has arrived; the board's own log.
pub(crate) fn one_message(key: Key) -> Outcome<Vec<String>> {
    println!("\nemulating a board with a {} key until its first reading arrives …", key.name());
    let firmware = firmware::folder().join(Board::PicoW.firmware_file_name());
    let mut log = Vec::new();
    journey(&firmware, key, 1, &mut |line| log.push(line.to_owned()))?;
    Ok(log)
}

fn journey(firmware: &Path, key: Key, messages: u64, show: &mut dyn FnMut(&str)) -> Outcome {
    shell::run(&mut cargo(&["build", "--release", "--locked", "-p", "eyot"]))?;
    let emulator = tools::emulator()?;
    let folder = Folder::new("emulate")?;
    let eyot = shell::target_dir().join("release/eyot");

    // An emulated handshake takes minutes on a busy machine.
    let more = ["--advertise", SERVER_NAME, "--connect-timeout", "10m"];
    let server = Server::start(&eyot, &folder, &more, Stdio::null())?;
    let password = folder.path().join("password");
    write(&password, PASSWORD)?;
    let telemetry = ["provision", THING, "--telemetry", "--endpoint-url", &server.api_url, "--out"];
    shell::quietly(Command::new(&eyot).args(telemetry).arg(folder.path().join("rule")))?;
    let image = folder.path().join("board.uf2");
    let mut make = Command::new(&eyot);
    make.current_dir(folder.path())
        .args(["pico", "image", "--thing", THING, "--key", key.name(), "--wifi-ssid", SSID])
        .arg("--wifi-password-file")
        .arg(&password)
        // The name exists in the emulated network only.
        .args(["--offline", "--endpoint", &format!("{SERVER_NAME}:8883"), "--endpoint-url", &server.api_url])
        .arg("--firmware")
        .arg(firmware)
        .arg("--out")
        .arg(&image);
    shell::quietly(&mut make)?;

    let mut board = Command::new("node");
    board.arg(emulator).arg("run").arg(&image).args(["--ssid", SSID, "--password-file"]).arg(&password).args(
        ["--tcp-forward", &format!("8883={}", server.mqtts), "--dns", SERVER_NAME, "--dns", "pool.ntp.org"],
    );
    let mut events = Command::new(&eyot);
    events.args(["logs", "tail", GROUP, "--follow", "--json", "--endpoint-url", &server.api_url]);

    let (said, heard) = mpsc::channel();
    let _board = Running::start(&mut board, said.clone(), Said::Board)?;
    let _events = Running::start(&mut events, said, Said::Event)?;
    listen(&heard, messages, show)
}

/// What one of the programs said.
enum Said {
    Board(String),
    Event(String),
    /// A program ended, which none of them should.
    Ended,
}

fn listen(heard: &Receiver<Said>, messages: u64, show: &mut dyn FnMut(&str)) -> Outcome {
    let mut arrived = 0;
    let mut deadline = Instant::now() + EVENT_MAX;
    while arrived < messages {
        match heard.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Said::Board(line)) => show(&line),
            Ok(Said::Event(line)) => {
                arrived += 1;
                deadline = Instant::now() + EVENT_MAX;
                let message = serde_json::from_str::<Value>(&line).ok();
                let message = message.as_ref().and_then(|event| event["message"].as_str()).unwrap_or(&line);
                show(&format!("        → log  {message}"));
            }
            Ok(Said::Ended) | Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::new(
                    "the emulator or the log's reader ended before the readings had arrived",
                ));
            }
            Err(RecvTimeoutError::Timeout) => {
                let seconds = EVENT_MAX.as_secs();
                return Err(Failure::new(format!(
                    "no reading arrived for {seconds} s; the board's log says why"
                )));
            }
        }
    }
    Ok(())
}

/// A child process that ends with us, and whose lines are heard.
struct Running(Child);

impl Running {
    fn start(command: &mut Command, said: mpsc::Sender<Said>, what: fn(String) -> Said) -> Outcome<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::new(format!("cannot start {command:?}: {error}")))?;
        let output = child.stdout.take().expect("it is piped");
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if said.send(what(line)).is_err() {
                    return;
                }
            }
            // Nobody may listen any more.
            let _ = said.send(Said::Ended);
        });
        Ok(Self(child))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn write(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).map_err(|error| Failure::new(format!("cannot write `{}`: {error}", path.display())))
}
