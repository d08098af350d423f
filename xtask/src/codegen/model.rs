//! A service as botocore describes it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use crate::shell::{self, Failure, Outcome};

/// What is read of a `service-2.json`.
#[derive(Deserialize)]
pub(crate) struct Model {
    pub(crate) operations: BTreeMap<String, Operation>,
    pub(crate) shapes: BTreeMap<String, Shape>,
}

#[derive(Deserialize)]
pub(crate) struct Operation {
    pub(crate) http: Http,
    pub(crate) input: Option<Reference>,
    pub(crate) output: Option<Reference>,
    #[serde(default)]
    pub(crate) errors: Vec<Reference>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Http {
    pub(crate) method: String,
    pub(crate) request_uri: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reference {
    pub(crate) shape: String,
    pub(crate) location: Option<String>,
    pub(crate) location_name: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Shape {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) members: BTreeMap<String, Reference>,
    #[serde(default)]
    pub(crate) required: Vec<String>,
    pub(crate) payload: Option<String>,
    pub(crate) member: Option<Reference>,
    pub(crate) key: Option<Reference>,
    pub(crate) value: Option<Reference>,
    pub(crate) min: Option<serde_json::Number>,
    pub(crate) max: Option<serde_json::Number>,
    pub(crate) pattern: Option<String>,
    #[serde(default, rename = "enum")]
    pub(crate) values: Vec<String>,
    #[serde(default)]
    pub(crate) sensitive: bool,
    #[serde(default)]
    pub(crate) exception: bool,
    #[serde(default)]
    pub(crate) fault: bool,
    pub(crate) error: Option<Error>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Error {
    pub(crate) code: Option<String>,
    pub(crate) http_status_code: Option<u16>,
}

impl Model {
    pub(crate) fn read(path: &Path) -> Outcome<Self> {
        let text = shell::output(Command::new("gzip").arg("-dc").arg(path))?;
        serde_json::from_str(&text)
            .map_err(|error| Failure::new(format!("cannot read `{}`: {error}", path.display())))
    }

    pub(crate) fn shape(&self, name: &str) -> Outcome<&Shape> {
        self.shapes.get(name).ok_or_else(|| Failure::new(format!("the model has no shape `{name}`")))
    }

    /// Adds `name` and every shape below it.
    pub(crate) fn reach(&self, name: &str, reached: &mut BTreeSet<String>) -> Outcome {
        if !reached.insert(name.to_owned()) {
            return Ok(());
        }
        let shape = self.shape(name)?;
        let below = shape.members.values().chain(&shape.member).chain(&shape.key).chain(&shape.value);
        below.map(|reference| reference.shape.as_str()).try_for_each(|below| self.reach(below, reached))
    }
}
