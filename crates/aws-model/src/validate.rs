//! One validator for all inputs, in AWS's words.

use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::{Member, Shape};

/// Most characters of a value that a message repeats.
///
/// AWS repeats it whole; a policy document of 400 KB in an error message helps nobody.
const VALUE_SHOWN_CHARS_MAX: usize = 1024;

/// Most violations that are collected from one request: a list of ten thousand wrong items needs no more.
const VIOLATIONS_MAX: usize = 20;

/// One constraint that a value breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The member, such as `tags.1.member.key`.
    pub path: String,
    /// The value; `None` when it is missing or must not be repeated.
    value: Shown,
    /// What it should satisfy.
    pub constraint: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shown {
    Missing,
    Hidden,
    Text(String),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Shown::Missing => write!(f, "Value null at ")?,
            Shown::Hidden => write!(f, "Value at ")?,
            Shown::Text(text) => write!(f, "Value '{text}' at ")?,
        }
        write!(f, "'{}' failed to satisfy constraint: {}", self.path, self.constraint)
    }
}

/// All violations in AWS's one sentence: `2 validation errors detected: …; …`.
pub fn summary(violations: &[Violation]) -> String {
    let errors = if violations.len() == 1 { "error" } else { "errors" };
    let mut text = format!("{} validation {errors} detected: ", violations.len());
    for (index, violation) in violations.iter().enumerate() {
        let separator = if index == 0 { "" } else { "; " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{violation}");
    }
    text
}

/// Why a value cannot be looked at further: it has another type than the model says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WrongType {
    pub(crate) path: String,
    pub(crate) expected: &'static str,
}

/// Checks values and collects what is wrong.
pub(crate) struct Validator {
    pub(crate) repeats_values: bool,
    pub(crate) violations: Vec<Violation>,
}

impl Validator {
    /// Checks the members of a structure.
    pub(crate) fn structure(
        &mut self,
        path: &str,
        members: &'static [Member],
        values: &Map<String, Value>,
    ) -> Result<(), WrongType> {
        for member in members {
            let path = joined(path, &lower_first(member.name));
            match values.get(member.name) {
                None | Some(Value::Null) if member.required => {
                    self.add(path, Shown::Missing, "Member must not be null".to_owned());
                }
                None | Some(Value::Null) => {}
                Some(value) => self.value(&path, member.shape, value)?,
            }
        }
        Ok(())
    }

    fn value(&mut self, path: &str, shape: &'static Shape, value: &Value) -> Result<(), WrongType> {
        let wrong = |expected| WrongType { path: path.to_owned(), expected };
        match shape {
            Shape::Structure(members) => {
                let object = value.as_object().ok_or_else(|| wrong("an object"))?;
                self.structure(path, members, object)
            }
            Shape::List { member, min, max } => {
                let items = value.as_array().ok_or_else(|| wrong("an array"))?;
                for constraint in length_constraints(items.len() as u64, *min, *max) {
                    self.add(path.to_owned(), self.shown(shape, value), constraint.to_string());
                }
                for (index, item) in items.iter().enumerate() {
                    if self.violations.len() >= VIOLATIONS_MAX {
                        break;
                    }
                    let path = format!("{path}.{}.member", index + 1);
                    if item.is_null() {
                        self.add(path, Shown::Missing, "Member must not be null".to_owned());
                    } else {
                        self.value(&path, member, item)?;
                    }
                }
                Ok(())
            }
            Shape::Map { key, value: member, min, max } => {
                let entries = value.as_object().ok_or_else(|| wrong("an object"))?;
                for constraint in length_constraints(entries.len() as u64, *min, *max) {
                    self.add(path.to_owned(), self.shown(shape, value), constraint.to_string());
                }
                self.map(path, key, member, entries, value)
            }
            simple => {
                check_type(simple, value).map_err(wrong)?;
                for constraint in constraints(simple, value) {
                    self.add(path.to_owned(), self.shown(simple, value), constraint.to_string());
                }
                Ok(())
            }
        }
    }

    /// Simple keys and values of a map are named together, as AWS does.
    fn map(
        &mut self,
        path: &str,
        key: &'static Shape,
        member: &'static Shape,
        entries: &Map<String, Value>,
        whole: &Value,
    ) -> Result<(), WrongType> {
        for (name, value) in entries {
            if self.violations.len() >= VIOLATIONS_MAX {
                break;
            }
            if !constraints(key, &Value::String(name.clone())).is_empty() {
                let all = all_constraints(key);
                self.add(
                    path.to_owned(),
                    self.shown(member, whole),
                    format!("Map keys must satisfy constraint: {all}"),
                );
            }
            match member {
                Shape::Structure(_) | Shape::List { .. } | Shape::Map { .. } => {
                    self.value(&format!("{path}.{name}.member"), member, value)?;
                }
                simple => {
                    check_type(simple, value)
                        .map_err(|expected| WrongType { path: format!("{path}.{name}"), expected })?;
                    if !constraints(simple, value).is_empty() {
                        let all = all_constraints(simple);
                        let constraint = format!("Map value must satisfy constraint: {all}");
                        self.add(path.to_owned(), self.shown(member, whole), constraint);
                    }
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, path: String, value: Shown, constraint: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { path, value, constraint });
        }
    }

    fn shown(&self, shape: &Shape, value: &Value) -> Shown {
        if !self.repeats_values || matches!(shape, Shape::String { sensitive: true, .. }) {
            return Shown::Hidden;
        }
        let mut text = String::new();
        show(value, &mut text);
        Shown::Text(text.chars().take(VALUE_SHOWN_CHARS_MAX).collect())
    }
}

/// A single requirement, displayed in AWS's words.
enum Constraint {
    NotLonger(u64),
    NotShorter(u64),
    NotGreater(i64),
    NotLess(i64),
    Pattern(&'static str),
    Values(&'static [&'static str]),
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLonger(max) => write!(f, "Member must have length less than or equal to {max}"),
            Self::NotShorter(min) => write!(f, "Member must have length greater than or equal to {min}"),
            Self::NotGreater(max) => write!(f, "Member must have value less than or equal to {max}"),
            Self::NotLess(min) => write!(f, "Member must have value greater than or equal to {min}"),
            Self::Pattern(text) => write!(f, "Member must satisfy regular expression pattern: {text}"),
            Self::Values(values) => write!(f, "Member must satisfy enum value set: [{}]", values.join(", ")),
        }
    }
}

fn check_type(shape: &Shape, value: &Value) -> Result<(), &'static str> {
    let fits = match shape {
        Shape::String { .. } => value.is_string(),
        Shape::Integer { .. } => value.is_i64(),
        Shape::Double | Shape::Timestamp => value.is_number(),
        Shape::Boolean => value.is_boolean(),
        Shape::Blob => value.as_str().is_some_and(|text| STANDARD.decode(text).is_ok()),
        Shape::List { .. } => value.is_array(),
        Shape::Map { .. } | Shape::Structure(_) => value.is_object(),
    };
    if fits {
        return Ok(());
    }
    Err(match shape {
        Shape::String { .. } => "a string",
        Shape::Integer { .. } => "a whole number",
        Shape::Double | Shape::Timestamp => "a number",
        Shape::Boolean => "true or false",
        Shape::Blob => "base64",
        Shape::List { .. } => "an array",
        Shape::Map { .. } | Shape::Structure(_) => "an object",
    })
}

/// What a simple value of the right type breaks.
fn constraints(shape: &'static Shape, value: &Value) -> Vec<Constraint> {
    let mut broken = Vec::new();
    match (shape, value) {
        (Shape::String { min, max, pattern, values, .. }, Value::String(text)) => {
            broken.extend(length_constraints(text.chars().count() as u64, *min, *max));
            if let Some(pattern) = pattern.filter(|pattern| !pattern.matches(text)) {
                broken.push(Constraint::Pattern(pattern.as_str()));
            }
            if !values.is_empty() && !values.contains(&text.as_str()) {
                broken.push(Constraint::Values(values));
            }
        }
        (Shape::Integer { min, max }, Value::Number(number)) => {
            let number = number.as_i64().unwrap_or_default();
            broken.extend(max.filter(|&max| number > max).map(Constraint::NotGreater));
            broken.extend(min.filter(|&min| number < min).map(Constraint::NotLess));
        }
        _ => {}
    }
    broken
}

fn length_constraints(length: u64, min: Option<u64>, max: Option<u64>) -> impl Iterator<Item = Constraint> {
    let long = max.filter(|&max| length > max).map(Constraint::NotLonger);
    let short = min.filter(|&min| length < min).map(Constraint::NotShorter);
    long.into_iter().chain(short)
}

/// Everything that a simple value must satisfy, as `[a, b]`.
fn all_constraints(shape: &'static Shape) -> String {
    let mut all = Vec::new();
    match shape {
        Shape::String { min, max, pattern, values, .. } => {
            all.extend(max.map(Constraint::NotLonger));
            all.extend(min.map(Constraint::NotShorter));
            all.extend(pattern.map(|pattern| Constraint::Pattern(pattern.as_str())));
            all.extend((!values.is_empty()).then_some(Constraint::Values(values)));
        }
        Shape::Integer { min, max } => {
            all.extend(max.map(Constraint::NotGreater));
            all.extend(min.map(Constraint::NotLess));
        }
        _ => {}
    }
    format!("[{}]", all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

/// The value as AWS's servers print theirs: `[a, b]`, `{k=v}`.
fn show(value: &Value, out: &mut String) {
    if out.len() > VALUE_SHOWN_CHARS_MAX * 4 {
        return;
    }
    match value {
        Value::String(text) => out.push_str(text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                show(item, out);
            }
            out.push(']');
        }
        Value::Object(entries) => {
            out.push('{');
            for (index, (name, item)) in entries.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                out.push_str(name);
                out.push('=');
                show(item, out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// AWS names members in messages with a small first letter, also those that it does not send so (`Key`).
fn lower_first(name: &str) -> String {
    let mut characters = name.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}
