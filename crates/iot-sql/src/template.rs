//! Substitution templates: `${expression}` in an action's settings.
//!
//! Expressions see the original payload, never the aliases of SELECT. [AWS iot-substitution-templates]

use crate::ast::Expr;
use crate::eval::{Evaluation, Input};
use crate::limits::SQL_BYTES_MAX;
use crate::{EvalError, SqlError, SqlVersion, parser};

/// What `$$` means in a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dollar {
    /// Two dollars.
    Plain,
    /// One dollar: a republish topic writes reserved topics as `$$aws/…`. [AWS republish-rule]
    Doubled,
}

/// A setting with expressions in it, parsed once.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    version: SqlVersion,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Expression(Expr),
}

impl Template {
    /// Parses `text`.
    ///
    /// # Errors
    /// [`SqlError`] when an expression in it is none; offsets count from the beginning of `text`.
    pub fn parse(text: &str, version: SqlVersion, dollar: Dollar) -> Result<Self, SqlError> {
        if text.len() > SQL_BYTES_MAX {
            return Err(SqlError::TooLong { max: SQL_BYTES_MAX, got: text.len() });
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        while let Some(found) = text[at..].find('$') {
            literal += &text[at..at + found];
            at += found;
            let rest = &text[at..];
            if rest.starts_with("${") {
                let (expr, end) = parser::template_expression(text, at + 2, version)?;
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(Part::Expression(expr));
                at = end;
            } else {
                literal.push('$');
                at += if dollar == Dollar::Doubled && rest.starts_with("$$") { 2 } else { 1 };
            }
        }
        literal += &text[at..];
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { version, parts })
    }

    /// The text when no part depends on the message.
    pub fn as_constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The setting for one message. Null and Undefined expand to nothing.
    ///
    /// # Errors
    /// As [`crate::Statement::evaluate`].
    pub fn expand(&self, input: &Input<'_>) -> Result<String, EvalError> {
        let evaluation = Evaluation::new(input, self.version);
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out += text,
                Part::Expression(expr) => {
                    let value = evaluation.eval(expr)?;
                    evaluation.charge(&value)?;
                    out += value.to_text().as_deref().unwrap_or("");
                }
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Context;

    fn expand(template: &str, dollar: Dollar) -> String {
        let context = Context::default();
        let input = Input { payload: br#"{"a":{"b":1.50},"s":"x"}"#, topic: "t/u", context: &context };
        Template::parse(template, SqlVersion::V2016_03_23, dollar).unwrap().expand(&input).unwrap()
    }

    #[test]
    fn expressions_expand_and_the_rest_stays() {
        assert_eq!(expand("a/${topic(2)}/${a.b}${s}/${missing}!", Dollar::Plain), "a/u/1.50x/!");
        assert_eq!(expand("${'}'}${ \"${\" }", Dollar::Plain), "}${");
        assert_eq!(expand("${a}", Dollar::Plain), r#"{"b":1.50}"#);
    }

    #[test]
    fn doubled_dollars_are_for_republish_topics() {
        assert_eq!(expand("$$aws/$x$", Dollar::Doubled), "$aws/$x$");
        assert_eq!(expand("$$aws/$x$", Dollar::Plain), "$$aws/$x$");
    }

    #[test]
    fn errors_count_from_the_beginning_of_the_template() {
        let error = Template::parse("ab/${topic(}", SqlVersion::V2016_03_23, Dollar::Plain).unwrap_err();
        assert_eq!(error.to_string(), "expected an expression, found `}`");
        assert_eq!(error.offset(), 11);
        let error = Template::parse("ab/${topic()", SqlVersion::V2016_03_23, Dollar::Plain).unwrap_err();
        assert_eq!(error.to_string(), "expected `}`, found the end");
    }
}
