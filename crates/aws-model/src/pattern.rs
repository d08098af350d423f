//! Constraints on text, written as Java regular expressions.

use std::sync::OnceLock;

use regex::Regex;

/// A pattern that a whole text must match. Compiled at its first use, once.
#[derive(Debug)]
pub struct Pattern {
    text: &'static str,
    compiled: OnceLock<Regex>,
}

impl Pattern {
    /// A pattern as the model writes it.
    pub(crate) const fn new(text: &'static str) -> Self {
        Self { text, compiled: OnceLock::new() }
    }

    /// As the model writes it.
    pub fn as_str(&self) -> &'static str {
        self.text
    }

    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        let regex = self.compiled.get_or_init(|| {
            Regex::new(&translated(self.text)).expect("a test compiles every pattern of the tables")
        });
        regex.is_match(text)
    }
}

/// What stands before a place inside of a class: it decides whether a hyphen there makes a range.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    /// Nothing that could begin a range: the class's start, a whole range, another class such as `\w`.
    Closed,
    /// A single character.
    Character,
    /// The hyphen of a range.
    Hyphen,
}

impl Before {
    fn and_character(self) -> Self {
        if self == Self::Hyphen { Self::Closed } else { Self::Character }
    }
}

/// The same pattern in the dialect of the `regex` crate, anchored.
///
/// Java's `\w`, `\d`, `\s` know ASCII only, its POSIX classes are spelled `\p{Graph}`, a hyphen that makes no range
/// may stand anywhere in a class, and `&&`, `--`, `~~` mean nothing special there.
fn translated(java: &str) -> String {
    let mut out = String::from("^(?s:");
    let characters: Vec<char> = java.chars().collect();
    let mut class: Option<Before> = None;
    let mut at = 0;
    while let Some(&character) = characters.get(at) {
        at += 1;
        let next = characters.get(at).copied();
        match (character, class) {
            ('\\', _) => {
                let escaped = next.unwrap_or('\\');
                at += 1 + escape(
                    escaped,
                    characters.get(at + 1..).unwrap_or_default(),
                    class.is_some(),
                    &mut out,
                );
                let is_class = matches!(escaped, 'w' | 'd' | 's' | 'S' | 'p');
                class = class.map(|before| if is_class { Before::Closed } else { before.and_character() });
            }
            ('[', None) => {
                class = Some(Before::Closed);
                out.push('[');
                if next == Some('^') {
                    out.push('^');
                    at += 1;
                }
            }
            (']', Some(_)) => {
                class = None;
                out.push(']');
            }
            ('-', Some(Before::Character)) if next != Some(']') => {
                class = Some(Before::Hyphen);
                out.push('-');
            }
            ('-' | '[' | '&' | '~', Some(before)) => {
                class = Some(before.and_character());
                out.extend(['\\', character]);
            }
            (other, before) => {
                class = before.map(Before::and_character);
                out.push(other);
            }
        }
    }
    out.push_str(")$");
    out
}

/// Writes what an escaped character stands for; gives how many characters behind it were used.
fn escape(escaped: char, behind: &[char], in_class: bool, out: &mut String) -> usize {
    let ascii = |set: &str, out: &mut String| {
        out.push_str(&if in_class { set.to_owned() } else { format!("[{set}]") });
    };
    match escaped {
        'w' => ascii("0-9A-Za-z_", out),
        'd' => ascii("0-9", out),
        's' => ascii(r"\t\n\x0B\f\r ", out),
        'S' => out.push_str(r"[^\t\n\x0B\f\r ]"),
        'u' => {
            let digits: String = behind.iter().take(4).collect();
            out.push_str(&format!("\\x{{{digits}}}"));
            return 4;
        }
        'p' if behind.first() == Some(&'{') => {
            let name: String = behind[1..].iter().take_while(|&&character| character != '}').collect();
            let posix = match name.as_str() {
                "Graph" => Some("[:graph:]"),
                "Upper" => Some("[:upper:]"),
                "Lower" => Some("[:lower:]"),
                "Digit" => Some("[:digit:]"),
                "Alnum" => Some("[:alnum:]"),
                "Cntrl" => Some("[:cntrl:]"),
                "Print" => Some("[:print:]"),
                _ => None,
            };
            match posix {
                Some(posix) => ascii(posix, out),
                None => out.push_str(&format!("\\p{{{name}}}")),
            }
            return name.chars().count() + 2;
        }
        // An escape that Java does not need is an error in the regex crate.
        '"' | '\'' | '/' | ':' | ',' | '@' | '=' | '_' | ' ' => out.push(escaped),
        other => out.extend(['\\', other]),
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Service, Shape};
    use std::collections::BTreeMap;

    fn matches(pattern: &'static str, text: &str) -> bool {
        Pattern::new(pattern).matches(text)
    }

    #[test]
    fn the_whole_text_must_match() {
        assert!(matches("[a-zA-Z0-9:_-]+", "pico_w-1:x"));
        for text in ["", "a b", "a/b", "ü", "a\n"] {
            assert!(!matches("[a-zA-Z0-9:_-]+", text), "{text:?}");
        }
        assert!(matches("a|bc", "bc") && !matches("a|bc", "ab"));
    }

    #[test]
    fn words_and_digits_are_ascii() {
        assert!(matches(r"[\w+=,.@-]+", "a_B.9@x-"));
        assert!(!matches(r"[\w+=,.@-]+", "é"));
        assert!(!matches(r"^\d{12}$", "٠٠٠٠٠٠٠٠٠٠٠٠"));
        assert!(matches(r"\S{36,64}", &"x".repeat(36)) && !matches(r"\S{36,64}", &" ".repeat(36)));
    }

    #[test]
    fn hyphens_without_a_range_are_literal() {
        for pattern in
            ["[a-zA-Z0-9-_.]+", r"[\w-_]*", r"[\-a-zA-Z0-9]+", "^[a-zA-Z0-9-_]+$", r"[.\-_/#A-Za-z0-9]+"]
        {
            assert!(matches(pattern, "a-b"), "{pattern}");
            assert!(!matches(pattern, "a;b"), "{pattern}");
        }
        assert!(matches("[a-zA-Z0-9_.,@/:#=\\[\\]-]*", "[a]-#"));
    }

    #[test]
    fn posix_classes_of_java() {
        assert!(matches(r"[\p{Graph}\x20]*", "a b~") && !matches(r"[\p{Graph}\x20]*", "ä"));
        assert!(matches(r"[^\p{C}]*", "über") && !matches(r"[^\p{C}]*", "a\u{7}"));
    }

    /// The invariant of [`Pattern::matches`].
    #[test]
    fn every_pattern_of_the_tables_compiles() {
        let mut seen = BTreeMap::new();
        for service in Service::ALL {
            for operation in service.operations() {
                collect(operation.input, &mut seen, 0);
            }
        }
        assert!(seen.len() > 40, "{}", seen.len());
        for (text, pattern) in seen {
            if let Err(error) = Regex::new(&translated(text)) {
                panic!("{text}: {error}");
            }
            pattern.matches("x");
        }
    }

    fn collect(shape: &'static Shape, seen: &mut BTreeMap<&'static str, &'static Pattern>, depth: usize) {
        if depth > 12 {
            return; // structures may contain themselves
        }
        match shape {
            Shape::String { pattern: Some(pattern), .. } => {
                seen.insert(pattern.as_str(), pattern);
            }
            Shape::List { member, .. } => collect(member, seen, depth + 1),
            Shape::Map { key, value, .. } => {
                collect(key, seen, depth + 1);
                collect(value, seen, depth + 1);
            }
            Shape::Structure(members) => {
                members.iter().for_each(|member| collect(member.shape, seen, depth + 1));
            }
            _ => {}
        }
    }
}
