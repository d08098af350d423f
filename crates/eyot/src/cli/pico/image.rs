//! `eyot pico image`.

use std::path::{Path, PathBuf};

use mqtt_wire::QoS;
use pico_image::{Board, Uf2};
use serde_json::json;

use crate::client::{Api, ServerArgs};
use crate::device::Endpoint;
use crate::directory::{self, Readers};
use crate::failure::{Context as _, Failure, Outcome};
use crate::pico::{self, Description, DeviceIdentity, Firmware, LastWill, Roots, Wishes};
use crate::provision::{self, Asked, Check, DeviceFiles, KeySource, Plan, PolicyChoice, telemetry_topic};
use crate::terminal::{Paint, printable_line, say, say_json, whoever_listens};

use super::super::provision::thing_name;
use super::{password, values};

/// The country when none is given: channels that are allowed everywhere.
const EVERYWHERE: [u8; 2] = *b"XX";
/// What a last will says unless it is told.
const WILL_PAYLOAD: &str = r#"{"online": false}"#;

/// Make one file for a board: firmware, and the configuration that makes it this device
///
/// It makes thing, key, certificate and policy as `eyot provision` does (or finds them made), looks whether all of it
/// fits together and whether the server can be verified, and writes a UF2 file that `eyot pico flash` or dragging brings
/// onto the board. The file holds the private key and the Wi-Fi password: only its owner may read it, and who holds the
/// board can read them from its flash.
///
/// It talks the AWS API, so it works with AWS as well: with --endpoint-url https://iot.REGION.amazonaws.com and the usual
/// credentials. The firmware has Amazon Root CA 1 and 3 built in.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eyot pico image --thing pico_w_simple --wifi-ssid home --wifi-password-file password.txt
  eyot pico image --thing pump-7 --wifi-ssid home --wifi-password-file - --board pico2-w --out pump-7.uf2
  eyot pico image --thing pump-7 --wifi-ssid new-network --wifi-password-file password.txt --config-only
  eyot pico image --thing pump-7 --wifi-ssid home --wifi-open --endpoint-url https://iot.eu-central-1.amazonaws.com")]
pub(in crate::cli) struct Image {
    /// The thing's name; also the device's client id
    #[arg(long, value_name = "THING", value_parser = thing_name)]
    thing: String,
    #[command(flatten)]
    wifi: Wifi,
    /// Where to write the image [default: THING.uf2; with --config-only THING-config.uf2]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite the file
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    content: Content,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    behaviour: Behaviour,
    /// Where the board connects [default: what the server names for devices; AWS: the account's endpoint]
    #[arg(long, value_name = "HOST[:PORT]", value_parser = pico::endpoint, help_heading = "Server")]
    endpoint: Option<Endpoint>,
    /// More certificate authorities (PEM or DER) that the server may come from
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    ca: Vec<PathBuf>,
    /// Do not look whether the endpoint answers
    #[arg(long, help_heading = "Server")]
    offline: bool,
    #[command(flatten, next_help_heading = "Server")]
    server: ServerArgs,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Which network.
#[derive(Debug, clap::Args)]
struct Wifi {
    /// The Wi-Fi network's name
    #[arg(long, value_name = "NAME", value_parser = values::ssid)]
    wifi_ssid: String,
    /// File with its password; - reads it from standard input
    #[arg(long, value_name = "FILE", required_unless_present = "wifi_open")]
    wifi_password_file: Option<PathBuf>,
    /// The network has no password
    #[arg(long, conflicts_with = "wifi_password_file")]
    wifi_open: bool,
    /// Country (ISO 3166). It is kept in the image, but today's firmware cannot set it: the radio uses the channels that
    /// are allowed everywhere
    #[arg(long, value_name = "CC", value_parser = country)]
    country: Option<Country>,
}

/// What the file holds.
#[derive(Debug, clap::Args)]
struct Content {
    /// pico-w or pico2-w [default: the firmware file's, else pico-w]
    #[arg(long, value_name = "BOARD")]
    board: Option<Board>,
    /// The firmware, UF2 [default: the one beside eyot, in share/eyot/firmware, or in target/firmware]
    #[arg(long, value_name = "FILE", conflicts_with = "config_only")]
    firmware: Option<PathBuf>,
    /// Only the configuration: the firmware on the board stays
    #[arg(long)]
    config_only: bool,
}

/// Who the device is.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Identity")]
struct DeviceArgs {
    /// Use these files of `eyot provision THING --out DIR`, and make nothing
    /// [default: make what is missing, with files in THING-keys]
    #[arg(long, value_name = "DIR", conflicts_with_all = ["key", "policy"])]
    device_dir: Option<PathBuf>,
    /// Kind of key: p256 is made here and never leaves this machine, rsa is made by the service [default: that of the
    /// device's key; for a new one p256]
    #[arg(long, value_enum, value_name = "TYPE")]
    key: Option<KeyType>,
    /// Policy document (JSON); the policy is named after the file [default: those that the certificate has; for a new
    /// one allow-all, as in the post]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum KeyType {
    /// ECDSA on P-256: smaller, and much faster to sign on a board
    P256,
    /// RSA-2048, as in the post: a Pico W needs seconds to sign
    Rsa,
}

/// What the device does.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Behaviour")]
struct Behaviour {
    /// Where readings go [default: $aws/rules/telemetry/THING, as in the post]
    #[arg(long, value_name = "TOPIC", value_parser = values::topic)]
    topic: Option<String>,
    /// 1: kept and sent again until the server has it; 0: sent and forgotten, as in the post
    #[arg(long, value_name = "QOS", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1))]
    qos: u8,
    /// Time between two readings, 100ms to 1d
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = values::interval_ms)]
    interval: u32,
    /// How often the server hears of the device at least, 30s to 20m
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = values::keep_alive_s)]
    keep_alive: u16,
    /// Time server to ask first [default: those of DHCP and the Internet]
    #[arg(long, value_name = "HOST", value_parser = pico::host)]
    ntp: Option<String>,
    /// Where the server says that the device is gone; its policy must allow that [default: nowhere]
    #[arg(long, value_name = "TOPIC", value_parser = values::topic)]
    will_topic: Option<String>,
    /// What it says there
    #[arg(long, value_name = "TEXT", requires = "will_topic", default_value = WILL_PAYLOAD, value_parser = values::will_payload)]
    will_payload: String,
}

/// Two letters; a type of its own because clap takes an array for a list.
#[derive(Debug, Clone, Copy)]
struct Country([u8; 2]);

impl Wifi {
    fn doubt(&self) -> Option<Check> {
        let code: String = self.country?.0.map(char::from).iter().collect();
        Some(Check::doubtful(
            format!("the country {code} is kept in the image"),
            "today's firmware cannot set it; the radio uses the channels that are allowed everywhere",
        ))
    }
}

fn country(text: &str) -> Result<Country, String> {
    values::country(text).map(Country)
}

impl Image {
    pub(super) fn run(self) -> Outcome {
        let out = self.out.clone().unwrap_or_else(|| self.default_out());
        // What can be looked at without a certificate comes before it is made: the file's place, what goes into it and
        // whether it has room there, the policy's document, the server.
        self.may_write(&out)?;
        let policy = PolicyChoice::of(self.device.policy.as_deref())?;
        let wishes = self.wishes()?;
        let (board, firmware) = self.firmware()?;

        let mut checks = Vec::new();
        let mut tell = |check: Check| {
            if !self.json {
                whoever_listens(say!("{}", check.line(Paint::stdout())))?;
            }
            checks.push(check);
            Ok(())
        };
        let api = Api::of(&self.server)?;
        let endpoint = pico::decide(&api, self.endpoint.as_ref())?;
        let roots = Roots::of(&api, &self.ca)?;
        let found = self.device.device_dir.as_ref().map(|dir| DeviceIdentity::found(&DeviceFiles::at(dir)));
        let found = found.transpose()?;
        match &found {
            Some(identity) => wishes.partition(&endpoint, &roots, identity).map(drop)?,
            None => wishes.fit(&endpoint, &roots)?,
        }
        let doubts = [self.wifi.doubt(), firmware.as_ref().and_then(Firmware::doubt)];
        for check in doubts.into_iter().flatten() {
            tell(check)?;
        }
        roots.doubts.iter().cloned().try_for_each(&mut tell)?;
        if !self.offline {
            tell(pico::verify(&endpoint, &roots)?)?;
        }
        let identity = match found {
            Some(identity) => identity,
            None => self.provisioned(&api, policy)?,
        };
        let policies = pico::check(&api, &identity, &wishes, &mut tell)?;

        let partition = wishes.partition(&endpoint, &roots, &identity)?;
        let image = match &firmware {
            Some(firmware) => pico_image::image(&firmware.content, &partition)
                .context(|| "firmware and configuration do not fit together".to_owned())?,
            None => pico_image::configuration(board, &partition),
        };
        let bytes = image.encode();
        self.may_write(&out)?;
        directory::write_whole(&out, &bytes, Readers::Owner).map_err(|error| cannot_write(&out, &error))?;
        let written =
            Written { out: &out, image: &image, bytes: bytes.len(), firmware, identity, policies, checks };
        if self.json { written.say_json() } else { written.say() }
    }

    fn default_out(&self) -> PathBuf {
        // So that the small file does not overwrite the whole one.
        let what = if self.content.config_only { "-config" } else { "" };
        format!("{}{what}.uf2", provision::file_name_of(&self.thing)).into()
    }

    fn may_write(&self, out: &Path) -> Outcome {
        directory::can_write(out).map_err(|error| cannot_write(out, &error))?;
        if self.force || !out.exists() {
            return Ok(());
        }
        Err(Failure::new(format!("`{}` is there already", out.display()))
            .advice("--force overwrites it; --out FILE writes another"))
    }

    fn wishes(&self) -> Outcome<Wishes> {
        let behaviour = &self.behaviour;
        Ok(Wishes {
            thing: self.thing.clone(),
            wifi_ssid: self.wifi.wifi_ssid.clone(),
            wifi_password: self
                .wifi
                .wifi_password_file
                .as_deref()
                .map_or(Ok(String::new()), password::read)?,
            wifi_country: self.wifi.country.map_or(EVERYWHERE, |country| country.0),
            topic: behaviour.topic.clone().unwrap_or_else(|| telemetry_topic(&self.thing)),
            qos: if behaviour.qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce },
            interval_ms: behaviour.interval,
            keep_alive_s: behaviour.keep_alive,
            ntp_host: behaviour.ntp.clone().unwrap_or_default(),
            will: behaviour
                .will_topic
                .clone()
                .map(|topic| LastWill { topic, payload: behaviour.will_payload.clone() }),
        })
    }

    fn firmware(&self) -> Outcome<(Board, Option<Firmware>)> {
        let board = self.content.board;
        if self.content.config_only {
            return Ok((board.unwrap_or(Board::PicoW), None));
        }
        let firmware = match &self.content.firmware {
            Some(path) => Firmware::at(path, board)?,
            None => Firmware::find(board.unwrap_or(Board::PicoW))?,
        };
        Ok((firmware.content.board(), Some(firmware)))
    }

    fn provisioned(&self, api: &Api, policy: PolicyChoice) -> Outcome<DeviceIdentity> {
        let plan = Plan {
            thing: &self.thing,
            files: DeviceFiles::at(provision::default_dir(&self.thing)),
            policy,
            keys: match self.device.key {
                None | Some(KeyType::P256) => KeySource::P256,
                Some(KeyType::Rsa) => KeySource::Rsa,
            },
            asked: if self.device.key.is_some() { Asked::Yes } else { Asked::No },
        };
        DeviceIdentity::provisioned(api, &plan)
    }
}

fn cannot_write(out: &Path, error: &std::io::Error) -> Failure {
    directory::cannot_write(out, error, "name another file with --out FILE")
}

/// What was done.
struct Written<'a> {
    out: &'a Path,
    image: &'a Uf2,
    bytes: usize,
    firmware: Option<Firmware>,
    identity: DeviceIdentity,
    policies: Vec<String>,
    checks: Vec<Check>,
}

impl Written<'_> {
    fn say(&self) -> Outcome {
        let paint = Paint::stdout();
        let shown = |path: &Path| printable_line(&path.display().to_string()).into_owned();
        say!("")?;
        Description::of(self.image, self.out)?.show(paint)?;
        if let Some(firmware) = &self.firmware {
            say!("{} {}", paint.bold("firmware of"), shown(&firmware.path))?;
        }
        let verb = if self.identity.is_new { "made" } else { "found" };
        say!("{} {} ({verb})", paint.bold("keys in    "), shown(self.identity.files.dir()))?;
        say!("{} {}", paint.bold("policies   "), self.policies.join(", "))?;
        say!("")?;
        say!(
            "wrote {} ({} KiB), with the private key and the Wi-Fi password: keep it to yourself",
            shown(self.out),
            self.bytes / 1024
        )?;
        say!("onto the board: eyot pico flash {}", shown(self.out))
    }

    fn say_json(&self) -> Outcome {
        let checks: Vec<_> = self.checks.iter().map(Check::json).collect();
        say_json(&json!({
            "file": self.out,
            "bytes": self.bytes,
            "image": Description::of(self.image, self.out)?.json(),
            "firmware": self.firmware.as_ref().map(|firmware| &firmware.path),
            "directory": self.identity.files.dir(),
            "certificateReused": !self.identity.is_new,
            "policies": self.policies,
            "checks": checks,
        }))
    }
}
