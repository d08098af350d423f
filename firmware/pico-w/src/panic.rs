//! A panic or a fault restarts the board; what it was is told after the restart, when the serial log works again.

use core::fmt::{self, Write as _};
use core::mem::MaybeUninit;
use core::panic::PanicInfo;

use cortex_m_rt::{ExceptionFrame, exception};

/// Says that the note was written by us, and is not what memory held at power-on.
const WRITTEN: u32 = 0x9A1C_0DE5;
/// Longest message kept.
const MESSAGE_BYTES_MAX: usize = 160;

struct Note {
    written: u32,
    message: heapless::String<MESSAGE_BYTES_MAX>,
}

/// Memory that a restart leaves alone.
#[unsafe(link_section = ".uninit.panic")]
static mut NOTE: MaybeUninit<Note> = MaybeUninit::uninit();

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    end(format_args!("{info}"))
}

/// The processor met something that it cannot do, such as a stack that is full; the addresses say where.
///
/// # Safety
/// For the processor to call.
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    end(format_args!("fault at {:#010x}, called from {:#010x}", frame.pc(), frame.lr()))
}

/// Keeps the last words and restarts.
fn end(words: fmt::Arguments<'_>) -> ! {
    cortex_m::interrupt::disable();
    let mut message = heapless::String::new();
    // What does not fit is cut.
    let _ = message.write_fmt(words);
    // SAFETY: interrupts are off and this never returns, so nobody else has the note.
    unsafe { (&raw mut NOTE).write(MaybeUninit::new(Note { written: WRITTEN, message })) };
    cortex_m::peripheral::SCB::sys_reset()
}

/// Logs what caused this start, if a panic or a fault did.
pub(crate) fn tell_last() {
    let note = (&raw mut NOTE).cast::<Note>();
    // SAFETY: called once, before any other code that could panic; the marker is a plain number at any content, and
    // only a whole note carries it. The text is checked before it is used as one.
    let message = unsafe {
        if (&raw const (*note).written).read_volatile() != WRITTEN {
            return;
        }
        (&raw mut (*note).written).write_volatile(0);
        core::str::from_utf8((*note).message.as_bytes()).unwrap_or("unreadable")
    };
    log::error!("the last run ended: {message}");
}
