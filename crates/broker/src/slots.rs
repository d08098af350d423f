//! A table of connections whose places are used again.

use mio::Token;

/// Names a value in [`Slots`]; never names another one that took its place later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// The token that a socket is registered under.
    ///
    /// It carries the place only: an event that a gone connection left behind reaches its successor, who finds
    /// nothing to read, which costs one system call.
    pub(crate) fn token(self) -> Token {
        Token(self.index as usize)
    }

    /// The place in the table.
    pub(crate) fn index(self) -> usize {
        self.index as usize
    }
}

/// Values by [`Key`].
#[derive(Debug)]
pub(crate) struct Slots<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Puts a value in and gives its key.
    pub(crate) fn insert(&mut self, value: T) -> Key {
        if let Some(index) = self.free.pop() {
            let entry = &mut self.entries[index as usize];
            entry.value = Some(value);
            return Key { index, generation: entry.generation };
        }
        let index = u32::try_from(self.entries.len()).expect("file descriptors run out long before");
        self.entries.push(Entry { generation: 0, value: Some(value) });
        Key { index, generation: 0 }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let entry = self.entries.get(key.index())?;
        if entry.generation == key.generation { entry.value.as_ref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.index())?;
        if entry.generation == key.generation { entry.value.as_mut() } else { None }
    }

    /// Makes another value of one, at its place.
    pub(crate) fn replace_with(&mut self, key: Key, change: impl FnOnce(T) -> T) {
        if let Some(entry) = self.entries.get_mut(key.index())
            && entry.generation == key.generation
        {
            entry.value = entry.value.take().map(change);
        }
    }

    /// The key of what is at a token's place now.
    pub(crate) fn key_at(&self, token: Token) -> Option<Key> {
        let entry = self.entries.get(token.0)?;
        entry.value.as_ref()?;
        Some(Key { index: u32::try_from(token.0).ok()?, generation: entry.generation })
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get_mut(key.index())?;
        if entry.generation != key.generation {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(value)
    }

    /// All keys with their values, to change them.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        self.entries.iter_mut().enumerate().filter_map(|(index, entry)| {
            let index = u32::try_from(index).ok()?;
            Some((Key { index, generation: entry.generation }, entry.value.as_mut()?))
        })
    }

    /// All keys with their values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.entries.iter().enumerate().filter_map(|(index, entry)| {
            let index = u32::try_from(index).ok()?;
            Some((Key { index, generation: entry.generation }, entry.value.as_ref()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_name_the_successor_of_its_value() {
        let mut slots = Slots::new();
        let first = slots.insert("first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second");
        assert_eq!(first.token(), second.token(), "the place is used again");
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!((slots.get(second), slots.key_at(first.token())), (Some(&"second"), Some(second)));
        assert_eq!((slots.len(), slots.iter().count()), (1, 1));
    }
}
