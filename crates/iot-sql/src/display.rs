//! Printing a statement so that it parses back to itself.

use std::fmt::{self, Display, Formatter};

use crate::ast::{CastType, ChainOp, Expr, Item, Select, Statement};
use crate::value::Value;

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.select {
            Select::Value(expr) => write!(f, "SELECT VALUE {}", AtLeast(expr, value_level(expr)))?,
            Select::Items(items) => {
                f.write_str("SELECT ")?;
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    item.fmt(f)?;
                }
            }
        }
        if let Some(filter) = &self.from {
            write!(f, " FROM {}", Quoted(filter))?;
        }
        match &self.condition {
            Some(condition) => write!(f, " WHERE {condition}"),
            None => Ok(()),
        }
    }
}

/// After VALUE, everything but a plain operand goes into parentheses: `VALUE -1` would be a difference.
fn value_level(expr: &Expr) -> Level {
    match expr {
        Expr::Literal(Value::Number(number)) if number.as_str().starts_with('-') => {
            Level::AlwaysParenthesised
        }
        _ => Level::Operand,
    }
}

impl Display for Item {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)?;
        if self.aliased {
            write!(f, " AS {}", self.path.join("."))?;
        }
        Ok(())
    }
}

/// How tightly an expression holds together, loosest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Or,
    And,
    Not,
    Compare,
    Add,
    Multiply,
    Negate,
    Operand,
    AlwaysParenthesised,
}

impl Level {
    /// The next tighter level: what a chain's operands must have.
    fn tighter(self) -> Self {
        match self {
            Self::Or => Self::And,
            Self::And => Self::Not,
            Self::Not => Self::Compare,
            Self::Compare => Self::Add,
            Self::Add => Self::Multiply,
            Self::Multiply => Self::Negate,
            Self::Negate | Self::Operand | Self::AlwaysParenthesised => Self::Operand,
        }
    }
}

fn level(expr: &Expr) -> Level {
    match expr {
        Expr::Chain { tail, .. } => match tail[0].0 {
            ChainOp::Or => Level::Or,
            ChainOp::And => Level::And,
            ChainOp::Add | ChainOp::Subtract => Level::Add,
            ChainOp::Multiply | ChainOp::Divide | ChainOp::Remainder => Level::Multiply,
        },
        Expr::Not(_) => Level::Not,
        Expr::Compare { .. } => Level::Compare,
        Expr::Negate(_) => Level::Negate,
        Expr::Literal(Value::Number(number)) if number.as_str().starts_with('-') => Level::Negate,
        _ => Level::Operand,
    }
}

/// An expression in parentheses when it is looser than its place.
struct AtLeast<'a>(&'a Expr, Level);

impl Display for AtLeast<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if level(self.0) < self.1 { write!(f, "({})", self.0) } else { self.0.fmt(f) }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Star => f.write_str("*"),
            Self::Field(name) => f.write_str(name),
            Self::Literal(Value::String(text)) => Quoted(text).fmt(f),
            Self::Literal(Value::Bool(value)) => f.write_str(if *value { "TRUE" } else { "FALSE" }),
            Self::Literal(Value::Null) => f.write_str("NULL"),
            Self::Literal(value) => value.fmt(f),
            Self::Member { of, path } => write!(f, "{}.{}", AtLeast(of, Level::Operand), path.join(".")),
            Self::Call { name, args, .. } => {
                write!(f, "{name}(")?;
                for (index, arg) in args.iter().enumerate() {
                    write!(f, "{}{arg}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str(")")
            }
            Self::Cast { value, to } => {
                let to = match to {
                    CastType::String => "String",
                    CastType::Int => "Int",
                    CastType::Decimal => "Double",
                    CastType::Boolean => "Boolean",
                };
                write!(f, "cast({value} AS {to})")
            }
            Self::Negate(of) => write!(f, "- {}", AtLeast(of, Level::Negate)),
            Self::Not(of) => write!(f, "NOT {}", AtLeast(of, Level::Not)),
            Self::Compare { op, left, right } => {
                let side = Level::Compare.tighter();
                write!(f, "{} {} {}", AtLeast(left, side), op.as_str(), AtLeast(right, side))
            }
            Self::Chain { head, tail } => {
                let side = level(self).tighter();
                AtLeast(head, side).fmt(f)?;
                tail.iter().try_for_each(|(op, right)| write!(f, " {} {}", op.as_str(), AtLeast(right, side)))
            }
            Self::Case { subject, arms, otherwise } => {
                write!(f, "CASE {subject}")?;
                for (when, then) in arms {
                    write!(f, " WHEN {when} THEN {then}")?;
                }
                if let Some(otherwise) = otherwise {
                    write!(f, " ELSE {otherwise}")?;
                }
                f.write_str(" END")
            }
        }
    }
}

/// Text as an SQL string.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.replace('\'', "''"))
    }
}
