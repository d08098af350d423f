//! `cargo xtask bench`: builds the benchmarks for release and runs them.

use std::process::Command;

use crate::shell::{self, Failure, Outcome, cargo};

/// Which parts to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Parts, such as `codec` or `journal`; without any, all of them.
    names: Vec<String>,
}

/// Measures beside a floor, and prints a line per case.
pub(crate) fn run(options: &Options) -> Outcome {
    shell::run(&mut cargo(&["build", "--release", "--locked", "-p", "bench"]))?;
    // Under the target directory, because it is on the disk that the builds are on; /tmp is memory on many machines.
    let directory = shell::target_dir().join("bench");
    std::fs::create_dir_all(&directory)
        .map_err(|error| Failure::new(format!("cannot create `{}`: {error}", directory.display())))?;
    shell::run(Command::new(shell::target_dir().join("release/bench")).arg(directory).args(&options.names))
}
