//! Radio, Wi-Fi and network stack, in the interrupt executor: they go on while TLS computes.
//!
//! ```text
//! radio task: power, join, LED           stack task      socket task, time task
//!   radio.rs, conduct.rs  ◀─ bridge.rs ─▶ embassy-net ◀── socket.rs, time.rs
//! ```
//! The stack and everything above it live forever. What hangs on the radio chip is one future of the radio task, so
//! that a power cycle is dropping it and beginning anew.
//!
//! Sockets wake the stack whenever they are polled, so neither may share a task: they would keep it awake forever.

mod bridge;
mod conduct;
mod dhcp_option;
mod radio;
mod socket;
mod time;

use device_core::Station;
use device_core::settings::{Settings, SettingsError};
use embassy_executor::Spawner;
use embassy_futures::select::{Either3, select3};
use embassy_net::{DhcpConfig, Stack, StackResources};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use embassy_sync::watch::Watch;
use embassy_time::{Duration, Timer, with_timeout};
use static_cell::StaticCell;

use crate::board::RadioPins;
use crate::entropy;
use crate::progress::RADIO;

use bridge::{Bridge, StackEnd};
pub(crate) use conduct::show;
use radio::Radio;

/// Whether the board has an address and knows the time. The application waits for changes.
pub(crate) static STATUS: Signal<CriticalSectionRawMutex, Status> = Signal::new();

/// Whether it makes sense to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// No address, or no time.
    Offline,
    /// Both.
    Online,
}

/// Whether the network gave an address, for the time task.
///
/// The stack has one place for one task that waits for news of it, and the radio task is that one.
static ADDRESSED: Watch<CriticalSectionRawMutex, bool, 1> = Watch::new();

/// A radio that has not started by then is dead, or hangs: uploading its firmware takes a third of a second.
const RADIO_START_MAX: Duration = Duration::from_secs(10);
/// How long it stays without power.
const RADIO_OFF: Duration = Duration::from_millis(500);
/// Sockets: TCP, DNS, DHCP, time, and the raw one for DHCP's option.
const SOCKETS: usize = 6;

/// Runs the network forever; without settings only the LED.
#[embassy_executor::task]
pub(crate) async fn run(pins: RadioPins, settings: Result<&'static Settings<'static>, SettingsError>) -> ! {
    // SAFETY: this is a task of an embassy executor.
    let spawner = unsafe { Spawner::for_current_executor().await };
    let mut radio = Radio::new(pins);
    match settings {
        Ok(settings) => {
            let (mut bridge, stack) = start_stack(&spawner, settings);
            let mut station = Station::new(entropy::next_u64());
            loop {
                powered(&mut radio, &mut bridge, stack, settings, &mut station).await;
                bridge.cut();
                ADDRESSED.sender().send(false);
                STATUS.signal(Status::Offline);
                radio.power_off();
                Timer::after(RADIO_OFF).await;
            }
        }
        Err(_) => loop {
            only_led(&mut radio).await;
            radio.power_off();
            Timer::after(RADIO_OFF).await;
        },
    }
}

/// The network stack and what runs on it.
fn start_stack(spawner: &Spawner, settings: &'static Settings<'static>) -> (Bridge, Stack<'static>) {
    let (bridge, stack_end) = bridge::build();
    let mut dhcp = DhcpConfig::default();
    // What a router's list of devices shows; longer names are left out.
    dhcp.hostname = heapless::String::try_from(settings.client_id).ok();
    static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    let (stack, runner) = embassy_net::new(
        stack_end,
        embassy_net::Config::dhcpv4(dhcp),
        RESOURCES.init(StackResources::new()),
        entropy::next_u64(),
    );
    spawner.spawn(run_stack(runner).expect("spawned once"));
    spawner.spawn(socket::serve(stack).expect("spawned once"));
    spawner.spawn(time::keep(stack, settings).expect("spawned once"));
    (bridge, stack)
}

#[embassy_executor::task]
async fn run_stack(mut runner: embassy_net::Runner<'static, StackEnd>) -> ! {
    runner.run().await
}

/// From power on to the decision to turn the radio off.
async fn powered(
    radio: &mut Radio,
    bridge: &mut Bridge,
    stack: Stack<'static>,
    settings: &'static Settings<'static>,
    station: &mut Station,
) {
    RADIO.promise(RADIO_START_MAX * 2);
    let Ok((device, control, runner)) = with_timeout(RADIO_START_MAX, radio.start()).await else {
        log::error!("radio: it does not answer; the LED hangs on it and stays dark. Trying again");
        return;
    };
    let conducted = conduct::run(control, stack, settings, station);
    match select3(runner.run(), bridge.carry(device), conducted).await {
        Either3::First(never) | Either3::Second(never) => never,
        Either3::Third(()) => log::warn!("radio: turning it off and on again"),
    }
}

/// Without settings there is nothing to join, but the LED still hangs on the radio.
async fn only_led(radio: &mut Radio) {
    RADIO.promise(RADIO_START_MAX * 2);
    let Ok((_, control, runner)) = with_timeout(RADIO_START_MAX, radio.start()).await else {
        log::error!("radio: it does not answer; the LED hangs on it and stays dark. Trying again");
        return;
    };
    embassy_futures::select::select(runner.run(), conduct::show_unusable(control)).await;
}
