//! Patterns with `*`, `?` and variables, split once and matched without building the text that they stand for.
//!
//! A pattern is pieces with a `*` between each two. A piece consumes a fixed number of characters once its variables
//! are known, so the first is anchored at the start, the last at the end, and each one between takes the leftmost
//! place: no backtracking, at worst length times length.

use crate::context::Context;
use crate::resource::Subject;
use crate::variable::Variable;
use std::borrow::Cow;

/// A compiled pattern of a policy.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    /// As the policy has it: for messages.
    source: Box<str>,
    tokens: Box<[Token]>,
    has_variables: bool,
}

#[derive(Debug, Clone)]
enum Token {
    Literal(Box<str>),
    /// `?`: one character, which may be a slash.
    One,
    /// `*`: any characters, none too.
    Many,
    Variable(Box<Variable>),
}

/// A token whose variable is known.
#[derive(Debug)]
enum Known<'a> {
    Literal(Cow<'a, str>),
    One,
    Many,
}

/// Whether a pattern matches.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Match<'p> {
    Yes,
    No,
    /// It cannot be told, because this variable has no value that may be used.
    Unresolved(&'p Variable),
}

impl Pattern {
    /// Compiles a pattern. Variables and escapes are known since policy version 2012-10-17.
    pub(crate) fn parse(source: &str, with_variables: bool) -> Self {
        let mut tokens = Vec::new();
        let mut literal = String::new();
        let mut rest = source;
        while let Some(character) = rest.chars().next() {
            if with_variables && let Some((inside, behind)) = variable(rest) {
                rest = behind;
                // [AWS IAM policy variables] `${*}`, `${?}` and `${$}` are the characters themselves.
                if matches!(inside, "*" | "?" | "$") {
                    literal.push_str(inside);
                } else {
                    flush(&mut literal, &mut tokens);
                    tokens.push(Token::Variable(Box::new(Variable::parse(inside))));
                }
                continue;
            }
            rest = &rest[character.len_utf8()..];
            match character {
                '*' => {
                    flush(&mut literal, &mut tokens);
                    if !matches!(tokens.last(), Some(Token::Many)) {
                        tokens.push(Token::Many);
                    }
                }
                '?' => {
                    flush(&mut literal, &mut tokens);
                    tokens.push(Token::One);
                }
                other => literal.push(other),
            }
        }
        flush(&mut literal, &mut tokens);
        let has_variables = tokens.iter().any(|token| matches!(token, Token::Variable(_)));
        Self { source: source.into(), tokens: tokens.into_boxed_slice(), has_variables }
    }

    /// As the policy has it.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.tokens.iter().filter_map(|token| match token {
            Token::Variable(variable) => Some(&**variable),
            _ => None,
        })
    }

    pub(crate) fn matches(&self, subject: &Subject<'_>, context: &Context<'_>) -> Match<'_> {
        if !self.has_variables {
            let matched = matches_tokens(&self.tokens, subject);
            return if matched { Match::Yes } else { Match::No };
        }
        match self.resolve(context) {
            Ok(known) => {
                if matches_tokens(&known, subject) {
                    Match::Yes
                } else {
                    Match::No
                }
            }
            Err(variable) => Match::Unresolved(variable),
        }
    }

    /// The pattern as plain text for comparisons that know no wildcards; `Err` for a variable without value.
    pub(crate) fn text(&self, context: &Context<'_>) -> Result<String, &Variable> {
        let mut text = String::with_capacity(self.source.len());
        for token in self.resolve(context)? {
            match token {
                Known::Literal(literal) => text.push_str(&literal),
                Known::One => text.push('?'),
                Known::Many => text.push('*'),
            }
        }
        Ok(text)
    }

    fn resolve<'p: 'r, 'c: 'r, 'r>(&'p self, context: &Context<'c>) -> Result<Vec<Known<'r>>, &'p Variable> {
        let resolve = |token: &'p Token| match token {
            Token::Literal(text) => Ok(Known::Literal(Cow::Borrowed(text))),
            Token::One => Ok(Known::One),
            Token::Many => Ok(Known::Many),
            Token::Variable(variable) => match variable.substitute(context) {
                Some(value) => Ok(Known::Literal(value)),
                None => Err(&**variable),
            },
        };
        self.tokens.iter().map(resolve).collect()
    }
}

/// Splits `${name}rest` into `name` and `rest`.
fn variable(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix("${")?.split_once('}')
}

fn flush(literal: &mut String, tokens: &mut Vec<Token>) {
    if !literal.is_empty() {
        tokens.push(Token::Literal(std::mem::take(literal).into_boxed_str()));
    }
}

/// What the matcher sees of a token.
#[derive(Clone, Copy)]
enum Seen<'a> {
    Literal(&'a [u8]),
    One,
    Many,
}

trait Look {
    fn look(&self) -> Seen<'_>;
}

impl Look for Token {
    fn look(&self) -> Seen<'_> {
        match self {
            Self::Literal(text) => Seen::Literal(text.as_bytes()),
            Self::One => Seen::One,
            // A pattern with variables is resolved before it is matched.
            Self::Many | Self::Variable(_) => Seen::Many,
        }
    }
}

impl Look for Known<'_> {
    fn look(&self) -> Seen<'_> {
        match self {
            Self::Literal(text) => Seen::Literal(text.as_bytes()),
            Self::One => Seen::One,
            Self::Many => Seen::Many,
        }
    }
}

fn matches_tokens<T: Look>(tokens: &[T], subject: &Subject<'_>) -> bool {
    let is_many = |token: &T| matches!(token.look(), Seen::Many);
    let Some(first_many) = tokens.iter().position(is_many) else {
        return forward(tokens, subject, 0) == Some(subject.len());
    };
    let last_many = tokens.iter().rposition(is_many).unwrap_or(first_many);
    let Some(mut at) = forward(&tokens[..first_many], subject, 0) else { return false };
    let Some(end) = backward(&tokens[last_many + 1..], subject, subject.len()) else { return false };
    if at > end {
        return false;
    }
    if first_many == last_many {
        return true;
    }
    for piece in tokens[first_many + 1..last_many].split(is_many) {
        match find(piece, subject, at, end) {
            Some(behind) => at = behind,
            None => return false,
        }
    }
    true
}

/// Matches a piece from a place on; gives where it ends.
fn forward<T: Look>(piece: &[T], subject: &Subject<'_>, mut at: usize) -> Option<usize> {
    for token in piece {
        match token.look() {
            Seen::Literal(text) if subject.has_at(at, text) => at += text.len(),
            Seen::One => at = subject.next_char(at)?,
            Seen::Literal(_) | Seen::Many => return None,
        }
    }
    Some(at)
}

/// Matches a piece up to a place; gives where it begins.
fn backward<T: Look>(piece: &[T], subject: &Subject<'_>, mut at: usize) -> Option<usize> {
    for token in piece.iter().rev() {
        match token.look() {
            Seen::Literal(text) => {
                at = at.checked_sub(text.len())?;
                if !subject.has_at(at, text) {
                    return None;
                }
            }
            Seen::One => at = subject.previous_char(at)?,
            Seen::Many => return None,
        }
    }
    Some(at)
}

/// The end of the leftmost match of a piece between two places.
fn find<T: Look>(piece: &[T], subject: &Subject<'_>, from: usize, to: usize) -> Option<usize> {
    let mut start = from;
    loop {
        if let Some(end) = forward(piece, subject, start)
            && end <= to
        {
            return Some(end);
        }
        if start >= to {
            return None;
        }
        start = subject.next_char(start)?;
    }
}

/// Whether an ASCII pattern with `*` and `?` matches, in any case.
pub(crate) fn glob_ignore_case(pattern: &str, text: &str) -> bool {
    let pattern = Pattern::parse(&pattern.to_ascii_lowercase(), false);
    let text = text.to_ascii_lowercase();
    matches_tokens(&pattern.tokens, &Subject::new([&text, "", ""]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn glob(pattern: &str, text: &str) -> bool {
        matches_tokens(&Pattern::parse(pattern, true).tokens, &Subject::new([text, "", ""]))
    }

    /// The textbook definition, exponential and right.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['*', rest @ ..] => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            ['?', rest @ ..] => !text.is_empty() && naive(rest, &text[1..]),
            [character, rest @ ..] => text.first() == Some(character) && naive(rest, &text[1..]),
        }
    }

    #[test]
    fn wildcards() {
        assert!(glob("*", ""));
        assert!(glob("a*", "a/b/c"));
        assert!(!glob("a?", "a"));
        assert!(glob("a?c", "aéc"), "one character, not one byte");
        assert!(glob("*?", "é"));
        assert!(!glob("*??", "é"));
        assert!(glob("a+#", "a+#"));
        assert!(!glob("+", "x"));
        assert!(glob("a*b*c", "aXbXbXc"));
        assert!(!glob("aba*ba", "aba"), "the ends may not overlap");
    }

    #[test]
    fn escapes_are_the_characters_themselves() {
        assert!(glob("a${*}b", "a*b"));
        assert!(!glob("a${*}b", "axb"));
        assert!(glob("${$}{x}${?}", "${x}?"));
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "a*".repeat(500) + "b";
        assert!(!glob(&pattern, &"a".repeat(2000)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(500)))]

        #[test]
        fn agrees_with_the_definition(pattern in "[ab?*é]{0,8}", text in "[abé]{0,8}", cut in 0usize..9) {
            let chars: Vec<char> = text.chars().collect();
            let cut = text.char_indices().nth(cut).map_or(text.len(), |(at, _)| at);
            let tokens = Pattern::parse(&pattern, true).tokens;
            let subject = Subject::new([&text[..cut], "", &text[cut..]]);
            let expected = naive(&pattern.chars().collect::<Vec<_>>(), &chars);
            prop_assert_eq!(matches_tokens(&tokens, &subject), expected);
        }
    }
}
