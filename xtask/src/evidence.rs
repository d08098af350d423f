//! The summary of a long run, kept in `docs/evidence/`.
//!
//! It names the commit and the machine's size, never its name or its paths: it is for readers elsewhere.

use std::fmt::Write as _;
use std::process::Command;

use crate::shell::{self, Failure, Outcome};
use crate::test::{self, StepResult};

/// Writes `docs/evidence/full-<date>.md`.
pub(crate) fn write(results: &[StepResult]) -> Outcome {
    let date = line(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    let directory = shell::root().join("docs/evidence");
    let path = directory.join(format!("full-{date}.md"));
    let text = summary(&date, results)?;
    std::fs::create_dir_all(&directory)
        .and_then(|()| std::fs::write(&path, text))
        .map_err(|error| Failure::new(format!("cannot write `{}`: {error}", path.display())))?;
    println!("summary: docs/evidence/full-{date}.md");
    Ok(())
}

fn summary(date: &str, results: &[StepResult]) -> Outcome<String> {
    let commit = line(Command::new("git").args(["rev-parse", "HEAD"]))?;
    let changed = !line(Command::new("git").args(["status", "--porcelain"]))?.is_empty();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let mut text = format!("# `cargo xtask test --full`, {date}\n\n");
    let _ = writeln!(text, "- commit: `{commit}`{}", if changed { ", with uncommitted changes" } else { "" });
    let _ = writeln!(
        text,
        "- machine: {cores} cores, {}, {} {}",
        memory(),
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    let _ = writeln!(text, "- compiler: {}", line(Command::new("rustc").arg("--version"))?);
    let _ = writeln!(text, "- long tier: {}", test::long_tier());
    text.push_str("\n| step | result | seconds |\n|---|---|---:|\n");
    for result in results {
        let _ =
            writeln!(text, "| {} | {} | {:.1} |", result.name, result.verdict(), result.time.as_secs_f64());
    }
    Ok(text)
}

/// Physical memory in GiB, where the system tells.
fn memory() -> String {
    let kib = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        total.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    kib.map_or_else(|| "memory unknown".to_owned(), |kib| format!("{} GiB memory", kib / (1024 * 1024)))
}

fn line(command: &mut Command) -> Outcome<String> {
    Ok(shell::output(command)?.trim().to_owned())
}
