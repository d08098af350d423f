//! Members in the order of their first appearance.

use std::collections::HashMap;

use super::Value;
use crate::limits::OBJECT_KEYS_UNINDEXED_MAX;

/// A JSON object that keeps its order. A key written twice keeps its first place and its last value.
#[derive(Clone, Debug, Default)]
pub struct Object {
    members: Vec<(String, Value)>,
    /// Places of the keys; empty until there are too many to search one by one.
    index: HashMap<String, usize>,
}

impl Object {
    /// An object without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.place(key).map(|place| &self.members[place].1)
    }

    /// The value of `key`, Undefined and in the last place if it was not there.
    pub fn entry(&mut self, key: &str) -> &mut Value {
        let place = match self.place(key) {
            Some(place) => place,
            None => {
                self.push(key.to_owned(), Value::Undefined);
                self.members.len() - 1
            }
        };
        &mut self.members[place].1
    }

    /// Sets `key` to `value`.
    pub fn insert(&mut self, key: String, value: Value) {
        match self.place(&key) {
            Some(place) => self.members[place].1 = value,
            None => self.push(key, value),
        }
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let place = self.place(key)?;
        let (_, value) = self.members.remove(place);
        self.index.clear();
        if self.members.len() > OBJECT_KEYS_UNINDEXED_MAX {
            self.build_index();
        }
        Some(value)
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.members.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn place(&self, key: &str) -> Option<usize> {
        if self.index.is_empty() {
            self.members.iter().position(|(other, _)| other == key)
        } else {
            self.index.get(key).copied()
        }
    }

    fn push(&mut self, key: String, value: Value) {
        if !self.index.is_empty() {
            self.index.insert(key.clone(), self.members.len());
        }
        self.members.push((key, value));
        if self.index.is_empty() && self.members.len() > OBJECT_KEYS_UNINDEXED_MAX {
            self.build_index();
        }
    }

    fn build_index(&mut self) {
        self.index = self.members.iter().enumerate().map(|(at, (key, _))| (key.clone(), at)).collect();
    }
}

/// Same members with the same values; the order does not count. [AWS iot-sql-operators] "= operator".
impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_first_place_and_last_value() {
        let mut object = Object::new();
        for round in 0..2_i64 {
            for key in 0..100 {
                object.insert(format!("k{key}"), Value::from(round));
            }
        }
        assert_eq!(object.len(), 100);
        assert_eq!(object.iter().next(), Some(("k0", &Value::from(1))));
        assert_eq!(object.remove("k0"), Some(Value::from(1)));
        assert_eq!(object.get("k0"), None);
        assert_eq!(object.get("k99"), Some(&Value::from(1)));
    }
}
