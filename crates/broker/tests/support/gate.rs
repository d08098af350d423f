//! A disk whose syncs wait for the test, so that it can look at what happens before a message is durable.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use store::StoreOptions;
use store::disk::{DirHandle, Disk, DiskFile, DiskLock, MemDisk, OpenMode};

/// The gate that syncs of the journal pass.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    closed: Mutex<bool>,
    changed: Condvar,
    disk: MemDisk,
}

impl Gate {
    pub(crate) fn open() -> Self {
        Self(Arc::new(Inner { closed: Mutex::new(false), changed: Condvar::new(), disk: MemDisk::new() }))
    }

    pub(crate) fn set_closed(&self, closed: bool) {
        *self.0.closed.lock().expect("no panics in here") = closed;
        self.0.changed.notify_all();
    }

    pub(crate) fn store(&self) -> StoreOptions {
        StoreOptions::simulated(Arc::new(self.clone()))
    }

    fn pass(&self) {
        let closed = self.0.closed.lock().expect("no panics in here");
        drop(self.0.changed.wait_while(closed, |closed| *closed).expect("no panics in here"));
    }
}

#[derive(Debug)]
struct GatedFile(Arc<dyn DiskFile>, Gate);

impl DiskFile for GatedFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buffer)
    }
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(offset, bytes)
    }
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
    fn set_size(&self, size: u64) -> io::Result<()> {
        self.0.set_size(size)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.1.pass();
        self.0.sync_data()
    }
}

impl Disk for Gate {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.disk.create_dir_all(dir)
    }
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(GatedFile(self.0.disk.open(path, mode)?, self.clone())))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.disk.list(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.disk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.disk.remove_file(path)
    }
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.disk.remove_dir_all(dir)
    }
    fn open_dir(&self, dir: &Path) -> io::Result<Arc<dyn DirHandle>> {
        self.0.disk.open_dir(dir)
    }
    fn exists(&self, path: &Path) -> bool {
        self.0.disk.exists(path)
    }
    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        self.0.disk.lock(path)
    }
}
