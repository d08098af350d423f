//! Random numbers for TLS: ChaCha20, seeded from everything that an attacker would have to know at once.
//!
//! The RP2040 has no true random generator. Its ring oscillator gives bits that are biased and may follow the supply
//! voltage, so they alone are not enough. SHA-256 mixes them with the converter's noise, the jitter between the ring
//! oscillator and the crystal, and the secret that `eyot pico image` put into this board's configuration.

use chacha20::ChaCha20Rng;
use device_core::settings::{SEED_BYTES, Settings};
use embassy_rp::clocks::RoscRng;
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

/// A generator with a seed of this start.
pub(crate) fn generator(sensor: &mut Sensor, settings: &Settings<'_>) -> Generator {
    let mut seed = Sha256::new();
    seed.update(b"eyot pico entropy 1");
    seed.update(settings.seed);
    mix_oscillator(&mut seed);
    mix_noise(&mut seed, sensor);
    mix_jitter(&mut seed);
    #[cfg(feature = "pico2-w")]
    true_random::mix(&mut seed);
    ChaCha20Rng::from_seed(seed.finalize().into())
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

/// Numbers for spreading attempts in time, and for the network stack.
pub(crate) fn seed_of_no_secret() -> u64 {
    RoscRng.next_u64()
}

/// A number that nobody can guess who has not seen the generator's others.
pub(crate) fn seed_of(generator: &mut Generator) -> u64 {
    generator.next_u64()
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
