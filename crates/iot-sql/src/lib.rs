//! AWS IoT SQL: parse, check, evaluate.
//!
//! A rule's SQL becomes a [`Statement`] once, when the rule is created, and is evaluated for every message that
//! matches. Nothing here reads a clock, a socket or a random source: the payload, the topic and everything the
//! functions may ask for come in with [`Input`], one [`Output`] or a named error comes out.
//!
//! ```
//! use iot_sql::{Context, Input, Output, SqlVersion, Statement};
//!
//! let statement = Statement::parse(
//!     "SELECT *, topic() AS device_id, timestamp() AS received_at",
//!     SqlVersion::V2016_03_23,
//! )?;
//! let context = Context { timestamp_ms: 1679781014810, ..Context::default() };
//! let input = Input { payload: br#"{"temp": 27.51254}"#, topic: "pico_w_simple", context: &context };
//! let expected = r#"{"temp":27.51254,"device_id":"pico_w_simple","received_at":1679781014810}"#;
//! assert_eq!(statement.evaluate(&input)?, Output::Json(expected.to_owned()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The way of a statement: `lexer` → `parser` → [`ast`] (with the functions looked up by `check`) → `eval`.
//! Values are [`value::Value`]: numbers keep the text they were published with, objects their order. What AWS's
//! pages leave open or contradict is decided in `docs/spec/sql-decisions.md`.
//!
//! Why a hand-written lexer and parser and not a combinator library: every error names what was expected, what was
//! found and where, features that are known but absent are refused by name, and the recursion is bounded by one
//! counter. All three are a line each here.

pub mod ast;
pub mod batch;
mod check;
mod display;
mod error;
mod eval;
pub mod functions;
mod json;
mod lexer;
pub mod limits;
mod parser;
mod template;
pub mod value;
mod version;

pub use ast::Statement;
pub use error::{EvalError, Span, SqlError};
pub use eval::{Context, Input, Output, Randomness};
pub use template::{Dollar, Template};
pub use version::SqlVersion;
