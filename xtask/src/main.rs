//! The project's own chores: `cargo xtask test`, `firmware`, `emulate`, `conformance`, `fuzz`, `bench`, `check-deps`, `codegen`.
//!
//! One module per chore; [`shell`] runs the programs they need and [`tools`] installs what is missing.

mod bench;
mod check_deps;
mod codegen;
mod conformance;
mod emulate;
mod evidence;
mod firmware;
mod fuzz;
mod server;
mod shell;
mod test;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Everything a change must pass: format, lints, licences, layers, unit tests, black-box tests.
    Test(test::Options),
    /// Builds the boards' firmware, measures it in the emulated board, and holds it to firmware/budgets.toml.
    Firmware(firmware::Options),
    /// The whole journey with an emulated Pico W that runs the real firmware.
    Emulate(emulate::Options),
    /// Eclipse's Paho interoperability tests against a server of ours.
    Conformance(conformance::Options),
    /// Looks for inputs that break what reads foreign bytes, guided by coverage.
    Fuzz(fuzz::Options),
    /// What the parts of a message's way cost, beside a floor.
    Bench(bench::Options),
    /// Checks the layers and invariants of ARCHITECTURE.md.
    CheckDeps,
    Codegen(codegen::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().chore {
        Chore::Test(options) => test::run(&options),
        Chore::Firmware(options) => firmware::run(&options),
        Chore::Emulate(options) => emulate::run(&options),
        Chore::Conformance(options) => conformance::run(&options),
        Chore::Fuzz(options) => fuzz::run(&options),
        Chore::Bench(options) => bench::run(&options),
        Chore::CheckDeps => check_deps::run(),
        Chore::Codegen(options) => codegen::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
