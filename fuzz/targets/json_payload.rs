//! `SELECT *` on any payload, against serde_json.
//!
//! Three differences are meant, see docs/spec/sql-decisions.md: nesting has a limit, half of a surrogate pair becomes
//! U+FFFD (serde_json as a value refuses it), and under 2016-03-23 a whole decimal becomes an Int.
#![no_main]

use std::sync::LazyLock;

use fuzz::is_json;
use iot_sql::limits::JSON_DEPTH_MAX;
use iot_sql::{Context, EvalError, Input, Output, SqlVersion, Statement};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const VERSIONS: [SqlVersion; 2] = [SqlVersion::V2015_10_08, SqlVersion::V2016_03_23];

/// The statements under test, parsed once for each version.
struct Statements {
    version: SqlVersion,
    all: Statement,
    /// Members are appended to the payload's own text.
    appended: Statement,
    /// The same, built from values because its WHERE looks into the payload.
    built: Statement,
}

static STATEMENTS: LazyLock<Vec<Statements>> = LazyLock::new(|| {
    let parse = |sql, version| Statement::parse(sql, version).expect("a valid statement");
    let statements = |version| Statements {
        version,
        all: parse("SELECT *", version),
        appended: parse("SELECT *, topic() AS t, traceid() AS u", version),
        built: parse("SELECT *, topic() AS t, traceid() AS u WHERE isNull(none) = FALSE", version),
    };
    VERSIONS.into_iter().map(statements).collect()
});

fuzz_target!(|payload: &[u8]| {
    let context = Context::default();
    let input = Input { payload, topic: "a/b", context: &context };
    for statements in STATEMENTS.iter() {
        check_all(statements, &input);
        check_appended(statements, &input);
    }
});

fn check_all(statements: &Statements, input: &Input<'_>) {
    let expected =
        std::str::from_utf8(input.payload).ok().filter(|text| is_json(text) && depth(text) <= JSON_DEPTH_MAX);
    match (statements.all.evaluate(input), expected) {
        (Ok(Output::Json(out)), Some(text)) => {
            assert!(is_json(&out), "{text:?} became {out:?}");
            check_value(text, &out, statements.version);
        }
        (Ok(Output::Raw(bytes)), None) => assert_eq!(bytes, input.payload),
        (output, expected) => panic!("{output:?}, where serde_json has {expected:?}"),
    }
}

/// The same value came out.
fn check_value(text: &str, out: &str, version: SqlVersion) {
    // Refused is what has a lone surrogate or a number beyond f64; what is deep was compared as text only.
    let Ok(expected) = serde_json::from_str::<Value>(text) else { return };
    let found: Value = serde_json::from_str(out).expect("what serde_json read, printed again");
    let same = match version {
        SqlVersion::V2015_10_08 => found == expected,
        _ => is_nearly(&found, &expected),
    };
    assert!(same, "{text:?} became {out:?}");
}

/// Equal, but for numbers whose text has changed from a decimal to an Int.
fn is_nearly(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Number(found), Value::Number(expected)) => found.as_f64() == expected.as_f64(),
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len()
                && found.iter().zip(expected).all(|(one, other)| is_nearly(one, other))
        }
        (Value::Object(found), Value::Object(expected)) => {
            found.len() == expected.len()
                && found
                    .iter()
                    .all(|(key, value)| expected.get(key).is_some_and(|other| is_nearly(value, other)))
        }
        (found, expected) => found == expected,
    }
}

/// The short way and the long way to one result.
fn check_appended(statements: &Statements, input: &Input<'_>) {
    let appended = statements.appended.evaluate(input);
    assert_eq!(appended, statements.built.evaluate(input));
    match appended {
        Ok(Output::Json(out)) => assert!(is_json(&out), "{out:?}"),
        Err(EvalError::NotJson { offset, .. }) => assert!(offset <= input.payload.len()),
        other => panic!("{other:?}"),
    }
}

/// How deep arrays and objects of a text that is JSON nest.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth -= 1,
            _ => {}
        }
    }
    deepest
}
