//! Directories and files: where data lies by default, and writing files whole.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Only the owner may read: keys, and everything beside them.
const PRIVATE_MODE: u32 = 0o600;
/// Everybody may read.
const PUBLIC_MODE: u32 = 0o644;
/// Between two tries to lock a directory.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// The platform's data directory + `/eyot`: `$XDG_DATA_HOME/eyot`, else `~/.local/share/eyot`, on macOS
/// `~/Library/Application Support/eyot`.
pub(crate) fn default_data_dir() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = if cfg!(target_os = "macos") {
        absolute("HOME")?.join("Library/Application Support")
    } else {
        absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")))?
    };
    Some(base.join("eyot"))
}

/// Creates a directory with its parents, readable by its owner alone. An existing one stays as it is.
pub(crate) fn create_private(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Locks a directory against other eyots until the answer is dropped or the process ends, however it ends. Nothing when
/// another one has it for longer than `patience`.
pub(crate) fn lock(dir: &Path, patience: Duration) -> io::Result<Option<File>> {
    let dir = File::open(dir)?;
    let since = Instant::now();
    loop {
        match dir.try_lock() {
            Ok(()) => return Ok(Some(dir)),
            Err(TryLockError::WouldBlock) if since.elapsed() < patience => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Whether others than the owner may look into the directory.
pub(crate) fn is_open_to_others(dir: &Path) -> io::Result<bool> {
    Ok(fs::metadata(dir)?.permissions().mode() & 0o077 != 0)
}

/// A directory that ends with this value.
#[derive(Debug)]
pub(crate) struct TemporaryDir {
    path: PathBuf,
}

impl TemporaryDir {
    /// A new one among the system's temporary ones, readable by its owner alone.
    pub(crate) fn create(prefix: &str) -> io::Result<Self> {
        let mut random = [0; 8];
        aws_lc_rs::rand::fill(&mut random)
            .map_err(|_| io::Error::other("the system gives no random numbers"))?;
        let path = std::env::temp_dir().join(format!("{prefix}-{:016x}", u64::from_le_bytes(random)));
        // Not recursive: an existing one, perhaps somebody else's, is an error.
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a temporary directory stays behind");
        }
    }
}

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Only its owner, whatever the umask.
    Owner,
    /// Everybody whom the umask does not exclude.
    All,
}

/// Writes a file so that readers find the old one or the whole new one.
pub(crate) fn write_whole(path: &Path, contents: &[u8], readers: Readers) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = path.with_file_name(name);
    let mode = if readers == Readers::Owner { PRIVATE_MODE } else { PUBLIC_MODE };
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    let written =
        file.write_all(contents).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The error to report is the first one.
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_a_directory() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let first = lock(dir.path(), Duration::ZERO).expect("lockable");
        assert!(first.is_some());
        assert!(lock(dir.path(), Duration::ZERO).expect("lockable").is_none());
        drop(first);
        assert!(lock(dir.path(), Duration::ZERO).expect("lockable").is_some());
        assert_eq!(fs::read_dir(dir.path()).expect("there").count(), 0, "nothing is left");
    }

    #[test]
    fn a_file_is_replaced_whole_and_a_key_is_its_owners() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("private.pem.key");
        write_whole(&path, b"old", Readers::All).expect("written");
        write_whole(&path, b"new", Readers::Owner).expect("replaced");
        assert_eq!(fs::read(&path).expect("there"), b"new");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).expect("there").count(), 1, "no left-overs");
    }
}
