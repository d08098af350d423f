//! Files of a disk in memory, as a whole.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use store::disk::{Disk, MemDisk, OpenMode};

/// Every file by its path.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Reads everything under `dir`.
pub fn read_tree(disk: &MemDisk, dir: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    for name in disk.list(dir)? {
        let path = dir.join(name);
        if disk.list(&path).is_ok() {
            files.extend(read_tree(disk, &path)?);
        } else {
            let bytes = disk.open(&path, OpenMode::Read)?.read_all()?;
            files.insert(path, bytes);
        }
    }
    Ok(files)
}

/// A new disk with these files.
pub fn with_files(files: &Files) -> io::Result<MemDisk> {
    let disk = MemDisk::new();
    for (path, bytes) in files {
        write_file(&disk, path, bytes)?;
    }
    Ok(disk)
}

/// Writes a file, which must be new.
pub fn write_file(disk: &MemDisk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    disk.create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
    disk.open(path, OpenMode::CreateNew)?.write_all_at(0, bytes)
}
