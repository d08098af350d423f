//! `eyot doctor`.

mod machine;
mod trust;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use serde_json::{Value, json};

use crate::client::{Api, Target};
use crate::config::{Given, Settings};
use crate::directory;
use crate::failure::{Failure, Outcome};
use crate::ready::{self, Ready};
use crate::terminal::{Paint, say, say_json};

/// Look for what is wrong: directory, ports, clock, certificates, limits of the machine
///
/// It takes the flags of `eyot serve` and looks at what that would use, or at the server that runs. Exit code 1 when
/// something is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eyot doctor
  eyot doctor --lan --data-dir /srv/eyot
  eyot doctor --json | jq '.checks[] | select(.ok == false)'")]
pub(super) struct Doctor {
    #[command(flatten)]
    given: Given,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
#[derive(Debug)]
struct Finding {
    /// What was looked at.
    subject: &'static str,
    /// What was found.
    found: String,
    /// What to do about it; nothing is wrong without.
    remedy: Option<String>,
}

impl Finding {
    fn good(subject: &'static str, found: impl Into<String>) -> Self {
        Self { subject, found: found.into(), remedy: None }
    }

    fn bad(subject: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { subject, found: found.into(), remedy: Some(remedy.into()) }
    }

    fn json(&self) -> Value {
        json!({ "subject": self.subject, "ok": self.remedy.is_none(), "found": self.found, "remedy": self.remedy })
    }
}

impl Doctor {
    pub(super) fn run(self) -> Outcome {
        let settings = Settings::resolve(self.given)?;
        let findings = examine(&settings);
        let wrong = findings.iter().filter(|finding| finding.remedy.is_some()).count();
        if self.json {
            let checks: Vec<Value> = findings.iter().map(Finding::json).collect();
            say_json(&json!({ "ok": wrong == 0, "checks": checks }))?;
        } else {
            show(&findings)?;
        }
        match wrong {
            0 => Ok(()),
            1 => Err(Failure::new("one thing is wrong, see above")),
            _ => Err(Failure::new(format!("{wrong} things are wrong, see above"))),
        }
    }
}

fn show(findings: &[Finding]) -> Outcome {
    let paint = Paint::stdout();
    for Finding { subject, found, remedy } in findings {
        let subject = format!("{subject:<13}");
        match remedy {
            None => say!("{} {} {found}", paint.green("✔"), paint.bold(&subject))?,
            Some(remedy) => {
                say!("{} {} {found}", paint.red("✘"), paint.bold(&subject))?;
                say!("  {:<13} try: {remedy}", "")?;
            }
        }
    }
    Ok(())
}

fn examine(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut running = None;
    if let Some(dir) = settings.data_dir.as_deref().filter(|_| !settings.in_memory) {
        findings.push(data_directory(dir));
        let (finding, found) = server(dir);
        findings.push(finding);
        running = found;
    }
    if running.is_none() {
        findings.push(port(
            "API port",
            SocketAddr::new(settings.api_host.0, settings.api_port),
            "--api-port",
        ));
        let host = settings.device_host();
        let ports = [
            ("MQTT port", "--mqtts-port", Some(settings.mqtts_port)),
            ("HTTPS port", "--https-port", Some(settings.https_port)),
            ("ALPN port", "--alpn-port", settings.alpn_port),
            ("plain port", "--insecure-mqtt-port", settings.insecure_mqtt_port),
        ];
        findings.extend(
            ports.into_iter().filter_map(|(subject, flag, number)| {
                Some(port(subject, SocketAddr::new(host, number?), flag))
            }),
        );
    }
    findings.push(machine::clock());
    if let Some(dir) = settings.data_dir.as_deref() {
        findings.extend(trust::certificates(dir, settings, running.as_ref()));
    }
    findings.extend(machine::open_files());
    findings
}

fn data_directory(dir: &Path) -> Finding {
    const SUBJECT: &str = "directory";
    let shown = dir.display();
    if !dir.exists() {
        return Finding::good(SUBJECT, format!("{shown} is not there yet; `eyot serve` creates it"));
    }
    if !dir.is_dir() {
        return Finding::bad(
            SUBJECT,
            format!("{shown} is not a directory"),
            "name another one with --data-dir DIR",
        );
    }
    let probe = dir.join(format!(".doctor-{}", std::process::id()));
    let written = std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe));
    if let Err(error) = written {
        return Finding::bad(
            SUBJECT,
            format!("{shown} cannot be written: {error}"),
            format!("look at its owner and mode: ls -ld {shown}"),
        );
    }
    match directory::is_open_to_others(dir) {
        Ok(true) => {
            Finding::bad(SUBJECT, format!("{shown} can be read by other users"), format!("chmod 700 {shown}"))
        }
        _ => Finding::good(SUBJECT, format!("{shown}, private and writable")),
    }
}

/// Whether a server runs in the directory.
fn server(dir: &Path) -> (Finding, Option<Ready>) {
    const SUBJECT: &str = "server";
    let path = dir.join(ready::FILE_NAME);
    let Some(url) = Ready::read(&path).and_then(|ready| ready.api_url()) else {
        return (Finding::good(SUBJECT, "none is running here"), None);
    };
    match Api::new(Target::given(&url)).map(|api| api.ready()) {
        Ok(Ok(ready)) => {
            (Finding::good(SUBJECT, format!("process {} answers at {url}", ready.pid)), Some(ready))
        }
        _ => (
            Finding::bad(
                SUBJECT,
                format!("{} names {url}, where nobody answers", path.display()),
                "it was probably killed; `eyot serve` starts it again, and nothing acknowledged is lost",
            ),
            None,
        ),
    }
}

fn port(subject: &'static str, address: SocketAddr, flag: &str) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) if address.port() == 0 => Finding::good(subject, "any free one"),
        Ok(_) => Finding::good(subject, format!("{address} is free")),
        Err(error) => Finding::bad(
            subject,
            format!("{address} cannot be listened on: {error}"),
            format!(
                "see who has it: ss -ltnp 'sport = :{}'; or choose another with {flag} N",
                address.port()
            ),
        ),
    }
}
