//! The directory of a running server.

use std::path::Path;

use crate::config::Settings;
use crate::directory::{self, TemporaryDir};
use crate::failure::{Context as _, Failure, Outcome};

/// A data directory: the one that was named, or with `--in-memory` a temporary one for the CA.
#[derive(Debug)]
pub(crate) enum Home {
    /// It stays.
    Kept(std::path::PathBuf),
    /// It goes with us.
    Temporary(TemporaryDir),
}

impl Home {
    /// Creates it if it is not there, readable by its owner alone.
    pub(super) fn open(settings: &Settings) -> Outcome<Self> {
        let Some(dir) = &settings.data_dir else {
            // Devices need our CA as a file even when nothing else is kept.
            return TemporaryDir::create("eyot")
                .map(Self::Temporary)
                .context(|| "cannot make a temporary directory".to_owned());
        };
        directory::create_private(dir).map_err(|error| {
            Failure::new(format!("cannot create the data directory `{}`", dir.display()))
                .because(&error)
                .advice("name another one with --data-dir DIR")
        })?;
        // Absolute: the ready file's paths must hold in every directory.
        let dir =
            dir.canonicalize().context(|| format!("cannot use the data directory `{}`", dir.display()))?;
        if directory::is_open_to_others(&dir).unwrap_or(false) {
            tracing::warn!(target: "eyot", dir = %dir.display(),
                "other users may look into the data directory; the CA's keys in it are protected, the logs are not: chmod 700");
        }
        Ok(Self::Kept(dir))
    }

    /// Where it is.
    pub(super) fn dir(&self) -> &Path {
        match self {
            Self::Kept(dir) => dir,
            Self::Temporary(dir) => dir.path(),
        }
    }
}
