//! A rule's statement on one message. Floor: checking that the payload is JSON, and copying it.

use crate::measure::compare;
use iot_sql::{Context, Input, SqlVersion, Statement};
use serde::de::IgnoredAny;
use std::hint::black_box;
use std::path::Path;

const POST: &str = "SELECT *, topic() as device_id, timestamp() AS received_at";
const WHERE: &str = "SELECT temp, humidity FROM 'dt/#' WHERE temp > 20 AND humidity < 80.5 AND floor(level) >= 3 AND topic(2) = 'kitchen'";

pub(crate) fn run(_: &Path) {
    let long = format!(
        "{{\"temp\": 27.51254, \"humidity\": 41.5, \"level\": 3.9, \"note\": \"{}\", \"tags\": [1, 2, 3], \"at\": {{\"x\": 1, \"y\": 2}}}}",
        "n".repeat(190)
    );
    for (name, sql, payload) in [
        ("sql: the post's rule, 36 bytes", POST, "{\"temp\": 27.51254, \"humidity\": 41.5}"),
        ("sql: the post's rule, 300 bytes", POST, &long),
        ("sql: WHERE with 4 comparisons, 300 bytes", WHERE, &long),
    ] {
        let statement = Statement::parse(sql, SqlVersion::V2016_03_23).unwrap();
        let context = Context { timestamp_ms: 1_679_781_014_810, ..Context::default() };
        let input =
            Input { payload: payload.as_bytes(), topic: "dt/kitchen/pico_w_simple", context: &context };
        assert!(statement.evaluate(&input).unwrap().as_bytes().is_some(), "{name}: no result");
        compare(
            name,
            || statement.evaluate(black_box(&input)).is_ok(),
            || {
                let valid = serde_json::from_str::<IgnoredAny>(black_box(payload)).is_ok();
                (valid, payload.as_bytes().to_vec())
            },
        );
    }
}
