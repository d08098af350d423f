//! Random numbers: ChaCha20, seeded from everything that an attacker would have to know at once.
//!
//! The RP2040 has no true random generator. Its ring oscillator gives bits that are biased and may follow the supply
//! voltage, so they alone are not enough. SHA-256 mixes them with the converter's noise, the jitter between the ring
//! oscillator and the crystal, and the secret that `eyot pico image` put into this board's configuration.

use core::cell::RefCell;

use chacha20::ChaCha20Rng;
use device_core::settings::{SEED_BYTES, Settings};
use embassy_rp::clocks::RoscRng;
use embassy_sync::blocking_mutex::CriticalSectionMutex;
use rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

use crate::sensor::Sensor;

/// Bytes of the ring oscillator: 2,048 bits for a seed of 256, so that an eighth of a bit each is enough.
const OSCILLATOR_BYTES: usize = 256;
/// Conversions of the sensor, whose lowest bits are noise.
const CONVERSIONS: usize = 256;
/// Timings of the oscillator against the crystal.
const TIMINGS: usize = 256;

/// What TLS draws from.
pub(crate) type Generator = ChaCha20Rng;

/// What everybody draws from, once it has been seeded.
static GENERATOR: CriticalSectionMutex<RefCell<Option<Generator>>> =
    CriticalSectionMutex::new(RefCell::new(None));

/// Seeds the generator for this start. Before anything that draws from it.
pub(crate) fn start(sensor: &mut Sensor, settings: &Settings<'_>) {
    let mut seed = Sha256::new();
    seed.update(b"eyot pico entropy 1");
    seed.update(settings.seed);
    mix_oscillator(&mut seed);
    mix_noise(&mut seed, sensor);
    mix_jitter(&mut seed);
    #[cfg(feature = "pico2-w")]
    true_random::mix(&mut seed);
    let generator = ChaCha20Rng::from_seed(seed.finalize().into());
    GENERATOR.lock(|kept| kept.replace(Some(generator)));
}

/// A number that nobody can guess who has not seen the generator's others.
pub(crate) fn next_u64() -> u64 {
    draw(|generator| generator.next_u64())
}

/// A generator of its own, for TLS.
pub(crate) fn fork() -> Generator {
    draw(|generator| {
        let mut seed = [0; SEED_BYTES];
        generator.fill_bytes(&mut seed);
        Generator::from_seed(seed)
    })
}

fn draw<T>(from: impl FnOnce(&mut Generator) -> T) -> T {
    GENERATOR.lock(|kept| from(kept.borrow_mut().as_mut().expect("main seeds it first")))
}

fn mix_oscillator(seed: &mut Sha256) {
    let mut bytes = [0; OSCILLATOR_BYTES];
    RoscRng.fill_bytes(&mut bytes);
    seed.update(bytes);
}

fn mix_noise(seed: &mut Sha256, sensor: &mut Sensor) {
    for _ in 0..CONVERSIONS {
        seed.update(sensor.noise().to_le_bytes());
    }
}

/// How long the oscillator takes to give a one bit, measured with the crystal's clock.
fn mix_jitter(seed: &mut Sha256) {
    for _ in 0..TIMINGS {
        let mut tries: u8 = 0;
        while RoscRng::next_u8() & 1 == 0 && tries < u8::MAX {
            tries += 1;
        }
        let now = embassy_time::Instant::now().as_ticks();
        seed.update(now.to_le_bytes());
        seed.update([tries]);
    }
}

const _: () = assert!(SEED_BYTES == 32, "as long as the generator's seed");

#[cfg(feature = "pico2-w")]
pub(crate) use true_random::keep as keep_generator;

/// The RP2350's true random generator.
#[cfg(feature = "pico2-w")]
mod true_random {
    use core::cell::RefCell;
    use embassy_rp::Peri;
    use embassy_rp::peripherals::TRNG;
    use embassy_rp::trng::{Config, InterruptHandler, Trng};
    use embassy_sync::blocking_mutex::CriticalSectionMutex;
    use sha2::{Digest as _, Sha256};

    embassy_rp::bind_interrupts!(struct Irqs {
        TRNG_IRQ => InterruptHandler<TRNG>;
    });

    static GENERATOR: CriticalSectionMutex<RefCell<Option<Peri<'static, TRNG>>>> =
        CriticalSectionMutex::new(RefCell::new(None));

    /// Keeps the peripheral until a seed is made.
    pub(crate) fn keep(trng: Peri<'static, TRNG>) {
        GENERATOR.lock(|kept| *kept.borrow_mut() = Some(trng));
    }

    pub(super) fn mix(seed: &mut Sha256) {
        let Some(trng) = GENERATOR.lock(|kept| kept.borrow_mut().take()) else { return };
        let mut bytes = [0; 64];
        Trng::new(trng, Irqs, Config::default()).blocking_fill_bytes(&mut bytes);
        seed.update(bytes);
    }
}
