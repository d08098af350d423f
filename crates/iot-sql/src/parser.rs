//! Tokens to [`Statement`].
//!
//! ```text
//! statement := SELECT (VALUE expr | item {',' item}) [FROM 'filter'] [WHERE expr]
//! item      := '*' | expr [AS name {'.' name}]
//! expr      := and {OR and}          and := not {AND not}        not := NOT not | compare
//! compare   := add [('=' | '<>' | '<' | '<=' | '>' | '>=') add]
//! add       := mul {('+' | '-') mul}  mul := unary {('*' | '/' | '%') unary}
//! unary     := '-' unary | primary {'.' name}
//! primary   := number | 'text' | "text" | TRUE | FALSE | NULL | name | '*' | name '(' [expr {',' expr}] ')'
//!            | CAST '(' expr AS type ')' | '(' expr ')' | CASE expr WHEN expr THEN expr {…} [ELSE expr] END
//! ```
//! [AWS iot-sql] "SQL reference". Keywords and function names ignore case, payload keys do not.

use mqtt_wire::topic::TopicFilter;

use crate::ast::{ChainOp, CompareOp, Expr, Item, Select, Statement};
use crate::lexer::{Lexer, Token};
use crate::limits::{EXPRESSION_DEPTH_MAX, PATH_NAMES_MAX, SQL_BYTES_MAX};
use crate::value::{Number, Value};
use crate::{Span, SqlError, SqlVersion, check};

/// Words that are never a payload key by themselves; such keys are reached with `get(*, 'key')`.
const RESERVED: [&str; 16] = [
    "SELECT", "FROM", "WHERE", "AS", "AND", "OR", "NOT", "CASE", "WHEN", "THEN", "ELSE", "END", "IN", "TRUE",
    "FALSE", "NULL",
];

/// Parses a whole rule.
pub(crate) fn statement(sql: &str, version: SqlVersion) -> Result<Statement, SqlError> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(SqlError::TooLong { max: SQL_BYTES_MAX, got: sql.len() });
    }
    let mut parser = Parser::new(sql, 0, version)?;
    let statement = parser.statement()?;
    parser.expect_end()?;
    Ok(statement)
}

/// Parses one expression of a `${…}` that begins at `at`, and returns the offset behind its closing brace.
pub(crate) fn template_expression(
    text: &str,
    at: usize,
    version: SqlVersion,
) -> Result<(Expr, usize), SqlError> {
    let mut parser = Parser::new(text, at, version)?;
    let expr = parser.expr()?;
    if parser.token != Token::Mark("}") {
        return Err(parser.unexpected("`}`"));
    }
    // The token after the brace is template text, not SQL: it must not be read as a token.
    Ok((expr, parser.span.end))
}

struct Parser<'s> {
    text: &'s str,
    lexer: Lexer<'s>,
    /// The token that is looked at, and its place.
    token: Token<'s>,
    span: Span,
    version: SqlVersion,
    depth: usize,
}

impl<'s> Parser<'s> {
    fn new(text: &'s str, at: usize, version: SqlVersion) -> Result<Self, SqlError> {
        let mut lexer = Lexer::new(text, at);
        let (token, span) = lexer.next()?;
        Ok(Self { text, lexer, token, span, version, depth: 0 })
    }

    fn statement(&mut self) -> Result<Statement, SqlError> {
        if self.at_word("SET") {
            return Err(self.not_yet("SET"));
        }
        if !self.take_word("SELECT")? {
            return Err(self.unexpected("`SELECT`"));
        }
        let select = if self.at_value_keyword()? {
            self.advance()?;
            Select::Value(self.expr()?)
        } else {
            let mut items = vec![self.item()?];
            while self.take_mark(",")? {
                items.push(self.item()?);
            }
            Select::Items(items)
        };
        let from = if self.take_word("FROM")? { Some(self.topic_filter()?) } else { None };
        let condition = if self.take_word("WHERE")? { Some(self.expr()?) } else { None };
        Ok(Statement::new(self.version, select, from, condition))
    }

    /// `VALUE` is a keyword only where an operand follows it: `SELECT value FROM …` takes the key `value`.
    fn at_value_keyword(&self) -> Result<bool, SqlError> {
        if !self.at_word("VALUE") {
            return Ok(false);
        }
        let mut ahead = self.lexer.clone();
        Ok(match ahead.next()?.0 {
            Token::Number(_) | Token::Text(_) | Token::Mark("(" | "{" | "[" | "@") => true,
            Token::Word(word) => {
                !["FROM", "WHERE", "AS", "AND", "OR", "IN"].iter().any(|k| k.eq_ignore_ascii_case(word))
            }
            // `VALUE *` and `VALUE *.a` against the product `value * 2`.
            Token::Mark("*") => match ahead.next()?.0 {
                Token::End | Token::Mark(".") => true,
                Token::Word(word) => ["FROM", "WHERE"].iter().any(|k| k.eq_ignore_ascii_case(word)),
                _ => false,
            },
            _ => false,
        })
    }

    fn item(&mut self) -> Result<Item, SqlError> {
        let start = self.span.start;
        let expr = self.expr()?;
        let end = self.span.start;
        let alias = if self.take_word("AS")? { Some(self.dotted_name()?) } else { None };
        Item::new(expr, alias).map_err(|_| {
            let complete = matches!(self.token, Token::End | Token::Mark(","));
            if !complete && !self.at_word("FROM") && !self.at_word("WHERE") {
                return self.unexpected("`AS` and a name");
            }
            let column = self.text[start..end].trim_end();
            let span = Span { start, end: start + column.len() };
            SqlError::NeedsAlias { column: shorten(column), span }
        })
    }

    fn dotted_name(&mut self) -> Result<Vec<String>, SqlError> {
        let mut names = vec![self.name("a name")?];
        while self.take_mark(".")? {
            names.push(self.name("a name")?);
            if names.len() > PATH_NAMES_MAX {
                return Err(SqlError::TooDeep { max: PATH_NAMES_MAX, span: self.span });
            }
        }
        Ok(names)
    }

    /// Any word; behind AS or a dot even keywords are names.
    fn name(&mut self, expected: &str) -> Result<String, SqlError> {
        let Token::Word(word) = self.token else { return Err(self.unexpected(expected)) };
        self.advance()?;
        Ok(word.to_owned())
    }

    fn topic_filter(&mut self) -> Result<String, SqlError> {
        let Token::Text(filter) = &self.token else {
            return Err(self.unexpected("a topic filter in single quotes"));
        };
        let filter = filter.clone().into_owned();
        if let Err(reason) = TopicFilter::parse(&filter) {
            return Err(SqlError::BadTopicFilter { reason: reason.to_string(), filter, span: self.span });
        }
        self.advance()?;
        Ok(filter)
    }

    /// One level deeper, so that no text can exhaust the stack.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, SqlError>) -> Result<T, SqlError> {
        if self.depth == EXPRESSION_DEPTH_MAX {
            return Err(SqlError::TooDeep { max: EXPRESSION_DEPTH_MAX, span: self.span });
        }
        self.depth += 1;
        let parsed = parse(self)?;
        self.depth -= 1;
        Ok(parsed)
    }

    fn expr(&mut self) -> Result<Expr, SqlError> {
        self.nested(|parser| {
            parser.chain(
                |parser| parser.chain(Self::not, |parser| parser.word_op("AND", ChainOp::And)),
                |parser| parser.word_op("OR", ChainOp::Or),
            )
        })
    }

    /// `operand {op operand}`.
    fn chain(
        &mut self,
        operand: impl Fn(&mut Self) -> Result<Expr, SqlError>,
        op: impl Fn(&Self) -> Option<ChainOp>,
    ) -> Result<Expr, SqlError> {
        let head = operand(self)?;
        let mut tail = Vec::new();
        while let Some(op) = op(self) {
            self.advance()?;
            tail.push((op, operand(self)?));
        }
        Ok(if tail.is_empty() { head } else { Expr::Chain { head: Box::new(head), tail } })
    }

    fn word_op(&self, word: &str, op: ChainOp) -> Option<ChainOp> {
        self.at_word(word).then_some(op)
    }

    fn mark_op(&self, ops: &[ChainOp]) -> Option<ChainOp> {
        let Token::Mark(mark) = self.token else { return None };
        ops.iter().copied().find(|op| op.as_str() == mark)
    }

    fn not(&mut self) -> Result<Expr, SqlError> {
        if self.take_word("NOT")? {
            return Ok(Expr::Not(Box::new(self.nested(Self::not)?)));
        }
        let left = self.add()?;
        if self.at_word("IN") {
            return Err(self.not_yet("the operator `IN`"));
        }
        let Token::Mark(mark) = self.token else { return Ok(left) };
        let Some(op) = CompareOp::ALL.into_iter().find(|op| op.as_str() == mark) else { return Ok(left) };
        self.advance()?;
        let right = self.add()?;
        Ok(Expr::Compare { op, left: Box::new(left), right: Box::new(right) })
    }

    fn add(&mut self) -> Result<Expr, SqlError> {
        self.chain(
            |parser| {
                parser.chain(Self::unary, |parser| {
                    parser.mark_op(&[ChainOp::Multiply, ChainOp::Divide, ChainOp::Remainder])
                })
            },
            |parser| parser.mark_op(&[ChainOp::Add, ChainOp::Subtract]),
        )
    }

    fn unary(&mut self) -> Result<Expr, SqlError> {
        if self.take_mark("-")? {
            let operand = self.nested(Self::unary)?;
            return Ok(match operand {
                Expr::Literal(Value::Number(number)) if !number.as_str().starts_with('-') => {
                    Expr::Literal(Value::Number(number.negated()))
                }
                operand => Expr::Negate(Box::new(operand)),
            });
        }
        let operand = self.primary()?;
        if self.token != Token::Mark(".") {
            return Ok(operand);
        }
        let (of, mut path) = match operand {
            Expr::Member { of, path } => (of, path),
            operand => (Box::new(operand), Vec::new()),
        };
        while self.take_mark(".")? {
            path.push(self.name("a key")?);
            if path.len() > PATH_NAMES_MAX {
                return Err(SqlError::TooDeep { max: PATH_NAMES_MAX, span: self.span });
            }
        }
        Ok(Expr::Member { of, path })
    }

    fn primary(&mut self) -> Result<Expr, SqlError> {
        let expr = match &self.token {
            Token::Number(text) => Expr::Literal(Value::Number(Number::from_sql(text))),
            Token::Text(text) => Expr::Literal(Value::String(text.clone().into_owned())),
            Token::Mark("*") => Expr::Star,
            Token::Mark("(") => return self.parenthesised(),
            Token::Mark("{") => return Err(self.not_yet("object literals")),
            Token::Mark("[") => return Err(self.not_yet("array literals")),
            Token::Mark("@") => return Err(self.not_yet("variables (SET)")),
            Token::Word(word) => return self.word(word),
            _ => return Err(self.unexpected("an expression")),
        };
        self.advance()?;
        Ok(expr)
    }

    fn parenthesised(&mut self) -> Result<Expr, SqlError> {
        self.advance()?;
        if self.at_word("SELECT") {
            return Err(self.not_yet("nested queries"));
        }
        let expr = self.expr()?;
        self.expect_mark(")")?;
        Ok(expr)
    }

    fn word(&mut self, word: &'s str) -> Result<Expr, SqlError> {
        let span = self.span;
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
        let literal = match () {
            () if is("TRUE") => Some(Value::Bool(true)),
            () if is("FALSE") => Some(Value::Bool(false)),
            () if is("NULL") => Some(Value::Null),
            () => None,
        };
        if literal.is_none() && !is("CASE") && RESERVED.iter().any(|reserved| is(reserved)) {
            return Err(self.unexpected("an expression"));
        }
        self.advance()?;
        if let Some(value) = literal {
            return Ok(Expr::Literal(value));
        }
        if is("CASE") {
            return self.nested(Self::case);
        }
        if self.token != Token::Mark("(") {
            return Ok(Expr::Field(word.to_owned()));
        }
        self.advance()?;
        if is("EXISTS") {
            return Err(SqlError::NotYet { feature: "`EXISTS`".to_owned(), span });
        }
        if is("CAST") {
            return self.cast();
        }
        let mut args = Vec::new();
        if !self.take_mark(")")? {
            loop {
                if self.at_word("SELECT") {
                    return Err(self.not_yet("nested queries"));
                }
                args.push(self.expr()?);
                if !self.take_mark(",")? {
                    break;
                }
            }
            self.expect_mark(")")?;
        }
        let function = check::function(word, args.len(), self.version, span)?;
        Ok(Expr::Call { function, name: word.to_owned(), args })
    }

    fn cast(&mut self) -> Result<Expr, SqlError> {
        let value = Box::new(self.expr()?);
        if !self.take_word("AS")? {
            return Err(self.unexpected("`AS` and a type"));
        }
        let span = self.span;
        let to = check::cast_type(&self.name("a type")?, self.version, span)?;
        self.expect_mark(")")?;
        Ok(Expr::Cast { value, to })
    }

    fn case(&mut self) -> Result<Expr, SqlError> {
        let subject = Box::new(self.expr()?);
        let mut arms = Vec::new();
        while self.take_word("WHEN")? {
            let when = self.expr()?;
            if !self.take_word("THEN")? {
                return Err(self.unexpected("`THEN`"));
            }
            arms.push((when, self.expr()?));
        }
        if arms.is_empty() {
            return Err(self.unexpected("`WHEN`"));
        }
        let otherwise = if self.take_word("ELSE")? { Some(Box::new(self.expr()?)) } else { None };
        if !self.take_word("END")? {
            return Err(self.unexpected("`WHEN`, `ELSE` or `END`"));
        }
        Ok(Expr::Case { subject, arms, otherwise })
    }

    fn advance(&mut self) -> Result<(), SqlError> {
        (self.token, self.span) = self.lexer.next()?;
        Ok(())
    }

    fn at_word(&self, keyword: &str) -> bool {
        matches!(self.token, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn take_word(&mut self, keyword: &str) -> Result<bool, SqlError> {
        let here = self.at_word(keyword);
        if here {
            self.advance()?;
        }
        Ok(here)
    }

    fn take_mark(&mut self, mark: &'static str) -> Result<bool, SqlError> {
        let here = self.token == Token::Mark(mark);
        if here {
            self.advance()?;
        }
        Ok(here)
    }

    fn expect_mark(&mut self, mark: &'static str) -> Result<(), SqlError> {
        if self.take_mark(mark)? { Ok(()) } else { Err(self.unexpected(&format!("`{mark}`"))) }
    }

    fn expect_end(&self) -> Result<(), SqlError> {
        match self.token {
            Token::End => Ok(()),
            Token::Mark("-") if self.text[self.span.start..].starts_with("--") => {
                Err(self.unexpected("the end (AWS IoT SQL has no comments)"))
            }
            _ => Err(self.unexpected("the end")),
        }
    }

    fn not_yet(&self, feature: &str) -> SqlError {
        SqlError::NotYet { feature: feature.to_owned(), span: self.span }
    }

    fn unexpected(&self, expected: &str) -> SqlError {
        let found = match &self.token {
            Token::End => "the end".to_owned(),
            _ => format!("`{}`", shorten(&self.text[self.span.start..self.span.end])),
        };
        SqlError::Unexpected { expected: expected.to_owned(), found, span: self.span }
    }
}

/// The first 40 characters: errors go into logs and API answers, statements may be long.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
