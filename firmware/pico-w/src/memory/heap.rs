//! The heap, which only TLS uses.

use core::alloc::{GlobalAlloc, Layout};
use core::mem::MaybeUninit;
use embedded_alloc::LlffHeap;
use portable_atomic::{AtomicUsize, Ordering};

/// Room for one connection: a record in (16 KiB) and one out (4 KiB), the server's chain twice (this session's and the
/// saved one's), certificates, keys, and the big numbers of a handshake. With a chain as AWS sends it 56 KB are used,
/// and each CA of the configuration adds itself twice.
pub(super) const BYTES: usize = 80 * 1024;

struct Heap {
    heap: LlffHeap,
    peak: AtomicUsize,
}

#[global_allocator]
static HEAP: Heap = Heap { heap: LlffHeap::empty(), peak: AtomicUsize::new(0) };

// SAFETY: all work is `LlffHeap`'s.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is handed on.
        let memory = unsafe { self.heap.alloc(layout) };
        self.peak.fetch_max(self.heap.used(), Ordering::Relaxed);
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is handed on.
        unsafe { self.heap.dealloc(memory, layout) };
    }
}

/// Gives the heap its memory. Once, before anything allocates.
pub(crate) fn start() {
    static mut MEMORY: [MaybeUninit<u8>; BYTES] = [MaybeUninit::uninit(); BYTES];
    // SAFETY: called once, and nobody else names the memory.
    unsafe { HEAP.heap.init(&raw mut MEMORY as usize, BYTES) }
}

/// Bytes in use at most since start.
pub(super) fn peak() -> usize {
    HEAP.peak.load(Ordering::Relaxed)
}
