//! Writing to people: standard output that may be a terminal, a file or a closed pipe.

use std::fmt::Arguments;
use std::io::{self, IsTerminal as _, Write as _};

use crate::failure::{Failure, Outcome};

/// Writes one line to standard output at once, so that a pipe's reader sees events as they come.
pub(crate) fn write_line(line: Arguments<'_>) -> Outcome {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| {
        let mut failure = Failure::new("cannot write to standard output").because(&error);
        failure.is_broken_pipe = error.kind() == io::ErrorKind::BrokenPipe;
        failure
    })
}

/// `say!("…")?` prints a line; unlike `println!` it does not panic when the reader has gone.
macro_rules! say {
    ($($argument:tt)*) => { $crate::terminal::write_line(format_args!($($argument)*)) };
}
pub(crate) use say;

/// Prints a value as one line of JSON.
pub(crate) fn say_json(value: &serde_json::Value) -> Outcome {
    say!("{value}")
}

/// How text is coloured. Colours only on a terminal, and never when `NO_COLOR` is set (<https://no-color.org>).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// For standard output.
    pub(crate) fn stdout() -> Self {
        Self { on: io::stdout().is_terminal() && colours_wanted() }
    }

    /// No colours at all.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { on: false }
    }

    /// For standard error.
    pub(crate) fn stderr() -> Self {
        Self { on: io::stderr().is_terminal() && colours_wanted() }
    }

    /// Whether colours are written.
    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.sgr("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.sgr("2", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.sgr("31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.sgr("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.sgr("33", text)
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.sgr("36", text)
    }

    fn sgr(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn colours_wanted() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
