//! One block of a UF2 file. <https://github.com/microsoft/uf2>, section "File format".

/// Bytes of a block.
pub const BLOCK_BYTES: usize = 512;

/// Bytes of flash that a block carries. The boot ROMs of both chips take no other size. [RP2350 datasheet 5.5.2]
pub(crate) const PAGE_BYTES: usize = 256;

const MAGIC_START_0: u32 = 0x0A32_4655;
const MAGIC_START_1: u32 = 0x9E5D_5157;
const MAGIC_END: u32 = 0x0AB1_6F30;
/// The last header word is a family. Without it the boot ROM ignores the block.
const FLAG_FAMILY: u32 = 0x2000;
/// Extension tags follow the payload.
const FLAG_EXTENSION: u32 = 0x8000;

/// The family of blocks that go to their address whatever partitions say. [RP2350 datasheet 5.5.3]
const FAMILY_ABSOLUTE: u32 = 0xE48B_FF57;
/// The extension that tells the boot ROM to ignore the block, from stepping A3 on. [RP2350 datasheet, RP2350-E10]
const EXTENSION_IGNORE_BLOCK: u32 = 0x9957_E304;
/// Where picotool puts the absolute block: the end of the 16 MiB that can be addressed. In the 4 MiB of a Pico 2 W
/// that is the last sector, which holds nothing of ours.
const ABSOLUTE_ADDRESS: u32 = 0x10FF_FF00;

/// A page of flash on its way.
///
/// ```text
/// 0    4  0x0A324655      16  4  payload's length: 256
/// 4    4  0x9E5D5157      20  4  block's number
/// 8    4  flags           24  4  number of blocks
/// 12   4  address         28  4  family
/// 32   476  payload, extension tags, zeros
/// 508  4  0x0AB16F30                          all little endian
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block<'a> {
    pub(crate) family: u32,
    pub(crate) address: u32,
    pub(crate) number: u32,
    pub(crate) count: u32,
    pub(crate) page: &'a [u8; PAGE_BYTES],
}

/// Why 512 bytes are no block that a board would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// One of the three magic numbers is another.
    #[error("it is no UF2 block")]
    Magic,
    /// The boot ROM ignores such a block.
    #[error("its flags {0:#x} are not those of a page of flash")]
    Flags(u32),
    /// The boot ROM takes 256 bytes and nothing else.
    #[error("it carries {0} bytes instead of 256")]
    PayloadLength(u32),
}

impl<'a> Block<'a> {
    /// Writes the block behind `out`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.encode_with(FLAG_FAMILY, None, out);
    }

    fn encode_with(&self, flags: u32, extension: Option<u32>, out: &mut Vec<u8>) {
        let end = out.len() + BLOCK_BYTES;
        let length = PAGE_BYTES as u32;
        let header =
            [MAGIC_START_0, MAGIC_START_1, flags, self.address, length, self.number, self.count, self.family];
        out.extend(header.into_iter().flat_map(u32::to_le_bytes));
        out.extend(self.page);
        out.extend(extension.into_iter().flat_map(u32::to_le_bytes));
        out.resize(end - 4, 0);
        out.extend(MAGIC_END.to_le_bytes());
    }

    /// Reads a block.
    pub(crate) fn decode(bytes: &'a [u8; BLOCK_BYTES]) -> Result<Self, BlockError> {
        let magic = [word(bytes, 0), word(bytes, 4), word(bytes, 508)];
        if magic != [MAGIC_START_0, MAGIC_START_1, MAGIC_END] {
            return Err(BlockError::Magic);
        }
        let flags = word(bytes, 8);
        if flags != FLAG_FAMILY {
            return Err(BlockError::Flags(flags));
        }
        let length = word(bytes, 16);
        let Some(page) = bytes[32..].first_chunk().filter(|_| length == PAGE_BYTES as u32) else {
            return Err(BlockError::PayloadLength(length));
        };
        Ok(Self {
            family: word(bytes, 28),
            address: word(bytes, 12),
            number: word(bytes, 20),
            count: word(bytes, 24),
            page,
        })
    }
}

/// Writes the block that a UF2 for the RP2350 begins with.
///
/// [RP2350 datasheet, RP2350-E10] The boot ROM of stepping A2 looks for a partition table before it has set up the flash,
/// and then refuses the file if there is one. A first block of the absolute family, number 0 of 2, has the flash set
/// up and restarts nothing. This is byte for byte the block that picotool writes (elf2uf2.cpp, `gen_abs_block`).
pub(crate) fn encode_absolute_block(out: &mut Vec<u8>) {
    let page = &[0xEF; PAGE_BYTES];
    let block = Block { family: FAMILY_ABSOLUTE, address: ABSOLUTE_ADDRESS, number: 0, count: 2, page };
    block.encode_with(FLAG_FAMILY | FLAG_EXTENSION, Some(EXTENSION_IGNORE_BLOCK), out);
}

/// Whether this is such a block: picotool before 2.1 wrote it without the extension, and its place can be chosen.
pub(crate) fn is_absolute_block(bytes: &[u8; BLOCK_BYTES]) -> bool {
    let mut ours = Vec::with_capacity(BLOCK_BYTES);
    encode_absolute_block(&mut ours);
    ours[12..16].copy_from_slice(&bytes[12..16]);
    if word(bytes, 8) & FLAG_EXTENSION == 0 {
        ours[8..12].copy_from_slice(&FLAG_FAMILY.to_le_bytes());
        ours[32 + PAGE_BYTES..][..4].fill(0);
    }
    ours == bytes
}

fn word(bytes: &[u8; BLOCK_BYTES], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: [u8; PAGE_BYTES] = [0xA5; PAGE_BYTES];
    const BLOCK: Block<'_> =
        Block { family: 0xE48B_FF56, address: 0x1000_0100, number: 1, count: 16, page: &PAGE };

    fn encoded() -> [u8; BLOCK_BYTES] {
        let mut out = Vec::new();
        BLOCK.encode(&mut out);
        out.try_into().expect("512 bytes")
    }

    #[test]
    fn a_block_is_what_the_specification_says() {
        let bytes = encoded();
        assert_eq!(&bytes[..8], b"UF2\nWQ]\x9e");
        assert_eq!(bytes[8..12], [0, 0x20, 0, 0]);
        assert_eq!(bytes[12..16], [0, 1, 0, 0x10]);
        assert_eq!(bytes[28..32], [0x56, 0xFF, 0x8B, 0xE4]);
        assert_eq!(bytes[508..], [0x30, 0x6F, 0xB1, 0x0A]);
        assert_eq!(Block::decode(&bytes), Ok(BLOCK));
    }

    #[test]
    fn what_the_boot_rom_would_ignore_is_refused() {
        let changed = |at: usize, byte: u8| {
            let mut bytes = encoded();
            bytes[at] = byte;
            Block::decode(&bytes).map(|_| ())
        };
        for at in [0, 4, 508] {
            assert_eq!(changed(at, 0), Err(BlockError::Magic), "{at}");
        }
        assert_eq!(changed(8, 1), Err(BlockError::Flags(0x2001)), "not for main flash");
        assert_eq!(changed(9, 0), Err(BlockError::Flags(0)), "no family");
        assert_eq!(changed(16, 255), Err(BlockError::PayloadLength(511)));
    }

    #[test]
    fn the_absolute_block_is_picotools() {
        let mut out = Vec::new();
        encode_absolute_block(&mut out);
        let mut bytes: [u8; BLOCK_BYTES] = out.try_into().expect("512 bytes");
        let words: Vec<u32> = (0..8).map(|index| word(&bytes, index * 4)).collect();
        assert_eq!(
            words,
            [0x0A32_4655, 0x9E5D_5157, 0xA000, 0x10FF_FF00, 256, 0, 2, 0xE48B_FF57],
            "flags, address, length, number, count and family"
        );
        assert!(bytes[32..288].iter().all(|byte| *byte == 0xEF));
        assert_eq!(word(&bytes, 288), 0x9957_E304);
        assert!(is_absolute_block(&bytes));
        bytes[40] = 0;
        assert!(!is_absolute_block(&bytes));
        assert!(!is_absolute_block(&encoded()));
    }
}
