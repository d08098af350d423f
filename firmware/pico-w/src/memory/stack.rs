//! The stack: what the static memory leaves, for thread mode and all interrupts together.

use core::ptr::addr_of;

unsafe extern "C" {
    /// The first byte behind static memory, where the stack ends [cortex-m-rt link.x].
    static mut __sheap: u32;
    /// Where the stack begins; it grows down.
    static mut _stack_start: u32;
}

/// What untouched stack holds.
const PAINT: u32 = 0x57AC_57AC;
/// What lies below the caller's stack pointer may be in use by this very function.
const OWN_FRAME_WORDS: usize = 64;

/// The lowest bytes may not be touched once they are guarded: 32 of them, on a boundary of 32.
const GUARD_BYTES: usize = 64;

/// From here on a stack that grows into static memory is a fault, not silent damage; the watchdog restarts the board at the latest.
pub(crate) fn guard() {
    // It fails where there is no memory protection, as in the emulated board.
    let _ = embassy_rp::install_core0_stack_guard();
}

/// Fills the unused stack, so that [`peak`] can see what was touched. First of all, before interrupts.
pub(crate) fn paint() {
    let end = addr_of!(__sheap).cast_mut();
    let free_bytes = (cortex_m::register::msp::read() as usize).saturating_sub(end as usize);
    let words = (free_bytes / size_of::<u32>()).saturating_sub(OWN_FRAME_WORDS);
    for word in 0..words {
        // SAFETY: between the end of static memory and below this frame nothing lives.
        unsafe { end.add(word).write_volatile(PAINT) };
    }
}

/// Bytes in use at most since start.
pub(super) fn peak() -> usize {
    let readable = addr_of!(__sheap).wrapping_byte_add(GUARD_BYTES);
    let words = (bytes() - GUARD_BYTES) / size_of::<u32>();
    // SAFETY: all of it is memory; who writes to it meanwhile can only make the answer too small.
    let untouched =
        unsafe { (0..words).take_while(|word| readable.add(*word).read_volatile() == PAINT).count() };
    bytes() - GUARD_BYTES - untouched * size_of::<u32>()
}

/// Bytes that there are.
pub(super) fn bytes() -> usize {
    addr_of!(_stack_start) as usize - addr_of!(__sheap) as usize
}
