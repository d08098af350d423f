//! `cargo xtask check-deps`: the layers and invariants of ARCHITECTURE.md, from `cargo metadata` and the sources.
//!
//! Every rule is a function from what was read to the list of its breaches, so that one run shows all of them.

mod metadata;
mod sources;

use crate::shell::{Failure, Outcome};
use metadata::Workspace;

/// Where a crate stands. Nothing points up: a crate depends on its own layer and those below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    /// No socket, disk, clock or randomness.
    Pure,
    /// Keeps things: the store and what lives in it.
    State,
    /// Talks to the outside; the only crates with an event loop or an async runtime.
    Edge,
    /// The binary.
    Binary,
}

/// Which crate stands where. A new crate must be named here.
const LAYERS: [(&str, Layer); 19] = [
    ("mqtt-wire", Layer::Pure),
    ("device-core", Layer::Pure),
    ("mqtt-session", Layer::Pure),
    ("iot-policy", Layer::Pure),
    ("iot-shadow", Layer::Pure),
    ("iot-sql", Layer::Pure),
    ("pico-image", Layer::Pure),
    ("store", Layer::State),
    ("pki", Layer::State),
    ("registry", Layer::State),
    ("services", Layer::State),
    ("logs", Layer::State),
    ("broker", Layer::Edge),
    ("rules", Layer::Edge),
    ("aws-model", Layer::Edge),
    ("aws-api", Layer::Edge),
    ("console", Layer::Edge),
    ("eyot", Layer::Binary),
    ("bench", Layer::Binary),
];

/// Crates whose presence means sockets and event loops: for edges and the binary only.
const RUNTIMES: [&str; 6] = ["tokio", "axum", "hyper", "mio", "async-std", "smol"];

/// Crates shared with the firmware: they must build without std.
const NO_STD: [&str; 2] = ["mqtt-wire", "device-core"];

fn layer(name: &str) -> Option<Layer> {
    LAYERS.iter().find(|(known, _)| *known == name).map(|(_, layer)| *layer)
}

/// Checks everything and names every breach.
pub(crate) fn run() -> Outcome {
    let workspace = Workspace::read()?;
    let mut breaches = Vec::new();
    breaches.extend(every_crate_has_a_layer(&workspace));
    breaches.extend(nothing_points_up(&workspace));
    breaches.extend(runtimes_only_at_the_edge(&workspace));
    breaches.extend(sources::check(&workspace)?);
    if breaches.is_empty() {
        println!("check-deps: {} crates keep their layers", workspace.packages.len());
        return Ok(());
    }
    for breach in &breaches {
        eprintln!("check-deps: {breach}");
    }
    Err(Failure::new(format!("{} breaches of ARCHITECTURE.md", breaches.len())))
}

fn every_crate_has_a_layer(workspace: &Workspace) -> Vec<String> {
    let unknown = workspace.crates().filter(|package| layer(&package.name).is_none());
    unknown.map(|package| format!("`{}` has no layer; name it in check_deps.rs", package.name)).collect()
}

fn nothing_points_up(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    for package in workspace.crates() {
        for dependency in &package.dependencies {
            let (Some(from), Some(to)) = (layer(&package.name), layer(&dependency.name)) else { continue };
            if to > from {
                breaches
                    .push(format!("`{}` ({from:?}) depends on `{}` ({to:?})", package.name, dependency.name));
            }
        }
    }
    breaches
}

fn runtimes_only_at_the_edge(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    for package in workspace.crates().filter(|package| layer(&package.name) < Some(Layer::Edge)) {
        for dependency in package.dependencies.iter().filter(|dependency| !dependency.is_dev()) {
            if RUNTIMES.contains(&dependency.name.as_str()) {
                breaches.push(format!(
                    "`{}` is no edge crate but depends on `{}`",
                    package.name, dependency.name
                ));
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;
    use metadata::{Dependency, Package};

    fn workspace(name: &str, dependency: &str) -> Workspace {
        let dependency = Dependency { name: dependency.to_owned(), kind: None };
        let package = Package {
            name: name.to_owned(),
            manifest_path: "/crates/x/Cargo.toml".into(),
            dependencies: vec![dependency],
        };
        Workspace { packages: vec![package] }
    }

    #[test]
    fn a_state_crate_may_use_pure_ones_only_and_its_own() {
        assert_eq!(nothing_points_up(&workspace("store", "mqtt-wire")), Vec::<String>::new());
        assert_eq!(nothing_points_up(&workspace("registry", "store")), Vec::<String>::new());
        assert_eq!(
            nothing_points_up(&workspace("store", "broker")),
            ["`store` (State) depends on `broker` (Edge)"]
        );
        assert_eq!(
            nothing_points_up(&workspace("iot-sql", "store")),
            ["`iot-sql` (Pure) depends on `store` (State)"]
        );
    }

    #[test]
    fn only_edges_have_a_runtime() {
        assert_eq!(runtimes_only_at_the_edge(&workspace("broker", "mio")), Vec::<String>::new());
        assert_eq!(runtimes_only_at_the_edge(&workspace("eyot", "tokio")), Vec::<String>::new());
        assert_eq!(
            runtimes_only_at_the_edge(&workspace("logs", "tokio")),
            ["`logs` is no edge crate but depends on `tokio`"]
        );
    }

    #[test]
    fn a_new_crate_must_be_placed() {
        assert_eq!(every_crate_has_a_layer(&workspace("surprise", "std")).len(), 1);
    }
}
