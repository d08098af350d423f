//! JSON in and out: payloads to values with their number text kept, values to compact text.
//!
//! Two readers share one scanner. [`parse`] builds a [`Value`]; [`copy`] checks the same grammar and copies the text
//! without white space, which is all that `SELECT *, f() AS a` needs. Where copying could give another text than
//! building and printing (a key twice, an escape), [`copy`] says so and the caller builds: both ways always print
//! the same, a property test holds them to it.

mod copy;
mod parse;
mod scan;
mod write;

pub(crate) use copy::{Copied, copy};
pub(crate) use parse::parse;
pub(crate) use write::{write, write_text};

use crate::EvalError;

/// What is wrong with a payload, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JsonError {
    /// What is wrong.
    pub(crate) reason: &'static str,
    /// Offset of the byte.
    pub(crate) offset: usize,
}

impl From<JsonError> for EvalError {
    fn from(JsonError { reason, offset }: JsonError) -> Self {
        Self::NotJson { reason, offset }
    }
}

/// Whether whole decimals turn into Ints on the way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// SQL version 2015-10-08: as published.
    AsPublished,
    /// SQL version 2016-03-23 and later: `10.0` becomes `10`.
    WholeAsInt,
}

impl Numbers {
    /// The text that a number leaves with.
    fn text(self, published: &str) -> &str {
        match self {
            Self::AsPublished => published,
            Self::WholeAsInt => crate::value::without_zero_fraction(published),
        }
    }
}

/// Payload bytes as text. JSON is UTF-8 (RFC 8259 section 8.1).
pub(crate) fn text(payload: &[u8]) -> Result<&str, JsonError> {
    str::from_utf8(payload)
        .map_err(|error| JsonError { reason: "invalid UTF-8", offset: error.valid_up_to() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::Value;

    fn printed(text: &str, numbers: Numbers) -> Result<String, JsonError> {
        parse(text, numbers).map(|value| value.to_string())
    }

    #[test]
    fn numbers_keep_their_text() {
        let text = r#"[27.50, 27.51254, 1e400, -0.0, 5E-3, 12345678901234567890123]"#;
        assert_eq!(printed(text, Numbers::AsPublished).unwrap(), text.replace(' ', ""));
        assert_eq!(printed("[27.50, 10.0, -0.0, 1.0e2]", Numbers::WholeAsInt).unwrap(), "[27.50,10,0,1.0e2]");
    }

    #[test]
    fn bad_json_is_refused_with_its_place() {
        for (text, offset) in [
            ("", 0),
            ("{\"temp\": }", 9),
            ("{\"a\":1,}", 7),
            ("[1 2]", 3),
            ("01", 1),
            ("1.", 2),
            ("-", 1),
            ("\"a\nb\"", 2),
            ("\"a", 2),
            (r#""\x""#, 1),
            (r#""\u12"#, 1),
            ("nul", 0),
            ("{} x", 3),
            ("{1:2}", 1),
        ] {
            assert_eq!(printed(text, Numbers::AsPublished).unwrap_err().offset, offset, "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let max = crate::limits::JSON_DEPTH_MAX;
        assert!(parse(&nested(max), Numbers::AsPublished).is_ok());
        let reason = parse(&nested(max + 1), Numbers::AsPublished).unwrap_err().reason;
        assert_eq!(reason, "nested too deeply");
        let mut out = String::new();
        assert!(copy(&nested(max + 1), Numbers::AsPublished, &[], &mut out).is_err());
    }

    #[test]
    fn escapes_are_undone_and_lone_surrogates_replaced() {
        let value = parse(r#""a\u00e9\n\ud83d\ude00\ud800x\/""#, Numbers::AsPublished).unwrap();
        assert_eq!(value, Value::from("aé\n😀\u{fffd}x/"));
        assert_eq!(value.to_string(), "\"aé\\n😀\u{fffd}x/\"");
        assert_eq!(Value::from("\u{1}\"\\\t").to_string(), r#""\u0001\"\\\t""#);
    }

    fn arbitrary_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            "-?(0|[1-9][0-9]{0,4})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?",
            "\"([a-c]{0,3}|\\\\n|é)\"",
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|items| format!("[ {}]", items.join(" , "))),
                prop::collection::vec(("\"[a-d]{1,2}\"", inner), 0..4).prop_map(|members| {
                    let members: Vec<_> = members.iter().map(|(k, v)| format!("{k} :\n{v}")).collect();
                    format!("{{\t{} }}", members.join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn copying_prints_what_building_prints(text in arbitrary_json(), whole in any::<bool>()) {
            let numbers = if whole { Numbers::WholeAsInt } else { Numbers::AsPublished };
            let mut out = String::new();
            let copied = copy(&text, numbers, &[], &mut out).unwrap();
            let built = printed(&text, numbers).unwrap();
            if copied != Copied::MustBuild {
                prop_assert_eq!(out, built);
            }
        }

        #[test]
        fn both_refuse_the_same_at_the_same_place(text in "[\\[\\]{}:,\" a0-2.eE\\\\-]{0,12}") {
            let mut out = String::new();
            let built = parse(&text, Numbers::AsPublished);
            match copy(&text, Numbers::AsPublished, &[], &mut out) {
                Err(error) => prop_assert_eq!(Err(error), built.map(|_| ())),
                Ok(Copied::MustBuild) => {}
                Ok(_) => prop_assert!(built.is_ok()),
            }
        }
    }
}
