//! `cargo xtask bench`.

use std::process::ExitCode;

/// Says which benchmarks exist. None does yet: a figure that nobody can repeat is worse than none.
pub(crate) fn run() -> ExitCode {
    eprintln!("xtask: there are no benchmarks yet");
    ExitCode::from(2)
}
