//! The keyed state as a map in memory: for `--in-memory`, and with snapshots on a simulated disk for tests.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::Position;
use crate::disk::{Disk, OpenMode, replace_file};
use crate::transaction::{Keyspace, Operation, Operations, Transaction};

use super::{Change, KeyValues, KeyedState};

/// A map, and where its snapshots go when it has any.
pub(crate) struct MemoryState {
    map: RwLock<Map>,
    snapshot: Option<(Arc<dyn Disk>, PathBuf)>,
}

#[derive(Default)]
struct Map {
    pairs: BTreeMap<(String, Vec<u8>), Vec<u8>>,
    applied: Position,
    checkpoint: Option<Position>,
}

/// Holds the snapshot's own bookkeeping.
const SNAPSHOT: Keyspace = Keyspace("snapshot");

impl MemoryState {
    /// A state that ends with the process.
    pub(crate) fn volatile() -> Self {
        Self { map: RwLock::default(), snapshot: None }
    }

    /// A state that `persist` writes to a file as a whole, and that begins with that file's content.
    pub(crate) fn with_snapshots(disk: Arc<dyn Disk>, path: PathBuf) -> io::Result<Self> {
        let mut map = Map::default();
        if disk.exists(&path) {
            let bytes = disk.open(&path, OpenMode::Read)?.read_all()?;
            map = decode(&bytes)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "damaged snapshot"))?;
        }
        Ok(Self { map: RwLock::new(map), snapshot: Some((disk, path)) })
    }

    fn read(&self) -> RwLockReadGuard<'_, Map> {
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Map> {
        self.map.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyedState for MemoryState {
    fn get(&self, keyspace: &str, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        Ok(self.read().pairs.get(&(keyspace.to_owned(), key.to_vec())).cloned())
    }

    fn scan(&self, keyspace: &str, prefix: &[u8]) -> io::Result<KeyValues> {
        let map = self.read();
        let from = (keyspace.to_owned(), prefix.to_vec());
        Ok(map
            .pairs
            .range(from..)
            .take_while(|((space, key), _)| space == keyspace && key.starts_with(prefix))
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect())
    }

    fn apply(&self, changes: &mut dyn Iterator<Item = Change<'_>>, position: Position) -> io::Result<()> {
        let mut map = self.write();
        for change in changes {
            match change {
                Change::Put { keyspace, key, value } => {
                    map.pairs.insert((keyspace.to_owned(), key.to_vec()), value.to_vec());
                }
                Change::Delete { keyspace, key } => {
                    map.pairs.remove(&(keyspace.to_owned(), key.to_vec()));
                }
            }
        }
        map.applied = position;
        Ok(())
    }

    fn applied(&self) -> io::Result<Position> {
        Ok(self.read().applied)
    }

    fn checkpoint(&self) -> io::Result<Option<Position>> {
        Ok(self.read().checkpoint)
    }

    fn persist(&self, checkpoint: Position) -> io::Result<()> {
        if let Some((disk, path)) = &self.snapshot {
            let bytes = encode(&self.read(), checkpoint);
            replace_file(&**disk, path, &bytes)?;
        }
        self.write().checkpoint = Some(checkpoint);
        Ok(())
    }
}

/// A snapshot is one transaction that puts everything, behind its checksum. Keyspace names are not constants here,
/// so each pair's keyspace goes into its key.
fn encode(map: &Map, checkpoint: Position) -> Vec<u8> {
    let mut transaction = Transaction::new();
    transaction.put(SNAPSHOT, "applied", map.applied.0.to_le_bytes());
    transaction.put(SNAPSHOT, "checkpoint", checkpoint.0.to_le_bytes());
    for ((keyspace, key), value) in &map.pairs {
        let mut full = keyspace.clone().into_bytes();
        full.push(0);
        full.extend_from_slice(key);
        transaction.put(Keyspace("pair"), full, value);
    }
    let payload = transaction.into_bytes();
    let mut bytes = crc32c::crc32c(&payload).to_le_bytes().to_vec();
    bytes.extend_from_slice(&payload);
    bytes
}

fn decode(bytes: &[u8]) -> Option<Map> {
    let (checksum, payload) = bytes.split_first_chunk::<4>()?;
    if crc32c::crc32c(payload) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let mut map = Map::default();
    for operation in Operations::new(payload) {
        let Ok(Operation::Put { keyspace, key, value }) = operation else { return None };
        match (keyspace, key) {
            ("snapshot", b"applied") => map.applied = Position(u64::from_le_bytes(value.try_into().ok()?)),
            ("snapshot", _) => map.checkpoint = Some(Position(u64::from_le_bytes(value.try_into().ok()?))),
            _ => {
                let split = key.iter().position(|&byte| byte == 0)?;
                let keyspace = String::from_utf8(key[..split].to_vec()).ok()?;
                map.pairs.insert((keyspace, key[split + 1..].to_vec()), value.to_vec());
            }
        }
    }
    Some(map)
}
