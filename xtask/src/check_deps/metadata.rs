//! The part of `cargo metadata` that the rules read.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::shell::{self, Failure, Outcome};

/// All packages of the workspace.
#[derive(Deserialize)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
}

/// One of our packages.
#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A line of its dependency tables.
#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev`, `build`, or none for an ordinary one.
    pub(crate) kind: Option<String>,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn read() -> Outcome<Self> {
        let text = shell::output(&mut shell::cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
        serde_json::from_str(&text)
            .map_err(|error| Failure::new(format!("cannot read `cargo metadata`: {error}")))
    }

    /// The product's crates: all but xtask, which no layer holds.
    pub(crate) fn crates(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.name != "xtask")
    }
}

impl Package {
    /// The crate's folder.
    pub(crate) fn directory(&self) -> &Path {
        self.manifest_path.parent().expect("a manifest lies in a folder")
    }
}

impl Dependency {
    /// Whether only tests see it.
    pub(crate) fn is_dev(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}
