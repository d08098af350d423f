//! The firmware of the Raspberry Pi Pico W and Pico 2 W: it carries out what `device-core` decides.
//!
//! ```text
//! thread mode                            interrupt executor (preempts thread mode)
//! app.rs      device-core's Device       network.rs  radio, Wi-Fi, DHCP, LED
//!   │  readings, MQTT packets            network/time.rs    SNTP
//!   ▼                                    network/socket.rs  TCP
//! tls.rs      mbedtls  ◀── tunnel.rs ──▶   ▲
//!             (RSA signing takes seconds)  │ pipes of bytes, in static memory
//!                                        watchdog.rs, serial.rs
//! ```
//! Everything that must go on while TLS computes runs in the interrupt executor. Every wait has a deadline, and the
//! watchdog is fed only while the application makes the progress that it promised.
#![no_std]
#![no_main]

extern crate alloc;

// The C library's functions that mbedtls calls; linked, never named.
use tinyrlibc as _;

mod app;
mod board;
mod c_library;
mod clock;
mod configuration;
mod entropy;
mod memory;
mod network;
mod panic;
mod progress;
mod sensor;
mod serial;
mod tls;
mod tunnel;
mod watchdog;

use embassy_executor::{Executor, InterruptExecutor};
use embassy_rp::interrupt;
use embassy_rp::interrupt::{InterruptExt as _, Priority};
use static_cell::StaticCell;

use crate::sensor::Sensor;

/// What must not wait for cryptography.
static NETWORK_EXECUTOR: InterruptExecutor = InterruptExecutor::new();

#[interrupt]
unsafe fn SWI_IRQ_1() {
    // SAFETY: called from this handler only, which is enabled by `start` below.
    unsafe { NETWORK_EXECUTOR.on_interrupt() }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    memory::paint_stack();
    memory::guard_stack();
    memory::start_heap();
    let board = board::take();
    serial::start();
    let restart = watchdog::Restart::read(&board.watchdog);
    log::info!("eyot {} on {}, {restart}", env!("CARGO_PKG_VERSION"), board::NAME);
    panic::tell_last();

    // Below the timer, DMA and PIO, whose interrupts wake the tasks; above thread mode.
    interrupt::SWI_IRQ_1.set_priority(Priority::P3);
    let network = NETWORK_EXECUTOR.start(interrupt::SWI_IRQ_1);
    network.spawn(serial::write_out(board.serial).expect("spawned once"));
    network.spawn(watchdog::feed(board.watchdog).expect("spawned once"));

    let settings = configuration::read();
    let mut sensor = Sensor::new(board.sensor);
    if let Ok(settings) = settings {
        entropy::start(&mut sensor, settings);
    }
    network.spawn(network::run(board.radio, settings).expect("spawned once"));

    static THREAD_EXECUTOR: StaticCell<Executor> = StaticCell::new();
    THREAD_EXECUTOR.init(Executor::new()).run(|spawner| match settings {
        Ok(settings) => spawner.spawn(app::run(settings, sensor, network).expect("spawned once")),
        Err(error) => spawner.spawn(configuration::complain(error).expect("spawned once")),
    })
}
