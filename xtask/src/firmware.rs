//! `cargo xtask firmware`: builds the boards' firmware, measures it, and holds it to the budgets.
//!
//! The UF2 files lie in `target/firmware`, where `eyot pico image` of a source checkout finds them.

mod budget;
mod build;
mod measure;

use std::path::PathBuf;

use pico_image::Board;

use crate::shell::{self, Failure, Outcome};
use crate::tools;

pub(crate) use build::{Radio, build};

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

/// Builds and measures.
pub(crate) fn run(options: &Options) -> Outcome {
    let budgets = budget::read()?;
    tools::firmware_packages(&Board::ALL.map(build::rust_target))?;
    let mut findings = Vec::new();
    for board in Board::ALL {
        let built = build(board, Radio::Real)?;
        println!("{}: {}", board.name(), built.uf2.display());
        findings.extend(budgets.judge_sizes(board, built.memory));
    }
    if !options.build_only {
        findings.extend(budgets.judge_measured(&measure::handshakes()?));
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
