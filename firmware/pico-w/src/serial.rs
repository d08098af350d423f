//! The log, on the serial port: GP0, 115200 baud, one line per message.
//!
//! Writing never waits: a line goes into a ring in memory, and a task of the interrupt executor sends it, also while
//! TLS computes. A line that finds no room is lost and counted.

use core::fmt::Write as _;
use embassy_rp::pac;
use embassy_rp::uart::{Config, UartTx};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pipe::Pipe;
use embassy_time::Timer;
use log::{LevelFilter, Log, Metadata, Record};
use portable_atomic::{AtomicU32, Ordering};

use crate::board::SerialPins;
use crate::clock::now_ms;

/// Longest line; the rest is cut.
const LINE_BYTES_MAX: usize = 200;
/// What waits to be sent: the lines of a start.
const RING_BYTES: usize = 2_048;

static RING: Pipe<CriticalSectionRawMutex, RING_BYTES> = Pipe::new();
static LOST: AtomicU32 = AtomicU32::new(0);

struct Serial;

impl Log for Serial {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let now_ms = now_ms();
        let mut line = heapless::String::<LINE_BYTES_MAX>::new();
        // What does not fit is cut.
        let _ = write!(
            line,
            "[{:>6}.{:03}] {:<5} {}",
            now_ms / 1_000,
            now_ms % 1_000,
            record.level(),
            record.args()
        );
        while line.len() > LINE_BYTES_MAX - 2 {
            line.pop();
        }
        let _ = line.push_str("\r\n");
        push(line.as_bytes());
    }

    fn flush(&self) {}
}

/// All of the line or nothing.
fn push(line: &[u8]) {
    critical_section::with(|_| {
        if RING.free_capacity() < line.len() {
            LOST.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut rest = line;
        // The pipe takes what fits before the end of its memory, and the rest at the beginning.
        while let Ok(written @ 1..) = RING.try_write(rest) {
            rest = &rest[written..];
            if rest.is_empty() {
                return;
            }
        }
    });
}

/// From here on, `log::info!` and the like work.
pub(crate) fn start() {
    static SERIAL: Serial = Serial;
    // SAFETY: nothing else runs yet. The safe functions need an atomic exchange, which the RP2040's core has not.
    unsafe {
        // It fails only when called twice.
        let _ = log::set_logger_racy(&SERIAL);
        log::set_max_level_racy(LevelFilter::Info);
    }
}

/// Sends what is in the ring, forever.
#[embassy_executor::task]
pub(crate) async fn write_out(pins: SerialPins) -> ! {
    // Kept: dropping it would give up the pin.
    let _uart = UartTx::new_blocking(pins.uart, pins.transmit, Config::default());
    let mut chunk = [0; 32];
    loop {
        if RING.free_capacity() >= LINE_BYTES_MAX {
            let lost = LOST.swap(0, Ordering::Relaxed);
            if lost > 0 {
                log::warn!("{lost} lines of the log were lost");
            }
        }
        let read = RING.read(&mut chunk).await;
        for byte in &chunk[..read] {
            // The FIFO has 32 bytes, of which 11 leave per millisecond.
            while pac::UART0.uartfr().read().txff() {
                Timer::after_millis(1).await;
            }
            pac::UART0.uartdr().write(|data| data.set_data(*byte));
        }
    }
}
