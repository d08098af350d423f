//! Directories and files: where data lies by default, and writing files whole.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::failure::Failure;

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

/// Writes a file so that readers find the old one or the whole new one. What is there already and is no regular file is
/// an error: a device, a pipe or a link is somebody's for a reason.
pub(crate) fn write_whole(path: &Path, contents: &[u8], readers: Readers) -> io::Result<()> {
    is_replaceable(path)?;
    let (temporary, mut file) = create_beside(path, readers)?;
    let written =
        file.write_all(contents).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The error to report is the first one.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Whether [`write_whole`] would succeed, as far as that can be found out without writing: the place is free or a
/// regular file's, and a file can be made beside it.
pub(crate) fn can_write(path: &Path) -> io::Result<()> {
    is_replaceable(path)?;
    let (temporary, _) = create_beside(path, Readers::Owner)?;
    fs::remove_file(temporary)
}

/// Says that a file cannot be written, and what to do about it; `elsewhere` is how to name another place.
pub(crate) fn cannot_write(path: &Path, error: &io::Error, elsewhere: &str) -> Failure {
    let failure = Failure::new(format!("cannot write `{}`", path.display())).because(error);
    match error.kind() {
        io::ErrorKind::NotFound => {
            let dir = path.parent().unwrap_or(Path::new("."));
            failure.advice(format!("make the directory first: mkdir -p {}", dir.display()))
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            failure.advice("make room on that disk: df -h shows what is left").advice(elsewhere)
        }
        _ => failure.advice(elsewhere),
    }
}

fn is_replaceable(path: &Path) -> io::Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else {
        "a device, a pipe or a socket"
    };
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("it is {what}, and only a regular file is replaced"),
    ))
}

/// A new file in the same directory, to be renamed.
fn create_beside(path: &Path, readers: Readers) -> io::Result<(PathBuf, File)> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file's name"));
    };
    let mut name = name.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = path.with_file_name(name);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mode = if readers == Readers::Owner { PRIVATE_MODE } else { PUBLIC_MODE };
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    Ok((temporary, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_is_replaced() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (target, link, inner) =
            (dir.path().join("target"), dir.path().join("link"), dir.path().join("inner"));
        fs::write(&target, "kept").expect("written");
        std::os::unix::fs::symlink(&target, &link).expect("linked");
        fs::create_dir(&inner).expect("made");
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
        for (path, what) in [(link.as_path(), "symbolic link"), (&inner, "directory"), (&socket, "socket")] {
            for refused in [can_write(path), write_whole(path, b"new", Readers::All)] {
                let error = refused.expect_err("no regular file").to_string();
                assert!(error.contains(what), "{error}");
            }
        }
        assert_eq!(fs::read(&target).expect("there"), b"kept");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert!(can_write(&dir.path().join("none/file")).is_err() && can_write(Path::new("..")).is_err());
        assert!(can_write(&target).is_ok() && can_write(&dir.path().join("free")).is_ok());
        assert_eq!(fs::read_dir(dir.path()).expect("there").count(), 4, "no left-overs");
    }

    #[test]
    fn what_cannot_be_written_comes_with_a_next_step() {
        let told = |kind: io::ErrorKind| {
            cannot_write(Path::new("a/b"), &kind.into(), "name another with --out").to_string()
        };
        assert!(told(io::ErrorKind::NotFound).contains("try: make the directory first: mkdir -p a"));
        assert!(told(io::ErrorKind::StorageFull).contains("try: make room"));
        assert!(told(io::ErrorKind::PermissionDenied).contains("try: name another with --out"));
    }

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
