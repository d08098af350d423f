//! The functions of AWS IoT SQL, one file and one value each.
//!
//! A [`Function`] carries its name, arguments, documentation and examples; the arity check, the documentation and a
//! test that runs every example come from it. [AWS iot-sql-functions]

use std::borrow::Cow;

use crate::SqlVersion;
use crate::eval::{Evaluation, Input};
use crate::value::{Decimal, Value};

mod abs;
mod accountid;
mod ceil;
mod chr;
mod clientid;
mod concat;
mod endswith;
mod floor;
mod get;
mod indexof;
mod isnull;
mod isundefined;
mod length;
mod lower;
mod lpad;
mod ltrim;
mod modulo;
mod nanvl;
mod newuuid;
mod numbytes;
mod principal;
mod remainder;
mod replace;
mod round;
mod rpad;
mod rtrim;
mod sign;
mod sourceip;
mod sql_version;
mod startswith;
mod substring;
mod timestamp;
mod topic;
mod traceid;
mod trim;
mod trunc;
mod upper;

/// Every function there is, by name.
pub static ALL: &[&Function] = &[
    &abs::ABS,
    &accountid::ACCOUNTID,
    &ceil::CEIL,
    &chr::CHR,
    &clientid::CLIENTID,
    &concat::CONCAT,
    &endswith::ENDSWITH,
    &floor::FLOOR,
    &get::GET,
    &indexof::INDEXOF,
    &isnull::ISNULL,
    &isundefined::ISUNDEFINED,
    &length::LENGTH,
    &lower::LOWER,
    &lpad::LPAD,
    &ltrim::LTRIM,
    &modulo::MOD,
    &nanvl::NANVL,
    &newuuid::NEWUUID,
    &numbytes::NUMBYTES,
    &principal::PRINCIPAL,
    &remainder::REMAINDER,
    &replace::REPLACE,
    &round::ROUND,
    &rpad::RPAD,
    &rtrim::RTRIM,
    &sign::SIGN,
    &sourceip::SOURCEIP,
    &sql_version::SQL_VERSION,
    &startswith::STARTSWITH,
    &substring::SUBSTRING,
    &timestamp::TIMESTAMP,
    &topic::TOPIC,
    &traceid::TRACEID,
    &trim::TRIM,
    &trunc::TRUNC,
    &upper::UPPER,
];

/// Functions that AWS has and eyot does not have yet.
pub const NOT_YET: &[&str] = &[
    "acos",
    "asin",
    "atan",
    "atan2",
    "aws_lambda",
    "bitand",
    "bitnot",
    "bitor",
    "bitxor",
    "cos",
    "cosh",
    "decode",
    "encode",
    "exp",
    "get_dynamodb",
    "get_mqtt_property",
    "get_or_default",
    "get_registry_data",
    "get_secret",
    "get_thing_shadow",
    "get_user_properties",
    "ln",
    "log",
    "machinelearning_predict",
    "md2",
    "md5",
    "parse_time",
    "power",
    "rand",
    "regexp_matches",
    "regexp_replace",
    "regexp_substr",
    "sha1",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "time_to_epoch",
    "transform",
];

/// The function called `name`, in any case.
pub fn find(name: &str) -> Option<&'static Function> {
    ALL.iter().copied().find(|function| function.name.eq_ignore_ascii_case(name))
}

/// One SQL function.
#[derive(Debug)]
pub struct Function {
    /// Its name, as AWS documents it; calls ignore case.
    pub name: &'static str,
    /// The first SQL version that has it.
    pub since: SqlVersion,
    /// Its arguments, the optional ones last.
    pub args: &'static [Arg],
    /// What it gives, in one or two sentences.
    pub doc: &'static str,
    /// Calls and what they give.
    pub examples: &'static [Example],
    /// `None` is Undefined.
    pub(crate) eval: fn(&Call<'_, '_>) -> Option<Value>,
}

impl Function {
    /// Least and most arguments; `None`: any number.
    pub fn arity(&self) -> (usize, Option<usize>) {
        let count = |presence| self.args.iter().filter(|arg| arg.presence == presence).count();
        let unbounded = count(Presence::Repeated) > 0;
        (count(Presence::Required), if unbounded { None } else { Some(self.args.len()) })
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// One argument of a function.
#[derive(Debug)]
pub struct Arg {
    /// What the documentation calls it.
    pub name: &'static str,
    /// Whether a call must have it.
    pub presence: Presence,
}

impl Arg {
    const fn required(name: &'static str) -> Self {
        Self { name, presence: Presence::Required }
    }

    const fn optional(name: &'static str) -> Self {
        Self { name, presence: Presence::Optional }
    }

    const fn repeated(name: &'static str) -> Self {
        Self { name, presence: Presence::Repeated }
    }
}

/// Whether and how often an argument may stand in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Exactly once.
    Required,
    /// Once or not at all.
    Optional,
    /// As often as you like, or not at all.
    Repeated,
}

/// A call and its result, both as SQL expressions, for a message on `building/5/lights` from `pico_w_simple`.
#[derive(Debug)]
pub struct Example {
    /// The call.
    pub sql: &'static str,
    /// What it gives; empty for Undefined.
    pub gives: &'static str,
}

/// One call: the evaluated arguments, and the message for the functions that ask about it.
pub(crate) struct Call<'c, 'a> {
    pub(crate) args: &'c [Cow<'c, Value>],
    pub(crate) evaluation: &'c Evaluation<'a>,
}

impl<'a> Call<'_, 'a> {
    /// The argument at `index`; Undefined when the call has fewer.
    fn value(&self, index: usize) -> &Value {
        self.args.get(index).map_or(&Value::Undefined, |arg| arg)
    }

    /// The argument converted to text.
    fn text(&self, index: usize) -> Option<Cow<'_, str>> {
        self.value(index).to_text()
    }

    /// The argument converted to a number.
    fn decimal(&self, index: usize) -> Option<Decimal> {
        self.value(index).to_decimal()
    }

    /// The argument converted to a number and rounded down.
    fn int(&self, index: usize) -> Option<i64> {
        self.value(index).to_i64()
    }

    /// A computed number, in the manner of the statement's version.
    fn number(&self, value: Decimal) -> Option<Value> {
        Some(self.evaluation.number(value))
    }

    /// Announces that the result will have `bytes` bytes. `None`: more than the evaluation may make.
    fn reserve(&self, bytes: usize) -> Option<()> {
        self.evaluation.reserve(bytes)
    }

    fn input(&self) -> &'a Input<'a> {
        self.evaluation.input
    }

    fn version(&self) -> SqlVersion {
        self.evaluation.version
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Output, Randomness, Statement};

    fn evaluate(expression: &str, version: SqlVersion) -> Output {
        let statement = Statement::parse(&format!("SELECT VALUE ({expression})"), version).unwrap();
        let context = Context {
            client_id: Some("pico_w_simple"),
            principal: Some("3f9a"),
            account_id: "123456789012",
            timestamp_ms: 1_481_825_251_155,
            trace_id: Some("8a1c"),
            source_ip: Some([192, 0, 2, 7].into()),
            random: Randomness::new(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
        };
        statement
            .evaluate(&Input { payload: br#"{"list":[1,2]}"#, topic: "building/5/lights", context: &context })
            .unwrap()
    }

    #[test]
    fn every_example_gives_what_it_says() {
        for function in ALL {
            assert!(!function.examples.is_empty(), "{} has no example", function.name);
            for version in SqlVersion::ALL.into_iter().filter(|version| *version >= function.since) {
                for Example { sql, gives } in function.examples {
                    let expected =
                        if gives.is_empty() { Output::Undefined } else { evaluate(gives, version) };
                    assert_eq!(evaluate(sql, version), expected, "{sql} under {version}");
                }
            }
        }
    }

    #[test]
    fn names_are_sorted_and_in_one_list_only() {
        assert!(ALL.is_sorted_by_key(|function| function.name.to_ascii_lowercase()));
        assert!(NOT_YET.is_sorted());
        assert!(NOT_YET.iter().all(|name| find(name).is_none()));
        // `cast` is syntax: with it these are the 82 functions of AWS's page.
        assert_eq!(ALL.len() + NOT_YET.len() + 1, 82);
    }

    #[test]
    fn optional_arguments_come_last() {
        for function in ALL {
            let ranks = function.args.iter().map(|arg| arg.presence as u8);
            assert!(ranks.is_sorted(), "{}", function.name);
        }
    }

    #[test]
    fn a_result_that_would_be_huge_is_an_error() {
        let sql = format!("SELECT VALUE replace({}, 'a', big)", "replace(big, 'a', big)");
        let statement = Statement::parse(&sql, SqlVersion::V2016_03_23).unwrap();
        let payload = format!(r#"{{"big":"{}"}}"#, "a".repeat(60_000));
        let context = Context::default();
        let input = Input { payload: payload.as_bytes(), topic: "t", context: &context };
        assert!(matches!(statement.evaluate(&input), Err(crate::EvalError::TooMuchWork { .. })));
    }

    #[test]
    fn reading_a_large_text_again_and_again_is_an_error() {
        let payload = format!(r#"{{"big":"{}"}}"#, "1".repeat(100_000));
        let context = Context::default();
        let input = Input { payload: payload.as_bytes(), topic: "t", context: &context };
        let many = |column: &str| {
            let columns = vec![format!("{column} AS x"); 200].join(",");
            Statement::parse(&format!("SELECT {columns}"), SqlVersion::V2016_03_23).unwrap()
        };
        for column in ["-big", "cast(big AS Boolean)", "CASE big WHEN big THEN 1 END"] {
            let result = many(column).evaluate(&input);
            assert!(matches!(result, Err(crate::EvalError::TooMuchWork { .. })), "{column}");
        }
    }

    #[test]
    fn uuids_differ_within_one_statement() {
        let first = evaluate("newuuid()", SqlVersion::V2016_03_23);
        let pair = evaluate("newuuid() = newuuid()", SqlVersion::V2016_03_23);
        assert_eq!(first, Output::Text("01234567-89ab-4def-8123-456789abcdef".to_owned()));
        assert_eq!(pair, Output::Json("false".to_owned()));
    }
}
