//! The file operations that durability rests on, as a seam.
//!
//! [`RealDisk`] is `std::fs`, [`MemDisk`] keeps everything in memory for `--in-memory`, and `SimDisk` (feature
//! `sim`) forgets what was not synced when its power is cut. All three promise the same two things and no more:
//! bytes survive once [`DiskFile::sync_data`] returned, and a name survives (or stays away) once
//! [`Disk::sync_dir`] of its directory returned.

mod memory;
mod real;
#[cfg(any(test, feature = "sim"))]
pub mod sim;

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use memory::MemDisk;
pub use real::RealDisk;

/// How [`Disk::open`] opens a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading only.
    Read,
    /// An existing file, for reading and writing.
    Write,
    /// A new file, for reading and writing; an existing one is an error.
    CreateNew,
}

/// A directory tree on something that keeps bytes.
pub trait Disk: Send + Sync + Debug {
    /// Creates a directory and its parents, durably.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Opens a file. A created one survives a power cut only after [`Disk::sync_dir`].
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// The names in a directory, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Renames a file, replacing the target. Durable after [`Disk::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file's name; open handles stay readable. Durable after [`Disk::sync_dir`].
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and everything in it. Durable after [`Disk::sync_dir`] of the parent.
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Opens a directory for syncing: who opens it before changing names in it cannot be short of a file descriptor
    /// behind the change.
    fn open_dir(&self, dir: &Path) -> io::Result<Arc<dyn DirHandle>>;
    /// Makes creations, renames and removals in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.open_dir(dir)?.sync()
    }
    /// Whether a file or directory of this name is there.
    fn exists(&self, path: &Path) -> bool;
    /// Takes the exclusive lock of a data directory; it ends when the returned value is dropped.
    ///
    /// # Errors
    /// `WouldBlock` with the holder's name when somebody else has it.
    fn lock(&self, path: &Path) -> io::Result<DiskLock>;
}

/// An open directory.
pub trait DirHandle: Send + Sync + Debug {
    /// Makes creations, renames and removals in it durable.
    fn sync(&self) -> io::Result<()>;
}

/// One open file. Reads and writes name their offset, so readers never disturb the writer.
pub trait DiskFile: Send + Sync + Debug {
    /// Reads up to `buffer.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes all bytes; after an error any part of them may be in the file.
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// The file's length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Cuts or extends the file. Durable after [`DiskFile::sync_data`].
    fn set_size(&self, size: u64) -> io::Result<()>;
    /// Makes everything written so far durable (`fdatasync`). After an error nothing is known about it, for ever.
    fn sync_data(&self) -> io::Result<()>;

    /// Reads exactly `buffer.len()` bytes.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if self.read_at(offset, buffer)? == buffer.len() {
            Ok(())
        } else {
            Err(io::Error::from(io::ErrorKind::UnexpectedEof))
        }
    }

    /// Reads the whole file.
    fn read_all(&self) -> io::Result<Vec<u8>> {
        let size = usize::try_from(self.size()?).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let mut bytes = vec![0; size];
        let read = self.read_at(0, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

/// Holds a data directory's lock while it lives.
#[derive(Debug)]
pub struct DiskLock(
    #[expect(dead_code, reason = "held for its drop, which releases the lock")] Option<std::fs::File>,
);

/// Whether an error says that something is lacking which may come back: room on the disk, or file descriptors.
pub fn is_shortage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        || matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}

/// "Too many open files" of the process, and of the system: the same numbers on Linux, macOS and the BSDs, and
/// without a name in `std`.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

/// Replaces a small file as a whole: a reader finds the old or the new content, also after a power cut.
pub fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new(""));
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".tmp");
    let temporary = directory.join(name);
    if disk.exists(&temporary) {
        disk.remove_file(&temporary)?;
    }
    let file = disk.open(&temporary, OpenMode::CreateNew)?;
    if let Err(error) = file.write_all_at(0, bytes) {
        disk.remove_file(&temporary)?;
        return Err(error);
    }
    file.sync_data()?;
    disk.rename(&temporary, path)?;
    disk.sync_dir(directory)
}

/// Makes the content that was read from a file durable, whatever became of earlier syncs, and cuts what is behind it.
///
/// After a failed sync the cache may show bytes that the disk never got, and another sync would succeed without
/// writing them: a process that starts after such a failure must not trust what it reads. So the content is written
/// anew, to another file that takes the name. On a full disk a sync of the file itself has to do.
pub fn settle_file(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    match replace_file(disk, path, content) {
        Err(error) if is_shortage(&error) => {
            let file = disk.open(path, OpenMode::Write)?;
            file.set_size(content.len() as u64)?;
            file.sync_data()?;
            disk.sync_dir(path.parent().unwrap_or(Path::new("")))
        }
        result => result,
    }
}
