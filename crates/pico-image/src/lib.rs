//! Images for the Pico W and Pico 2 W: what is dragged onto the drive of a board whose BOOTSEL button is held.
//!
//! ```text
//! linker's ELF ─firmware_from_elf─▶ Uf2 ─image─▶ Uf2 ─encode─▶ bytes for the drive
//!                                          ▲                     │
//!                    configuration partition              decode ▼
//!                       (device_core::settings)                 Uf2 ─partition─▶ what it is configured for
//! ```
//! A [`Uf2`] is content of flash, in whole sectors, for one [`Board`]. Bytes come in and go out: files, drives and
//! people are the caller's.
//!
//! ```
//! use device_core::settings::CONFIG_BYTES;
//! use pico_image::{Board, Uf2};
//!
//! let firmware = pico_image::firmware_from_binary(&[0x55; 300], Board::PicoW).unwrap();
//! let image = pico_image::image(&firmware, &[0xAA; CONFIG_BYTES]).unwrap();
//! assert_eq!(Uf2::decode(&image.encode()), Ok(image));
//! ```
#![forbid(unsafe_code)]

mod block;
mod board;
mod elf;
mod image;
mod uf2;

pub use block::{BLOCK_BYTES, BlockError};
pub use board::{Board, UnknownBoard};
pub use elf::{ElfError, MemoryUse, firmware_from_elf, memory_of_elf};
pub use image::{
    FirmwareError, RadioFirmware, check_firmware, configuration, firmware_bytes, firmware_from_binary, image,
    partition, radio_firmware,
};
pub use uf2::{OutsideFlash, SECTOR_BYTES, Uf2, Uf2Error};
