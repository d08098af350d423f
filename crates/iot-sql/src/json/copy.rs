//! JSON text to compact JSON text, without building values.

use super::scan::{Scanner, Start};
use super::{JsonError, Numbers};
use crate::limits::OBJECT_KEYS_UNINDEXED_MAX;

/// What came out of [`copy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copied {
    /// An object: members can be spliced in before its last byte.
    Object,
    /// Any other value.
    Other,
    /// Copying would not print what building prints, or a member would be overwritten. The output is to be thrown
    /// away, and the text was not checked to its end.
    MustBuild,
}

/// Why copying stopped early.
enum Stop {
    Bad(JsonError),
    MustBuild,
}

impl From<JsonError> for Stop {
    fn from(error: JsonError) -> Self {
        Self::Bad(error)
    }
}

/// Checks `text` and appends it to `out` without white space. `added` are the keys that will be spliced in.
pub(crate) fn copy(
    text: &str,
    numbers: Numbers,
    added: &[&str],
    out: &mut String,
) -> Result<Copied, JsonError> {
    let mut copier = Copier { scanner: Scanner::new(text), numbers, keys: Vec::new(), out };
    let is_object = text.trim_ascii_start().starts_with('{');
    let copied = copier.value(added).and_then(|()| Ok(copier.scanner.end()?));
    match copied {
        Ok(()) if is_object => Ok(Copied::Object),
        Ok(()) => Ok(Copied::Other),
        Err(Stop::MustBuild) => Ok(Copied::MustBuild),
        Err(Stop::Bad(error)) => Err(error),
    }
}

struct Copier<'t, 'o> {
    scanner: Scanner<'t>,
    numbers: Numbers,
    /// Keys of the objects that are open, innermost last.
    keys: Vec<&'t str>,
    out: &'o mut String,
}

impl Copier<'_, '_> {
    /// Copies one value; `taken` are keys that it must not have if it is an object.
    fn value(&mut self, taken: &[&str]) -> Result<(), Stop> {
        match self.scanner.start()? {
            Start::Object => self.object(taken),
            Start::Array => self.array(),
            Start::Text(text, escaped) => self.text(text, escaped),
            Start::Number(text) => {
                self.out.push_str(self.numbers.text(text));
                Ok(())
            }
            Start::Word(word) => {
                self.out.push_str(word);
                Ok(())
            }
        }
    }

    fn object(&mut self, taken: &[&str]) -> Result<(), Stop> {
        self.out.push('{');
        let mine = self.keys.len();
        while self.scanner.more(self.keys.len() == mine, b'}')? {
            if self.keys.len() > mine {
                self.out.push(',');
            }
            let (key, escaped) = self.scanner.key()?;
            let known = &self.keys[mine..];
            if known.len() == OBJECT_KEYS_UNINDEXED_MAX || known.contains(&key) || taken.contains(&key) {
                return Err(Stop::MustBuild);
            }
            self.keys.push(key);
            self.text(key, escaped)?;
            self.out.push(':');
            self.value(&[])?;
        }
        self.keys.truncate(mine);
        self.out.push('}');
        Ok(())
    }

    fn array(&mut self) -> Result<(), Stop> {
        self.out.push('[');
        let mut first = true;
        while self.scanner.more(first, b']')? {
            if !first {
                self.out.push(',');
            }
            first = false;
            self.value(&[])?;
        }
        self.out.push(']');
        Ok(())
    }

    /// Text with escapes has more than one spelling, and keys more than one way to be equal.
    fn text(&mut self, text: &str, escaped: bool) -> Result<(), Stop> {
        if escaped {
            return Err(Stop::MustBuild);
        }
        self.out.push('"');
        self.out.push_str(text);
        self.out.push('"');
        Ok(())
    }
}
