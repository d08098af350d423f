//! What an update does to a section and its metadata.

use serde_json::{Map, Value, json};

/// `desired` or `reported` with its metadata, which mirrors it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Section {
    pub(crate) state: Map<String, Value>,
    pub(crate) metadata: Map<String, Value>,
}

impl Section {
    pub(crate) fn is_empty(&self) -> bool {
        self.state.is_empty()
    }

    /// Merges a change: objects deeply, null removes, everything else replaces.
    pub(crate) fn merge(&mut self, change: &Map<String, Value>, now_s: i64) {
        merge(&mut self.state, &mut self.metadata, change, now_s);
    }
}

fn merge(
    state: &mut Map<String, Value>,
    metadata: &mut Map<String, Value>,
    change: &Map<String, Value>,
    now_s: i64,
) {
    for (name, value) in change {
        match (value, state.get_mut(name)) {
            (Value::Null, _) => {
                state.remove(name);
                metadata.remove(name);
            }
            (Value::Object(change), Some(Value::Object(inner))) => {
                let was_empty = inner.is_empty();
                let inner_metadata = object_at(metadata, name);
                merge(inner, inner_metadata, change, now_s);
                if inner.is_empty() && !was_empty {
                    state.remove(name);
                    metadata.remove(name);
                }
            }
            _ => {
                if let Some(value) = without_nulls(value) {
                    metadata.insert(name.clone(), metadata_of(&value, now_s));
                    state.insert(name.clone(), value);
                } else {
                    // What was there is replaced by nothing.
                    state.remove(name);
                    metadata.remove(name);
                }
            }
        }
    }
}

fn object_at<'m>(metadata: &'m mut Map<String, Value>, name: &str) -> &'m mut Map<String, Value> {
    let entry = metadata.entry(name).or_insert_with(|| json!({}));
    if !entry.is_object() {
        *entry = json!({});
    }
    entry.as_object_mut().expect("it was made an object")
}

/// A value that is new, so that nulls in it remove nothing; `None` when nothing but nulls was in it.
fn without_nulls(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(members) => {
            let kept: Map<String, Value> = members
                .iter()
                .filter_map(|(name, member)| Some((name.clone(), without_nulls(member)?)))
                .collect();
            (members.is_empty() || !kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) => Some(Value::Array(items.iter().map(without_nulls_inside).collect())),
        other => Some(other.clone()),
    }
}

/// An item of an array keeps its place, even when it is emptied.
fn without_nulls_inside(item: &Value) -> Value {
    without_nulls(item).unwrap_or_else(|| json!({}))
}

/// A time for each leaf and each element of an array. A null counts as a leaf: answers repeat what was asked for.
pub(crate) fn metadata_of(value: &Value, now_s: i64) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), metadata_of(member, now_s))).collect()
        }
        Value::Array(items) => items.iter().map(|item| metadata_of(item, now_s)).collect(),
        _ => json!({"timestamp": now_s}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn merged(changes: &[Value]) -> Section {
        let mut section = Section::default();
        for (index, change) in changes.iter().enumerate() {
            section.merge(&map(change.clone()), index as i64);
        }
        section
    }

    fn state(changes: &[Value]) -> Value {
        Value::Object(merged(changes).state)
    }

    #[test]
    fn objects_merge_and_everything_else_replaces() {
        assert_eq!(
            state(&[json!({"a": {"b": 1}}), json!({"a": {"c": [1]}})]),
            json!({"a": {"b": 1, "c": [1]}})
        );
        assert_eq!(state(&[json!({"a": [1, 2]}), json!({"a": [3]})]), json!({"a": [3]}));
        assert_eq!(state(&[json!({"a": {"b": 1}}), json!({"a": 2})]), json!({"a": 2}));
        assert_eq!(state(&[json!({"a": 1, "b": 2}), json!({"a": null})]), json!({"b": 2}));
    }

    #[test]
    fn empty_objects_stay_when_written_and_go_when_emptied() {
        // [AWS, measured] `b.c` replaced by {} gives `b: {c: {}}`.
        assert_eq!(
            state(&[json!({"a": 1, "b": {"c": 3}, "d": {}}), json!({"b": {"c": {}}})]),
            json!({"a": 1, "b": {"c": {}}, "d": {}})
        );
        assert_eq!(state(&[json!({"a": {"b": {"c": 1}}}), json!({"a": {"b": {"c": null}}})]), json!({}));
        assert_eq!(state(&[json!({"a": {"b": null}})]), json!({}));
        assert_eq!(state(&[json!({"a": {}}), json!({"a": {"x": null}})]), json!({"a": {}}));
        assert_eq!(state(&[json!({"a": 1}), json!({"a": {"x": null}})]), json!({}));
    }

    #[test]
    fn metadata_has_a_time_for_each_leaf_and_element() {
        let section = merged(&[json!({"a": {"b": 1, "c": [1, {"x": 2}]}}), json!({"a": {"b": 1}})]);
        assert_eq!(
            Value::Object(section.metadata),
            json!({"a": {
                "b": {"timestamp": 1},
                "c": [{"timestamp": 0}, {"x": {"timestamp": 0}}],
            }})
        );
    }

    /// Arbitrary JSON, nulls outside of arrays included.
    pub(crate) fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3i64..4).prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let not_null = inner.clone().prop_filter("null in an array", |value| !value.is_null());
            prop_oneof![
                proptest::collection::vec(not_null, 0..3).prop_map(Value::from),
                proptest::collection::btree_map("[abc]", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn any_object() -> impl Strategy<Value = Map<String, Value>> {
        any_value().prop_filter_map("an object", |value| match value {
            Value::Object(members) => Some(members),
            _ => None,
        })
    }

    fn same_shape(state: &Value, metadata: &Value) -> bool {
        match (state, metadata) {
            (Value::Object(state), Value::Object(metadata)) => {
                state.len() == metadata.len()
                    && state
                        .iter()
                        .all(|(name, value)| metadata.get(name).is_some_and(|m| same_shape(value, m)))
            }
            (Value::Array(state), Value::Array(metadata)) => {
                state.len() == metadata.len() && state.iter().zip(metadata).all(|(s, m)| same_shape(s, m))
            }
            (Value::Null | Value::Object(_) | Value::Array(_), _) => false,
            (_, leaf) => leaf.get("timestamp").is_some_and(Value::is_i64),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(300)))]

        #[test]
        fn metadata_mirrors_the_state(changes in proptest::collection::vec(any_object(), 0..4)) {
            let changes: Vec<Value> = changes.into_iter().map(Value::Object).collect();
            let section = merged(&changes);
            prop_assert!(same_shape(&Value::Object(section.state), &Value::Object(section.metadata)));
        }

        #[test]
        fn merging_disjoint_keys_commutes_and_associates(a in any_object(), b in any_object(), c in any_object()) {
            let rename = |prefix: &str, members: &Map<String, Value>| -> Value {
                members.iter().map(|(name, value)| (format!("{prefix}{name}"), value.clone())).collect()
            };
            let (a, b, c) = (rename("a", &a), rename("b", &b), rename("c", &c));
            let mut joined = map(b.clone());
            joined.extend(map(c.clone()));
            let expected = state(&[a.clone(), b.clone(), c.clone()]);
            prop_assert_eq!(&state(&[a.clone(), Value::Object(joined)]), &expected);
            prop_assert_eq!(&state(&[c, a, b]), &expected);
        }

        #[test]
        fn merging_twice_changes_nothing(base in any_object(), change in any_object()) {
            let (base, change) = (Value::Object(base), Value::Object(change));
            prop_assert_eq!(state(&[base.clone(), change.clone()]), state(&[base, change.clone(), change]));
        }
    }
}
