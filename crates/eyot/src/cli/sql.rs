//! `eyot sql eval` and `eyot sql check`: a rule's SQL, tried before it runs.

use std::io::{BufRead as _, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use iot_sql::{SqlVersion, Statement, batch};
use serde_json::{Value, json};

use crate::failure::{Context as _, Failure, Outcome};
use crate::terminal::{Paint, say, say_json};
use crate::wall_clock;

/// AWS IoT SQL: try a rule before it runs
#[derive(Debug, clap::Subcommand)]
pub(super) enum Sql {
    Eval(Eval),
    Check(Check),
}

/// Evaluate a statement for one message, and print what the rule's actions would get
///
/// Nothing is printed when the message does not match, with the reason on standard error.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eyot sql eval --sql 'SELECT *, topic() AS device_id' --topic pico_w_simple --payload '{\"temp\": 27.51254}'
  eyot sql eval --sql \"SELECT temp FROM 'a/#' WHERE temp > 30\" --topic a/b --payload-file message.json
  eyot sql eval --batch < vectors.jsonl > results.jsonl")]
pub(super) struct Eval {
    /// The statement
    #[arg(long, value_name = "SQL", required_unless_present = "batch")]
    sql: Option<String>,
    /// SQL version
    #[arg(long, value_name = "VERSION", default_value = "2016-03-23")]
    sql_version: Version,
    /// Topic of the message; under `$aws/rules/NAME/` it is basic ingest
    #[arg(long, value_name = "TOPIC", default_value = "a/b")]
    topic: String,
    /// The message
    #[arg(long, value_name = "PAYLOAD", conflicts_with = "payload_file")]
    payload: Option<String>,
    /// File with the message; - is standard input
    #[arg(long, value_name = "FILE")]
    payload_file: Option<PathBuf>,
    /// What the functions see, JSON: {"clientId", "principal", "accountId", "timestamp", "traceId", "sourceIp"}
    #[arg(long, value_name = "JSON")]
    context: Option<String>,
    /// Vectors on standard input, results on standard output, both JSON Lines
    #[arg(long, conflicts_with_all = ["sql", "topic", "payload", "payload_file", "context"])]
    batch: bool,
    /// Print the outcome as JSON: {"outcome", "text", "base64", "error"}
    #[arg(long)]
    json: bool,
}

/// Check a statement, and say what is wrong with it and where
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eyot sql check --sql \"SELECT temp FROM 'a/#' WHERE temp > 30\"")]
pub(super) struct Check {
    /// The statement
    #[arg(long, value_name = "SQL")]
    sql: String,
    /// SQL version
    #[arg(long, value_name = "VERSION", default_value = "2016-03-23")]
    sql_version: Version,
    /// Print the result as JSON: {"ok", "error"}
    #[arg(long)]
    json: bool,
}

/// A version by its date.
#[derive(Debug, Clone, Copy)]
struct Version(SqlVersion);

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        SqlVersion::parse(text).map(Self).ok_or_else(|| "use 2016-03-23, 2015-10-08 or beta".to_owned())
    }
}

impl Sql {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Eval(eval) if eval.batch => eval.run_batch(),
            Self::Eval(eval) => eval.run(),
            Self::Check(check) => check.run(),
        }
    }
}

impl Eval {
    fn run_batch(&self) -> Outcome {
        for_each_line(|line| say!("{}", batch::eval_vector(line, self.sql_version.0, seed()?)))
    }

    fn run(&self) -> Outcome {
        let sql = self.sql.as_deref().unwrap_or_default();
        // Parsed here first: a person wants to see where it is wrong.
        parse(sql, self.sql_version.0)?;
        let line = self.vector(sql)?.to_string();
        let answer = batch::eval_vector(&line, self.sql_version.0, seed()?);
        let mut answer: Value =
            serde_json::from_str(&answer).context(|| "the evaluation failed".to_owned())?;
        if let Some(answer) = answer.as_object_mut() {
            answer.remove("id");
        }
        if self.json {
            return say_json(&answer);
        }
        match (answer["outcome"].as_str(), answer["text"].as_str()) {
            (Some("value"), Some(text)) => say!("{text}"),
            (Some("raw"), _) => say!("{}", answer["base64"].as_str().unwrap_or_default()),
            (Some("no_output"), _) => {
                note("nothing: the message does not match the topic filter, or WHERE is not true");
                Ok(())
            }
            (Some("undefined"), _) => {
                note("undefined: the actions are not run");
                Ok(())
            }
            _ => {
                let error = &answer["error"];
                Err(Failure::new("the statement fails for this message").why(format!(
                    "{}: {}",
                    error["code"].as_str().unwrap_or("error"),
                    error["message"].as_str().unwrap_or("without a reason")
                )))
            }
        }
    }

    /// The arguments as a vector of the batch format.
    fn vector(&self, sql: &str) -> Outcome<Value> {
        let mut context = match &self.context {
            None => json!({}),
            Some(text) => {
                let context: Value =
                    serde_json::from_str(text).context(|| "--context is not JSON".to_owned())?;
                if !context.is_object() {
                    return Err(Failure::new("--context is not a JSON object")
                        .advice("--context '{\"clientId\": \"c1\"}'"));
                }
                context
            }
        };
        if context["timestamp"].is_null() {
            context["timestamp"] = wall_clock::now_ms().into();
        }
        if let Some((rule, _)) = self.topic.strip_prefix("$aws/rules/").and_then(|rest| rest.split_once('/'))
        {
            context["basicIngest"] = true.into();
            context["ruleName"] = rule.into();
        }
        let mut vector = json!({ "kind": "sql", "sql": sql, "topic": self.topic, "context": context });
        if let Some(payload) = self.payload()? {
            use base64::Engine as _;
            vector["payload_base64"] = base64::engine::general_purpose::STANDARD.encode(payload).into();
        }
        Ok(vector)
    }

    fn payload(&self) -> Outcome<Option<Vec<u8>>> {
        match (&self.payload, &self.payload_file) {
            (Some(text), _) => Ok(Some(text.clone().into_bytes())),
            (None, Some(path)) if path == Path::new("-") => {
                let mut bytes = Vec::new();
                std::io::stdin()
                    .read_to_end(&mut bytes)
                    .context(|| "cannot read standard input".to_owned())?;
                Ok(Some(bytes))
            }
            (None, Some(path)) => {
                std::fs::read(path).map(Some).context(|| format!("cannot read `{}`", path.display()))
            }
            (None, None) => Ok(None),
        }
    }
}

impl Check {
    fn run(self) -> Outcome {
        if !self.json {
            parse(&self.sql, self.sql_version.0)?;
            return say!("ok");
        }
        match Statement::parse(&self.sql, self.sql_version.0) {
            Ok(_) => say_json(&json!({ "ok": true, "error": null })),
            Err(error) => {
                say_json(
                    &json!({ "ok": false, "error": { "message": error.to_string(), "offset": error.offset() } }),
                )?;
                Err(refused(&self.sql, &error))
            }
        }
    }
}

fn parse(sql: &str, version: SqlVersion) -> Outcome<Statement> {
    Statement::parse(sql, version).map_err(|error| refused(sql, &error))
}

/// The refusal, with a mark under the place.
fn refused(sql: &str, error: &iot_sql::SqlError) -> Failure {
    Failure::new(format!("the statement is refused: {error}{}", pointed(sql, error.offset())))
}

/// The line of the statement that holds the offset, and a caret below it.
fn pointed(sql: &str, offset: usize) -> String {
    let offset = (0..=offset.min(sql.len())).rev().find(|at| sql.is_char_boundary(*at)).unwrap_or(0);
    let start = sql[..offset].rfind('\n').map_or(0, |at| at + 1);
    let line = sql[start..].lines().next().unwrap_or_default();
    let column = sql[start..offset].chars().count();
    format!("\n    {line}\n    {}^ here", " ".repeat(column))
}

fn note(text: &str) {
    eprintln!("{}", Paint::stderr().dim(text));
}

/// Randomness for `newuuid()`.
fn seed() -> Outcome<u128> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Failure::new("the system gives no random numbers"))?;
    Ok(u128::from_le_bytes(bytes))
}

/// Calls it for each line of standard input that is not blank.
pub(super) fn for_each_line(mut each: impl FnMut(&str) -> Outcome) -> Outcome {
    for line in std::io::stdin().lock().lines() {
        let line = line.context(|| "cannot read standard input".to_owned())?;
        if !line.trim().is_empty() {
            each(&line)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_pointed_at() {
        assert_eq!(pointed("SELECT ?", 7), "\n    SELECT ?\n           ^ here");
        assert_eq!(pointed("SELECT\n  ä ?", 12), "\n      ä ?\n        ^ here");
        assert_eq!(pointed("", 9), "\n    \n    ^ here");
    }
}
