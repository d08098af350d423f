//! The radio chip: its bus, its firmware, its power.

use cyw43::{A4, Aligned, Control, NetDriver, Runner, SpiBus, SpiBusCyw43, State};
use cyw43_pio::{DEFAULT_CLOCK_DIVIDER, PioSpi};
use embassy_futures::yield_now;
use embassy_rp::dma;
use embassy_rp::gpio::{Level, Output};
use embassy_rp::peripherals::PIO0;
use embassy_rp::pio::Pio;

use crate::board::{Irqs, RadioPins};

/// What runs on the radio's own processor.
#[cfg(feature = "radio-firmware")]
mod firmware {
    use super::{A4, Aligned};

    #[used]
    static MARK: &str = device_core::settings::mark::WITH_RADIO_FIRMWARE;

    pub(super) static FIRMWARE: Aligned<A4, [u8; 231_077]> = Aligned(*cyw43_firmware::CYW43_43439A0);
    pub(super) static REGULATORY: &[u8] = cyw43_firmware::CYW43_43439A0_CLM;
}

/// What the emulated radio takes for one.
#[cfg(feature = "dummy-radio-firmware")]
mod firmware {
    use super::{A4, Aligned};

    #[used]
    static MARK: &str = device_core::settings::mark::WITHOUT_RADIO_FIRMWARE;

    pub(super) static FIRMWARE: Aligned<A4, [u8; 4_096]> = Aligned([0x5A; 4_096]);
    pub(super) static REGULATORY: &[u8] = &[0x5A; 984];
}

#[cfg(not(any(feature = "radio-firmware", feature = "dummy-radio-firmware")))]
compile_error!("choose the radio's firmware: --features radio-firmware or dummy-radio-firmware");

/// The chip's bus, for as long as one driver uses it.
pub(super) struct Bus<'r>(&'r mut PioSpi<'static, PIO0, 0>);

/// The chip.
pub(super) struct Radio {
    power: Output<'static>,
    bus: PioSpi<'static, PIO0, 0>,
    /// The driver's buffers.
    state: State,
}

/// A function of its own, so that the room for moving the buffers is on the stack only now.
#[inline(never)]
fn renew(state: &mut State) {
    *state = State::new();
}

impl Radio {
    #[inline(never)]
    pub(super) fn new(pins: RadioPins) -> Self {
        let power = Output::new(pins.power, Level::Low);
        let chip_select = Output::new(pins.chip_select, Level::High);
        let mut pio = Pio::new(pins.pio, Irqs);
        let bus = PioSpi::new(
            &mut pio.common,
            pio.sm0,
            DEFAULT_CLOCK_DIVIDER,
            pio.irq0,
            chip_select,
            pins.data,
            pins.clock,
            dma::Channel::new(pins.dma, Irqs),
        );
        Self { power, bus, state: State::new() }
    }

    /// Turns it on and uploads its firmware. Never ends when the chip does not answer.
    pub(super) async fn start(
        &mut self,
    ) -> (NetDriver<'_>, Control<'_>, Runner<'_, SpiBus<&mut Output<'static>, Bus<'_>>>) {
        renew(&mut self.state);
        cyw43::new(&mut self.state, &mut self.power, Bus(&mut self.bus), &firmware::FIRMWARE, &NVRAM).await
    }

    pub(super) fn power_off(&mut self) {
        self.power.set_low();
    }
}

/// Uploads the table of what is allowed in which country.
pub(super) async fn initialise(control: &mut Control<'_>) {
    control.init(firmware::REGULATORY).await;
    // Power save makes joins slow and loses associations silently; the board has mains or USB power.
    control.set_power_management(cyw43::PowerManagementMode::None).await;
}

impl SpiBusCyw43 for Bus<'_> {
    // The driver asks a radio that is dead again and again without a pause, and a transfer may be over before it is
    // waited for: without yielding, the deadline of the start would never be looked at, nor anything else done.
    async fn cmd_write(&mut self, write: &[u32]) -> u32 {
        yield_now().await;
        self.0.cmd_write(write).await
    }

    async fn cmd_read(&mut self, write: u32, read: &mut [u32]) -> u32 {
        yield_now().await;
        self.0.cmd_read(write, read).await
    }

    async fn wait_for_event(&mut self) {
        self.0.wait_for_event().await;
    }
}

/// The board's radio constants, which the chip has no memory for: `key=value` texts with a NUL behind each.
///
/// The values are those that the Pico W's makers publish for it, also in cyw43 0.6.0 (MIT OR Apache-2.0).
static NVRAM: Aligned<A4, [u8; NVRAM_BYTES]> = Aligned(nvram());

const NVRAM_ENTRIES: [&str; 46] = [
    "NVRAMRev=$Rev$",
    "manfid=0x2d0",
    "prodid=0x0727",
    "vendid=0x14e4",
    "devid=0x43e2",
    "boardtype=0x0887",
    "boardrev=0x1100",
    "boardnum=22",
    "macaddr=00:A0:50:b5:59:5e",
    "sromrev=11",
    "boardflags=0x00404001",
    "boardflags3=0x04000000",
    "xtalfreq=37400",
    "nocrc=1",
    "ag0=255",
    "aa2g=1",
    "ccode=ALL",
    "pa0itssit=0x20",
    "extpagain2g=0",
    "pa2ga0=-168,6649,-778",
    "AvVmid_c0=0x0,0xc8",
    "cckpwroffset0=5",
    "maxp2ga0=84",
    "txpwrbckof=6",
    "cckbw202gpo=0",
    "legofdmbw202gpo=0x66111111",
    "mcsbw202gpo=0x77711111",
    "propbw202gpo=0xdd",
    "ofdmdigfilttype=18",
    "ofdmdigfilttypebe=18",
    "papdmode=1",
    "papdvalidtest=1",
    "pacalidx2g=45",
    "papdepsoffset=-30",
    "papdendidx=58",
    "ltecxmux=0",
    "ltecxpadnum=0x0102",
    "ltecxfnsel=0x44",
    "ltecxgcigpio=0x01",
    "il0macaddr=00:90:4c:c5:12:38",
    "wl0id=0x431b",
    "deadman_to=0xffffffff",
    "muxenab=0x100",
    "spurconfig=0x3",
    "glitch_based_crsmin=1",
    "btc_mode=1",
];

/// The bytes of all entries with their NULs, one more NUL, and up to a multiple of four, as the driver uploads words.
const NVRAM_BYTES: usize = {
    let (mut bytes, mut entry) = (1, 0);
    while entry < NVRAM_ENTRIES.len() {
        bytes += NVRAM_ENTRIES[entry].len() + 1;
        entry += 1;
    }
    bytes.next_multiple_of(4)
};

const fn nvram() -> [u8; NVRAM_BYTES] {
    let (mut bytes, mut end, mut entry) = ([0; NVRAM_BYTES], 0, 0);
    while entry < NVRAM_ENTRIES.len() {
        let text = NVRAM_ENTRIES[entry].as_bytes();
        let mut at = 0;
        while at < text.len() {
            bytes[end + at] = text[at];
            at += 1;
        }
        end += text.len() + 1;
        entry += 1;
    }
    bytes
}
