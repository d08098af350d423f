//! The board's pins and peripherals, each handed to the part that uses it.

use embassy_rp::peripherals::{
    ADC, ADC_TEMP_SENSOR, DMA_CH0, PIN_0, PIN_23, PIN_24, PIN_25, PIN_29, PIO0, UART0,
};
use embassy_rp::watchdog::Watchdog;
use embassy_rp::{Peri, adc, bind_interrupts, dma, pio};

bind_interrupts!(pub(crate) struct Irqs {
    PIO0_IRQ_0 => pio::InterruptHandler<PIO0>;
    DMA_IRQ_0 => dma::InterruptHandler<DMA_CH0>;
    ADC_IRQ_FIFO => adc::InterruptHandler;
});

/// What the log calls it.
pub(crate) const NAME: &str = if cfg!(feature = "pico-w") { "Pico W" } else { "Pico 2 W" };

#[cfg(not(any(feature = "pico-w", feature = "pico2-w")))]
compile_error!("choose a board: --features pico-w or --features pico2-w");
#[cfg(all(feature = "pico-w", feature = "pico2-w"))]
compile_error!("one board only: pico-w or pico2-w");

/// Everything that the firmware uses.
pub(crate) struct Board {
    pub(crate) radio: RadioPins,
    pub(crate) sensor: SensorPins,
    pub(crate) serial: SerialPins,
    pub(crate) watchdog: Watchdog,
}

/// The radio chip: CYW43439 on a half-duplex SPI that only it understands, driven by a PIO state machine.
pub(crate) struct RadioPins {
    /// High: the radio has power.
    pub(crate) power: Peri<'static, PIN_23>,
    pub(crate) data: Peri<'static, PIN_24>,
    pub(crate) chip_select: Peri<'static, PIN_25>,
    pub(crate) clock: Peri<'static, PIN_29>,
    pub(crate) pio: Peri<'static, PIO0>,
    pub(crate) dma: Peri<'static, DMA_CH0>,
}

/// The temperature sensor in the chip.
pub(crate) struct SensorPins {
    pub(crate) adc: Peri<'static, ADC>,
    pub(crate) channel: Peri<'static, ADC_TEMP_SENSOR>,
}

/// The log's way out: 115200 baud on GP0.
pub(crate) struct SerialPins {
    pub(crate) uart: Peri<'static, UART0>,
    pub(crate) transmit: Peri<'static, PIN_0>,
}

/// Starts clocks and takes the peripherals. Once.
pub(crate) fn take() -> Board {
    let all = embassy_rp::init(embassy_rp::config::Config::default());
    #[cfg(feature = "pico2-w")]
    crate::entropy::keep_generator(all.TRNG);
    Board {
        radio: RadioPins {
            power: all.PIN_23,
            data: all.PIN_24,
            chip_select: all.PIN_25,
            clock: all.PIN_29,
            pio: all.PIO0,
            dma: all.DMA_CH0,
        },
        sensor: SensorPins { adc: all.ADC, channel: all.ADC_TEMP_SENSOR },
        serial: SerialPins { uart: all.UART0, transmit: all.PIN_0 },
        watchdog: Watchdog::new(all.WATCHDOG),
    }
}
