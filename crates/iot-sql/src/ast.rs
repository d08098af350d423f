//! What a statement is after parsing.
//!
//! `Display` prints it in one canonical spelling that parses back to an equal statement.

use crate::functions::Function;
use crate::value::Value;
use crate::{SqlError, SqlVersion, parser};

/// A rule's SQL, parsed and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub(crate) version: SqlVersion,
    pub(crate) select: Select,
    pub(crate) from: Option<String>,
    pub(crate) condition: Option<Expr>,
    pub(crate) splice: bool,
}

impl Statement {
    /// Parses and checks `sql`.
    ///
    /// # Errors
    /// [`SqlError`] with the place and the reason; [`SqlError::NotYet`] for what AWS has and eyot does not.
    pub fn parse(sql: &str, version: SqlVersion) -> Result<Self, SqlError> {
        parser::statement(sql, version)
    }

    pub(crate) fn new(
        version: SqlVersion,
        select: Select,
        from: Option<String>,
        condition: Option<Expr>,
    ) -> Self {
        let splice = can_splice(&select, condition.as_ref());
        Self { version, select, from, condition, splice }
    }

    /// The topic filter after FROM; `None` for a rule that only basic ingest reaches.
    pub fn topic_filter(&self) -> Option<&str> {
        self.from.as_deref()
    }

    /// The version this was parsed for.
    pub fn version(&self) -> SqlVersion {
        self.version
    }
}

/// What SELECT makes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Select {
    /// `SELECT VALUE expr`: the value itself.
    Value(Expr),
    /// An object with one member per item.
    Items(Vec<Item>),
}

/// One column of the SELECT list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    pub(crate) expr: Expr,
    /// Whether the name was written with AS.
    pub(crate) aliased: bool,
    /// Where the value goes in the result, outermost name first; empty for a bare `*`.
    pub(crate) path: Vec<String>,
}

impl Item {
    /// A column with its alias, or with the name that its expression implies; the expression back when it implies
    /// none.
    pub(crate) fn new(expr: Expr, alias: Option<Vec<String>>) -> Result<Self, Expr> {
        let aliased = alias.is_some();
        let path = match alias {
            Some(alias) => alias,
            None if expr == Expr::Star => Vec::new(),
            None => match expr.implied_name() {
                Some(name) => vec![name],
                None => return Err(expr),
            },
        };
        Ok(Self { expr, aliased, path })
    }
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    /// `*`, the whole payload.
    Star,
    /// A key of the payload.
    Field(String),
    Literal(Value),
    /// `of.a.b`; never empty, never of another `Member` or a `Field` in parentheses that could be merged.
    Member {
        of: Box<Expr>,
        path: Vec<String>,
    },
    Call {
        function: &'static Function,
        name: String,
        args: Vec<Expr>,
    },
    Cast {
        value: Box<Expr>,
        to: CastType,
    },
    Negate(Box<Expr>),
    Not(Box<Expr>),
    Compare {
        op: CompareOp,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    /// Operators of one precedence, applied from the left. Flat, so that long chains need no stack.
    Chain {
        head: Box<Expr>,
        tail: Vec<(ChainOp, Expr)>,
    },
    Case {
        subject: Box<Expr>,
        arms: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
}

impl Expr {
    /// The key that an unaliased column gets: the last name of a path, or the function's name.
    fn implied_name(&self) -> Option<String> {
        match self {
            Self::Field(name) | Self::Call { name, .. } => Some(name.clone()),
            Self::Member { path, .. } => path.last().cloned(),
            Self::Cast { .. } => Some("cast".to_owned()),
            _ => None,
        }
    }

    /// Whether evaluating this looks into the payload.
    fn reads_payload(&self) -> bool {
        match self {
            Self::Star | Self::Field(_) => true,
            Self::Literal(_) => false,
            Self::Member { of, .. } => of.reads_payload(),
            Self::Call { args, .. } => args.iter().any(Self::reads_payload),
            Self::Cast { value, .. } => value.reads_payload(),
            Self::Negate(of) | Self::Not(of) => of.reads_payload(),
            Self::Compare { left, right, .. } => left.reads_payload() || right.reads_payload(),
            Self::Chain { head, tail } => {
                head.reads_payload() || tail.iter().any(|(_, right)| right.reads_payload())
            }
            Self::Case { subject, arms, otherwise } => {
                subject.reads_payload()
                    || arms.iter().any(|(when, then)| when.reads_payload() || then.reads_payload())
                    || otherwise.as_ref().is_some_and(|otherwise| otherwise.reads_payload())
            }
        }
    }
}

/// Whether the result is the payload with members appended: `SELECT *, f() AS a, g() AS b`.
fn can_splice(select: &Select, condition: Option<&Expr>) -> bool {
    let Select::Items(items) = select else { return false };
    let [Item { expr: Expr::Star, aliased: false, .. }, added @ ..] = items.as_slice() else { return false };
    let plain = |(index, item): (usize, &Item)| {
        item.path.len() == 1
            && added[..index].iter().all(|other| other.path != item.path)
            && !item.expr.reads_payload()
    };
    // Comparing every name with every other is for short lists; long ones take the ordinary way.
    added.len() <= crate::limits::OBJECT_KEYS_UNINDEXED_MAX
        && added.iter().enumerate().all(plain)
        && !condition.is_some_and(Expr::reads_payload)
}

/// Comparison operators. They do not associate: `a < b < c` is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CompareOp {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl CompareOp {
    pub(crate) const ALL: [Self; 6] =
        [Self::Equal, Self::NotEqual, Self::Less, Self::LessOrEqual, Self::Greater, Self::GreaterOrEqual];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// Operators that chain from the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChainOp {
    Or,
    And,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl ChainOp {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Or => "OR",
            Self::And => "AND",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

/// Types that `cast` knows, under their shortest name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CastType {
    String,
    Int,
    Decimal,
    Boolean,
}
