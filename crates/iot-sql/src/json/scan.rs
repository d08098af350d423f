//! Tokens of JSON.

use super::JsonError;
use crate::limits::JSON_DEPTH_MAX;

/// A position in JSON text.
pub(super) struct Scanner<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

/// What a value begins with.
pub(super) enum Start<'t> {
    Object,
    Array,
    /// Between the quotes, as written, and whether there are escapes.
    Text(&'t str, bool),
    Number(&'t str),
    /// `null`, `true` or `false`.
    Word(&'static str),
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// Reads a value: all of a scalar, or the opening bracket. An opened one is closed by [`Self::more`].
    pub(super) fn start(&mut self) -> Result<Start<'t>, JsonError> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.open().map(|()| Start::Object),
            Some(b'[') => self.open().map(|()| Start::Array),
            Some(b'"') => self.quoted().map(|(text, escaped)| Start::Text(text, escaped)),
            Some(b'-' | b'0'..=b'9') => self.number().map(Start::Number),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(_) => Err(self.error("expected a value")),
            None => Err(self.error("unexpected end")),
        }
    }

    /// Whether another member or item follows; consumes the comma or the `close`ing bracket.
    pub(super) fn more(&mut self, first: bool, close: u8) -> Result<bool, JsonError> {
        self.skip_space();
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            Some(_) if first => Ok(true),
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(_) => Err(self.error("expected a comma or a closing bracket")),
            None => Err(self.error("unexpected end")),
        }
    }

    /// Reads `"key":`.
    pub(super) fn key(&mut self) -> Result<(&'t str, bool), JsonError> {
        self.skip_space();
        if self.peek() != Some(b'"') {
            return Err(self.error("expected a key in double quotes"));
        }
        let key = self.quoted()?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.error("expected a colon"));
        }
        self.at += 1;
        Ok(key)
    }

    /// Nothing but white space may follow the value.
    pub(super) fn end(&mut self) -> Result<(), JsonError> {
        self.skip_space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.error("unexpected text after the value")) }
    }

    fn open(&mut self) -> Result<(), JsonError> {
        if self.depth == JSON_DEPTH_MAX {
            return Err(self.error("nested too deeply"));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &'static str) -> Result<Start<'t>, JsonError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.error("expected a value"));
        }
        self.at += word.len();
        Ok(Start::Word(word))
    }

    /// A string; control characters and unknown escapes are refused.
    fn quoted(&mut self) -> Result<(&'t str, bool), JsonError> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            let error = |reason| Err(JsonError { reason, offset: at });
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    at += match (bytes.get(at + 1), bytes.get(at + 2..at + 6)) {
                        (Some(b'u'), Some(digits)) if digits.iter().all(u8::is_ascii_hexdigit) => 6,
                        (Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't'), _) => 2,
                        _ => return error("bad escape"),
                    };
                }
                Some(0..=0x1f) => return error("control character in a string"),
                Some(_) => at += 1,
                None => return error("string without end"),
            }
        }
        self.at = at + 1;
        Ok((&self.text[start..at], escaped))
    }

    fn number(&mut self) -> Result<&'t str, JsonError> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.error("expected a digit"));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn error(&self, reason: &'static str) -> JsonError {
        JsonError { reason, offset: self.at }
    }
}
