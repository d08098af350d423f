//! Refusals as a person sees them: where, and in which words.

use iot_sql::{SqlError, SqlVersion, Statement};

/// `offset: message`, under 2016-03-23.
fn refusal(sql: &str) -> String {
    match Statement::parse(sql, SqlVersion::V2016_03_23) {
        Ok(statement) => format!("accepted as {statement}"),
        Err(error) => format!("{}: {error}", error.offset()),
    }
}

#[test]
fn syntax() {
    for (sql, expected) in [
        ("", "0: expected `SELECT`, found the end"),
        ("UPDATE x", "0: expected `SELECT`, found `UPDATE`"),
        ("SELECT FROM 't'", "7: expected an expression, found `FROM`"),
        ("SELECT * FROM t", "14: expected a topic filter in single quotes, found `t`"),
        ("SELECT * FROM 't' WHERE", "23: expected an expression, found the end"),
        ("SELECT * FROM 't' -- all", "18: expected the end (AWS IoT SQL has no comments), found `-`"),
        ("SELECT a b FROM 't'", "9: expected the end, found `b`"),
        ("SELECT (a FROM 't'", "10: expected `)`, found `FROM`"),
        ("SELECT a < b < c AS d", "13: expected `AS` and a name, found `<`"),
        ("SELECT 'abc", "7: this string has no closing '"),
        ("SELECT * WHERE a != 1", "17: unexpected character `!`: write `<>` for not equal"),
        ("SELECT * FROM 'a/#/b'", "14: the topic filter `a/#/b` has a wildcard"),
        ("SELECT größe", "9: unexpected character `ö`: other keys than a-z, 0-9 and _ need `get(*, 'key')`"),
        ("SELECT a + 1 FROM 't'", "7: this column has no name: write `a + 1 AS name`"),
        ("SELECT CASE a WHEN 1 THEN 2 AS b", "28: expected `WHEN`, `ELSE` or `END`, found `AS`"),
        ("SELECT a AS 'b'", "12: expected a name, found `'b'`"),
    ] {
        let refusal = refusal(sql);
        assert!(refusal.starts_with(expected), "{sql}\n  expected {expected}\n  got      {refusal}");
    }
}

#[test]
fn names() {
    for (sql, expected) in [
        ("SELECT tpoic() FROM 't'", "7: unknown function `tpoic`: did you mean `topic`?"),
        ("SELECT timestmp() AS t", "7: unknown function `timestmp`: did you mean `timestamp`?"),
        ("SELECT frobnicate(1) AS f", "7: unknown function `frobnicate`"),
        ("SELECT upper() AS u", "7: `upper` takes 1 argument, got 0"),
        ("SELECT topic(1, 2) AS t", "7: `topic` takes 0 to 1 argument, got 2"),
        ("SELECT timestamp(1) AS t", "7: `timestamp` takes no arguments, got 1"),
        (
            "SELECT cast(a AS Number) AS n",
            "17: unknown type `Number`: `cast` knows String, Nvarchar, Text, Ntext, Varchar, Int, Integer, Double, Decimal, Bool, Boolean",
        ),
    ] {
        assert_eq!(refusal(sql), expected, "{sql}");
    }
    let error = Statement::parse("SELECT length(a) AS l", SqlVersion::V2015_10_08).unwrap_err();
    assert_eq!(error.to_string(), "`length` needs SQL version 2016-03-23, this is 2015-10-08");
}

#[test]
fn what_aws_has_and_eyot_lacks_is_named() {
    for (sql, expected) in [
        ("SET @a = 1 SELECT @a AS a", "0: eyot does not have SET yet"),
        ("SELECT @a AS a", "7: eyot does not have variables (SET) yet"),
        ("SELECT (SELECT a FROM b) AS c", "8: eyot does not have nested queries yet"),
        ("SELECT get((SELECT a FROM b), 0) AS c", "12: eyot does not have nested queries yet"),
        ("SELECT {'a': 1} AS b", "7: eyot does not have object literals yet"),
        ("SELECT [1] AS b", "7: eyot does not have array literals yet"),
        ("SELECT * WHERE a IN b", "17: eyot does not have the operator `IN` yet"),
        ("SELECT * WHERE EXISTS (SELECT a FROM b)", "15: eyot does not have `EXISTS` yet"),
        ("SELECT MD5(a) AS m", "7: eyot does not have the function `md5` yet"),
    ] {
        assert_eq!(refusal(sql), expected, "{sql}");
        let error = Statement::parse(sql, SqlVersion::V2016_03_23).unwrap_err();
        assert!(matches!(error, SqlError::NotYet { .. }), "{error:?}");
    }
}

#[test]
fn nesting_and_length_are_bounded_and_chains_are_not_nesting() {
    let nested = |depth: usize| format!("SELECT {}1{} AS a", "(".repeat(depth), ")".repeat(depth));
    assert!(Statement::parse(&nested(60), SqlVersion::V2016_03_23).is_ok());
    for deep in [
        nested(5_000),
        format!("SELECT {} a AS b", "NOT ".repeat(5_000)),
        format!("SELECT {}a AS b", "-".repeat(5_000)),
    ] {
        let error = Statement::parse(&deep, SqlVersion::V2016_03_23).unwrap_err();
        assert!(matches!(error, SqlError::TooDeep { max: 64, .. }), "{error:?}");
    }
    let chain = format!("SELECT * WHERE a = 0{}", " OR a = 1".repeat(20_000));
    assert!(Statement::parse(&chain, SqlVersion::V2016_03_23).is_ok());
    let long = format!("SELECT '{}' AS a", "x".repeat(256 * 1024));
    assert!(matches!(Statement::parse(&long, SqlVersion::V2016_03_23), Err(SqlError::TooLong { .. })));
}
