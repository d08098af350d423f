//! The commands: one file each. Exit codes: 0, 1 (failed), 2 (wrong usage).

mod demo;
mod device;
mod doctor;
mod explain;
mod keys;
mod limits;
mod logs;
mod not_yet;
mod pico;
mod policy;
mod provision;
mod serve;
mod sql;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::{Failure, Outcome};
use crate::logging::{self, LogFormat};
use crate::terminal::{Paint, printable};

/// Your own AWS IoT Core: MQTT over mutual TLS, policies, rules and log groups on your machine
#[derive(Debug, Parser)]
#[command(
    name = "eyot",
    version,
    max_term_width = 110,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  eyot demo                             the whole journey here, with a simulated Pico W
  eyot serve                            the cloud, for the AWS CLI, SDKs and devices
  eyot provision pico_w_simple          thing, keys, certificate, policy for a device
  eyot pico image --help                one file for a Pico W: firmware and its configuration
  eyot logs tail iot-core-telemetry --follow
  eyot explain pico_w_simple            why a device does not get in, or nobody gets its messages

`eyot COMMAND --help` says more, with examples."
)]
struct Cli {
    /// How log lines on standard error are written
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "EYOT_LOG_FORMAT",
        value_name = "FORMAT",
        hide_env_values = true,
        display_order = 900
    )]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Serve(serve::Serve),
    Provision(provision::Provision),
    Device(device::Device),
    #[command(subcommand)]
    Pico(pico::Pico),
    #[command(subcommand)]
    Logs(logs::Logs),
    #[command(subcommand)]
    Sql(sql::Sql),
    #[command(subcommand)]
    Policy(policy::Policy),
    #[command(subcommand)]
    Keys(keys::Keys),
    Limits(limits::LimitsTable),
    Doctor(doctor::Doctor),
    Explain(explain::Explain),
    /// Keys for an API on the network: to come
    #[command(hide = true)]
    AccessKey(not_yet::LaterCommand),
}

/// Parses, runs, reports.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    // The demo shows events, not the server's doings; what is refused still has to be seen.
    let quieter = matches!(cli.command, Command::Demo(_)).then_some("warn");
    logging::start(cli.log_format, quieter);
    // One provider for every TLS connection of the process: ureq, the broker and the simulated device.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed already");
    }
    match cli.command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_broken_pipe => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure);
            ExitCode::FAILURE
        }
    }
}

impl Command {
    fn run(self) -> Outcome {
        match self {
            Self::Demo(demo) => demo.run(),
            Self::Serve(serve) => serve.run(),
            Self::Provision(provision) => provision.run(),
            Self::Device(device) => device.run(),
            Self::Pico(pico) => pico.run(),
            Self::Logs(logs) => logs.run(),
            Self::Sql(sql) => sql.run(),
            Self::Policy(policy) => policy.run(),
            Self::Keys(keys) => keys.run(),
            Self::Limits(limits) => limits.run(),
            Self::Doctor(doctor) => doctor.run(),
            Self::Explain(explain) => explain.run(),
            Self::AccessKey(later) => later.run("access-key"),
        }
    }
}

fn report(failure: &Failure) {
    let paint = Paint::stderr();
    // What a message repeats of the command line or of a server's answer does not drive the terminal.
    eprintln!("{} {}", paint.red("error:"), printable(&failure.to_string()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        fn walk(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            if command.get_subcommands().count() == 0 || path == " eyot" {
                assert!(help.contains("Examples:"), "{path} has no examples");
                assert!(help.contains("eyot "), "{path}");
            }
            command.get_subcommands().for_each(|sub| walk(sub, &path));
        }
        walk(&Cli::command(), "");
    }

    #[test]
    fn wrong_usage_is_told_apart_from_failure() {
        for arguments in [
            &["eyot", "serve", "--api-port", "70000"][..],
            &["eyot", "serve", "--https-port", "x"],
            &["eyot", "demo", "--interval", "2"],
            &["eyot", "provision"],
            &["eyot", "pico", "image", "--thing", "t", "--wifi-ssid", "s"],
            &["eyot", "pico", "image", "--thing", "t", "--wifi-ssid", "s", "--wifi-open", "--board", "pico"],
            &["eyot", "explain"],
            &["eyot", "explain", "c", "--thing", "t"],
            &["eyot", "serve", "--limit", "publishes_per_s=1"],
            &["eyot", "limits", "--json", "--markdown"],
            &["eyot", "fly"],
        ] {
            let error = Cli::try_parse_from(arguments).expect_err("refused");
            assert_eq!(error.exit_code(), 2, "{arguments:?}");
        }
    }

    #[test]
    fn what_the_interface_promises_parses() {
        for arguments in [
            "eyot demo --messages 5 --interval 2s --data-dir /tmp/x",
            "eyot serve --data-dir /tmp/x --api-port 0 --mqtts-port 0 --ready-file r --limits none --loops 2 --lan",
            "eyot serve --https-port 0 --alpn-port 0 --insecure-mqtt-port 0 --insecure-policy p.json",
            "eyot serve --in-memory --region eu-central-1 --account-id 123456789012 --advertise a --advertise b",
            "eyot provision t --out d --policy p.json --key-type p256 --endpoint-url http://127.0.0.1:1",
            "eyot keys to-der c k --out d",
            "eyot pico image --thing t --wifi-ssid s --wifi-password-file f --country DE --endpoint h:1 --board pico2-w --firmware f --out o",
            "eyot pico image --thing t --wifi-ssid s --wifi-open --config-only --key rsa --policy p --force --json",
            "eyot pico image --thing t --wifi-ssid s --wifi-password-file - --device-dir d --ca c --ca d --offline",
            "eyot pico flash f --drive d --wait",
            "eyot pico show f --json",
            "eyot device t --keys d --endpoint localhost:1 --interval 2s --count 3",
            "eyot logs tail g --follow --filter-pattern p --since 10m --json",
            "eyot sql eval --sql S --topic t --payload {} --context {}",
            "eyot sql eval --batch",
            "eyot sql check --sql S",
            "eyot policy eval --batch",
            "eyot explain c --json",
            "eyot explain --thing t --topic a/b --endpoint-url http://127.0.0.1:1",
            "eyot explain --certificate c",
            "eyot explain --address 192.0.2.1",
            "eyot explain --topic a/b",
            "eyot limits --limits relaxed --limit payload_bytes_max=16MiB --json",
            "eyot limits --markdown",
            "eyot doctor --json",
            "eyot --log-format json doctor",
        ] {
            let parsed = Cli::try_parse_from(arguments.split(' '));
            assert!(parsed.is_ok(), "{arguments}: {}", parsed.map(drop).expect_err("checked"));
        }
    }
}
