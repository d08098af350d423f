//! Heap and stack, and how much of them was ever used.

mod heap;
mod stack;

pub(crate) use heap::start as start_heap;
pub(crate) use stack::{guard as guard_stack, paint as paint_stack};

/// Logs the high-water marks. `cargo xtask firmware` holds them to a budget.
pub(crate) fn report() {
    log::info!(
        "memory: heap {} of {} bytes at most, stack {} of {}",
        heap::peak(),
        heap::BYTES,
        stack::peak(),
        stack::bytes(),
    );
}
