//! Files in memory, for servers that keep nothing (`--in-memory`).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::{DirHandle, Disk, DiskFile, DiskLock, OpenMode};

/// Files that live as long as the value: every operation works, a sync does nothing.
#[derive(Debug, Clone, Default)]
pub struct MemDisk(Arc<Mutex<Tree>>);

#[derive(Debug)]
struct MemDir;

impl DirHandle for MemDir {
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Tree {
    directories: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, Arc<MemFile>>,
}

impl MemDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    fn tree(&self) -> std::sync::MutexGuard<'_, Tree> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for MemDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.tree().directories.extend(dir.ancestors().map(Path::to_path_buf));
        Ok(())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut tree = self.tree();
        match (tree.files.get(path), mode) {
            (Some(_), OpenMode::CreateNew) => Err(io::ErrorKind::AlreadyExists.into()),
            (Some(file), _) => Ok(file.clone()),
            (None, OpenMode::CreateNew) => {
                let file = Arc::new(MemFile::default());
                tree.files.insert(path.to_path_buf(), file.clone());
                Ok(file)
            }
            (None, _) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let tree = self.tree();
        if !tree.directories.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut names: Vec<String> = tree
            .files
            .keys()
            .chain(&tree.directories)
            .filter(|path| path.parent() == Some(dir))
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = self.tree();
        let file = tree.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        tree.files.insert(to.to_path_buf(), file);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.tree().files.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut tree = self.tree();
        tree.files.retain(|path, _| !path.starts_with(dir));
        tree.directories.retain(|path| !path.starts_with(dir));
        Ok(())
    }

    fn open_dir(&self, _dir: &Path) -> io::Result<Arc<dyn DirHandle>> {
        Ok(Arc::new(MemDir))
    }

    fn exists(&self, path: &Path) -> bool {
        let tree = self.tree();
        tree.files.contains_key(path) || tree.directories.contains(path)
    }

    fn lock(&self, _path: &Path) -> io::Result<DiskLock> {
        Ok(DiskLock(None))
    }
}

#[derive(Debug, Default)]
struct MemFile(RwLock<Vec<u8>>);

impl DiskFile for MemFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok(super::memory::copy_out(&bytes, offset, buffer))
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        copy_in(&mut self.0.write().unwrap_or_else(PoisonError::into_inner), offset, bytes);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).len() as u64)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        let size = usize::try_from(size).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.0.write().unwrap_or_else(PoisonError::into_inner).resize(size, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads from a file's content at an offset.
pub(super) fn copy_out(content: &[u8], offset: u64, buffer: &mut [u8]) -> usize {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
    let count = buffer.len().min(content.len() - start);
    buffer[..count].copy_from_slice(&content[start..start + count]);
    count
}

/// Writes into a file's content at an offset; a gap reads as zeroes.
pub(super) fn copy_in(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let start = usize::try_from(offset).expect("files in memory are smaller than the address space");
    let end = start + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[start..end].copy_from_slice(bytes);
}
