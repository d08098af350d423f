//! Firmware and configuration partition, together or alone.

use crate::board::Board;
use crate::uf2::{SECTOR_BYTES, Uf2};
use device_core::settings::mark;
use device_core::settings::{CONFIG_ADDRESS, CONFIG_BYTES, FIRMWARE_ADDRESS, FIRMWARE_BYTES_MAX};

// Both are sums of whole sectors, so that one never shares a sector with the other; and a Pico W has both.
const _: () = assert!(CONFIG_ADDRESS.is_multiple_of(SECTOR_BYTES as u32));
const _: () = assert!(CONFIG_BYTES.is_multiple_of(SECTOR_BYTES));
const _: () = assert!(FIRMWARE_ADDRESS + FIRMWARE_BYTES_MAX as u32 <= CONFIG_ADDRESS);
const _: () = assert!(CONFIG_ADDRESS + CONFIG_BYTES as u32 <= 0x1020_0000);

/// Why an image is no firmware of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FirmwareError {
    /// For the other board.
    #[error("it is for a {found}, not for a {expected}: choose the file for the board, or the board with --board {}", .found.name())]
    OtherBoard {
        /// What it is for.
        found: Board,
        /// What it was to be for.
        expected: Board,
    },
    /// Somebody's image with configuration, perhaps with a key.
    #[error(
        "it holds a configuration already: take the firmware that `cargo xtask firmware` made, not an image for one device"
    )]
    Configured,
    /// Nothing where the processor starts.
    #[error("nothing lies at {FIRMWARE_ADDRESS:#010x}, where a board starts: this is no firmware")]
    NoStart,
    /// Too long.
    #[error(
        "it reaches to {end:#010x}, and may have {FIRMWARE_BYTES_MAX} bytes from {FIRMWARE_ADDRESS:#010x} on: it would leave no room for updates"
    )]
    TooLarge {
        /// Its end.
        end: u32,
    },
}

/// Whether this is firmware for the board, and nothing but firmware.
///
/// # Errors
/// What is wrong with it.
pub fn check_firmware(firmware: &Uf2, board: Board) -> Result<(), FirmwareError> {
    if firmware.board() != board {
        return Err(FirmwareError::OtherBoard { found: firmware.board(), expected: board });
    }
    if firmware.sectors().any(|(address, _)| is_configuration(address)) {
        return Err(FirmwareError::Configured);
    }
    check_extent(firmware)
}

/// What firmware of ours carries for the radio's own processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RadioFirmware {
    /// What the radio's maker made for it.
    Real,
    /// Nothing of meaning: for the emulated board.
    Dummy,
}

/// What the firmware carries for the radio; `None`: it is not firmware of ours.
pub fn radio_firmware(firmware: &Uf2) -> Option<RadioFirmware> {
    // A text may lie across two sectors.
    let bytes: Vec<u8> = firmware.sectors().flat_map(|(_, sector)| sector.iter().copied()).collect();
    let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    match (has(mark::WITH_RADIO_FIRMWARE), has(mark::WITHOUT_RADIO_FIRMWARE)) {
        (true, _) => Some(RadioFirmware::Real),
        (false, true) => Some(RadioFirmware::Dummy),
        (false, false) => None,
    }
}

/// Where firmware begins and ends.
fn check_extent(image: &Uf2) -> Result<(), FirmwareError> {
    let mut sectors =
        image.sectors().map(|(address, _)| address).filter(|address| !is_configuration(*address));
    let first = sectors.next().ok_or(FirmwareError::NoStart)?;
    if first != FIRMWARE_ADDRESS {
        return Err(FirmwareError::NoStart);
    }
    let end = sectors.last().unwrap_or(first) + SECTOR_BYTES as u32;
    if end - FIRMWARE_ADDRESS > FIRMWARE_BYTES_MAX as u32 {
        return Err(FirmwareError::TooLarge { end });
    }
    Ok(())
}

/// Firmware from the bytes that lie at the start of flash, as `objcopy -O binary` writes them.
///
/// # Errors
/// Nothing, or too much.
pub fn firmware_from_binary(bytes: &[u8], board: Board) -> Result<Uf2, FirmwareError> {
    let too_large = |length: usize| FirmwareError::TooLarge {
        end: u32::try_from(length).map_or(u32::MAX, |length| FIRMWARE_ADDRESS.saturating_add(length)),
    };
    let mut firmware = Uf2::new(board);
    firmware.put(FIRMWARE_ADDRESS, bytes).map_err(|_| too_large(bytes.len()))?;
    check_firmware(&firmware, board)?;
    Ok(firmware)
}

/// Firmware and configuration in one.
///
/// # Errors
/// The firmware is none.
pub fn image(firmware: &Uf2, partition: &[u8; CONFIG_BYTES]) -> Result<Uf2, FirmwareError> {
    check_firmware(firmware, firmware.board())?;
    let mut image = firmware.clone();
    put_partition(&mut image, partition);
    Ok(image)
}

/// The configuration alone: the firmware on the board stays.
pub fn configuration(board: Board, partition: &[u8; CONFIG_BYTES]) -> Uf2 {
    let mut image = Uf2::new(board);
    put_partition(&mut image, partition);
    image
}

fn put_partition(image: &mut Uf2, partition: &[u8; CONFIG_BYTES]) {
    image.put(CONFIG_ADDRESS, partition).expect("every board has flash there: asserted above");
}

/// The configuration partition of an image, if it has one. Sectors that the image leaves alone read as erased.
pub fn partition(image: &Uf2) -> Option<Box<[u8; CONFIG_BYTES]>> {
    let mut partition = Box::new([0xFF; CONFIG_BYTES]);
    let mut is_there = false;
    for (address, bytes) in image.sectors().filter(|(address, _)| is_configuration(*address)) {
        let offset = (address - CONFIG_ADDRESS) as usize;
        partition[offset..offset + SECTOR_BYTES].copy_from_slice(bytes);
        is_there = true;
    }
    is_there.then_some(partition)
}

/// Bytes of firmware in an image, in whole sectors; none when it holds a configuration alone.
///
/// # Errors
/// What lies beside the configuration is no firmware.
pub fn firmware_bytes(image: &Uf2) -> Result<Option<usize>, FirmwareError> {
    let sectors = image.sectors().filter(|(address, _)| !is_configuration(*address)).count();
    if sectors == 0 {
        return Ok(None);
    }
    check_extent(image).map(|()| Some(sectors * SECTOR_BYTES))
}

fn is_configuration(address: u32) -> bool {
    (CONFIG_ADDRESS..CONFIG_ADDRESS + CONFIG_BYTES as u32).contains(&address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn firmware(bytes: usize) -> Uf2 {
        firmware_from_binary(&vec![7; bytes], Board::PicoW).unwrap()
    }

    fn a_partition() -> Box<[u8; CONFIG_BYTES]> {
        let mut partition = Box::new([0xFF; CONFIG_BYTES]);
        partition[..8].copy_from_slice(b"EYOTCONF");
        partition
    }

    #[test]
    fn an_image_holds_both_and_gives_them_back() {
        let image = image(&firmware(5000), &a_partition()).unwrap();
        assert_eq!(image.sectors().count(), 2 + 4);
        assert_eq!(partition(&image), Some(a_partition()));
        assert_eq!(firmware_bytes(&image), Ok(Some(8192)));
        let alone = configuration(Board::Pico2W, &a_partition());
        assert_eq!(partition(&alone), Some(a_partition()));
        assert_eq!(firmware_bytes(&alone), Ok(None));
        assert_eq!(alone.sectors().count(), 4);
        assert_eq!(partition(&firmware(1)), None);
    }

    #[test]
    fn firmware_of_ours_is_known_by_its_mark() {
        assert_eq!(radio_firmware(&firmware(5_000)), None);
        for (text, expected) in [
            (mark::WITH_RADIO_FIRMWARE, RadioFirmware::Real),
            (mark::WITHOUT_RADIO_FIRMWARE, RadioFirmware::Dummy),
        ] {
            let mut bytes = vec![7; 4_090];
            bytes.extend_from_slice(text.as_bytes());
            let across_two_sectors = firmware_from_binary(&bytes, Board::PicoW).unwrap();
            assert_eq!(radio_firmware(&across_two_sectors), Some(expected));
        }
    }

    #[test]
    fn what_is_no_firmware_is_refused() {
        let board = Board::PicoW;
        assert_eq!(
            check_firmware(&firmware(1), Board::Pico2W),
            Err(FirmwareError::OtherBoard { found: board, expected: Board::Pico2W })
        );
        let configured = image(&firmware(1), &a_partition()).unwrap();
        assert_eq!(check_firmware(&configured, board), Err(FirmwareError::Configured));
        let mut elsewhere = Uf2::new(board);
        elsewhere.put(FIRMWARE_ADDRESS + 4096, &[0]).unwrap();
        assert_eq!(check_firmware(&elsewhere, board), Err(FirmwareError::NoStart));
        assert_eq!(check_firmware(&Uf2::new(board), board), Err(FirmwareError::NoStart));
        assert_eq!(firmware_from_binary(&[], board), Err(FirmwareError::NoStart));
        let fits = vec![0; FIRMWARE_BYTES_MAX];
        assert!(firmware_from_binary(&fits, board).is_ok());
        let mut far = firmware(1);
        far.put(FIRMWARE_ADDRESS + FIRMWARE_BYTES_MAX as u32, &[0]).unwrap();
        assert_eq!(check_firmware(&far, board), Err(FirmwareError::TooLarge { end: 0x100D_1000 }));
        assert_eq!(firmware_bytes(&far), Err(FirmwareError::TooLarge { end: 0x100D_1000 }));
        let huge = firmware_from_binary(&vec![0; 3 * 1024 * 1024], board);
        assert_eq!(huge, Err(FirmwareError::TooLarge { end: 0x1030_0000 }));
    }
}
