//! What the parts of a message's way cost, each beside a floor: the least that any program has to do for it.
//!
//! `cargo xtask bench [NAME …]` builds and runs this. Machines are noisy and differ, so what counts is the ratio to the
//! floor, measured in turn with it. One file per part.
#![expect(clippy::unwrap_used, reason = "a measurement may end with a backtrace")]

mod codec;
mod journal;
mod measure;
mod policy;
mod rate;
mod sql;

use std::path::Path;

/// A part's name, and what measures it; it may use the directory.
type Part = (&'static str, fn(&Path));

const PARTS: [Part; 5] = [
    ("codec", codec::run),
    ("policy", policy::run),
    ("rate", rate::run),
    ("sql", sql::run),
    ("journal", journal::run),
];

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let Some(directory) = arguments.next() else {
        eprintln!("usage: bench DIRECTORY [NAME …]");
        std::process::exit(2);
    };
    let wanted: Vec<String> =
        arguments.map(|name| name.into_string().unwrap_or_default().to_lowercase()).collect();
    if let Some(unknown) = wanted.iter().find(|name| !PARTS.iter().any(|(known, _)| known == name)) {
        let known: Vec<_> = PARTS.iter().map(|(name, _)| *name).collect();
        eprintln!("bench: no part `{unknown}`; there are: {}", known.join(", "));
        std::process::exit(2);
    }
    println!("{}", measure::HEAD);
    for (name, run) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            run(Path::new(&directory));
        }
    }
}
