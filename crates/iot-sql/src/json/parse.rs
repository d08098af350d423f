//! JSON text to a value.

use super::scan::{Scanner, Start};
use super::{JsonError, Numbers};
use crate::value::{Number, Object, Value};

/// Reads one JSON value and nothing else.
pub(crate) fn parse(text: &str, numbers: Numbers) -> Result<Value, JsonError> {
    let mut scanner = Scanner::new(text);
    let value = build(&mut scanner, numbers)?;
    scanner.end()?;
    Ok(value)
}

/// Recursion is bounded by the scanner's depth.
fn build(scanner: &mut Scanner<'_>, numbers: Numbers) -> Result<Value, JsonError> {
    Ok(match scanner.start()? {
        Start::Object => {
            let mut object = Object::new();
            let mut first = true;
            while scanner.more(first, b'}')? {
                first = false;
                let (key, escaped) = scanner.key()?;
                object.insert(unescape(key, escaped), build(scanner, numbers)?);
            }
            Value::Object(object)
        }
        Start::Array => {
            let mut items = Vec::new();
            while scanner.more(items.is_empty(), b']')? {
                items.push(build(scanner, numbers)?);
            }
            Value::Array(items)
        }
        Start::Text(text, escaped) => Value::String(unescape(text, escaped)),
        Start::Number(text) => Value::Number(Number::from_json(numbers.text(text))),
        Start::Word("true") => Value::Bool(true),
        Start::Word("false") => Value::Bool(false),
        Start::Word(_) => Value::Null,
    })
}

/// Undoes escapes that the scanner has checked. Half a surrogate pair becomes U+FFFD: Rust's text cannot hold it,
/// and refusing a whole reading for it helps nobody.
fn unescape(text: &str, escaped: bool) -> String {
    if !escaped {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.as_bytes()[at + 1];
        rest = &rest[at + 2..];
        out.push(match code {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => unicode(&mut rest),
            other => char::from(other),
        });
    }
    out.push_str(rest);
    out
}

/// The character whose `\u` has been read; takes the second half of a pair with it.
fn unicode(rest: &mut &str) -> char {
    let unit = |text: &str| u32::from_str_radix(text, 16).expect("the scanner has seen four hex digits");
    let first = unit(&rest[..4]);
    *rest = &rest[4..];
    if !(0xd800..0xdc00).contains(&first) || !rest.starts_with("\\u") {
        return char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    let second = unit(&rest[2..6]);
    if !(0xdc00..0xe000).contains(&second) {
        return char::REPLACEMENT_CHARACTER;
    }
    *rest = &rest[6..];
    char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
        .unwrap_or(char::REPLACEMENT_CHARACTER)
}
