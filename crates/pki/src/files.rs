//! Files of `ca/`: written whole or not at all, readable by their owner alone.

use crate::PkiError;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Directories with keys: only their owner may look.
const DIR_MODE: u32 = 0o700;
/// Private keys.
pub(crate) const KEY_MODE: u32 = 0o600;
/// Certificates are public, but the directory around them is not.
pub(crate) const CERTIFICATE_MODE: u32 = 0o644;

/// Writes a file so that after a crash it is either the old or the new one.
pub(crate) fn write(path: &Path, contents: &[u8], mode: u32) -> Result<(), PkiError> {
    let at = |source| PkiError::Io { path: path.to_owned(), source };
    let temporary = path.with_extension("new");
    // A left-over of a crash may have other permissions.
    remove_if_there(&temporary).map_err(at)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary).map_err(at)?;
    file.write_all(contents).and_then(|()| file.sync_all()).map_err(at)?;
    fs::rename(&temporary, path).map_err(at)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// The file's text; `None` when there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<String>, PkiError> {
    match fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| PkiError::Damaged { path: path.to_owned(), why: "it is not PEM text".to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PkiError::Io { path: path.to_owned(), source }),
    }
}

/// Whether the directory is missing or has nothing in it.
pub(crate) fn is_empty_dir(dir: &Path) -> Result<bool, PkiError> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(PkiError::Io { path: dir.to_owned(), source }),
    }
}

/// Creates a directory with these files in one step: a crash leaves all of them or none.
pub(crate) fn create_dir_with(dir: &Path, files: &[(&str, &str, u32)]) -> Result<(), PkiError> {
    let at = |source| PkiError::Io { path: dir.to_owned(), source };
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = dir.with_file_name(name);
    match fs::remove_dir_all(&temporary) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(at(source)),
    }
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(&temporary).map_err(at)?;
    for (name, text, mode) in files {
        write(&temporary.join(name), text.as_bytes(), *mode)?;
    }
    // rename(2) replaces a directory only when it is empty.
    fs::rename(&temporary, dir).map_err(at)?;
    dir.parent().map_or(Ok(()), sync_dir)
}

/// Takes away what others were allowed, should somebody have loosened it.
pub(crate) fn restrict(path: &Path) -> Result<(), PkiError> {
    let at = |source| PkiError::Io { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(at)?;
    let wanted = if metadata.is_dir() { DIR_MODE } else { KEY_MODE };
    if metadata.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(wanted)).map_err(at)?;
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_dir(dir: &Path) -> Result<(), PkiError> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir)
        .and_then(|file| file.sync_all())
        .map_err(|source| PkiError::Io { path: dir.to_owned(), source })
}
