//! `cargo xtask firmware`: builds the boards' firmware, measures it, and holds it to the budgets.
//!
//! The UF2 files lie in `target/firmware`, where `eyot pico image` of a source checkout finds them.

mod budget;
mod build;
mod measure;

use std::path::{Path, PathBuf};
use std::process::Command;

use pico_image::Board;

use crate::shell::{self, Failure, Outcome, cargo};
use crate::tools;

pub(crate) use build::{Built, Radio, build};

/// Options of `cargo xtask firmware`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only builds and compares sizes; otherwise the emulated board also shakes hands with each key type.
    #[arg(long)]
    build_only: bool,
}

/// Where the firmware files are put.
pub(crate) fn folder() -> PathBuf {
    shell::target_dir().join("firmware")
}

/// Installs what is missing, and builds what people put onto boards.
fn build_all() -> Outcome<Vec<(Board, Built)>> {
    tools::firmware_packages(&Board::ALL.map(build::rust_target))?;
    Board::ALL.into_iter().map(|board| Ok((board, build(board, Radio::Real)?))).collect()
}

/// What the tests need: firmware of all boards within its budget, one without the radio's own firmware, the emulator.
/// With `measured`, what the emulated board uses while it runs is held to the budget too.
pub(crate) fn for_tests(measured: bool) -> Outcome {
    run(&Options { build_only: !measured })?;
    build(Board::PicoW, Radio::Dummy)?;
    tools::emulator().map(drop)
}

/// Builds and measures.
pub(crate) fn run(options: &Options) -> Outcome {
    let budgets = budget::read()?;
    let built = build_all()?;
    let mut findings = Vec::new();
    for (board, Built { uf2, memory }) in &built {
        println!("{}: {}", board.name(), uf2.display());
        findings.extend(budgets.judge_sizes(*board, *memory));
    }
    if !options.build_only {
        let measured = measure::handshakes()?;
        for (_, Built { memory, .. }) in built.iter().filter(|(board, _)| *board == Board::PicoW) {
            findings.extend(budgets.judge_measured(*memory, &measured));
        }
    }
    println!("\n{:<42} {:>12} {:>12}", "", "measured", "budget");
    for finding in &findings {
        println!("{finding}");
    }
    match findings.iter().find(|finding| finding.is_over()) {
        None => Ok(()),
        Some(over) => Err(Failure::new(format!("over its budget in firmware/budgets.toml: {}", over.what))),
    }
}

/// Format and lints of the firmware, which is a workspace of its own.
pub(crate) fn lint() -> Outcome {
    let manifest = ["--manifest-path", "firmware/pico-w/Cargo.toml"];
    shell::run(cargo(&["fmt", "--check"]).args(manifest))?;
    for board in Board::ALL {
        let features = format!("{},dummy-radio-firmware", board.name());
        let mut clippy = cargo(&["clippy", "--release", "--locked"]);
        clippy.args(manifest).args(["--target", build::rust_target(board), "--features", &features]);
        clippy.arg("--target-dir").arg(shell::target_dir()).args(["--", "-D", "warnings"]);
        shell::run(&mut clippy)?;
    }
    Ok(())
}

/// Licences, crates and sources of the firmware, by the cargo-deny at this path.
pub(crate) fn deny(cargo_deny: &Path) -> Outcome {
    let mut command = Command::new(cargo_deny);
    command.args([
        "--manifest-path",
        "firmware/pico-w/Cargo.toml",
        "--locked",
        "--config",
        "firmware/deny.toml",
    ]);
    command.args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]);
    shell::run(&mut command)
}
