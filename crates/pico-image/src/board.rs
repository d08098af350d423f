//! The boards that there are images for.

use std::fmt;
use std::str::FromStr;

/// A board with the radio CYW43439.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Board {
    /// Pico W: RP2040, 2 MiB of flash.
    PicoW,
    /// Pico 2 W: RP2350 as two Arm cores, 4 MiB of flash.
    Pico2W,
}

/// There is no board of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no board `{0}`: write pico-w or pico2-w")]
pub struct UnknownBoard(String);

impl Board {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::PicoW, Self::Pico2W];

    /// Its name in commands and file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::PicoW => "pico-w",
            Self::Pico2W => "pico2-w",
        }
    }

    /// The UF2 family that its boot ROM takes. [RP2350 datasheet 5.5.3]
    pub fn family(self) -> u32 {
        match self {
            Self::PicoW => 0xE48B_FF56,
            Self::Pico2W => 0xE48B_FF59,
        }
    }

    /// The board of a UF2 family.
    pub fn of_family(family: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|board| board.family() == family)
    }

    /// What its drive is called, and the `Board-ID` in that drive's INFO_UF2.TXT. [RP2350 datasheet 5.7.6]
    pub fn boot_drive(self) -> &'static str {
        match self {
            Self::PicoW => "RPI-RP2",
            Self::Pico2W => "RP2350",
        }
    }

    /// Bytes of its flash.
    pub fn flash_bytes(self) -> u32 {
        match self {
            Self::PicoW => 2 * 1024 * 1024,
            Self::Pico2W => 4 * 1024 * 1024,
        }
    }

    /// The name of the firmware file that `cargo xtask firmware` makes for it.
    pub fn firmware_file_name(self) -> &'static str {
        match self {
            Self::PicoW => "eyot-pico-w.uf2",
            Self::Pico2W => "eyot-pico2-w.uf2",
        }
    }
}

/// As people write it: `Pico 2 W`.
impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PicoW => "Pico W",
            Self::Pico2W => "Pico 2 W",
        })
    }
}

impl FromStr for Board {
    type Err = UnknownBoard;

    fn from_str(text: &str) -> Result<Self, UnknownBoard> {
        Self::ALL.into_iter().find(|board| board.name() == text).ok_or_else(|| UnknownBoard(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_families_lead_back_to_the_board() {
        for board in Board::ALL {
            assert_eq!(board.name().parse(), Ok(board));
            assert_eq!(Board::of_family(board.family()), Some(board));
        }
        assert_eq!("pico".parse::<Board>(), Err(UnknownBoard("pico".to_owned())));
        assert_eq!(Board::of_family(0xE48B_FF57), None, "the absolute family is no board's");
    }
}
