//! From the parts of a request to an operation's input.

use std::borrow::Cow;

use serde_json::{Map, Number, Value};

use crate::validate::Validator;
use crate::{Member, Operation, Place, Shape, Violation};

/// What a request consists of, decoded.
pub struct RequestParts<'a> {
    /// Labels of the path by name.
    pub labels: &'a [(&'a str, String)],
    /// Query parameters in order.
    pub query: &'a [(String, String)],
    /// The value of a header, by its name in lower case.
    pub header: &'a dyn Fn(&str) -> Option<Cow<'a, str>>,
    /// The body.
    pub body: &'a [u8],
}

/// Why a request has no input.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum InputError {
    /// The body is not JSON, or a value has another type than the model says.
    #[error("{0}")]
    Malformed(String),
    /// Values break constraints.
    #[error("{}", crate::summary(.0))]
    Invalid(Vec<Violation>),
}

impl Operation {
    /// Collects and checks the input. Members are under their names in the model; those that are absent or null are
    /// left out. A payload of bytes is not in it: it is the body.
    ///
    /// # Errors
    /// [`InputError::Malformed`] at the first value of a wrong type, else [`InputError::Invalid`] with all
    /// violations.
    pub fn input(&self, request: &RequestParts<'_>) -> Result<Map<String, Value>, InputError> {
        let Shape::Structure(members) = self.input else { return Ok(Map::new()) };
        let mut values = Map::new();
        if members.iter().any(|member| member.place == Place::Body) {
            let mut body = json_object(request.body)?;
            for member in members.iter().filter(|member| member.place == Place::Body) {
                if let Some(value) = body.remove(member.name).filter(|value| !value.is_null()) {
                    values.insert(member.name.to_owned(), value);
                }
            }
        }
        for member in *members {
            if let Some(value) = placed(member, request)? {
                values.insert(member.name.to_owned(), value);
            }
        }
        let mut validator =
            Validator { repeats_values: self.service.repeats_values(), violations: Vec::new() };
        validator
            .structure("", members, &values)
            .map_err(|wrong| InputError::Malformed(format!("'{}' must be {}", wrong.path, wrong.expected)))?;
        if validator.violations.is_empty() {
            Ok(values)
        } else {
            Err(InputError::Invalid(validator.violations))
        }
    }
}

/// A member that is sent outside of the JSON body's members.
fn placed(member: &'static Member, request: &RequestParts<'_>) -> Result<Option<Value>, InputError> {
    let text: Cow<'_, str> = match member.place {
        Place::Body => return Ok(None),
        Place::Payload => return payload(member, request.body),
        Place::Path => match request.labels.iter().find(|(name, _)| *name == member.wire) {
            Some((_, value)) => Cow::Borrowed(value),
            None => return Ok(None),
        },
        Place::Query => return query(member, request.query),
        Place::Header => match (request.header)(member.wire) {
            Some(value) => value,
            None => return Ok(None),
        },
    };
    from_text(member.shape, &text, member.name).map(Some)
}

fn payload(member: &'static Member, body: &[u8]) -> Result<Option<Value>, InputError> {
    match member.shape {
        // Bytes stay where they are. An empty string stands for them, so that a required payload counts as there.
        Shape::Blob => Ok(Some(Value::String(String::new()))),
        _ if body.is_empty() => Ok(None),
        _ => Ok(Some(Value::Object(json_object(body)?))),
    }
}

fn query(member: &'static Member, query: &[(String, String)]) -> Result<Option<Value>, InputError> {
    let mut values = query.iter().filter(|(name, _)| name == member.wire).map(|(_, value)| value);
    match member.shape {
        Shape::List { member: item, .. } => {
            let items: Vec<Value> =
                values.map(|value| from_text(item, value, member.name)).collect::<Result<_, _>>()?;
            Ok((!items.is_empty()).then_some(Value::Array(items)))
        }
        shape => {
            let value = values.next().map(|value| from_text(shape, value, member.name)).transpose()?;
            match values.next() {
                // Whoever checks the first and whoever acts on the last must not be at odds.
                Some(_) => Err(InputError::Malformed(format!("'{}' must be given once", member.name))),
                None => Ok(value),
            }
        }
    }
}

/// A value that is sent as text, in the JSON type that the model gives it.
fn from_text(shape: &Shape, text: &str, name: &str) -> Result<Value, InputError> {
    let wrong = |expected: &str| InputError::Malformed(format!("'{name}' must be {expected}"));
    match shape {
        Shape::Boolean => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(wrong("true or false")),
        },
        Shape::Integer { .. } => text.parse::<i64>().map(Value::from).map_err(|_| wrong("a whole number")),
        Shape::Double | Shape::Timestamp => {
            let number = text.parse::<f64>().ok().and_then(Number::from_f64);
            number.map(Value::Number).ok_or_else(|| wrong("a number"))
        }
        _ => Ok(Value::String(text.to_owned())),
    }
}

fn json_object(body: &[u8]) -> Result<Map<String, Value>, InputError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(InputError::Malformed("the body must be a JSON object".to_owned())),
        Err(error) => Err(InputError::Malformed(format!("the body is not JSON: {error}"))),
    }
}
