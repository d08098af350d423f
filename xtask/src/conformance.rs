//! `cargo xtask conformance`: Eclipse's Paho interoperability tests against a server of ours.
//!
//! The suite is a directory that the caller has, and stays as it is. What `xtask/conformance/` makes different when it
//! meets AWS's rules is listed, with reasons, in docs/conformance.md. Each test has a process and a server of its own,
//! so none of them depends on what another one left behind, and a bounded time.

mod misses;
mod one;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use crate::shell::{self, Failure, Outcome, cargo};

/// Tests that run at the same time. They wait for most of their time, also on the smallest machines that we test on.
const JOBS: usize = 4;

/// Options of `cargo xtask conformance`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// A checkout of eclipse/paho.mqtt.testing.
    #[arg(long, value_name = "DIR")]
    suite: PathBuf,
    /// The server's limits. Under `aws` the tests use QoS 1 where they would use QoS 2.
    #[arg(long, value_enum, default_value = "aws")]
    limits: Limits,
    /// Prints the results as JSON, and nothing else.
    #[arg(long)]
    json: bool,
    /// Runs this test alone, of both versions; repeatable. The gate is not asked then.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

/// A set of limits, as `eyot serve --limits` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Limits {
    /// AWS's documented quotas, QoS 0 and 1
    Aws,
    /// What MQTT allows
    Relaxed,
}

impl Limits {
    fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Relaxed => "relaxed",
        }
    }
}

/// A version of MQTT, by the name of its tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V311,
    V5,
}

impl Version {
    const ALL: [Self; 2] = [Self::V311, Self::V5];

    fn name(self) -> &'static str {
        match self {
            Self::V311 => "3.1.1",
            Self::V5 => "5",
        }
    }

    /// How many tests the suite has, and how many must pass: what the best brokers reach without settings of their own
    /// for it, less what AWS does not offer.
    fn gate(self) -> Gate {
        match self {
            Self::V311 => Gate { tests: 10, passes: 9 },
            Self::V5 => Gate { tests: 27, passes: 22 },
        }
    }
}

struct Gate {
    tests: usize,
    passes: usize,
}

/// What became of one test.
#[derive(Debug)]
struct Report {
    version: Version,
    test: String,
    time: Duration,
    /// Why it did not pass; `None` when it did.
    why: Option<String>,
    /// The reason that we know for it not to pass.
    known: Option<&'static str>,
}

impl Report {
    fn verdict(&self) -> &'static str {
        match (&self.why, self.known) {
            (None, None) => "ok",
            (None, Some(_)) => "ok, although a miss was expected",
            (Some(_), Some(_)) => "miss",
            (Some(_), None) => "UNEXPECTED MISS",
        }
    }

    fn passed(&self) -> bool {
        self.why.is_none()
    }
}

/// Runs the tests, and holds the results to the gate.
pub(crate) fn run(options: &Options) -> Outcome {
    let suite = shell::root().join(&options.suite);
    let waiting = chosen(&suite, options)?;
    let eyot = server_program(options)?;
    let mut reports = run_all(&waiting, &suite, &eyot, options)?;
    reports.sort_by_key(|report| {
        waiting.iter().position(|(version, test)| (*version, test) == (report.version, &report.test))
    });
    let verdict = judge(&reports, !options.only.is_empty());
    if options.json {
        println!("{:#}", as_json(&reports, options.limits, verdict.is_ok()));
    } else {
        print(&reports, options.limits);
    }
    verdict
}

/// The tests to run.
fn chosen(suite: &Path, options: &Options) -> Outcome<Vec<(Version, String)>> {
    let mut tests = Vec::new();
    for version in Version::ALL {
        let names = one::list(suite, version)?;
        let expected = version.gate().tests;
        if names.len() != expected {
            return Err(Failure::new(format!(
                "the suite has {} tests of MQTT {}; this gate was made for {expected}",
                names.len(),
                version.name()
            )));
        }
        tests.extend(names.into_iter().map(|name| (version, name)));
    }
    if let Some(unknown) = options.only.iter().find(|only| !tests.iter().any(|(_, name)| name == *only)) {
        return Err(Failure::new(format!("the suite has no test `{unknown}`")));
    }
    tests.retain(|(_, name)| options.only.is_empty() || options.only.contains(name));
    Ok(tests)
}

/// `EYOT_BINARY`, as for the black-box tests, else the release build.
fn server_program(options: &Options) -> Outcome<PathBuf> {
    if let Some(program) = std::env::var_os("EYOT_BINARY") {
        return Ok(shell::root().join(program));
    }
    let mut build = cargo(&["build", "--release", "--locked", "-p", "eyot"]);
    if options.json { shell::output(&mut build).map(drop) } else { shell::run(&mut build) }?;
    Ok(shell::target_dir().join("release/eyot"))
}

fn run_all(
    tests: &[(Version, String)],
    suite: &Path,
    eyot: &Path,
    options: &Options,
) -> Outcome<Vec<Report>> {
    let waiting = Mutex::new(tests.iter());
    let reports = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..JOBS {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().expect("no holder panics").next();
                    let Some((version, test)) = next else { return };
                    let report = one::run(suite, eyot, options.limits, *version, test);
                    if let (false, Ok(report)) = (options.json, &report) {
                        println!("MQTT {:<6} {test}: {}", version.name(), report.verdict());
                    }
                    reports.lock().expect("no holder panics").push(report);
                }
            });
        }
    });
    reports.into_inner().expect("no holder panics").into_iter().collect()
}

/// Enough passes, and a reason for each miss.
fn judge(reports: &[Report], is_part: bool) -> Outcome {
    let unexplained: Vec<_> = reports
        .iter()
        .filter(|report| !report.passed() && report.known.is_none())
        .map(|report| report.test.as_str())
        .collect();
    if !unexplained.is_empty() {
        return Err(Failure::new(format!("no reason is known for these misses: {}", unexplained.join(", "))));
    }
    for version in Version::ALL {
        let (passed, _) = count(reports, version);
        let needed = version.gate().passes;
        if !is_part && passed < needed {
            return Err(Failure::new(format!(
                "{passed} tests of MQTT {} pass, {needed} must",
                version.name()
            )));
        }
    }
    Ok(())
}

/// How many passed, and of how many.
fn count(reports: &[Report], version: Version) -> (usize, usize) {
    let of_version = || reports.iter().filter(|report| report.version == version);
    (of_version().filter(|report| report.passed()).count(), of_version().count())
}

fn print(reports: &[Report], limits: Limits) {
    println!("\n{:<7} {:<33} {:>7}  result", "MQTT", "test", "seconds");
    for report in reports {
        let (version, seconds) = (report.version.name(), report.time.as_secs_f64());
        println!("{version:<7} {:<33} {seconds:>7.1}  {}", report.test, report.verdict());
        if let Some(known) = report.known {
            println!("{:<8}{known}", "");
        }
        if let (Some(why), None) = (&report.why, report.known) {
            println!("{:<8}{why}", "");
        }
    }
    println!();
    for version in Version::ALL {
        let (passed, tests) = count(reports, version);
        let (name, needed) = (version.name(), version.gate().passes);
        println!("MQTT {name} under `{}`: {passed} of {tests} pass (gate: {needed})", limits.name());
    }
}

fn as_json(reports: &[Report], limits: Limits, is_ok: bool) -> Value {
    let versions: Vec<_> = Version::ALL
        .into_iter()
        .map(|version| {
            let (passed, tests) = count(reports, version);
            json!({"version": version.name(), "passed": passed, "tests": tests, "gate": version.gate().passes})
        })
        .collect();
    let tests: Vec<_> = reports
        .iter()
        .map(|report| {
            json!({
                "version": report.version.name(),
                "test": report.test,
                "passed": report.passed(),
                "seconds": (report.time.as_secs_f64() * 10.0).round() / 10.0,
                "why": report.why,
                "knownMiss": report.known,
            })
        })
        .collect();
    json!({"limits": limits.name(), "ok": is_ok, "versions": versions, "tests": tests})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(version: Version, passed: bool, known: Option<&'static str>) -> Report {
        let why = (!passed).then(|| "it failed".to_owned());
        Report { version, test: "test".to_owned(), time: Duration::ZERO, why, known }
    }

    fn reports(passes: [usize; 2]) -> Vec<Report> {
        let of = |(version, passes): (Version, usize)| {
            (0..version.gate().tests).map(move |number| {
                let passed = number < passes;
                report(version, passed, (!passed).then_some("AWS does not offer it"))
            })
        };
        Version::ALL.into_iter().zip(passes).flat_map(of).collect()
    }

    #[test]
    fn the_gate_opens_for_enough_passes_and_explained_misses_alone() {
        assert!(judge(&reports([9, 22]), false).is_ok());
        assert!(judge(&reports([8, 27]), false).is_err());
        assert!(judge(&reports([10, 21]), false).is_err());
        assert!(judge(&reports([8, 21]), true).is_ok(), "a part of the tests is held to no number");
        let mut unexplained = reports([10, 26]);
        unexplained.last_mut().unwrap().known = None;
        assert!(judge(&unexplained, false).is_err());
        assert!(judge(&unexplained, true).is_err());
    }

    #[test]
    fn every_result_has_a_word_of_its_own() {
        let words = [(true, None), (true, Some("")), (false, Some("")), (false, None)]
            .map(|(passed, known)| report(Version::V5, passed, known).verdict());
        assert_eq!(words, ["ok", "ok, although a miss was expected", "miss", "UNEXPECTED MISS"]);
    }
}
