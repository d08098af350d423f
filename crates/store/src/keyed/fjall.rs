//! The keyed state on disk: one fjall tree.
//!
//! All keyspaces share a tree, told apart by a prefix: they are small, and one tree means one memtable and few
//! files. The engine's own journal is written without syncs; ours is what counts until the next checkpoint.

use std::io;
use std::path::Path;

use fjall::{Database, Keyspace as Tree, KeyspaceCreateOptions, PersistMode};

use crate::Position;

use super::{Change, KeyValues, KeyedState};

/// Memory for blocks that were read; loads scan once and answers come from memory, so little is enough.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// Memory for changes before they are written as a table. Twice this may be in memory while one is written.
const MEMTABLE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Where our own marks live: no keyspace has an empty name.
const APPLIED: &[u8] = b"\0applied";
const CHECKPOINT: &[u8] = b"\0checkpoint";

/// An open fjall database.
pub(crate) struct FjallState {
    database: Database,
    tree: Tree,
}

impl FjallState {
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let database =
            Database::builder(dir).cache_size(CACHE_BYTES).worker_threads(1).open().map_err(into_io)?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES_MAX);
        let tree = database.keyspace("state", options).map_err(into_io)?;
        Ok(Self { database, tree })
    }

    fn mark(&self, key: &[u8]) -> io::Result<Option<Position>> {
        let Some(value) = self.tree.get(key).map_err(into_io)? else { return Ok(None) };
        let bytes =
            value.as_ref().try_into().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "bad mark"))?;
        Ok(Some(Position(u64::from_le_bytes(bytes))))
    }
}

impl KeyedState for FjallState {
    fn get(&self, keyspace: &str, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let value = self.tree.get(full_key(keyspace, key)).map_err(into_io)?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, keyspace: &str, prefix: &[u8]) -> io::Result<KeyValues> {
        let name_bytes = keyspace.len() + 1;
        self.tree
            .prefix(full_key(keyspace, prefix))
            .map(|pair| {
                let (key, value) = pair.into_inner().map_err(into_io)?;
                Ok((key[name_bytes..].to_vec(), value.to_vec()))
            })
            .collect()
    }

    fn apply(&self, changes: &mut dyn Iterator<Item = Change<'_>>, position: Position) -> io::Result<()> {
        let mut batch = self.database.batch();
        for change in changes {
            match change {
                Change::Put { keyspace, key, value } => {
                    batch.insert(&self.tree, full_key(keyspace, key), value)
                }
                Change::Delete { keyspace, key } => batch.remove(&self.tree, full_key(keyspace, key)),
            }
        }
        batch.insert(&self.tree, APPLIED, position.0.to_le_bytes());
        batch.commit().map_err(into_io)
    }

    fn applied(&self) -> io::Result<Position> {
        Ok(self.mark(APPLIED)?.unwrap_or_default())
    }

    fn checkpoint(&self) -> io::Result<Option<Position>> {
        self.mark(CHECKPOINT)
    }

    fn persist(&self, checkpoint: Position) -> io::Result<()> {
        self.database.persist(PersistMode::SyncAll).map_err(into_io)?;
        self.tree.insert(CHECKPOINT, checkpoint.0.to_le_bytes()).map_err(into_io)?;
        self.database.persist(PersistMode::SyncAll).map_err(into_io)
    }
}

/// `len name key`: the length keeps `ab` + `c` apart from `a` + `bc`.
fn full_key(keyspace: &str, key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(1 + keyspace.len() + key.len());
    full.push(u8::try_from(keyspace.len()).expect("keyspace names are short constants"));
    full.extend_from_slice(keyspace.as_bytes());
    full.extend_from_slice(key);
    full
}

fn into_io(error: fjall::Error) -> io::Error {
    match error {
        fjall::Error::Io(error) => error,
        other => io::Error::other(other),
    }
}
