//! Operators and `cast`. `None` is Undefined. [AWS iot-sql-operators]

use super::Evaluation;
use crate::ast::{CastType, ChainOp, CompareOp};
use crate::value::{Decimal, Number, Value};

/// `=` and `<>` never convert; the others compare as decimals. Undefined on either side gives Undefined.
pub(super) fn compare(op: CompareOp, left: &Value, right: &Value) -> Option<bool> {
    match op {
        CompareOp::Equal => equal(left, right),
        CompareOp::NotEqual => equal(left, right).map(|equal| !equal),
        CompareOp::Less => Some(left.to_decimal()? < right.to_decimal()?),
        CompareOp::LessOrEqual => Some(left.to_decimal()? <= right.to_decimal()?),
        CompareOp::Greater => Some(left.to_decimal()? > right.to_decimal()?),
        CompareOp::GreaterOrEqual => Some(left.to_decimal()? >= right.to_decimal()?),
    }
}

fn equal(left: &Value, right: &Value) -> Option<bool> {
    match (left, right) {
        (Value::Undefined, _) | (_, Value::Undefined) => None,
        _ => Some(left == right),
    }
}

/// The operators that chain. None of them short-circuits: `FALSE AND missing` is Undefined, as AWS's table has it.
pub(super) fn combine(
    evaluation: &Evaluation<'_>,
    op: ChainOp,
    left: &Value,
    right: &Value,
) -> Option<Value> {
    let numbers = |apply: fn(Decimal, Decimal) -> Option<Decimal>| {
        Some(evaluation.number(apply(left.to_decimal()?, right.to_decimal()?)?))
    };
    match op {
        ChainOp::And => Some(Value::Bool(left.to_bool()? & right.to_bool()?)),
        ChainOp::Or => Some(Value::Bool(left.to_bool()? | right.to_bool()?)),
        ChainOp::Add if matches!(left, Value::String(_)) || matches!(right, Value::String(_)) => {
            Some(Value::String(format!("{}{}", left.to_text()?, right.to_text()?)))
        }
        ChainOp::Add => numbers(Decimal::plus),
        ChainOp::Subtract => numbers(Decimal::minus),
        ChainOp::Multiply => numbers(Decimal::times),
        ChainOp::Divide => numbers(Decimal::divided_by),
        ChainOp::Remainder => numbers(Decimal::modulo),
    }
}

/// `cast(value AS to)`. [AWS iot-sql-functions] "cast"
pub(super) fn cast(value: &Value, to: CastType) -> Option<Value> {
    match to {
        CastType::String => Some(Value::String(value.to_text()?.into_owned())),
        CastType::Int => match value {
            Value::Bool(value) => Some(Value::from(i64::from(*value))),
            // "Rounded down to the nearest Int."
            value => Some(Value::Number(Number::from(value.to_decimal()?.floor()))),
        },
        CastType::Decimal => match value {
            Value::Bool(value) => Some(Value::Number(Number::from_json(if *value { "1.0" } else { "0.0" }))),
            Value::Number(number) => Some(Value::Number(number.clone())),
            value => Some(Value::Number(Number::from(value.to_decimal()?))),
        },
        CastType::Boolean => match value {
            Value::Number(number) => Some(Value::Bool(!number.decimal()?.is_zero())),
            value => Some(Value::Bool(value.to_bool()?)),
        },
    }
}
