//! AWS's documented behaviour, vector by vector (`tests/vectors/iot-sql-vectors.json`).
//!
//! `passing.txt` lists the vectors that pass, and may only grow: a listed one that fails is a regression, an
//! unlisted one that passes is to be listed (`EYOT_BLESS=1 cargo test -p iot-sql --test vectors` does it). A vector
//! that needs what is not built yet must be refused as such; a *wrong value* is an error unless it is in
//! [`DEVIATIONS`].

use std::collections::BTreeSet;
use std::fmt::Write as _;

use iot_sql::batch::eval_vector;
use iot_sql::{SqlVersion, Statement};
use serde_json::Value;

const VECTORS: &str = include_str!("vectors/iot-sql-vectors.json");
const PASSING: &str = include_str!("vectors/passing.txt");

/// What AWS states, tests or follows from its tables; the other vectors are recollections and guesses.
const GATED: [&str; 5] = ["seed", "aws-verified", "aws-doc", "aws-doc-table", "aws-doc-derived"];

/// Vectors that we answer otherwise on purpose, with the reason.
const DEVIATIONS: [(&str, &str); 0] = [];

/// How an answer compares with what the vector expects.
#[derive(Debug, PartialEq)]
enum Verdict {
    Pass,
    /// Refused because eyot does not have it yet.
    NotYet,
    Wrong(String),
}

#[test]
fn vectors_pass_or_are_refused_as_not_built_yet() {
    let file: Value = serde_json::from_str(VECTORS).unwrap();
    let listed: BTreeSet<&str> = PASSING.lines().filter(|line| !line.starts_with('#')).collect();
    let mut passing = BTreeSet::new();
    let mut report = String::new();
    let (mut gated, mut gated_passing) = (0, 0);
    for vector in file["vectors"].as_array().unwrap() {
        let id = vector["id"].as_str().unwrap();
        let is_gated = GATED.contains(&vector["confidence"].as_str().unwrap());
        gated += usize::from(is_gated);
        match verdict(vector) {
            Verdict::Pass => {
                gated_passing += usize::from(is_gated);
                passing.insert(id);
            }
            Verdict::NotYet => {}
            Verdict::Wrong(_) if DEVIATIONS.iter().any(|(known, _)| *known == id) => {}
            Verdict::Wrong(why) => writeln!(report, "{id} ({}): {why}", vector["confidence"]).unwrap(),
        }
    }
    println!("{gated_passing} of {gated} gated vectors pass, {} of all", passing.len());
    if std::env::var_os("EYOT_BLESS").is_some() {
        let mut text = "# Vectors that pass: tests/vectors.rs. This list may only grow.\n".to_owned();
        passing.union(&listed).for_each(|id| writeln!(text, "{id}").unwrap());
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/passing.txt"), text).unwrap();
    } else {
        for id in listed.difference(&passing) {
            writeln!(report, "{id} passed once and does not any more").unwrap();
        }
        for id in passing.difference(&listed) {
            writeln!(report, "{id} passes and is not listed in passing.txt").unwrap();
        }
    }
    assert!(report.is_empty(), "{report}");
}

fn verdict(vector: &Value) -> Verdict {
    // The payload goes through as text, so that its numbers reach the evaluator as the file spells them.
    let answer: Value = serde_json::from_str(&eval_vector(&vector.to_string(), SqlVersion::V2016_03_23, 7))
        .expect("the answer is JSON");
    let outcome = answer["outcome"].as_str().expect("there is an outcome");
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    if outcome == "parse_error"
        && vector["kind"] != "parse_error"
        && message.starts_with("eyot does not have")
    {
        return Verdict::NotYet;
    }
    if vector["kind"] == "parse_error" {
        return wrong_unless(outcome == "parse_error", &answer, "SqlParseException");
    }
    let expected = match vector["expected_any_of"].as_array() {
        Some(any_of) => any_of.clone(),
        None => vec![vector["expected"].clone()],
    };
    let passes = expected.iter().any(|expected| matches(vector, expected, outcome, &answer));
    wrong_unless(passes, &answer, &format!("{expected:?}"))
}

fn wrong_unless(passes: bool, answer: &Value, expected: &str) -> Verdict {
    if passes { Verdict::Pass } else { Verdict::Wrong(format!("expected {expected}, got {answer}")) }
}

fn matches(vector: &Value, expected: &Value, outcome: &str, answer: &Value) -> bool {
    if expected.get("$undefined").is_some() {
        return outcome == "undefined";
    }
    if expected.get("$no_output").is_some() {
        return outcome == "no_output";
    }
    if let Some(raw) = expected.get("$raw_base64") {
        return outcome == "raw" && answer["base64"] == *raw;
    }
    if outcome != "value" {
        return false;
    }
    let text = answer["text"].as_str().expect("a value has a text");
    let value: Value = serde_json::from_str(text).expect("the text is JSON");
    if let Some(exact) = vector["expected_text"].as_str() {
        return text == exact;
    }
    match vector["compare"].as_str() {
        Some("approx") => {
            let tolerance = vector["tolerance"].as_f64().unwrap_or(1e-9);
            let (Some(value), Some(expected)) = (value.as_f64(), expected.as_f64()) else { return false };
            (value - expected).abs() <= tolerance
        }
        Some("regex") => value.as_str().is_some_and(is_uuid),
        _ => same(&value, expected),
    }
}

/// The one pattern that a function we have is held against.
fn is_uuid(text: &str) -> bool {
    text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
        && text.bytes().all(|byte| matches!(byte, b'-' | b'0'..=b'9' | b'a'..=b'f'))
}

/// Equal as JSON: numbers by value, members in any order.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}

#[test]
fn every_statement_prints_as_itself() {
    let file: Value = serde_json::from_str(VECTORS).unwrap();
    let mut printed = 0;
    for vector in file["vectors"].as_array().unwrap() {
        let sql = match (&vector["sql"], &vector["expression"]) {
            (Value::String(sql), _) => sql.clone(),
            (_, Value::String(expression)) => format!("SELECT {expression} AS r"),
            _ => continue,
        };
        if let Ok(statement) = Statement::parse(&sql, SqlVersion::V2016_03_23) {
            let text = statement.to_string();
            assert_eq!(Statement::parse(&text, SqlVersion::V2016_03_23).as_ref(), Ok(&statement), "{text}");
            printed += 1;
        }
    }
    assert!(printed > 300, "only {printed} statements could be parsed");
}
