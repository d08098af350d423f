//! The linker's ELF to firmware.
//!
//! Only what a loader needs is read: the program headers, whose physical addresses say where in flash the bytes lie.
//! System V ABI, chapters 4 "ELF Header" and 5 "Program Header".

use crate::board::Board;
use crate::image::{FirmwareError, check_firmware};
use crate::uf2::{OutsideFlash, Uf2};

const HEADER_BYTES: usize = 52;
const PROGRAM_HEADER_BYTES: usize = 32;
/// `\x7fELF`, 32 bits, little endian, version 1.
const IDENTITY: &[u8] = b"\x7fELF\x01\x01\x01";
/// A linked program, ready to run.
const TYPE_EXECUTABLE: u16 = 2;
const MACHINE_ARM: u16 = 40;
/// A segment that is loaded.
const SEGMENT_LOAD: u32 = 1;
/// RAM begins here and flash lies below, on both chips [RP2040 2.2] [RP2350 2.2].
const RAM_ADDRESS: u32 = 0x2000_0000;

/// Why an ELF file is no firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// Another format, word size or byte order.
    #[error("it is no ELF file of 32 bits, little endian")]
    NotElf32,
    /// An object file, a library, or for another processor.
    #[error("it is no linked program for Arm (type {kind}, machine {machine})")]
    NotAnArmProgram {
        /// `e_type`.
        kind: u16,
        /// `e_machine`.
        machine: u16,
    },
    /// It points behind its end.
    #[error("it is cut off")]
    CutOff,
    /// Not for flash, such as a program that runs from RAM.
    #[error("a segment has content for other memory: {0}")]
    OutsideFlash(#[from] OutsideFlash),
    /// Two segments for one place.
    #[error("two segments lie at {address:#010x}")]
    Overlap {
        /// Where the second begins.
        address: u32,
    },
    /// Not at the start of flash, or too long.
    #[error(transparent)]
    Firmware(#[from] FirmwareError),
}

/// Firmware from the file that the linker made.
///
/// # Errors
/// The file is damaged, for another machine, or does not fit into the board's flash.
pub fn firmware_from_elf(elf: &[u8], board: Board) -> Result<Uf2, ElfError> {
    let mut segments = segments(elf)?;
    // A segment without bytes in the file is memory that the program clears itself.
    segments.retain(|segment| !segment.bytes.is_empty());
    segments.sort_by_key(|segment| segment.address);
    let mut firmware = Uf2::new(board);
    let mut end = 0;
    for Segment { address, bytes, .. } in segments {
        if u64::from(address) < end {
            return Err(ElfError::Overlap { address });
        }
        firmware.put(address, bytes)?;
        end = u64::from(address) + bytes.len() as u64;
    }
    check_firmware(&firmware, board)?;
    Ok(firmware)
}

/// How much memory a program takes before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryUse {
    /// Bytes of flash.
    pub flash_bytes: usize,
    /// Bytes of RAM that are never free: variables and buffers, but no stack.
    pub static_ram_bytes: usize,
}

/// How much memory the program in a linker's file takes.
///
/// # Errors
/// The file is damaged, or for another machine.
pub fn memory_of_elf(elf: &[u8]) -> Result<MemoryUse, ElfError> {
    let mut memory = MemoryUse { flash_bytes: 0, static_ram_bytes: 0 };
    for segment in segments(elf)? {
        memory.flash_bytes += segment.bytes.len();
        if segment.memory_address >= RAM_ADDRESS {
            memory.static_ram_bytes += segment.memory_bytes;
        }
    }
    Ok(memory)
}

/// A part of memory, and the bytes of the file that belong there.
struct Segment<'a> {
    /// Where the bytes are stored.
    address: u32,
    /// Where they are while the program runs.
    memory_address: u32,
    bytes: &'a [u8],
    memory_bytes: usize,
}

/// What is to be loaded or cleared.
fn segments(elf: &[u8]) -> Result<Vec<Segment<'_>>, ElfError> {
    if elf.len() < HEADER_BYTES || !elf.starts_with(IDENTITY) {
        return Err(ElfError::NotElf32);
    }
    let (kind, machine) = (half(elf, 16)?, half(elf, 18)?);
    if (kind, machine) != (TYPE_EXECUTABLE, MACHINE_ARM) {
        return Err(ElfError::NotAnArmProgram { kind, machine });
    }
    let table = word(elf, 28)? as usize;
    let (size, count) = (usize::from(half(elf, 42)?), usize::from(half(elf, 44)?));
    if size < PROGRAM_HEADER_BYTES && count > 0 {
        return Err(ElfError::CutOff);
    }
    let mut segments = Vec::new();
    for index in 0..count {
        let at = table.checked_add(index * size).ok_or(ElfError::CutOff)?;
        let header =
            elf.get(at..).and_then(|rest| rest.get(..PROGRAM_HEADER_BYTES)).ok_or(ElfError::CutOff)?;
        let (offset, length) = (word(header, 4)? as usize, word(header, 16)? as usize);
        if word(header, 0)? != SEGMENT_LOAD {
            continue;
        }
        let bytes = elf.get(offset..).and_then(|rest| rest.get(..length)).ok_or(ElfError::CutOff)?;
        segments.push(Segment {
            address: word(header, 12)?,
            memory_address: word(header, 8)?,
            bytes,
            memory_bytes: word(header, 20)? as usize,
        });
    }
    Ok(segments)
}

fn half(bytes: &[u8], at: usize) -> Result<u16, ElfError> {
    let half = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(ElfError::CutOff)?;
    Ok(u16::from_le_bytes(*half))
}

fn word(bytes: &[u8], at: usize) -> Result<u32, ElfError> {
    let word = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(ElfError::CutOff)?;
    Ok(u32::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use device_core::settings::FIRMWARE_BYTES_MAX;
    use proptest::prelude::*;

    /// Physical address, bytes in the file, bytes in memory.
    type Load<'a> = (u32, &'a [u8], u32);

    fn elf(loads: &[Load<'_>]) -> Vec<u8> {
        let mut header = [IDENTITY, &[0; 9]].concat();
        header.extend([2_u16, 40].into_iter().flat_map(u16::to_le_bytes));
        header.extend([1_u32, 0x1000_0101, 52, 0, 0x0500_0200].into_iter().flat_map(u32::to_le_bytes));
        let count = u16::try_from(loads.len()).unwrap();
        header.extend([52_u16, 32, count, 40, 0, 0].into_iter().flat_map(u16::to_le_bytes));
        let mut offset = u32::try_from(52 + 32 * loads.len()).unwrap();
        let mut content: Vec<u8> = Vec::new();
        for (address, bytes, memory) in loads {
            let length = u32::try_from(bytes.len()).unwrap();
            // Type, offset, virtual and physical address, sizes in file and memory, flags, alignment.
            let fields = [1, offset, 0x2000_0000, *address, length, *memory, 5, 4];
            header.extend(fields.into_iter().flat_map(u32::to_le_bytes));
            content.extend(*bytes);
            offset += length;
        }
        header.extend(content);
        header
    }

    #[test]
    fn segments_lie_at_their_physical_addresses() {
        let file = elf(&[
            (0x1000_0100, &[2; 4000], 4000),
            (0x1000_0000, &[1; 256], 256),
            (0x1000_10A0, &[3; 8], 8),  // .data: runs in RAM, lies in flash
            (0x2000_0100, &[], 90_000), // .bss
        ]);
        let firmware = firmware_from_elf(&file, Board::PicoW).unwrap();
        let sectors: Vec<_> = firmware.sectors().collect();
        assert_eq!(sectors.len(), 2);
        assert_eq!(sectors[0].1[..256], [1; 256]);
        assert_eq!(sectors[0].1[256..], [2; 4096 - 256]);
        assert_eq!(sectors[1].0, 0x1000_1000);
        assert_eq!(sectors[1].1[..0xA0], [2; 0xA0]);
        assert_eq!(sectors[1].1[0xA0..0xA9], [3, 3, 3, 3, 3, 3, 3, 3, 0xFF]);
    }

    #[test]
    fn memory_is_counted_where_it_is_used() {
        let file =
            elf(&[(0x1000_0000, &[1; 256], 256), (0x1000_10A0, &[3; 8], 8), (0x2000_0100, &[], 90_000)]);
        // The builder puts everything into RAM while it runs.
        let expected = MemoryUse { flash_bytes: 264, static_ram_bytes: 90_264 };
        assert_eq!(memory_of_elf(&file), Ok(expected));
        assert_eq!(memory_of_elf(b"not an ELF"), Err(ElfError::NotElf32));
    }

    #[test]
    fn what_cannot_be_firmware_is_refused_with_its_reason() {
        let refused = |file: &[u8]| firmware_from_elf(file, Board::PicoW).unwrap_err();
        let good = elf(&[(0x1000_0000, &[1; 256], 256)]);
        assert_eq!(refused(b"not an ELF"), ElfError::NotElf32);
        let mut wide = good.clone();
        wide[4] = 2;
        assert_eq!(refused(&wide), ElfError::NotElf32);
        let mut object = good.clone();
        object[16] = 1;
        assert_eq!(refused(&object), ElfError::NotAnArmProgram { kind: 1, machine: 40 });
        assert_eq!(refused(&good[..good.len() - 1]), ElfError::CutOff);
        assert_eq!(refused(&good[..60]), ElfError::CutOff);
        assert_eq!(
            refused(&elf(&[(0x1000_0000, &[1; 256], 256), (0x1000_00FF, &[2], 1)])),
            ElfError::Overlap { address: 0x1000_00FF }
        );
        let ram = OutsideFlash { address: 0x2000_0000, bytes: 1, board: Board::PicoW };
        assert_eq!(
            refused(&elf(&[(0x1000_0000, &[1; 256], 256), (0x2000_0000, &[2], 1)])),
            ElfError::OutsideFlash(ram)
        );
        assert_eq!(refused(&elf(&[])), ElfError::Firmware(FirmwareError::NoStart));
        assert_eq!(refused(&elf(&[(0x1000_1000, &[1], 1)])), ElfError::Firmware(FirmwareError::NoStart));
        let large = vec![0; FIRMWARE_BYTES_MAX + 1];
        assert_eq!(
            refused(&elf(&[(0x1000_0000, &large, 0)])),
            ElfError::Firmware(FirmwareError::TooLarge { end: 0x100D_1000 })
        );
        assert_eq!(
            refused(&elf(&[(0x1000_0000, &[1], 1), (0x101F_0000, &[1], 1)])),
            ElfError::Firmware(FirmwareError::Configured)
        );
    }

    proptest! {
        #[test]
        fn no_change_of_a_file_makes_it_panic(at in 0_usize..148, byte in any::<u8>(), cut in 0_usize..140) {
            let mut file = elf(&[(0x1000_0000, &[1; 8], 8), (0x1000_0100, &[2; 8], 8)]);
            let length = file.len();
            file[at % length] = byte;
            file.truncate(length - cut % length);
            let _ = firmware_from_elf(&file, Board::Pico2W);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut file = elf(&[]);
            file.truncate(44);
            file.extend(bytes);
            let _ = firmware_from_elf(&file, Board::PicoW);
        }
    }
}
