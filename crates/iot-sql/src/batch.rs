//! Conformance vectors in, results out: the lines of `eyot sql eval --batch`.
//!
//! One JSON object per line: `kind` is `expression`, `sql`, `substitution` or `parse_error`; see [`eval_vector`].

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mqtt_wire::topic::{MatchRules, filter_matches};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

use crate::parser::shorten;
use crate::{
    Context, Dollar, EvalError, Input, Output, Randomness, SqlError, SqlVersion, Statement, Template,
};

/// AWS's name for every refused statement.
const SQL_PARSE_EXCEPTION: &str = "SqlParseException";

/// A topic for vectors that name none.
const DEFAULT_TOPIC: &str = "a/b";

/// One vector; members that are not listed are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'v"))]
struct Vector<'v> {
    #[serde(default)]
    id: Json,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    expression: Option<String>,
    #[serde(default)]
    sql: Option<String>,
    #[serde(default)]
    template: Option<String>,
    #[serde(default)]
    topic: Option<String>,
    #[serde(default, borrow)]
    payload: Option<&'v RawValue>,
    #[serde(default, rename = "payload_text")]
    payload_text: Option<String>,
    #[serde(default, rename = "payload_base64")]
    payload_base64: Option<String>,
    #[serde(default)]
    context: VectorContext,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct VectorContext {
    client_id: Option<String>,
    principal: Option<String>,
    account_id: Option<String>,
    timestamp: Option<i64>,
    trace_id: Option<String>,
    source_ip: Option<IpAddr>,
    protocol: Option<String>,
    basic_ingest: bool,
    rule_name: Option<String>,
    set: Option<String>,
}

/// Why a vector has no result.
enum Failure {
    Parse(SqlError),
    Eval(EvalError),
    Line(String),
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        Self::Parse(error)
    }
}

impl From<EvalError> for Failure {
    fn from(error: EvalError) -> Self {
        Self::Eval(error)
    }
}

/// Evaluates one vector and returns the line that answers it, without a line end.
///
/// `{"id", "outcome": "value" | "undefined" | "no_output" | "raw" | "parse_error" | "error", "text", "base64",
/// "error": {"code", "message", "offset"}}`. `default_version` stands in for the version `*` and for none; `seed` is
/// randomness for `newuuid()`.
pub fn eval_vector(line: &str, default_version: SqlVersion, seed: u128) -> String {
    let vector: Vector<'_> = match serde_json::from_str(line) {
        Ok(vector) => vector,
        Err(error) => {
            let error = json!({"code": "bad_line", "message": error.to_string()});
            return json!({"id": null, "outcome": "error", "error": error}).to_string();
        }
    };
    let mut answer = match evaluate(&vector, default_version, seed) {
        Ok(outcome) => outcome,
        Err(Failure::Parse(error)) => json!({
            "outcome": "parse_error",
            "error": {"code": SQL_PARSE_EXCEPTION, "message": error.to_string(), "offset": error.offset()},
        }),
        Err(Failure::Eval(error)) => {
            json!({"outcome": "error", "error": {"code": error.code(), "message": error.to_string()}})
        }
        Err(Failure::Line(message)) => {
            json!({"outcome": "error", "error": {"code": "bad_line", "message": message}})
        }
    };
    answer["id"] = vector.id;
    answer.to_string()
}

fn evaluate(vector: &Vector<'_>, default_version: SqlVersion, seed: u128) -> Result<Json, Failure> {
    let version = match vector.version.as_deref() {
        None | Some("*") => default_version,
        Some(name) => SqlVersion::parse(name)
            .ok_or_else(|| Failure::Line(format!("unknown SQL version `{}`", shorten(name))))?,
    };
    let payload = payload(vector)?;
    let context = &vector.context;
    let full_topic = vector.topic.as_deref().unwrap_or(DEFAULT_TOPIC);
    let prefix = format!("$aws/rules/{}/", context.rule_name.as_deref().unwrap_or_default());
    let basic_ingest =
        context.basic_ingest || vector.topic.is_some() && full_topic.starts_with("$aws/rules/");
    let topic = match full_topic.strip_prefix(&prefix) {
        Some(rest) if basic_ingest => rest,
        _ => full_topic,
    };
    let over_mqtt =
        !matches!(context.protocol.as_deref(), Some(protocol) if !protocol.eq_ignore_ascii_case("mqtt"));
    let sql_context = Context {
        client_id: context.client_id.as_deref(),
        principal: context.principal.as_deref(),
        account_id: context.account_id.as_deref().unwrap_or("000000000000"),
        timestamp_ms: context.timestamp.unwrap_or_default(),
        trace_id: context.trace_id.as_deref().filter(|_| over_mqtt),
        source_ip: context.source_ip,
        random: Randomness::new(seed),
    };
    let input = Input { payload: &payload, topic, context: &sql_context };
    match vector.kind.as_deref().unwrap_or("sql") {
        "substitution" => {
            if context.set.is_some() {
                // A SET clause before the template: the parser knows how to say that it cannot, yet.
                Statement::parse(context.set.as_deref().unwrap_or_default(), version)?;
            }
            let text = required(vector.template.as_deref(), "template")?;
            let expanded = Template::parse(text, version, Dollar::Doubled)?.expand(&input)?;
            Ok(json!({"outcome": "value", "text": Json::from(expanded).to_string()}))
        }
        "expression" => {
            let expression = required(vector.expression.as_deref(), "expression")?;
            // First as a column: what is no expression must not become one by the parentheses.
            Statement::parse(&format!("SELECT {expression} AS r"), version)?;
            let statement = Statement::parse(&format!("SELECT VALUE ({expression})"), version)?;
            Ok(outcome(statement.evaluate(&input)?))
        }
        "sql" | "parse_error" => {
            let statement = Statement::parse(required(vector.sql.as_deref(), "sql")?, version)?;
            let matched = basic_ingest
                || statement
                    .topic_filter()
                    .is_none_or(|filter| filter_matches(filter, topic, MatchRules::Aws));
            Ok(outcome(if matched { statement.evaluate(&input)? } else { Output::Nothing }))
        }
        kind => Err(Failure::Line(format!("unknown kind `{}`", shorten(kind)))),
    }
}

fn outcome(output: Output) -> Json {
    match output {
        Output::Nothing => json!({"outcome": "no_output"}),
        Output::Undefined => json!({"outcome": "undefined"}),
        Output::Json(text) => json!({"outcome": "value", "text": text}),
        Output::Text(text) => json!({"outcome": "value", "text": Json::from(text).to_string()}),
        Output::Raw(bytes) => json!({"outcome": "raw", "base64": BASE64.encode(bytes)}),
    }
}

fn payload(vector: &Vector<'_>) -> Result<Vec<u8>, Failure> {
    if let Some(text) = &vector.payload_base64 {
        return BASE64.decode(text).map_err(|error| Failure::Line(format!("payload_base64: {error}")));
    }
    if let Some(text) = &vector.payload_text {
        return Ok(text.clone().into_bytes());
    }
    Ok(vector.payload.map_or_else(|| b"{}".to_vec(), |payload| payload.get().as_bytes().to_vec()))
}

fn required<'v>(member: Option<&'v str>, name: &str) -> Result<&'v str, Failure> {
    member.ok_or_else(|| Failure::Line(format!("the vector has no `{name}`")))
}
