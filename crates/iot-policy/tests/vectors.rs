//! AWS's documented policy examples, as vectors.

use serde_json::Value;

/// Vectors that do not pass yet. The list may only shrink: a vector on it that passes fails the test.
const NOT_YET: &[&str] = &[];

#[test]
fn every_vector_gives_the_expected_decision() {
    let file: Value = serde_json::from_str(include_str!("vectors/iot-policy-vectors.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert!(vectors.len() >= 38, "vectors are missing");
    let mut wrong = Vec::new();
    for vector in vectors {
        let id = vector["id"].as_str().unwrap();
        let answer: Value = serde_json::from_str(&iot_policy::batch::eval_line(&vector.to_string())).unwrap();
        assert_eq!(answer["id"], vector["id"]);
        let passes = answer["decision"] == vector["expected"];
        if passes == NOT_YET.contains(&id) {
            wrong.push(format!("{id} {}: expected {}, got {answer}", vector["name"], vector["expected"]));
        }
        if passes {
            assert!(!answer["reason"].as_str().unwrap().is_empty(), "{id}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
