//! Filter patterns: what a message must contain.
//!
//! Terms so far: `error timeout` (all), `"a phrase"`, `?warn ?error` (any), `-debug` (not). A term matches anywhere
//! in the message, case-sensitively, also inside of words. Regular expressions, JSON and space-delimited patterns
//! are refused by name until they exist.

use crate::LogsError;
use crate::limits::PATTERN_CHARS_MAX;

/// A compiled pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pattern {
    required: Vec<String>,
    optional: Vec<String>,
    excluded: Vec<String>,
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, LogsError> {
        if text.chars().count() > PATTERN_CHARS_MAX {
            return Err(LogsError::invalid(format!(
                "1 validation error detected: Value at 'filterPattern' failed to satisfy constraint: Member must have \
                 length less than or equal to {PATTERN_CHARS_MAX}"
            )));
        }
        let mut rest = text.trim();
        let not_yet =
            |what| LogsError::invalid(format!("Invalid filter pattern: {what} are not available yet."));
        match rest.chars().next() {
            Some('{') => return Err(not_yet("JSON patterns `{ … }`")),
            Some('[') => return Err(not_yet("space-delimited patterns `[ … ]`")),
            _ => {}
        }
        let mut pattern = Self::default();
        while !rest.is_empty() {
            let (list, behind_sign) = match rest.as_bytes()[0] {
                b'?' => (&mut pattern.optional, &rest[1..]),
                b'-' => (&mut pattern.excluded, &rest[1..]),
                _ => (&mut pattern.required, rest),
            };
            if behind_sign.starts_with('%') {
                return Err(not_yet("regular expressions `%…%`"));
            }
            let (term, behind) = take_term(behind_sign)?;
            if !term.is_empty() {
                list.push(term);
            }
            rest = behind.trim_start();
        }
        // [AWS CloudWatch Logs, filter pattern syntax] `?` terms together with others are ignored.
        if !pattern.required.is_empty() || !pattern.excluded.is_empty() {
            pattern.optional.clear();
        }
        Ok(pattern)
    }

    pub(crate) fn matches(&self, message: &str) -> bool {
        self.required.iter().all(|term| message.contains(term))
            && !self.excluded.iter().any(|term| message.contains(term))
            && (self.optional.is_empty() || self.optional.iter().any(|term| message.contains(term)))
    }
}

/// A word, or a phrase in double quotes in which `\"` and `\\` stand for themselves; and what follows.
fn take_term(text: &str) -> Result<(String, &str), LogsError> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let (term, behind) = text.split_at(end);
        return Ok((term.to_owned(), behind));
    };
    let mut term = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            // `" "` is the documented way to say: everything.
            '"' => return Ok((if term.trim().is_empty() { String::new() } else { term }, &quoted[at + 1..])),
            '\\' => match characters.next() {
                Some((_, escaped @ ('"' | '\\'))) => term.push(escaped),
                Some((_, other)) => term.extend(['\\', other]),
                None => break,
            },
            other => term.push(other),
        }
    }
    Err(LogsError::invalid("Invalid filter pattern: a quote is not closed."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, message: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(message)
    }

    #[test]
    fn terms_are_all_needed_and_case_matters() {
        assert!(matches("temp 27", r#"{"temp":27.5}"#));
        assert!(!matches("temp 28", r#"{"temp":27.5}"#));
        assert!(!matches("Temp", r#"{"temp":27.5}"#));
    }

    #[test]
    fn phrases_keep_their_spaces_and_quotes() {
        assert!(matches(r#""connection lost""#, "the connection lost its way"));
        assert!(!matches(r#""connection lost""#, "connection was lost"));
        assert!(matches(r#""\"temp\":""#, r#"{"temp":27.5}"#));
        assert!(matches(r#"a"b"#, r#"x a"b y"#));
    }

    #[test]
    fn one_of_the_optional_terms_is_enough() {
        assert!(matches("?warn ?error", "an error"));
        assert!(!matches("?warn ?error", "info"));
        assert!(!matches("info ?error", "an error"), "other terms make optional ones meaningless");
        assert!(matches("info ?error", "info"));
    }

    #[test]
    fn excluded_terms_must_be_absent() {
        assert!(matches("error -timeout", "an error"));
        assert!(!matches("error -timeout", "error: timeout"));
        assert!(!matches(r#"-"a b""#, "a b"));
    }

    #[test]
    fn nothing_means_everything() {
        for pattern in ["", "   ", "\"\"", "\" \""] {
            assert!(matches(pattern, "anything"), "{pattern:?}");
        }
    }

    #[test]
    fn what_is_not_there_yet_is_refused_by_name() {
        for pattern in ["{ $.temp > 27 }", "[ip, user]", "%err.*%", "a -%b%", "\"open"] {
            let error = Pattern::parse(pattern).unwrap_err();
            assert!(error.to_string().starts_with("Invalid filter pattern: "), "{error}");
        }
        assert!(Pattern::parse(&"x".repeat(1_025)).is_err());
    }

    proptest! {
        #[test]
        fn foreign_patterns_never_panic(pattern in ".{0,40}", message in ".{0,40}") {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                let _ = pattern.matches(&message);
            }
        }

        #[test]
        fn a_quoted_message_finds_itself(message in "[^\\\\\"]{1,30}") {
            let pattern = format!("\"{message}\"");
            prop_assert!(matches(&pattern, &message));
        }
    }
}
