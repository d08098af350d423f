//! SQL text to tokens, one at a time.

use std::borrow::Cow;

use crate::{Span, SqlError};

/// One token, borrowed from the SQL text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token<'s> {
    /// An identifier, keyword or function name.
    Word(&'s str),
    /// An unsigned number, as written.
    Number(&'s str),
    /// A string with its quotes taken off and doubled quotes undone.
    Text(Cow<'s, str>),
    /// An operator or another mark.
    Mark(&'static str),
    /// Behind the last token.
    End,
}

/// Longer marks first, so that `<=` is not read as `<`.
const MARKS: [&str; 21] = [
    "<>", "<=", ">=", "<", ">", "=", "+", "-", "*", "/", "%", "(", ")", ",", ".", "{", "}", "[", "]", "@",
    ":",
];

/// A position in the SQL text. Cloning one is how the parser looks ahead.
#[derive(Clone)]
pub(crate) struct Lexer<'s> {
    text: &'s str,
    at: usize,
}

impl<'s> Lexer<'s> {
    pub(crate) fn new(text: &'s str, at: usize) -> Self {
        Self { text, at }
    }

    /// The next token and where it stands.
    pub(crate) fn next(&mut self) -> Result<(Token<'s>, Span), SqlError> {
        let text = self.text;
        self.at = text.len() - text[self.at..].trim_start().len();
        let (start, rest) = (self.at, &text[self.at..]);
        let Some(first) = rest.chars().next() else {
            return Ok((Token::End, Span { start, end: start }));
        };
        let (token, length) = match first {
            '\'' | '"' => quoted(rest, first).ok_or(SqlError::UnterminatedString {
                quote: first,
                span: Span { start, end: text.len() },
            })?,
            'a'..='z' | 'A'..='Z' | '_' => {
                let length = prefix_length(rest, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
                (Token::Word(&rest[..length]), length)
            }
            '0'..='9' => {
                let length = number_length(rest);
                (Token::Number(&rest[..length]), length)
            }
            _ => match MARKS.into_iter().find(|mark| rest.starts_with(mark)) {
                Some(mark) => (Token::Mark(mark), mark.len()),
                None => {
                    let span = Span { start, end: start + first.len_utf8() };
                    return Err(SqlError::UnexpectedCharacter { character: first, hint: hint(rest), span });
                }
            },
        };
        self.at = start + length;
        Ok((token, Span { start, end: self.at }))
    }
}

/// What people coming from other SQLs mean.
fn hint(rest: &str) -> &'static str {
    match rest.as_bytes() {
        [b'!', b'=', ..] => ": write `<>` for not equal",
        [b'$', b'{', ..] => ": `${…}` belongs into an action's settings, not into SQL",
        [b'|', b'|', ..] => ": write `+` to join strings, `OR` between conditions",
        [b'&', b'&', ..] => ": write `AND`",
        [b'`', ..] => ": strings take single or double quotes, odd keys need `get(object, 'key')`",
        _ if rest.starts_with(char::is_alphabetic) => ": other keys than a-z, 0-9 and _ need `get(*, 'key')`",
        _ => "",
    }
}

fn prefix_length(text: &str, accept: impl Fn(u8) -> bool) -> usize {
    text.bytes().position(|byte| !accept(byte)).unwrap_or(text.len())
}

/// Digits, then a fraction and an exponent only where digits follow: `5.x` is the path `x` of 5.
fn number_length(text: &str) -> usize {
    let digits = |from: usize| prefix_length(&text[from..], |byte| byte.is_ascii_digit());
    let mut length = digits(0);
    let bytes = text.as_bytes();
    if bytes.get(length) == Some(&b'.') && digits(length + 1) > 0 {
        length += 1 + digits(length + 1);
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let exponent = if length + 1 + sign <= text.len() { digits(length + 1 + sign) } else { 0 };
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    length
}

/// A string up to its closing quote; the quote doubled stands for itself. `None`: no closing quote.
fn quoted(rest: &str, quote: char) -> Option<(Token<'_>, usize)> {
    let mut text = Cow::Borrowed("");
    let mut from = 1;
    loop {
        let end = from + rest[from..].find(quote)?;
        text += &rest[from..end];
        from = end + 1;
        if !rest[from..].starts_with(quote) {
            return Some((Token::Text(text), from));
        }
        text += &rest[end..=end];
        from += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(sql: &str) -> Vec<Token<'_>> {
        let mut lexer = Lexer::new(sql, 0);
        let mut tokens = Vec::new();
        loop {
            match lexer.next().unwrap() {
                (Token::End, _) => return tokens,
                (token, _) => tokens.push(token),
            }
        }
    }

    #[test]
    fn splits_words_numbers_strings_and_marks() {
        use Token::{Mark, Number, Text, Word};
        assert_eq!(
            tokens("a.b1<=5.25e-3 'it''s' \"\"\"\""),
            [
                Word("a"),
                Mark("."),
                Word("b1"),
                Mark("<="),
                Number("5.25e-3"),
                Text("it's".into()),
                Text("\"".into())
            ]
        );
        assert_eq!(tokens("5.x 5e"), [Number("5"), Mark("."), Word("x"), Number("5"), Word("e")]);
    }

    #[test]
    fn strings_need_both_quotes() {
        let error = Lexer::new("  'abc''", 0).next().unwrap_err();
        assert_eq!(error, SqlError::UnterminatedString { quote: '\'', span: Span { start: 2, end: 8 } });
    }
}
