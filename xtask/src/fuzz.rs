//! `cargo xtask fuzz`: builds the targets of `fuzz/` with coverage and runs them under libFuzzer.
//!
//! The flags are those that `cargo fuzz` gives to nightly compilers, less the sanitizers: no crate here has unsafe
//! code, and all of them work on stable. Panics, failed assertions and overflows are what is looked for. Everything
//! that a run makes lies under `target/fuzz`, so that a later run goes on from the inputs of the earlier ones.

mod run;

use std::path::PathBuf;
use std::process::Command;

use crate::shell::{self, Failure, Outcome};
use crate::tools;
use run::Report;

/// Instruments all code but build scripts and macros, which `--target` keeps apart: every edge has a counter, and
/// what is compared is shown to libFuzzer, which then tries the other side's value.
const COVERAGE_FLAGS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Targets that run at the same time: the smallest machines that we test on have two cores.
const JOBS: usize = 2;

/// Seconds for each target when nobody says otherwise: enough to try a change, and minutes for all targets.
const SECONDS_DEFAULT: u32 = 30;

/// Seconds for each target in the long tier of `cargo xtask test`.
pub(crate) const FULL_SECONDS: u32 = 60;

/// What strangers send before anything else is known of them, and seconds for it in the long tier.
const LONG: [&str; 2] = ["mqtt_packet", "mqtt_session"];
pub(crate) const LONG_SECONDS: u32 = 600;

/// Options of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Runs this target alone: the name of a file in `fuzz/targets`.
    target: Option<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = SECONDS_DEFAULT)]
    seconds: u32,
}

/// Runs one target, or all.
pub(crate) fn run(options: &Options) -> Outcome {
    tools::fuzzing_packages()?;
    let all = targets()?;
    let chosen = match &options.target {
        None => all,
        Some(name) if all.contains(name) => vec![name.clone()],
        Some(name) => return Err(Failure::new(format!("no target `{name}`; there are: {}", all.join(", ")))),
    };
    build_and_run(chosen.into_iter().map(|target| (target, options.seconds)).collect())
}

/// Runs each of these targets for so many seconds.
fn build_and_run(chosen: Vec<(String, u32)>) -> Outcome {
    let triple = host_triple()?;
    build(&triple, &chosen)?;
    let programs = directory().join(triple).join("release");
    print_reports(&run::all(&chosen, &programs)?)
}

/// The long tier: the targets are formatted and linted like everything else, then run. Before them the codec is
/// compared with others.
pub(crate) fn check_and_run() -> Outcome {
    shell::run(&mut shell::cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--all", "--check"]))?;
    compare_codecs()?;
    // As the build that follows, so that C code is compiled once for both.
    let mut clippy = with_coverage("clippy", &host_triple()?);
    clippy.args(["--bins", "--lib", "--", "-D", "warnings"]);
    shell::run(&mut clippy)?;
    let mut chosen: Vec<_> = targets()?
        .into_iter()
        .map(|target| {
            let seconds = if LONG.contains(&target.as_str()) { LONG_SECONDS } else { FULL_SECONDS };
            (target, seconds)
        })
        .collect();
    // The long ones beside each other, and beside the others.
    chosen.sort_by_key(|(_, seconds)| std::cmp::Reverse(*seconds));
    build_and_run(chosen)
}

/// Compares our MQTT codec with two others. Here because of what that compiles: a client's async runtime, and more.
fn compare_codecs() -> Outcome {
    let differential =
        ["--manifest-path", "fuzz/Cargo.toml", "--locked", "-p", "differential", "--target-dir"];
    let checks: [(&str, &[&str]); 2] =
        [("clippy", &["--all-targets", "--", "-D", "warnings"]), ("test", &["--tests"])];
    for (subcommand, arguments) in checks {
        let mut command = shell::cargo(&[subcommand]);
        shell::run(command.args(differential).arg(directory()).args(arguments))?;
    }
    Ok(())
}

/// What runs leave behind, and where the targets are built.
fn directory() -> PathBuf {
    shell::target_dir().join("fuzz")
}

/// The names of all targets.
fn targets() -> Outcome<Vec<String>> {
    let path = shell::root().join("fuzz/targets");
    let failed = |error| Failure::new(format!("cannot read `{}`: {error}", path.display()));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        names.extend(name.to_str().and_then(|name| name.strip_suffix(".rs")).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn host_triple() -> Outcome<String> {
    let version = shell::output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::new("`rustc -vV` does not name its host"))
}

fn build(triple: &str, targets: &[(String, u32)]) -> Outcome {
    println!("The first build compiles every dependency with coverage: some minutes.");
    let mut command = with_coverage("build", triple);
    for (target, _) in targets {
        command.args(["--bin", target]);
    }
    shell::run(&mut command)
}

fn with_coverage(subcommand: &str, triple: &str) -> Command {
    let mut command =
        shell::cargo(&[subcommand, "--manifest-path", "fuzz/Cargo.toml", "--release", "--locked"]);
    command
        .args(["--target", triple, "--target-dir"])
        .arg(directory())
        .env("RUSTFLAGS", COVERAGE_FLAGS.join(" "))
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}

fn print_reports(reports: &[Report]) -> Outcome {
    println!("\n{:<14} {:>12} {:>8} {:>8} {:>8}  result", "target", "executions", "per s", "edges", "corpus");
    for report in reports {
        println!(
            "{:<14} {:>12} {:>8} {:>8} {:>8}  {}",
            report.target,
            report.executions,
            report.executions_per_second,
            report.edges,
            report.corpus,
            if report.failure.is_some() { "FAILED" } else { "ok" }
        );
    }
    let mut failed = Vec::new();
    for report in reports {
        if let Some(failure) = &report.failure {
            eprintln!("\n{}: {failure}", report.target);
            failed.push(report.target.as_str());
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("fuzzing found something in: {}", failed.join(", "))))
}
