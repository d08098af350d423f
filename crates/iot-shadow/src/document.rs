//! One shadow as it is kept.

use crate::delta::delta;
use crate::merge::{Section, metadata_of};
use crate::request::{DeleteRequest, GetRequest, SectionChange, StateChange, UpdateRequest};
use crate::{STATE_BYTES_MAX, ShadowError, request};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A shadow: desired and reported state with the times of their members, and a version.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    desired: Section,
    reported: Section,
    version: u64,
}

/// What an update made.
#[derive(Debug, Clone, PartialEq)]
pub struct Updated {
    /// The shadow as it is now.
    pub document: Document,
    /// The answer, and the body for `update/accepted`.
    pub accepted: String,
    /// The body for `update/delta`; `None` when everything desired is reported.
    pub delta: Option<String>,
    /// The body for `update/documents`.
    pub documents: String,
}

/// What a delete made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// The version that the shadow had.
    pub version: u64,
    /// The answer, and the body for `delete/accepted`.
    pub accepted: String,
}

/// The stored form.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    desired: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    reported: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    desired_metadata: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    reported_metadata: Map<String, Value>,
    version: u64,
}

impl Document {
    /// Applies an update to a shadow, or to none. `last_version` is what a shadow deleted not long ago had: versions
    /// go on from there. [AWS iot-device-shadows] "Deleting a device shadow does not reset its version to 0."
    ///
    /// # Errors
    /// [`ShadowError::VersionConflict`] and [`ShadowError::TooLarge`].
    pub fn update(
        current: Option<&Self>,
        last_version: u64,
        request: &UpdateRequest,
        now_s: i64,
    ) -> Result<Updated, ShadowError> {
        let version = current.map_or(last_version, |document| document.version);
        if request.version.is_some_and(|wanted| wanted != version) {
            return Err(ShadowError::VersionConflict);
        }
        let mut document = current.cloned().unwrap_or_default();
        document.version = version + 1;
        match &request.state {
            StateChange::Clear => {
                document.desired = Section::default();
                document.reported = Section::default();
            }
            StateChange::Sections { desired, reported } => {
                desired.apply(&mut document.desired, now_s);
                reported.apply(&mut document.reported, now_s);
            }
        }
        if document.state().to_string().len() > STATE_BYTES_MAX {
            return Err(ShadowError::TooLarge);
        }
        let token = request.client_token();
        let delta = document.delta().map(|(state, metadata)| {
            Body::new()
                .with("version", document.version)
                .with("timestamp", now_s)
                .with("state", state)
                .with("metadata", metadata)
                .end(token)
        });
        let documents = Body::new()
            .with("previous", current.map(Self::whole))
            .with("current", document.whole())
            .with("timestamp", now_s)
            .end(token);
        let asked = request.state.as_json();
        let accepted = Body::new()
            .with("metadata", metadata_of(&asked, now_s))
            .with("state", asked)
            .with("version", document.version)
            .with("timestamp", now_s)
            .end(token);
        Ok(Updated { document, accepted, delta, documents })
    }

    /// The answer to a get, and the body for `get/accepted`.
    pub fn get(&self, request: &GetRequest, now_s: i64) -> String {
        let mut state = self.state();
        let mut metadata = self.metadata();
        if let Some((delta, delta_metadata)) = self.delta() {
            state["delta"] = delta;
            metadata["delta"] = delta_metadata;
        }
        Body::new()
            .with("state", state)
            .with("metadata", metadata)
            .with("version", self.version)
            .with("timestamp", now_s)
            .end(request.client_token.as_deref())
    }

    /// Checks a delete of this shadow, and gives the answer to it.
    ///
    /// # Errors
    /// [`ShadowError::VersionConflict`].
    pub fn delete(&self, request: &DeleteRequest, now_s: i64) -> Result<Deleted, ShadowError> {
        if request.version.is_some_and(|wanted| wanted != self.version) {
            return Err(ShadowError::VersionConflict);
        }
        let body = Body::new().with("version", self.version).with("timestamp", now_s);
        Ok(Deleted { version: self.version, accepted: body.end(request.client_token.as_deref()) })
    }

    /// 1 after the first update, one more with each.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// `{"desired", "reported"}`, without the one that is empty.
    pub fn state(&self) -> Value {
        sections(&self.desired, &self.reported, |section| &section.state)
    }

    /// The token of a request that may be wrong otherwise: its rejection repeats it too.
    pub fn client_token_of(payload: &[u8]) -> Option<String> {
        request::client_token_of(payload)
    }

    /// The stored form: JSON.
    pub fn to_stored(&self) -> Vec<u8> {
        let stored = Stored {
            desired: self.desired.state.clone(),
            reported: self.reported.state.clone(),
            desired_metadata: self.desired.metadata.clone(),
            reported_metadata: self.reported.metadata.clone(),
            version: self.version,
        };
        serde_json::to_vec(&stored).expect("JSON values have text keys")
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// When it is not what [`to_stored`](Document::to_stored) writes.
    pub fn from_stored(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let stored: Stored = serde_json::from_slice(bytes)?;
        Ok(Self {
            desired: Section { state: stored.desired, metadata: stored.desired_metadata },
            reported: Section { state: stored.reported, metadata: stored.reported_metadata },
            version: stored.version,
        })
    }

    fn metadata(&self) -> Value {
        sections(&self.desired, &self.reported, |section| &section.metadata)
    }

    fn delta(&self) -> Option<(Value, Value)> {
        let (state, metadata) = delta(&self.desired.state, &self.desired.metadata, &self.reported.state);
        (!state.is_empty()).then_some((Value::Object(state), Value::Object(metadata)))
    }

    /// For `update/documents`: without delta.
    fn whole(&self) -> Value {
        json!({"state": self.state(), "metadata": self.metadata(), "version": self.version})
    }
}

impl SectionChange {
    fn apply(&self, section: &mut Section, now_s: i64) {
        match self {
            Self::Keep => {}
            Self::Clear => *section = Section::default(),
            Self::Merge(change) => section.merge(change, now_s),
        }
    }

    fn as_json(&self) -> Option<Value> {
        match self {
            Self::Keep => None,
            Self::Clear => Some(Value::Null),
            Self::Merge(change) => Some(Value::Object(change.clone())),
        }
    }
}

impl StateChange {
    /// As it was asked for: what `update/accepted` repeats.
    fn as_json(&self) -> Value {
        let Self::Sections { desired, reported } = self else { return Value::Null };
        let mut state = Map::new();
        state.extend(desired.as_json().map(|value| ("desired".to_owned(), value)));
        state.extend(reported.as_json().map(|value| ("reported".to_owned(), value)));
        Value::Object(state)
    }
}

fn sections(desired: &Section, reported: &Section, part: impl Fn(&Section) -> &Map<String, Value>) -> Value {
    let mut both = Map::new();
    for (name, section) in [("desired", desired), ("reported", reported)] {
        if !section.is_empty() {
            both.insert(name.to_owned(), Value::Object(part(section).clone()));
        }
    }
    Value::Object(both)
}

/// A body that is written member by member: AWS's order is not the alphabet's.
struct Body(String);

impl Body {
    fn new() -> Self {
        Self("{".to_owned())
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&format!("\"{name}\":{}", value.into()));
        self
    }

    fn end(self, client_token: Option<&str>) -> String {
        let mut body = match client_token {
            Some(token) => self.with("clientToken", token),
            None => self,
        };
        body.0.push('}');
        body.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn update(current: Option<&Document>, request: &str, now_s: i64) -> Updated {
        Document::update(current, 0, &UpdateRequest::parse(request.as_bytes()).unwrap(), now_s).unwrap()
    }

    fn json(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn an_update_answers_with_what_was_asked_for() {
        let first = update(None, r#"{"state":{"desired":{"led":true},"reported":{"led":false}}}"#, 10);
        assert_eq!(
            first.accepted,
            r#"{"metadata":{"desired":{"led":{"timestamp":10}},"reported":{"led":{"timestamp":10}}},"state":{"desired":{"led":true},"reported":{"led":false}},"version":1,"timestamp":10}"#
        );
        assert_eq!(
            first.delta.unwrap(),
            r#"{"version":1,"timestamp":10,"state":{"led":true},"metadata":{"led":{"timestamp":10}}}"#
        );
        assert_eq!(json(&first.documents)["previous"], Value::Null);
        let second =
            update(Some(&first.document), r#"{"state":{"reported":{"led":true}},"clientToken":"t"}"#, 11);
        assert_eq!(
            json(&second.accepted),
            json!({
                "state": {"reported": {"led": true}},
                "metadata": {"reported": {"led": {"timestamp": 11}}},
                "version": 2, "timestamp": 11, "clientToken": "t",
            })
        );
        assert_eq!(second.delta, None);
        assert_eq!(
            json(&second.documents),
            json!({
                "previous": {
                    "state": {"desired": {"led": true}, "reported": {"led": false}},
                    "metadata": {"desired": {"led": {"timestamp": 10}}, "reported": {"led": {"timestamp": 10}}},
                    "version": 1,
                },
                "current": {
                    "state": {"desired": {"led": true}, "reported": {"led": true}},
                    "metadata": {"desired": {"led": {"timestamp": 10}}, "reported": {"led": {"timestamp": 11}}},
                    "version": 2,
                },
                "timestamp": 11, "clientToken": "t",
            })
        );
    }

    #[test]
    fn get_has_the_delta_and_the_time_of_the_answer() {
        let document =
            update(None, r#"{"state":{"desired":{"a":{"b":1,"c":2}},"reported":{"a":{"b":1}}}}"#, 10)
                .document;
        let request = GetRequest { client_token: Some("g".to_owned()) };
        assert_eq!(
            json(&document.get(&request, 99)),
            json!({
                "state": {
                    "desired": {"a": {"b": 1, "c": 2}}, "reported": {"a": {"b": 1}}, "delta": {"a": {"c": 2}},
                },
                "metadata": {
                    "desired": {"a": {"b": {"timestamp": 10}, "c": {"timestamp": 10}}},
                    "reported": {"a": {"b": {"timestamp": 10}}},
                    "delta": {"a": {"c": {"timestamp": 10}}},
                },
                "version": 1, "timestamp": 99, "clientToken": "g",
            })
        );
    }

    /// [AWS, measured] The odd shape is AWS's.
    #[test]
    fn a_null_state_clears_both_sections_and_keeps_the_shadow() {
        let first = update(None, r#"{"state":{"desired":{"a":1},"reported":{"a":1}}}"#, 10).document;
        let cleared = update(Some(&first), r#"{"state":null}"#, 11);
        assert_eq!(
            json(&cleared.accepted),
            json!({"state": null, "metadata": {"timestamp": 11}, "version": 2, "timestamp": 11})
        );
        assert_eq!(
            json(&cleared.document.get(&GetRequest::default(), 12)),
            json!({"state": {}, "metadata": {}, "version": 2, "timestamp": 12})
        );
    }

    #[test]
    fn sections_that_are_empty_are_absent() {
        for request in
            [r#"{"state":{}}"#, r#"{"state":{"desired":{}}}"#, r#"{"state":{"reported":{"a":null}}}"#]
        {
            assert_eq!(update(None, request, 1).document.state(), json!({}), "{request}");
        }
        let document = update(None, r#"{"state":{"desired":{"a":1},"reported":{"b":1}}}"#, 1).document;
        let changed = update(Some(&document), r#"{"state":{"desired":{"a":null},"reported":null}}"#, 2);
        assert_eq!(changed.document.state(), json!({}));
        assert_eq!(json(&changed.accepted)["state"], json!({"desired": {"a": null}, "reported": null}));
    }

    #[test]
    fn another_version_is_a_conflict() {
        let document = update(None, r#"{"state":{},"version":0}"#, 1).document;
        let parse = |text: &str| UpdateRequest::parse(text.as_bytes()).unwrap();
        let stale = parse(r#"{"state":{},"version":0}"#);
        assert_eq!(Document::update(Some(&document), 0, &stale, 1), Err(ShadowError::VersionConflict));
        assert!(Document::update(Some(&document), 0, &parse(r#"{"state":{},"version":1}"#), 1).is_ok());
        let delete = |text: &str| document.delete(&DeleteRequest::parse(text.as_bytes()).unwrap(), 5);
        assert_eq!(delete(r#"{"version":7}"#), Err(ShadowError::VersionConflict));
        assert_eq!(
            delete(r#"{"clientToken":"d"}"#).unwrap().accepted,
            r#"{"version":1,"timestamp":5,"clientToken":"d"}"#
        );
    }

    /// A reader that is off by one in the last place would change them with every start.
    #[test]
    fn numbers_are_kept_to_the_last_digit() {
        let state = r#"{"desired":{"a":1.3333333333333335}}"#;
        let document = update(None, &format!(r#"{{"state":{state}}}"#), 1).document;
        assert_eq!(document.state().to_string(), state);
        assert_eq!(Document::from_stored(&document.to_stored()).unwrap(), document);
    }

    #[test]
    fn versions_go_on_after_a_delete() {
        let request = UpdateRequest::parse(br#"{"state":{}}"#).unwrap();
        assert_eq!(Document::update(None, 9, &request, 1).unwrap().document.version(), 10);
    }

    #[test]
    fn the_state_has_a_limit_that_metadata_does_not_count_for() {
        let request = |length: usize| {
            UpdateRequest::parse(
                format!(r#"{{"state":{{"reported":{{"a":"{}"}}}}}}"#, "x".repeat(length)).as_bytes(),
            )
            .unwrap()
        };
        let around = r#"{"reported":{"a":""}}"#.len();
        assert!(Document::update(None, 0, &request(STATE_BYTES_MAX - around), 1).is_ok());
        assert_eq!(
            Document::update(None, 0, &request(STATE_BYTES_MAX - around + 1), 1),
            Err(ShadowError::TooLarge)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(200)))]

        #[test]
        fn versions_count_and_the_stored_form_is_the_same_shadow(
            values in proptest::collection::vec(("(desired|reported)", "[abc]", -2i64..3), 1..6)
        ) {
            let mut document: Option<Document> = None;
            for (index, (section, name, value)) in values.iter().enumerate() {
                let value = if *value == 2 { "null".to_owned() } else { value.to_string() };
                let request = format!(r#"{{"state":{{"{section}":{{"{name}":{value}}}}}}}"#);
                let updated = update(document.as_ref(), &request, index as i64);
                prop_assert_eq!(updated.document.version(), index as u64 + 1);
                prop_assert_eq!(&Document::from_stored(&updated.document.to_stored()).unwrap(), &updated.document);
                let state = updated.document.get(&GetRequest::default(), 0);
                prop_assert_eq!(json(&state)["state"].get("delta").is_some(), updated.delta.is_some());
                document = Some(updated.document);
            }
        }
    }
}
