//! What the emulated board says about itself: memory at most, and how long a handshake took.

use crate::emulate::{self, Key};
use crate::shell::{Failure, Outcome};

/// One run with one key type.
pub(super) struct Measured {
    pub(super) key: &'static str,
    pub(super) heap_bytes: u64,
    pub(super) stack_bytes: u64,
    pub(super) handshake_ms: u64,
}

/// Boots the release image with each key type until a reading has arrived.
pub(super) fn handshakes() -> Outcome<Vec<Measured>> {
    [Key::P256, Key::Rsa].into_iter().map(measure).collect()
}

fn measure(key: Key) -> Outcome<Measured> {
    let log = emulate::one_message(key)?;
    // `memory: heap 47000 of 73728 bytes at most, stack 9000 of 131072`
    let number = |prefix: &str| {
        let found = log.iter().rev().find_map(|line| line.split_once(prefix));
        let number =
            found.and_then(|(_, rest)| rest.split(' ').next()).and_then(|number| number.parse().ok());
        number.ok_or_else(|| Failure::new(format!("the board's log has no line with `{prefix}`")))
    };
    Ok(Measured {
        key: key.name(),
        heap_bytes: number("memory: heap ")?,
        stack_bytes: number("at most, stack ")?,
        handshake_ms: number("tls: handshake took ")?,
    })
}
