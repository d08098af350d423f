//! A disk for tests that forgets what was not synced, tears writes, fills up and fails, decided by a seed.
//!
//! What it promises is exactly what [`Disk`](super::Disk) promises. A power cut goes in two steps, so that no thread
//! of the old process can touch the new one's disk: [`SimDisk::power_off`] (or [`SimDisk::power_off_after`]) makes
//! every operation fail; the test stops the old process; [`SimDisk::power_on`] decides by its seed what had reached
//! the platters. Each unsynced write is then there as a whole, in part, with garbage behind the part, or not at all,
//! whatever the order; each unsynced creation, rename and removal of a name happened or did not.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::memory::{copy_in, copy_out};
use super::{DirHandle, Disk, DiskFile, DiskLock, OpenMode};

/// The simulated disk. Clones share it.
#[derive(Debug, Clone)]
pub struct SimDisk(Arc<Mutex<World>>);

#[derive(Debug)]
struct World {
    random: Random,
    powered: bool,
    /// Operations that change something until the power goes off.
    operations_left: Option<u64>,
    /// Rises with every power cut: handles of an older one are dead.
    epoch: u64,
    directories: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changes of names since the last sync of their directory, oldest first.
    name_changes: Vec<NameChange>,
    files: Vec<SimFile>,
    bytes_budget: Option<u64>,
    lacks_descriptors: bool,
    writes_left: Option<u64>,
    syncs_left: Option<u64>,
    syncs: u64,
}

#[derive(Debug, Clone)]
enum NameChange {
    Create(PathBuf, usize),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

#[derive(Debug, Default)]
struct SimFile {
    content: Vec<u8>,
    durable: Vec<u8>,
    /// Changes since the last sync, oldest first.
    changes: Vec<FileChange>,
}

#[derive(Debug, Clone)]
enum FileChange {
    Write(u64, Vec<u8>),
    SetSize(usize),
}

/// A small generator (SplitMix64): seeds must give the same run on every machine and version.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator whose numbers the seed decides.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound.max(1)
    }

    /// True `percent` times out of a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

impl SimDisk {
    /// An empty disk whose faults the seed decides.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(World {
            random: Random::new(seed),
            powered: true,
            operations_left: None,
            epoch: 0,
            directories: BTreeSet::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            files: Vec::new(),
            bytes_budget: None,
            lacks_descriptors: false,
            writes_left: None,
            syncs_left: None,
            syncs: 0,
        })))
    }

    /// From now on every operation fails, as for a machine without power.
    pub fn power_off(&self) {
        self.world().powered = false;
    }

    /// The power goes off when `operations` more writes, syncs or changes of names have been done.
    pub fn power_off_after(&self, operations: u64) {
        self.world().operations_left = Some(operations);
    }

    /// Whether operations work.
    pub fn is_powered(&self) -> bool {
        self.world().powered
    }

    /// Decides what survived the power cut, forgets all planned faults, and works again.
    pub fn power_on(&self, seed: u64) {
        let mut world = self.world();
        world.random = Random::new(seed);
        world.settle_names();
        world.settle_files();
        world.start();
    }

    /// Works again after [`power_off`](SimDisk::power_off) as if only the process had been killed: what it wrote is
    /// in the cache, readable and still not durable. Planned faults are forgotten.
    pub fn restart(&self) {
        self.world().start();
    }

    /// The disk is full when files reach so many bytes in all; `None`: never.
    pub fn limit_bytes(&self, bytes: Option<u64>) {
        self.world().bytes_budget = bytes;
    }

    /// From now on no file can be opened, or it can again: too many are open.
    pub fn lack_descriptors(&self, lack: bool) {
        self.world().lacks_descriptors = lack;
    }

    /// Bytes of all files that have a name.
    pub fn used_bytes(&self) -> u64 {
        self.world().used_bytes()
    }

    /// The write after `writes` more fails with EIO, in part done.
    pub fn fail_write_after(&self, writes: u64) {
        self.world().writes_left = Some(writes);
    }

    /// The `sync_data` after `syncs` more fails with EIO. As on Linux, what was unsynced may be lost, still reads as
    /// if it were there, and the next sync succeeds without it.
    pub fn fail_sync_after(&self, syncs: u64) {
        self.world().syncs_left = Some(syncs);
    }

    /// How many times `sync_data` succeeded.
    pub fn syncs(&self) -> u64 {
        self.world().syncs
    }

    /// Flips one bit of a file, on disk and in the cache: decay that no sync prevents.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) {
        let mut world = self.world();
        let file = world.names.get(path).copied();
        if let Some(file) = file.map(|number| &mut world.files[number]) {
            for content in [&mut file.content, &mut file.durable] {
                if let Some(byte) = usize::try_from(offset).ok().and_then(|offset| content.get_mut(offset)) {
                    *byte ^= 1 << (bit % 8);
                }
            }
        }
    }

    /// Paths of all files, sorted.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.world().names.keys().cloned().collect()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    fn start(&mut self) {
        self.powered = true;
        self.operations_left = None;
        self.bytes_budget = None;
        self.lacks_descriptors = false;
        self.writes_left = None;
        self.syncs_left = None;
        self.epoch += 1;
    }

    fn check_power(&self) -> io::Result<()> {
        if self.powered { Ok(()) } else { Err(io::Error::other("the power is off")) }
    }

    /// Counts an operation that changes something.
    fn change(&mut self) -> io::Result<()> {
        self.check_power()?;
        match &mut self.operations_left {
            Some(0) => {
                self.powered = false;
                self.check_power()
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn used_bytes(&self) -> u64 {
        self.names.values().map(|&file| self.files[file].content.len() as u64).sum()
    }

    fn write(&mut self, file: usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change()?;
        let end = offset + bytes.len() as u64;
        let growth = end.saturating_sub(self.files[file].content.len() as u64);
        let room = self.bytes_budget.map_or(u64::MAX, |budget| budget.saturating_sub(self.used_bytes()));
        let planned = countdown(&mut self.writes_left);
        let (written, result) = if growth > room {
            let overflow = usize::try_from(growth - room).unwrap_or(usize::MAX);
            (bytes.len().saturating_sub(overflow), Err(io::ErrorKind::StorageFull.into()))
        } else if planned {
            let part = self.random.below(bytes.len() as u64 + 1);
            (usize::try_from(part).unwrap_or(0), Err(eio()))
        } else {
            (bytes.len(), Ok(()))
        };
        let file = &mut self.files[file];
        if written > 0 {
            copy_in(&mut file.content, offset, &bytes[..written]);
            file.changes.push(FileChange::Write(offset, bytes[..written].to_vec()));
        }
        result
    }

    fn sync(&mut self, file: usize) -> io::Result<()> {
        self.change()?;
        if countdown(&mut self.syncs_left) {
            let changes = std::mem::take(&mut self.files[file].changes);
            for change in changes {
                if self.random.chance(50) {
                    self.files[file].apply(&change);
                }
            }
            return Err(eio());
        }
        self.syncs += 1;
        let file = &mut self.files[file];
        // Not `durable = content`: after a failed sync the cache shows what the disk never got.
        for change in std::mem::take(&mut file.changes) {
            file.apply(&change);
        }
        Ok(())
    }

    fn settle_names(&mut self) {
        // A cut that keeps most, few or all changes finds more than one that flips a coin each time.
        let percent = [0, 50, 90, 100][usize::try_from(self.random.below(4)).unwrap_or(0)];
        for change in std::mem::take(&mut self.name_changes) {
            if self.random.chance(percent) {
                change.apply(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
    }

    fn settle_files(&mut self) {
        for file in &mut self.files {
            let percent = [0, 30, 70, 100][usize::try_from(self.random.below(4)).unwrap_or(0)];
            for change in std::mem::take(&mut file.changes) {
                match change {
                    FileChange::Write(offset, bytes) if self.random.chance(25) => {
                        let kept = usize::try_from(self.random.below(bytes.len() as u64)).unwrap_or(0);
                        let mut torn = bytes[..kept].to_vec();
                        if self.random.chance(30) {
                            // The sector that was being written.
                            let garbage = (512 - kept % 512).min(bytes.len() - kept);
                            torn.extend((0..garbage).map(|_| self.random.next_u64() as u8));
                        }
                        file.apply(&FileChange::Write(offset, torn));
                    }
                    change if self.random.chance(percent) => file.apply(&change),
                    _ => {}
                }
            }
            file.content = file.durable.clone();
        }
    }
}

impl SimFile {
    /// A change reaches the disk.
    fn apply(&mut self, change: &FileChange) {
        match change {
            FileChange::Write(offset, bytes) => copy_in(&mut self.durable, *offset, bytes),
            FileChange::SetSize(size) => self.durable.resize(*size, 0),
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Create(path, file) => {
                names.insert(path.clone(), *file);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }

    fn directory(&self) -> Option<&Path> {
        match self {
            Self::Create(path, _) | Self::Remove(path) | Self::Rename(path, _) => path.parent(),
        }
    }
}

/// Counts a planned fault down and says whether it is due.
fn countdown(left: &mut Option<u64>) -> bool {
    match left {
        Some(0) => {
            *left = None;
            true
        }
        Some(more) => {
            *more -= 1;
            false
        }
        None => false,
    }
}

/// `EIO` of Linux.
fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl Disk for SimDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        world.directories.extend(dir.ancestors().map(Path::to_path_buf));
        Ok(())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.world();
        world.check_power()?;
        if world.lacks_descriptors {
            return Err(io::Error::from_raw_os_error(super::EMFILE));
        }
        let file = match (world.names.get(path).copied(), mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(file), _) => file,
            (None, OpenMode::CreateNew) => {
                world.change()?;
                let file = world.files.len();
                world.files.push(SimFile::default());
                world.names.insert(path.to_path_buf(), file);
                world.name_changes.push(NameChange::Create(path.to_path_buf(), file));
                file
            }
            (None, _) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Arc::new(SimHandle { disk: self.clone(), file, epoch: world.epoch }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let world = self.world();
        world.check_power()?;
        if !world.directories.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let paths = world.names.keys().chain(&world.directories);
        let mut names: Vec<String> = paths
            .filter(|path| path.parent() == Some(dir))
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        if !world.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let change = NameChange::Rename(from.to_path_buf(), to.to_path_buf());
        change.apply(&mut world.names);
        world.name_changes.push(change);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        if !world.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let change = NameChange::Remove(path.to_path_buf());
        change.apply(&mut world.names);
        world.name_changes.push(change);
        Ok(())
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        let inside: Vec<PathBuf> = world.names.keys().filter(|path| path.starts_with(dir)).cloned().collect();
        for path in inside {
            let change = NameChange::Remove(path);
            change.apply(&mut world.names);
            world.name_changes.push(change);
        }
        // The directory itself stays: a power cut may bring its files back, and directories are durable here.
        Ok(())
    }

    fn open_dir(&self, dir: &Path) -> io::Result<Arc<dyn DirHandle>> {
        let world = self.world();
        world.check_power()?;
        if world.lacks_descriptors {
            return Err(io::Error::from_raw_os_error(super::EMFILE));
        }
        Ok(Arc::new(SimDir { disk: self.clone(), dir: dir.to_path_buf(), epoch: world.epoch }))
    }

    fn exists(&self, path: &Path) -> bool {
        let world = self.world();
        world.names.contains_key(path) || world.directories.contains(path)
    }

    fn lock(&self, _path: &Path) -> io::Result<DiskLock> {
        self.world().check_power()?;
        Ok(DiskLock(None))
    }
}

/// An open directory.
#[derive(Debug)]
struct SimDir {
    disk: SimDisk,
    dir: PathBuf,
    epoch: u64,
}

impl DirHandle for SimDir {
    fn sync(&self) -> io::Result<()> {
        let mut world = self.disk.world();
        if world.epoch != self.epoch {
            return Err(io::Error::other("this directory was opened before the power cut"));
        }
        world.change()?;
        let changes = std::mem::take(&mut world.name_changes);
        let (synced, open): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| change.directory() == Some(&self.dir));
        world.name_changes = open;
        for change in synced {
            change.apply(&mut world.durable_names);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct SimHandle {
    disk: SimDisk,
    file: usize,
    epoch: u64,
}

impl SimHandle {
    fn world(&self) -> io::Result<MutexGuard<'_, World>> {
        let world = self.disk.world();
        world.check_power()?;
        if world.epoch == self.epoch {
            Ok(world)
        } else {
            Err(io::Error::other("the file was opened before a power cut"))
        }
    }
}

impl DiskFile for SimHandle {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(copy_out(&self.world()?.files[self.file].content, offset, buffer))
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.world()?.write(self.file, offset, bytes)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.world()?.files[self.file].content.len() as u64)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        let mut world = self.world()?;
        world.change()?;
        let size = usize::try_from(size).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let file = &mut world.files[self.file];
        file.content.resize(size, 0);
        file.changes.push(FileChange::SetSize(size));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.world()?.sync(self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        Path::new("/d").join(name)
    }

    fn disk_with_file(seed: u64) -> (SimDisk, Arc<dyn DiskFile>) {
        let disk = SimDisk::new(seed);
        disk.create_dir_all(Path::new("/d")).unwrap();
        let file = disk.open(&path("f"), OpenMode::CreateNew).unwrap();
        (disk, file)
    }

    fn content(disk: &SimDisk, name: &str) -> Option<Vec<u8>> {
        disk.open(&path(name), OpenMode::Read).ok().map(|file| file.read_all().unwrap())
    }

    #[test]
    fn what_was_synced_survives_and_what_was_not_varies() {
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            let (disk, file) = disk_with_file(seed);
            file.write_all_at(0, b"kept").unwrap();
            file.sync_data().unwrap();
            disk.sync_dir(Path::new("/d")).unwrap();
            file.write_all_at(4, b"1234").unwrap();
            disk.power_off();
            assert!(file.sync_data().is_err());
            disk.power_on(seed);
            assert!(file.sync_data().is_err(), "handles end with the power");
            let content = content(&disk, "f").unwrap();
            assert_eq!(&content[..4], b"kept");
            seen.insert(content);
        }
        assert!(
            seen.contains(&b"kept"[..]) && seen.contains(&b"kept1234"[..]) && seen.contains(&b"kept12"[..])
        );
    }

    #[test]
    fn names_survive_only_after_their_directory_was_synced() {
        let mut seen = BTreeSet::new();
        for seed in 0..100 {
            let (disk, _) = disk_with_file(seed);
            disk.sync_dir(Path::new("/d")).unwrap();
            disk.rename(&path("f"), &path("g")).unwrap();
            disk.open(&path("h"), OpenMode::CreateNew).unwrap();
            disk.power_off();
            disk.power_on(seed);
            seen.insert(disk.list(Path::new("/d")).unwrap().concat());
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["f", "fh", "g", "gh"]);
    }

    #[test]
    fn a_failed_sync_loses_data_that_still_reads_and_the_next_one_succeeds() {
        let mut lost = 0;
        for seed in 0..50 {
            let (disk, file) = disk_with_file(seed);
            disk.sync_dir(Path::new("/d")).unwrap();
            disk.fail_sync_after(0);
            file.write_all_at(0, b"data").unwrap();
            assert!(file.sync_data().is_err());
            assert_eq!(content(&disk, "f").unwrap(), b"data");
            file.sync_data().unwrap();
            disk.power_off();
            disk.power_on(seed);
            lost += u32::from(content(&disk, "f").unwrap().is_empty());
        }
        assert!(lost > 5);
    }

    #[test]
    fn a_full_disk_takes_what_fits() {
        let (disk, file) = disk_with_file(1);
        disk.limit_bytes(Some(6));
        file.write_all_at(0, b"1234").unwrap();
        assert_eq!(file.write_all_at(4, b"5678").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(content(&disk, "f").unwrap(), b"123456");
        disk.limit_bytes(None);
        file.write_all_at(4, b"5678").unwrap();
    }
}
