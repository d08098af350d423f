//! Running built targets, and reading what libFuzzer says.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use crate::shell::{self, Failure, Outcome};

/// Longest input, in bytes.
///
/// Every format here shows all it can do in a few hundred bytes; longer inputs only make executions slower.
const INPUT_BYTES_MAX: usize = 4096;

/// Seconds that one execution may take.
///
/// None should take a millisecond; a tenth of this would already be a way to stall the server with one message. The
/// rest is for machines that are busy with something else.
const EXECUTION_SECONDS_MAX: u32 = 10;

/// Memory that one target may use, in MiB.
///
/// An evaluation makes 16 MiB at most and a corpus takes as much again: what comes near this grows without a bound.
const MEMORY_MIB_MAX: u32 = 1024;

/// Lines of a panic that are shown, and characters of each: both sides of an `assert_eq!`. The log has the rest.
const PANIC_LINES_SHOWN: usize = 4;
const LINE_CHARS_SHOWN: usize = 300;

/// What became of one target.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) target: String,
    pub(super) executions: u64,
    pub(super) executions_per_second: u64,
    /// Edges of the code that some input reached.
    pub(super) edges: u64,
    /// Inputs that are kept because each reaches something that the others do not.
    pub(super) corpus: u64,
    pub(super) failure: Option<String>,
}

/// Runs targets, some at a time and each for its seconds, and reports in the order of their names.
pub(super) fn all(targets: &[(String, u32)], programs: &Path) -> Outcome<Vec<Report>> {
    let waiting = Mutex::new(targets.iter());
    let reports = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..super::JOBS {
            scope.spawn(|| {
                loop {
                    let Some((target, seconds)) = waiting.lock().expect("no holder panics").next() else {
                        return;
                    };
                    println!("{target}: {seconds} s …");
                    let report = one(target, &programs.join(target), *seconds);
                    reports.lock().expect("no holder panics").push(report);
                }
            });
        }
    });
    let mut reports =
        reports.into_inner().expect("no holder panics").into_iter().collect::<Outcome<Vec<_>>>()?;
    reports.sort_by(|one, other| one.target.cmp(&other.target));
    Ok(reports)
}

fn one(target: &str, program: &Path, seconds: u32) -> Outcome<Report> {
    let corpus = made("corpus", target)?;
    let found = made("found", target)?;
    let log = super::directory().join(format!("{target}.log"));
    let failed = |error| Failure::new(format!("cannot write `{}`: {error}", log.display()));
    let mut command = Command::new(program);
    command
        // New inputs go to the first directory; the others are only read.
        .arg(&corpus)
        .args(existing("fuzz/seeds", target))
        .args(
            existing("fuzz/dictionaries", &format!("{target}.dict"))
                .map(|path| format!("-dict={}", path.display())),
        )
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .arg(format!("-timeout={EXECUTION_SECONDS_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
        .arg(format!("-artifact_prefix={}/", found.display()))
        .arg("-print_final_stats=1")
        .current_dir(shell::root())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&log).map_err(failed)?);
    let status = command
        .status()
        .map_err(|error| Failure::new(format!("cannot start `{}`: {error}", program.display())))?;
    let text = String::from_utf8_lossy(&std::fs::read(&log).map_err(failed)?).into_owned();
    let mut report = read_log(target, &text);
    if !status.success() {
        report.failure = Some(explained(&text, program, &log));
    }
    Ok(report)
}

/// A directory of a target under `target/fuzz`.
fn made(kind: &str, target: &str) -> Outcome<PathBuf> {
    let path = super::directory().join(kind).join(target);
    std::fs::create_dir_all(&path)
        .map_err(|error| Failure::new(format!("cannot create `{}`: {error}", path.display())))?;
    Ok(path)
}

/// What a target has in a folder of the repository, if anything.
fn existing(folder: &str, name: &str) -> Option<PathBuf> {
    let path = shell::root().join(folder).join(name);
    path.exists().then_some(path)
}

/// The numbers of a log: of its last line of progress, `#… cov: … corp: …/… exec/s: …`, and of its end.
fn read_log(target: &str, log: &str) -> Report {
    let progress =
        log.lines().rfind(|line| line.starts_with('#') && line.contains(" cov: ")).unwrap_or_default();
    let behind = |key: &str| {
        let mut words = progress.split_whitespace().skip_while(move |word| *word != key);
        words.nth(1).map_or(0, leading_number)
    };
    let executions = progress.strip_prefix('#').map_or(0, leading_number);
    let counted = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    Report {
        target: target.to_owned(),
        executions: counted.map_or(executions, |count| leading_number(count.trim())),
        executions_per_second: behind("exec/s:"),
        edges: behind("cov:"),
        corpus: behind("corp:"),
        failure: None,
    }
}

fn leading_number(text: &str) -> u64 {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().unwrap_or(0)
}

/// What went wrong, which input did it, and how to see it again.
fn explained(log: &str, program: &Path, path: &Path) -> String {
    let panic = panic_message(log);
    let ended = || log.lines().find(|line| line.contains("ERROR: libFuzzer"));
    let reason = if panic.is_empty() { ended().unwrap_or("it ended early").to_owned() } else { panic };
    let input = log.lines().find_map(|line| line.split_once("Test unit written to ").map(|(_, input)| input));
    match input {
        Some(input) => format!(
            "{reason}\n  input:      {input}\n  once more:  {} {input}\n  log:        {}",
            program.display(),
            path.display()
        ),
        None => format!("{reason}\n  log:        {}", path.display()),
    }
}

/// From the line that says where to the backtrace; empty when nothing panicked.
fn panic_message(log: &str) -> String {
    let lines = log
        .lines()
        .skip_while(|line| !line.contains("panicked at"))
        .take_while(|line| *line != "stack backtrace:")
        .take(PANIC_LINES_SHOWN)
        .map(|line| line.chars().take(LINE_CHARS_SHOWN).collect::<String>());
    lines.collect::<Vec<_>>().join("\n    ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
INFO: Seed: 1
#2\tINITED cov: 3 ft: 4 corp: 1/1b exec/s: 0 rss: 28Mb
#842\tNEW    cov: 190 ft: 667 corp: 233/21Kb lim: 4096 exec/s: 93678 rss: 28Mb L: 3/3 MS: 1 EraseBytes-
thread '<unnamed>' panicked at targets/x.rs:1:1:
assertion failed
stack backtrace:
artifact_prefix='found/x/'; Test unit written to found/x/crash-1
stat::number_of_executed_units: 901
";

    #[test]
    fn the_last_line_of_progress_counts() {
        let expected = Report {
            target: "x".to_owned(),
            executions: 901,
            executions_per_second: 93_678,
            edges: 190,
            corpus: 233,
            failure: None,
        };
        assert_eq!(read_log("x", LOG), expected);
        assert_eq!(read_log("x", ""), Report { target: "x".to_owned(), ..Report::default() });
    }

    #[test]
    fn a_failure_names_its_input_and_how_to_repeat_it() {
        let text = explained(LOG, Path::new("p/x"), Path::new("x.log"));
        assert!(
            text.starts_with(
                "thread '<unnamed>' panicked at targets/x.rs:1:1:\n    assertion failed\n  input:"
            )
        );
        assert!(text.contains("once more:  p/x found/x/crash-1\n"), "{text}");
        assert!(explained("", Path::new("p/x"), Path::new("x.log")).starts_with("it ended early"));
    }
}
