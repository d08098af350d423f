//! What is desired and not reported.

use serde_json::{Map, Value};

/// The members of desired that reported lacks or has otherwise, with their metadata. Nested objects are reduced to
/// what differs in them, arrays are compared and given as a whole.
pub(crate) fn delta(
    desired: &Map<String, Value>,
    metadata: &Map<String, Value>,
    reported: &Map<String, Value>,
) -> (Map<String, Value>, Map<String, Value>) {
    let mut difference = Map::new();
    let mut difference_metadata = Map::new();
    for (name, wanted) in desired {
        let value_metadata = metadata.get(name).cloned().unwrap_or_default();
        match (wanted, reported.get(name)) {
            (Value::Object(wanted), Some(Value::Object(actual))) => {
                let none = Map::new();
                let (inner, inner_metadata) =
                    delta(wanted, value_metadata.as_object().unwrap_or(&none), actual);
                if !inner.is_empty() {
                    difference.insert(name.clone(), Value::Object(inner));
                    difference_metadata.insert(name.clone(), Value::Object(inner_metadata));
                }
            }
            (wanted, Some(actual)) if wanted == actual => {}
            (wanted, _) => {
                difference.insert(name.clone(), wanted.clone());
                difference_metadata.insert(name.clone(), value_metadata);
            }
        }
    }
    (difference, difference_metadata)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn state(desired: Value, reported: Value) -> Value {
        let map = |value: Value| value.as_object().unwrap().clone();
        Value::Object(delta(&map(desired), &Map::new(), &map(reported)).0)
    }

    #[test]
    fn only_what_differs() {
        assert_eq!(state(json!({"a": 1, "b": 2}), json!({"a": 1, "c": 3})), json!({"b": 2}));
        assert_eq!(
            state(json!({"a": {"b": {"c": 1, "d": 2}}}), json!({"a": {"b": {"c": 1}}})),
            json!({"a": {"b": {"d": 2}}})
        );
        assert_eq!(state(json!({"a": [1, [2]]}), json!({"a": [1, [3]]})), json!({"a": [1, [2]]}));
        assert_eq!(state(json!({"a": {}}), json!({})), json!({"a": {}}));
        assert_eq!(state(json!({"a": {}}), json!({"a": {"b": 1}})), json!({}));
    }

    /// Whether everything desired is reported.
    fn is_reported(desired: &Value, reported: &Value) -> bool {
        match (desired, reported) {
            (Value::Object(desired), Value::Object(reported)) => desired
                .iter()
                .all(|(name, wanted)| reported.get(name).is_some_and(|actual| is_reported(wanted, actual))),
            (wanted, actual) => wanted == actual,
        }
    }

    fn any_object() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![(0i64..2).prop_map(Value::from), Just(json!([0])), Just(json!({}))];
        let object = leaf.prop_recursive(3, 12, 3, |inner| {
            proptest::collection::btree_map("[ab]", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect()))
        });
        object.prop_filter("an object", Value::is_object)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(500)))]

        #[test]
        fn it_is_empty_when_all_desired_is_reported_and_only_then(desired in any_object(), reported in any_object()) {
            let difference = state(desired.clone(), reported.clone());
            prop_assert_eq!(difference == json!({}), is_reported(&desired, &reported));
            prop_assert!(is_reported(&difference, &desired), "nothing is invented");
        }
    }
}
