//! Writing to people: standard output that may be a terminal, a file or a closed pipe.

use std::borrow::Cow;
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

/// For commands that do something: that nobody listens any more is no reason to stop half-way, or to call what failed
/// later a success.
pub(crate) fn whoever_listens(said: Outcome) -> Outcome {
    said.or_else(|failure| if failure.is_broken_pipe { Ok(()) } else { Err(failure) })
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

/// Text without characters that a terminal would obey, or that would show a name as another: they are written as `\u{1b}`.
/// Line ends and tabs stay.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let obeyed = |character: char| {
        character.is_control() && !matches!(character, '\n' | '\t') || is_invisible(character)
    };
    if !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if obeyed(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Characters without a width, and those that turn the direction of what follows. [Unicode UAX #9, UTS #39]
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The same for what stands on one line, such as a name: line ends and tabs do not stay either.
pub(crate) fn printable_line(text: &str) -> Cow<'_, str> {
    if !text.contains(['\n', '\t']) {
        return printable(text);
    }
    Cow::Owned(printable(text).replace('\n', "\\u{a}").replace('\t', "\\u{9}"))
}

#[cfg(test)]
mod tests {
    use super::{printable, printable_line};

    #[test]
    fn a_name_makes_no_second_line() {
        assert_eq!(printable_line("a\nb\tc\x1b"), "a\\u{a}b\\u{9}c\\u{1b}");
        assert_eq!(printable_line("a b"), "a b");
    }

    #[test]
    fn a_message_does_not_drive_the_terminal() {
        assert_eq!(printable("{\"temp\":27.5}\tß\n"), "{\"temp\":27.5}\tß\n");
        assert_eq!(
            printable("evil\u{202e}\u{200b}\u{2028}\u{feff}"),
            "evil\\u{202e}\\u{200b}\\u{2028}\\u{feff}"
        );
        assert_eq!(printable("\x1b[2J\x07\u{9b}x\r"), "\\u{1b}[2J\\u{7}\\u{9b}x\\u{d}");
    }
}
