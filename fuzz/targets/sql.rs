//! SQL statements and templates from any text, evaluated on any payload.
//!
//! The input's first line is the payload, the rest the SQL.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use fuzz::{is_json, split_line};
use iot_sql::{
    Context, Dollar, EvalError, Input, Output, Randomness, SqlError, SqlVersion, Statement, Template,
};
use libfuzzer_sys::fuzz_target;

/// Bytes that an evaluation can make within its steps, and as much again for the punctuation of JSON.
const OUTPUT_BYTES_MAX: usize = 2 * (iot_sql::limits::STEPS_MAX * iot_sql::limits::BYTES_PER_STEP) as usize;

fuzz_target!(|input: &str| {
    let (payload, sql) = split_line(input);
    let context = Context {
        client_id: Some("pico"),
        principal: Some("0123456789abcdef"),
        account_id: "000000000000",
        timestamp_ms: 1_700_000_000_000,
        trace_id: None,
        source_ip: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        random: Randomness::new(7),
    };
    let message = Input { payload: payload.as_bytes(), topic: "a/b/c", context: &context };
    for version in [SqlVersion::V2015_10_08, SqlVersion::V2016_03_23] {
        check_statement(sql, version, &message);
        check_template(sql, version, &message);
    }
});

fn check_statement(sql: &str, version: SqlVersion, message: &Input<'_>) {
    let statement = match Statement::parse(sql, version) {
        Ok(statement) => statement,
        Err(error) => return check_error(sql, &error),
    };
    // Printing adds parentheses, which can take a text over the limits of depth and length.
    let printed = statement.to_string();
    match Statement::parse(&printed, version) {
        Err(SqlError::TooDeep { .. } | SqlError::TooLong { .. }) => {}
        again => assert_eq!(again.as_ref(), Ok(&statement), "{printed}"),
    }
    match statement.evaluate(message) {
        Ok(Output::Json(text)) => {
            assert!(text.len() <= OUTPUT_BYTES_MAX);
            assert!(is_json(&text), "{sql} gave {text}");
        }
        Ok(Output::Raw(bytes)) => assert_eq!(bytes, message.payload),
        Ok(Output::Text(text)) => assert!(text.len() <= OUTPUT_BYTES_MAX),
        Ok(Output::Nothing | Output::Undefined) => {}
        Err(EvalError::NotJson { offset, .. }) => assert!(offset <= message.payload.len()),
        Err(EvalError::TooMuchWork { .. }) => {}
    }
}

fn check_template(text: &str, version: SqlVersion, message: &Input<'_>) {
    match Template::parse(text, version, Dollar::Plain) {
        Ok(template) => {
            let expanded = template.expand(message);
            if let Some(constant) = template.as_constant() {
                assert_eq!(constant, text);
                assert_eq!(expanded.as_deref(), Ok(text));
            }
        }
        Err(error) => check_error(text, &error),
    }
}

/// An error shows where it is, in the text that was given.
fn check_error(sql: &str, error: &SqlError) {
    let span = error.span();
    assert!(span.start <= span.end && span.end <= sql.len(), "{error}: {span:?}");
    assert!(sql.is_char_boundary(span.start) && sql.is_char_boundary(span.end), "{error}: {span:?}");
    assert!(!error.to_string().is_empty() && !error.code().is_empty());
}
