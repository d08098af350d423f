//! Tables that were large for a while: a crowd must not cost its memory for ever.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

/// Room for entries that a table may keep without any.
const SPARE_MAX: usize = 256;

/// Gives most of a table's room back when hardly any of it is in use.
///
/// To be called after a removal. What is moved then is a fraction of what was removed before, so it does not count.
pub(crate) fn give_back<K: Eq + Hash, V, S: BuildHasher>(table: &mut HashMap<K, V, S>) {
    if table.capacity() > SPARE_MAX && table.len() < table.capacity() / 8 {
        table.shrink_to(2 * table.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_that_is_gone_leaves_little_room_behind() {
        let mut table: HashMap<u32, u32> = (0..10_000).map(|number| (number, number)).collect();
        for number in 3..10_000 {
            table.remove(&number);
            give_back(&mut table);
            assert!(
                table.len() >= table.capacity() / 16 || table.capacity() <= SPARE_MAX,
                "{}",
                table.capacity()
            );
        }
        assert_eq!((table.len(), table[&2]), (3, 2));
        assert!(table.capacity() <= SPARE_MAX);
    }
}
