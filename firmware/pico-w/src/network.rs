//! Radio, Wi-Fi and network stack, in the interrupt executor: they go on while TLS computes.
//!
//! Everything that hangs on the radio chip lives in one future, so that a power cycle is dropping it and beginning
//! anew: driver, network stack, socket. What must survive it (back-off, the time servers' turn) is kept outside.

mod conduct;
mod dhcp_option;
mod radio;
mod socket;
mod time;

use device_core::settings::{Settings, SettingsError};
use device_core::{Station, TimeSync};
use embassy_futures::select::{Either4, select4};
use embassy_net::StackResources;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Timer, with_timeout};

use crate::board::RadioPins;
use crate::clock::now_ms;
use crate::entropy;

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

/// A radio that has not started by then is dead, or hangs: uploading its firmware takes a third of a second.
const RADIO_START_MAX: Duration = Duration::from_secs(10);
/// How long it stays without power.
const RADIO_OFF: Duration = Duration::from_millis(500);
/// Sockets: TCP, DNS, DHCP, time, and the raw one for DHCP's option.
const SOCKETS: usize = 6;

/// Runs the network forever; without settings only the LED.
#[embassy_executor::task]
pub(crate) async fn run(
    pins: RadioPins,
    settings: Result<&'static Settings<'static>, SettingsError>,
) -> ! {
    let mut radio = Radio::new(pins);
    let mut station = Station::new(entropy::seed_of_no_secret());
    let mut time_sync = TimeSync::new(entropy::seed_of_no_secret());
    loop {
        powered(&mut radio, settings.ok(), &mut station, &mut time_sync).await;
        STATUS.signal(Status::Offline);
        radio.power_off();
        Timer::after(RADIO_OFF).await;
    }
}

/// From power on to the decision to turn the radio off.
async fn powered(
    radio: &mut Radio,
    settings: Option<&'static Settings<'static>>,
    station: &mut Station,
    time_sync: &mut TimeSync,
) {
    let mut state = cyw43::State::new();
    let Ok((device, control, runner)) = with_timeout(RADIO_START_MAX, radio.start(&mut state)).await else {
        log::error!("radio: it does not answer; the LED hangs on it and stays dark. Trying again");
        return;
    };
    let mut resources = StackResources::<SOCKETS>::new();
    let mut dhcp = embassy_net::DhcpConfig::default();
    if let Some(settings) = settings {
        // What a router's list of devices shows; longer names are left out.
        dhcp.hostname = heapless::String::try_from(settings.client_id).ok();
    }
    let seed = entropy::seed_of_no_secret();
    let (stack, mut stack_runner) =
        embassy_net::new(device, embassy_net::Config::dhcpv4(dhcp), &mut resources, seed);
    let conducted = async {
        match settings {
            Some(settings) => conduct::run(control, stack, settings, station).await,
            None => conduct::show_unusable(control).await,
        }
    };
    let served = async {
        match settings {
            Some(settings) => {
                embassy_futures::join::join(socket::serve(stack), time::keep(stack, settings, time_sync)).await;
            }
            None => core::future::pending().await,
        }
    };
    match select4(runner.run(), stack_runner.run(), conducted, served).await {
        Either4::Third(()) => log::warn!("radio: turning it off and on again"),
        Either4::First(never) => never,
        Either4::Second(never) => never,
        Either4::Fourth(()) => {}
    }
    time_sync.handle_network(false, now_ms());
}
