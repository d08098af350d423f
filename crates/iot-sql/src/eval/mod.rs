//! A statement and a message to a result.

mod budget;
mod operators;

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::net::IpAddr;

use crate::EvalError;
use crate::ast::{Expr, Item, Select, Statement};
use crate::functions::Call;
use crate::json::{self, Copied, JsonError, Numbers};
use crate::value::{Number, Object, Value};
use budget::Budget;

/// What functions may ask besides the payload and the topic.
#[derive(Clone, Debug, Default)]
pub struct Context<'a> {
    /// `clientid()`; `None` for messages that no MQTT client sent: the function then gives `n/a`.
    pub client_id: Option<&'a str>,
    /// `principal()`: the certificate id, or whoever signed the request.
    pub principal: Option<&'a str>,
    /// `accountid()`.
    pub account_id: &'a str,
    /// `timestamp()`: when the broker got the message, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// `traceid()`; `None` for messages that came without MQTT.
    pub trace_id: Option<&'a str>,
    /// `sourceip()`.
    pub source_ip: Option<IpAddr>,
    /// What `newuuid()` draws from.
    pub random: Randomness,
}

/// Random bits for one message in one rule: its statement and its templates draw from the same, so that no two
/// `newuuid()` give the same.
#[derive(Clone, Debug, Default)]
pub struct Randomness {
    seed: u128,
    drawn: Cell<u64>,
}

impl Randomness {
    /// Bits derived from `seed`, which is itself random and new for every message.
    pub fn new(seed: u128) -> Self {
        Self { seed, drawn: Cell::new(0) }
    }

    /// Another 128 bits: first the seed, then derived ones.
    pub(crate) fn draw(&self) -> u128 {
        let nth = self.drawn.replace(self.drawn.get() + 1);
        if nth == 0 {
            return self.seed;
        }
        let half = |part: u128, salt: u64| u128::from(splitmix64((part as u64).wrapping_add(nth ^ salt)));
        (half(self.seed >> 64, 0) << 64) | half(self.seed, u64::MAX)
    }
}

/// Vigna's SplitMix64 finaliser: distinct inputs give distinct outputs.
fn splitmix64(value: u64) -> u64 {
    let value = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// One message, as a statement sees it.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// The message's bytes; JSON only if the statement looks inside.
    pub payload: &'a [u8],
    /// The topic; of a basic-ingest message without `$aws/rules/NAME/`.
    pub topic: &'a str,
    /// Everything else that functions ask for.
    pub context: &'a Context<'a>,
}

/// What a rule's actions get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// WHERE was not true: no action runs.
    Nothing,
    /// Compact JSON.
    Json(String),
    /// `SELECT VALUE` of a string: the text itself, without quotes.
    Text(String),
    /// `SELECT *` of a payload that is not JSON: its bytes.
    Raw(Vec<u8>),
    /// `SELECT VALUE` of Undefined: there is nothing to act on.
    Undefined,
}

impl Output {
    /// The bytes for an action; `None` when none runs.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Json(text) | Self::Text(text) => Some(text.as_bytes()),
            Self::Raw(bytes) => Some(bytes),
            Self::Nothing | Self::Undefined => None,
        }
    }
}

impl Statement {
    /// Evaluates WHERE and SELECT. Matching the topic against FROM is the caller's part.
    ///
    /// # Errors
    /// [`EvalError::NotJson`] when the statement looks into a payload that is not JSON.
    pub fn evaluate(&self, input: &Input<'_>) -> Result<Output, EvalError> {
        let evaluation = Evaluation::new(input, self.version);
        if let Some(condition) = &self.condition {
            // Only true passes: Undefined, Null and false do not. [AWS iot-sql-where]
            if evaluation.eval(condition)?.to_bool() != Some(true) {
                return Ok(Output::Nothing);
            }
        }
        match &self.select {
            Select::Value(Expr::Star) => evaluation.payload_alone(),
            Select::Value(expr) => Ok(match evaluation.eval(expr)?.into_owned() {
                Value::Undefined => Output::Undefined,
                Value::String(text) => Output::Text(text),
                value => Output::Json(value.to_string()),
            }),
            Select::Items(items) => match items.as_slice() {
                [Item { expr: Expr::Star, aliased: false, .. }] => evaluation.payload_alone(),
                [_, added @ ..] if self.splice => match evaluation.splice(added)? {
                    Some(text) => Ok(Output::Json(text)),
                    None => evaluation.object(items),
                },
                items => evaluation.object(items),
            },
        }
    }
}

/// One evaluation of one statement or template.
pub(crate) struct Evaluation<'a> {
    pub(crate) input: &'a Input<'a>,
    pub(crate) version: crate::SqlVersion,
    payload: OnceCell<Result<Value, JsonError>>,
    budget: Budget,
}

impl<'a> Evaluation<'a> {
    pub(crate) fn new(input: &'a Input<'a>, version: crate::SqlVersion) -> Self {
        Self { input, version, payload: OnceCell::new(), budget: Budget::default() }
    }

    fn numbers(&self) -> Numbers {
        if self.version.whole_decimals_are_ints() { Numbers::WholeAsInt } else { Numbers::AsPublished }
    }

    /// The payload as a value, built when it is first asked for.
    fn payload(&self) -> Result<&Value, EvalError> {
        let built = self.payload.get_or_init(|| {
            // [AWS binary-payloads] An empty payload counts as an object that members can be added to.
            if self.input.payload.is_empty() {
                return Ok(Value::Object(Object::new()));
            }
            json::parse(json::text(self.input.payload)?, self.numbers())
        });
        built.as_ref().map_err(|error| (*error).into())
    }

    /// `SELECT *`: compact JSON, or the bytes when they are no JSON.
    fn payload_alone(&self) -> Result<Output, EvalError> {
        if let Ok(text) = json::text(self.input.payload) {
            let mut out = String::with_capacity(text.len());
            match json::copy(text, self.numbers(), &[], &mut out) {
                Ok(Copied::Object | Copied::Other) => return Ok(Output::Json(out)),
                Ok(Copied::MustBuild) => {
                    if let Ok(value) = self.payload() {
                        return Ok(Output::Json(value.to_string()));
                    }
                }
                Err(_) => {}
            }
        }
        Ok(Output::Raw(self.input.payload.to_vec()))
    }

    /// `SELECT *, f() AS a`: the payload's text with members appended. `None`: build it instead.
    fn splice(&self, added: &[Item]) -> Result<Option<String>, EvalError> {
        /// Room for what is usually appended: a device id and a time.
        const ADDED_BYTES: usize = 96;
        let text = json::text(self.input.payload)?;
        let keys: Vec<&str> = added.iter().map(|item| item.path[0].as_str()).collect();
        let mut out = String::with_capacity(text.len() + ADDED_BYTES);
        if self.input.payload.is_empty()
            || json::copy(text, self.numbers(), &keys, &mut out)? != Copied::Object
        {
            return Ok(None);
        }
        out.pop();
        for item in added {
            let value = self.eval(&item.expr)?;
            if *value == Value::Undefined {
                continue;
            }
            if !out.ends_with('{') {
                out.push(',');
            }
            json::write_text(&item.path[0], &mut out);
            out.push(':');
            json::write(&value, &mut out);
        }
        out.push('}');
        Ok(Some(out))
    }

    /// The object that a SELECT list makes, later columns over earlier ones.
    fn object(&self, items: &[Item]) -> Result<Output, EvalError> {
        let mut result = Object::new();
        for item in items {
            let value = self.eval(&item.expr)?;
            self.budget.charge_bytes(value.weight())?;
            match (item.path.as_slice(), value.into_owned()) {
                ([], Value::Object(object)) if result.is_empty() => result = object,
                ([], Value::Object(object)) => {
                    for (key, value) in object.iter() {
                        result.insert(key.to_owned(), value.clone());
                    }
                }
                // A payload that is no object has no members to spread, and Undefined is left out.
                ([], _) | (_, Value::Undefined) => {}
                (path, value) => place(&mut result, path, value),
            }
        }
        Ok(Output::Json(Value::Object(result).to_string()))
    }

    pub(crate) fn eval<'e>(&'e self, expr: &'e Expr) -> Result<Cow<'e, Value>, EvalError> {
        self.budget.charge(1)?;
        Ok(match expr {
            Expr::Star => Cow::Borrowed(self.payload()?),
            Expr::Field(name) => match self.payload()?.member(name) {
                Some(value) => Cow::Borrowed(value),
                None => Cow::Owned(Value::Undefined),
            },
            Expr::Literal(value) => Cow::Borrowed(value),
            Expr::Member { of, path } => self.member(self.eval(of)?, path)?,
            Expr::Call { function, args, .. } => {
                let args = args.iter().map(|arg| self.eval(arg)).collect::<Result<Vec<_>, _>>()?;
                for arg in &args {
                    self.budget.charge_bytes(arg.weight())?;
                }
                let value = (function.eval)(&Call { args: &args, evaluation: self });
                Cow::Owned(self.made(value.unwrap_or_default())?)
            }
            Expr::Cast { value, to } => {
                let value = self.read(value)?;
                Cow::Owned(self.made(operators::cast(&value, *to).unwrap_or_default())?)
            }
            Expr::Negate(of) => {
                let negated = self.read(of)?.to_decimal().map(|value| self.number(value.negate()));
                Cow::Owned(negated.unwrap_or_default())
            }
            Expr::Not(of) => {
                Cow::Owned(self.eval(of)?.to_bool().map(|value| !value).map_or(Value::Undefined, Value::Bool))
            }
            Expr::Compare { op, left, right } => {
                let (left, right) = (self.read(left)?, self.read(right)?);
                Cow::Owned(operators::compare(*op, &left, &right).map_or(Value::Undefined, Value::Bool))
            }
            Expr::Chain { head, tail } => {
                let mut value = self.eval(head)?;
                for (op, right) in tail {
                    let right = self.read(right)?;
                    let combined = operators::combine(self, *op, &value, &right);
                    value = Cow::Owned(self.made(combined.unwrap_or_default())?);
                }
                value
            }
            Expr::Case { subject, arms, otherwise } => {
                return self.case(subject, arms, otherwise.as_deref());
            }
        })
    }

    /// Evaluates an operand that is then read as a whole, and charges for that.
    fn read<'e>(&'e self, expr: &'e Expr) -> Result<Cow<'e, Value>, EvalError> {
        let value = self.eval(expr)?;
        self.budget.charge_bytes(value.weight())?;
        Ok(value)
    }

    fn member<'e>(&self, of: Cow<'e, Value>, path: &[String]) -> Result<Cow<'e, Value>, EvalError> {
        fn walk<'v>(of: &'v Value, path: &[String]) -> Option<&'v Value> {
            path.iter().try_fold(of, |value, key| value.member(key))
        }
        match of {
            Cow::Borrowed(of) => Ok(walk(of, path).map_or(Cow::Owned(Value::Undefined), Cow::Borrowed)),
            Cow::Owned(of) => Ok(Cow::Owned(walk(&of, path).cloned().unwrap_or_default())),
        }
    }

    /// The simple form only: equality with the subject. [AWS iot-sql-case]
    fn case<'e>(
        &'e self,
        subject: &'e Expr,
        arms: &'e [(Expr, Expr)],
        otherwise: Option<&'e Expr>,
    ) -> Result<Cow<'e, Value>, EvalError> {
        let subject = self.eval(subject)?;
        // An Undefined subject gives Undefined even with ELSE.
        if *subject == Value::Undefined {
            return Ok(subject);
        }
        for (when, then) in arms {
            if operators::compare(crate::ast::CompareOp::Equal, &subject, &*self.read(when)?) == Some(true) {
                return self.eval(then);
            }
        }
        match otherwise {
            Some(otherwise) => self.eval(otherwise),
            None => Ok(Cow::Owned(Value::Undefined)),
        }
    }

    /// A computed number as a value of this version.
    pub(crate) fn number(&self, value: crate::value::Decimal) -> Value {
        let value = if self.version.whole_decimals_are_ints() { value.whole_as_int() } else { value };
        Value::Number(Number::from(value))
    }

    /// Charges for a new value.
    fn made(&self, value: Value) -> Result<Value, EvalError> {
        self.budget.charge_bytes(value.weight())?;
        Ok(value)
    }

    /// Charges for copying a value.
    pub(crate) fn charge(&self, value: &Value) -> Result<(), EvalError> {
        self.budget.charge_bytes(value.weight())
    }

    /// Charges for a result before it is made. `None`: too much; the evaluation then ends with an error.
    pub(crate) fn reserve(&self, bytes: usize) -> Option<()> {
        self.budget.charge_bytes(bytes as u64).ok()
    }
}

/// Puts `value` at `path`, making objects on the way; what is in the way and no object is replaced.
fn place(object: &mut Object, path: &[String], value: Value) {
    let [first, rest @ ..] = path else { return };
    if rest.is_empty() {
        object.insert(first.clone(), value);
        return;
    }
    let slot = object.entry(first);
    if !matches!(slot, Value::Object(_)) {
        *slot = Value::Object(Object::new());
    }
    if let Value::Object(inner) = slot {
        place(inner, rest, value);
    }
}
