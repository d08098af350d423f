//! Carries out what `Station` decides, and shows on the LED how the board is.
//!
//! The LED hangs on the radio chip, so whoever holds its control does both. While a join runs the LED stands still: its
//! pattern is shown before.

use core::cell::Cell;

use cyw43::{Control, JoinError, JoinOptions};
use device_core::settings::Settings;
use device_core::{JoinFailure, Lamp, LedPattern, Station, StationAction, StationPhase};
use embassy_futures::select::{Either, Either4, select, select4};
use embassy_net::Stack;
use embassy_sync::blocking_mutex::CriticalSectionMutex;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Instant, Timer, with_timeout};

use super::{ADDRESSED, STATUS, Status, radio};
use crate::clock::{self, now_ms};
use crate::progress::RADIO;

/// The radio's answers come in milliseconds; one that does not is hung.
const RADIO_ANSWER_MAX: Duration = Duration::from_secs(5);
/// The LED is the radio's first general purpose pin.
const LED: u8 = 0;

/// A turn takes at most a join's 20 s and some answers of the radio.
const TURN_MAX: Duration = Duration::from_secs(60);
/// As long as the pause between two rounds of flashes, so that they can be counted.
const BEFORE_JOINING: Duration = Duration::from_secs(1);
/// Two flashes of the joining pattern.
const JOINING_SHOWN: Duration = Duration::from_millis(500);
/// The time may become known at any moment, which nobody tells.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What the application wants to show while the network is up, and whether a flash for a reading is due.
static WANTED: CriticalSectionMutex<Cell<(LedPattern, bool)>> =
    CriticalSectionMutex::new(Cell::new((LedPattern::Connecting, false)));
static WANTED_CHANGED: Signal<CriticalSectionRawMutex, ()> = Signal::new();

/// Shows how the application is; the network's own troubles go before.
pub(crate) fn show(pattern: LedPattern) {
    WANTED.lock(|wanted| {
        let (shown, flash_is_due) = wanted.get();
        wanted.set(match pattern {
            LedPattern::Published => (shown, true),
            pattern => (pattern, flash_is_due),
        });
    });
    WANTED_CHANGED.signal(());
}

/// The pattern to show; a flash is taken, so that it comes once.
fn wanted() -> (LedPattern, bool) {
    WANTED.lock(|wanted| {
        let (pattern, flash_is_due) = wanted.get();
        wanted.set((pattern, false));
        (pattern, flash_is_due)
    })
}

/// Until the radio must be turned off and on again.
pub(super) async fn run(
    mut control: Control<'_>,
    stack: Stack<'_>,
    settings: &'static Settings<'static>,
    station: &mut Station,
) {
    RADIO.promise(TURN_MAX);
    if with_timeout(RADIO_ANSWER_MAX, radio::initialise(&mut control)).await.is_err() {
        log::error!("radio: its firmware does not answer");
        return;
    }
    log::info!("radio: ready");
    // Whatever was joined before the radio lost its power is gone.
    station.handle_link_lost(now_ms());
    station.handle_radio_ready(now_ms());
    Conductor { control, stack, settings, station, lamp: Lamp::new(), told: None }.conduct().await;
}

/// A board without settings only says so.
pub(super) async fn show_unusable(mut control: Control<'_>) {
    if with_timeout(RADIO_ANSWER_MAX, radio::initialise(&mut control)).await.is_err() {
        return;
    }
    let mut lamp = Lamp::new();
    lamp.show(LedPattern::ConfigurationUnusable, now_ms());
    loop {
        RADIO.promise(TURN_MAX);
        let Ok(until_ms) = with_timeout(RADIO_ANSWER_MAX, light(&mut control, &mut lamp)).await else {
            return;
        };
        Timer::at(Instant::from_millis(until_ms.unwrap_or(now_ms() + 1_000))).await;
    }
}

/// Sets the LED as the lamp wants it now, and tells when it wants something else.
///
/// Also when nothing changes: the answer shows that the radio lives, which nothing else would say of one that is idle.
async fn light(control: &mut Control<'_>, lamp: &mut Lamp) -> Option<u64> {
    let is_on = lamp.poll(now_ms());
    control.gpio_set(LED, is_on).await;
    lamp.poll_timeout()
}

struct Conductor<'n, 's> {
    control: Control<'n>,
    stack: Stack<'n>,
    settings: &'static Settings<'static>,
    station: &'s mut Station,
    lamp: Lamp,
    told: Option<Status>,
}

impl Conductor<'_, '_> {
    async fn conduct(&mut self) {
        loop {
            RADIO.promise(TURN_MAX);
            self.tell_status();
            match self.station.poll(now_ms()) {
                Some(StationAction::Join) => {
                    if with_timeout(RADIO_ANSWER_MAX, self.show_joining()).await.is_err() {
                        log::error!("radio: it no longer answers");
                        return;
                    }
                    self.join().await;
                }
                Some(StationAction::AwaitAddress) => log::info!("wifi: asking for an address"),
                Some(StationAction::Leave) => {
                    self.tell_failure();
                    if with_timeout(RADIO_ANSWER_MAX, self.control.leave()).await.is_err() {
                        return;
                    }
                }
                Some(StationAction::PowerCycleRadio) => return,
                None => {
                    if with_timeout(RADIO_ANSWER_MAX, self.light()).await.is_err() {
                        log::error!("radio: it no longer answers");
                        return;
                    }
                    self.wait().await;
                }
            }
        }
    }

    async fn light(&mut self) {
        let (wanted, flash_is_due) = wanted();
        let pattern = if wanted == LedPattern::ConfigurationUnusable {
            wanted
        } else if !self.station.is_up() {
            self.station.pattern()
        } else if clock::unix_ms().is_none() {
            LedPattern::NoTime
        } else {
            wanted
        };
        self.lamp.show(pattern, now_ms());
        if flash_is_due {
            self.lamp.show(LedPattern::Published, now_ms());
        }
        light(&mut self.control, &mut self.lamp).await;
    }

    async fn join(&mut self) {
        let Settings { wifi_ssid, wifi_password, .. } = *self.settings;
        log::info!("wifi: joining `{wifi_ssid}`");
        let options = match wifi_password {
            "" => JoinOptions::new_open(),
            passphrase => JoinOptions::new(passphrase.as_bytes()),
        };
        let deadline_ms = self.station.poll_timeout().unwrap_or(now_ms());
        let joined =
            select(self.control.join(wifi_ssid, options), Timer::at(Instant::from_millis(deadline_ms)));
        match joined.await {
            Either::First(Ok(())) => {
                log::info!("wifi: joined");
                self.station.handle_joined(now_ms());
            }
            Either::First(Err(error)) => {
                let failure = match error {
                    JoinError::NetworkNotFound => JoinFailure::NetworkNotFound,
                    JoinError::AuthenticationFailure => JoinFailure::WrongPassword,
                    JoinError::JoinFailure(_) => JoinFailure::Other,
                };
                self.station.handle_join_failed(failure, now_ms());
                self.tell_failure();
            }
            // The station says what follows.
            Either::Second(()) => {}
        }
    }

    /// Two flashes, before the join takes the radio's attention.
    async fn show_joining(&mut self) {
        // What is shown is shown to its end, so that the flashes can be counted.
        while let Some(end_ms) = self.lamp.flashes_end_ms(now_ms()) {
            let next_ms = light(&mut self.control, &mut self.lamp).await.unwrap_or(end_ms);
            Timer::at(Instant::from_millis(next_ms.min(end_ms))).await;
        }
        self.control.gpio_set(LED, false).await;
        Timer::after(BEFORE_JOINING).await;
        let until = Instant::now() + JOINING_SHOWN;
        let mut lamp = Lamp::new();
        lamp.show(LedPattern::JoiningWifi, now_ms());
        while Instant::now() < until {
            let Some(next_ms) = light(&mut self.control, &mut lamp).await else { break };
            Timer::at(Instant::from_millis(next_ms).min(until)).await;
        }
        self.control.gpio_set(LED, false).await;
    }

    /// Until the station, the lamp or the application wants something, or the network changes.
    async fn wait(&mut self) {
        let due_ms = [self.station.poll_timeout(), self.lamp.poll_timeout()].into_iter().flatten().min();
        let latest = Instant::now() + LOOK_EVERY;
        let next = due_ms.map_or(latest, |due_ms| Instant::from_millis(due_ms).min(latest));
        let phase = self.station.phase();
        let is_up = phase == StationPhase::Up;
        let is_joined = is_up || phase == StationPhase::AwaitingAddress;
        let stack = self.stack;
        let lost = async move {
            if is_joined { stack.wait_link_down().await } else { core::future::pending().await }
        };
        let addressed = async move {
            match (is_joined, is_up) {
                (true, false) => stack.wait_config_up().await,
                (true, true) => stack.wait_config_down().await,
                (false, _) => core::future::pending().await,
            }
        };
        match select4(Timer::at(next), lost, addressed, WANTED_CHANGED.wait()).await {
            Either4::First(()) | Either4::Fourth(()) => {}
            Either4::Second(()) => self.station.handle_link_lost(now_ms()),
            Either4::Third(()) if is_up => self.station.handle_link_lost(now_ms()),
            Either4::Third(()) => {
                if let Some(config) = stack.config_v4() {
                    log::info!("wifi: address {}", config.address.address());
                }
                self.station.handle_address(now_ms());
            }
        }
    }

    fn tell_failure(&self) {
        if let Some(failure) = self.station.last_failure() {
            log::warn!("wifi: {failure}");
        }
    }

    fn tell_status(&mut self) {
        ADDRESSED.sender().send_if_modified(|addressed| {
            addressed.replace(self.station.is_up()) != Some(self.station.is_up())
        });
        let is_online = self.station.is_up() && clock::unix_ms().is_some();
        let status = if is_online { Status::Online } else { Status::Offline };
        if self.told != Some(status) {
            self.told = Some(status);
            STATUS.signal(status);
        }
    }
}
