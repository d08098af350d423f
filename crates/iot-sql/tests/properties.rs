//! What holds for every statement: it prints as itself, and no text and no payload makes anything panic.

use iot_sql::{Context, Dollar, Input, Output, SqlVersion, Statement, Template};
use proptest::prelude::*;

/// Expressions, as text, from the whole language that is built.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "*",
            "a",
            "b",
            "value",
            "temp",
            "TRUE",
            "false",
            "NULL",
            "topic()",
            "timestamp()",
            "clientid()",
            "newuuid()",
            "concat()",
            "sql_version()",
            "a.b",
            "*.a",
            "missing.x.y",
        ])
        .prop_map(str::to_owned),
        "-?[0-9]{1,3}(\\.[0-9]{1,3})?([eE]-?[0-9]{1,3})?",
        "'([a-z0-9 .-]|''){0,4}'",
        "\"[a-z0-9']{0,4}\"",
    ];
    leaf.prop_recursive(5, 40, 3, |inner| {
        let operator = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "=", "<>", "<", "<=", ">", ">=", "AND", "OR", "and",
        ]);
        let one = prop::sample::select(vec!["upper", "abs", "floor", "ROUND", "length", "isUndefined", "trim", "chr"]);
        let two = prop::sample::select(vec!["concat", "get", "lpad", "mod", "nanvl", "indexof", "trunc", "substring"]);
        let to = prop::sample::select(vec!["String", "int", "Double", "Bool"]);
        prop_oneof![
            4 => (inner.clone(), operator, inner.clone()).prop_map(|(l, op, r)| format!("({l} {op} {r})")),
            2 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} + {b} - {c} + {a})")),
            1 => inner.clone().prop_map(|e| format!("({e})")),
            1 => inner.clone().prop_map(|e| format!("(NOT {e})")),
            1 => inner.clone().prop_map(|e| format!("(- {e})")),
            1 => inner.clone().prop_map(|e| format!("({e}).k.value")),
            1 => (inner.clone(), to).prop_map(|(e, to)| format!("cast({e} as {to})")),
            1 => (one, inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            1 => (two, inner.clone(), inner.clone()).prop_map(|(f, a, b)| format!("{f}({a}, {b})")),
            1 => (inner.clone(), inner.clone(), inner.clone(), any::<bool>()).prop_map(|(s, w, t, otherwise)| {
                let otherwise = if otherwise { format!(" ELSE {s}") } else { String::new() };
                format!("CASE {s} WHEN {w} THEN {t}{otherwise} END")
            }),
        ]
    })
}

fn statement() -> impl Strategy<Value = String> {
    let select = prop_oneof![
        expression().prop_map(|e| format!("SELECT VALUE {e}")),
        expression().prop_map(|e| format!("SELECT VALUE ({e})")),
        expression().prop_map(|e| format!("SELECT {e} AS r")),
        (expression(), expression()).prop_map(|(a, b)| format!("select *, {a} as a.b, {b} As value, temp")),
        expression().prop_map(|e| format!("SELECT *, {e} AS a")),
        Just("SELECT *, topic() AS device_id, timestamp() AS received_at".to_owned()),
    ];
    (select, prop::option::of(expression()), any::<bool>()).prop_map(|(select, condition, from)| {
        let from = if from { " FROM 'a/+/#'" } else { "" };
        let condition = condition.map(|condition| format!(" WHERE {condition}")).unwrap_or_default();
        format!("{select}{from}{condition}")
    })
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![
            r#"{"a":{"b":1.50,"k":{"value":"x"}},"b":"2.5","temp":27.51254,"value":[1,"a",null]}"#,
            r#"{"a":10.0,"b":true,"temp":null,"device_id":"old","a":{"b":"A"}}"#,
            r#"{ "temp" : 27.50 }"#,
            r#"[1,2,3]"#,
            r#""text""#,
            "{",
            "",
            r#"{"a":1e999,"b":123456789012345678901234567890123456789,"temp":-0.0}"#,
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(600)))]

    #[test]
    fn a_printed_statement_parses_to_itself(sql in statement()) {
        // Adding parentheses can take a text over the depth limit: then there is nothing to compare.
        if let Ok(statement) = Statement::parse(&sql, SqlVersion::V2016_03_23) {
            let printed = statement.to_string();
            prop_assert_eq!(&Statement::parse(&printed, SqlVersion::V2016_03_23), &Ok(statement), "{}", printed);
        } else {
            prop_assert!(sql.contains("VALUE "), "{} is refused", sql);
        }
    }

    #[test]
    fn evaluation_never_panics_and_gives_json(sql in statement(), payload in payload(), first in any::<bool>()) {
        let version = if first { SqlVersion::V2015_10_08 } else { SqlVersion::V2016_03_23 };
        let Ok(statement) = Statement::parse(&sql, version) else { return Ok(()) };
        let context = Context { client_id: Some("c"), account_id: "1", ..Context::default() };
        let input = Input { payload: &payload, topic: "a/b/c", context: &context };
        if let Ok(Output::Json(text)) = statement.evaluate(&input) {
            prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok(), "{} gives {}", sql, text);
        }
    }

    #[test]
    fn appending_members_prints_what_building_prints(payload in payload(), first in any::<bool>()) {
        // The second statement does the same by the long way: its WHERE looks into the payload.
        let version = if first { SqlVersion::V2015_10_08 } else { SqlVersion::V2016_03_23 };
        let select = "SELECT *, topic() AS device_id, missing() AS gone".replace("missing()", "traceid()");
        let fast = Statement::parse(&select, version).unwrap();
        let slow = Statement::parse(&format!("{select} WHERE isNull(missing) = FALSE"), version).unwrap();
        let context = Context::default();
        let input = Input { payload: &payload, topic: "pico", context: &context };
        prop_assert_eq!(fast.evaluate(&input), slow.evaluate(&input));
    }

    #[test]
    fn no_text_makes_the_parser_panic(sql in ".{0,40}", tail in "[a-zA-Z0-9 '\"(){}$.,*=<>@+-]{0,30}") {
        for sql in [&sql, &tail, &format!("SELECT {tail}"), &format!("SELECT * WHERE {tail}")] {
            if let Err(error) = Statement::parse(sql, SqlVersion::V2016_03_23) {
                prop_assert!(error.span().start <= error.span().end && error.span().end <= sql.len());
                prop_assert!(sql.is_char_boundary(error.offset()));
            }
        }
        let _ = Template::parse(&tail, SqlVersion::V2016_03_23, Dollar::Doubled);
    }
}
