//! What one append makes durable as a whole: changes of the keyed state and entries for consumers.
//!
//! Stored form (little endian), the payload of one journal record:
//! ```text
//! transaction := operation*
//! operation   := 1 keyspace key_len:u32 key value_len:u32 value    put
//!              | 2 keyspace key_len:u32 key                        delete
//!              | 3 consumer:u8 len:u32 bytes                       entry
//! keyspace    := len:u8 name
//! ```

/// A named part of the keyed state, such as `Keyspace("things")`.
///
/// The name is stored: changing it loses what was written under the old one. 1 to 255 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Keyspace(pub &'static str);

/// Names a [`Consumer`](crate::Consumer) in the journal. Stored: never reuse a number for another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(pub u8);

/// Changes that become durable together, or not at all.
///
/// Encoded as it is built, so that appending it only moves one buffer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    bytes: Vec<u8>,
    key_bytes_longest: usize,
}

/// An end that a transaction once had.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    bytes_len: usize,
    key_bytes_longest: usize,
}

/// The longest key, in bytes. The engine takes 65,535; no name that AWS or MQTT allow comes near it.
pub const KEY_BYTES_MAX: usize = 32 * 1024;

const PUT: u8 = 1;
const DELETE: u8 = 2;
const ENTRY: u8 = 3;

impl Transaction {
    /// A transaction without changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key, whether it was there or not.
    pub fn put(&mut self, keyspace: Keyspace, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        self.bytes.push(PUT);
        self.push_keyspace(keyspace);
        self.push_key(key.as_ref());
        self.push_bytes(value.as_ref());
        self
    }

    /// Removes a key; one that is not there is no error.
    pub fn delete(&mut self, keyspace: Keyspace, key: impl AsRef<[u8]>) -> &mut Self {
        self.bytes.push(DELETE);
        self.push_keyspace(keyspace);
        self.push_key(key.as_ref());
        self
    }

    /// Adds an entry that the consumer's [`apply`](crate::Consumer::apply) gets once it is durable.
    pub fn entry(&mut self, consumer: ConsumerId, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.bytes.push(ENTRY);
        self.bytes.push(consumer.0);
        self.push_bytes(bytes.as_ref());
        self
    }

    /// Adds everything of another transaction behind this one's changes.
    pub fn extend(&mut self, other: &Transaction) -> &mut Self {
        self.bytes.extend_from_slice(&other.bytes);
        self.key_bytes_longest = self.key_bytes_longest.max(other.key_bytes_longest);
        self
    }

    /// Where the transaction ends now, for [`rewind`](Transaction::rewind).
    pub fn mark(&self) -> Mark {
        Mark { bytes_len: self.bytes.len(), key_bytes_longest: self.key_bytes_longest }
    }

    /// Takes back everything that was added since the mark.
    pub fn rewind(&mut self, Mark { bytes_len, key_bytes_longest }: Mark) {
        self.bytes.truncate(bytes_len);
        self.key_bytes_longest = key_bytes_longest;
    }

    /// Whether there is nothing to make durable.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Size of the stored form.
    pub fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether a key is longer than [`KEY_BYTES_MAX`]: the append refuses it.
    pub(crate) fn has_oversized_key(&self) -> bool {
        self.key_bytes_longest > KEY_BYTES_MAX
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn push_keyspace(&mut self, Keyspace(name): Keyspace) {
        let length = u8::try_from(name.len()).expect("keyspace names are short constants");
        self.bytes.push(length);
        self.bytes.extend_from_slice(name.as_bytes());
    }

    fn push_key(&mut self, key: &[u8]) {
        self.key_bytes_longest = self.key_bytes_longest.max(key.len());
        self.push_bytes(key);
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        // A length that does not fit makes the record longer than its limit, and the append refuses it.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(bytes);
    }
}

/// One change as it is read back from the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation<'a> {
    Put {
        keyspace: &'a str,
        key: &'a [u8],
        value: &'a [u8],
    },
    Delete {
        keyspace: &'a str,
        key: &'a [u8],
    },
    /// `end` is the offset behind the entry in the payload: what makes its position unique.
    Entry {
        consumer: ConsumerId,
        bytes: &'a [u8],
        end: u64,
    },
}

/// The payload is not a transaction: only damage that the checksum missed, or a newer writer, can do that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MalformedTransaction;

/// Reads the changes of a stored transaction in order.
pub(crate) struct Operations<'a> {
    payload: &'a [u8],
    at: usize,
}

impl<'a> Operations<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self { payload, at: 0 }
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let bytes = self.payload.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_le_bytes(self.take(4)?.try_into().ok()?);
        self.take(usize::try_from(length).ok()?)
    }

    fn keyspace(&mut self) -> Option<&'a str> {
        let length = self.byte()?;
        std::str::from_utf8(self.take(usize::from(length))?).ok()
    }

    fn operation(&mut self) -> Option<Operation<'a>> {
        match self.byte()? {
            PUT => {
                Some(Operation::Put { keyspace: self.keyspace()?, key: self.bytes()?, value: self.bytes()? })
            }
            DELETE => Some(Operation::Delete { keyspace: self.keyspace()?, key: self.bytes()? }),
            ENTRY => {
                let consumer = ConsumerId(self.byte()?);
                let bytes = self.bytes()?;
                Some(Operation::Entry { consumer, bytes, end: self.at as u64 })
            }
            _ => None,
        }
    }
}

impl<'a> Iterator for Operations<'a> {
    type Item = Result<Operation<'a>, MalformedTransaction>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.payload.len() {
            return None;
        }
        let operation = self.operation();
        if operation.is_none() {
            self.at = self.payload.len(); // Nothing behind it can be understood.
        }
        Some(operation.ok_or(MalformedTransaction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_transaction_reads_back_in_order() {
        let mut transaction = Transaction::new();
        transaction
            .put(Keyspace("things"), "a", "1")
            .entry(ConsumerId(7), b"event")
            .delete(Keyspace("t"), "b");
        let bytes = transaction.into_bytes();
        let operations: Vec<_> = Operations::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(operations[0], Operation::Put { keyspace: "things", key: b"a", value: b"1" });
        assert!(matches!(operations[1], Operation::Entry { consumer: ConsumerId(7), bytes: b"event", .. }));
        assert_eq!(operations[2], Operation::Delete { keyspace: "t", key: b"b" });
    }

    #[test]
    fn entries_of_one_transaction_end_at_different_places() {
        let mut transaction = Transaction::new();
        transaction.entry(ConsumerId(1), b"").entry(ConsumerId(1), b"");
        let bytes = transaction.into_bytes();
        let ends: Vec<u64> = Operations::new(&bytes)
            .map(|operation| match operation.unwrap() {
                Operation::Entry { end, .. } => end,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(ends[0] < ends[1]);
    }

    #[test]
    fn what_was_added_since_a_mark_can_be_taken_back() {
        let mut transaction = Transaction::new();
        transaction.put(Keyspace("things"), "a", "1");
        let before = transaction.clone();
        let mark = transaction.mark();
        transaction
            .put(Keyspace("things"), "k".repeat(KEY_BYTES_MAX + 1), "2")
            .entry(ConsumerId(7), b"event");
        assert!(transaction.has_oversized_key());
        transaction.rewind(mark);
        assert_eq!(transaction, before);
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Operations::new(&bytes).count();
        }
    }
}
