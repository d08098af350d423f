//! A UF2 file: content of flash, in whole sectors.

use crate::block::{BLOCK_BYTES, Block, BlockError, PAGE_BYTES, encode_absolute_block, is_absolute_block};
use crate::board::Board;
use device_core::settings::FIRMWARE_ADDRESS;
use std::collections::BTreeMap;

/// Bytes of flash that are erased at once.
pub const SECTOR_BYTES: usize = 4096;

/// Start of the flash, on both chips.
const FLASH_ADDRESS: u32 = FIRMWARE_ADDRESS;
const SECTOR: u32 = SECTOR_BYTES as u32;
const PAGES_PER_SECTOR: usize = SECTOR_BYTES / PAGE_BYTES;
/// What an erased byte reads as.
const ERASED: u8 = 0xFF;

/// What a board's flash shall hold.
///
/// INVARIANT: sectors are whole. The RP2040's boot ROM takes 16 consecutive block numbers for one sector, and erases it
/// at the first of them [pico-bootrom-rp2040 virtual_disk.c, `_write_uf2_page`]: with a sector cut short, those behind
/// it would not be erased, or be erased after half of them is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uf2 {
    board: Board,
    /// By address.
    sectors: BTreeMap<u32, Box<[u8; SECTOR_BYTES]>>,
}

/// Something would lie where the board has no flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes at {address:#010x} are not in the flash of a {board}")]
pub struct OutsideFlash {
    /// Where they would begin.
    pub address: u32,
    /// How many.
    pub bytes: usize,
    /// The board.
    pub board: Board,
}

/// Why bytes are no UF2 file for one of our boards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uf2Error {
    /// Nothing in it.
    #[error("it holds no block for a board")]
    Empty,
    /// Not a multiple of 512 bytes: probably cut off.
    #[error("its {0} bytes are no whole number of blocks: it is cut off, or no UF2 file")]
    Length(usize),
    /// A block that a board would not take.
    #[error("block {index}: {error}")]
    Block {
        /// Which, from 0.
        index: usize,
        /// Why.
        #[source]
        error: BlockError,
    },
    /// For another chip.
    #[error("family {0:#010x} is none of a Pico W or Pico 2 W")]
    Family(u32),
    /// Blocks of two families.
    #[error("block {index} is for another chip than those before it")]
    MixedFamilies {
        /// Which.
        index: usize,
    },
    /// Blocks are missing, twice there, or of several files.
    #[error("block {index} says that it is number {number} of {count}: blocks are missing or in disorder")]
    Order {
        /// Which, from 0.
        index: usize,
        /// What it says.
        number: u32,
        /// What it says.
        count: u32,
    },
    /// An address that is no page's.
    #[error("block {index} is for {address:#010x}, which is no multiple of 256")]
    Unaligned {
        /// Which, from 0.
        index: usize,
        /// Where.
        address: u32,
    },
    /// Not in flash.
    #[error("block {index}: {error}")]
    OutsideFlash {
        /// Which, from 0.
        index: usize,
        /// Where it would lie.
        #[source]
        error: OutsideFlash,
    },
    /// Two blocks for one page.
    #[error("block {index} is for {address:#010x}, as is another one")]
    Twice {
        /// Which, from 0.
        index: usize,
        /// Where.
        address: u32,
    },
}

impl Uf2 {
    /// Nothing yet.
    pub fn new(board: Board) -> Self {
        Self { board, sectors: BTreeMap::new() }
    }

    /// The board that it is for.
    pub fn board(&self) -> Board {
        self.board
    }

    /// Puts bytes into flash, over those that are there. The rest of a touched sector is erased flash.
    ///
    /// # Errors
    /// The board has no flash there.
    pub fn put(&mut self, address: u32, bytes: &[u8]) -> Result<(), OutsideFlash> {
        let outside = OutsideFlash { address, bytes: bytes.len(), board: self.board };
        let end = u32::try_from(bytes.len()).ok().and_then(|length| address.checked_add(length));
        if address < FLASH_ADDRESS || end.is_none_or(|end| end > FLASH_ADDRESS + self.board.flash_bytes()) {
            return Err(outside);
        }
        let mut rest = bytes;
        let mut address = address;
        while !rest.is_empty() {
            let offset = address % SECTOR;
            let sector =
                self.sectors.entry(address - offset).or_insert_with(|| Box::new([ERASED; SECTOR_BYTES]));
            let room = &mut sector[offset as usize..];
            let (now, later) = rest.split_at(rest.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            rest = later;
            address += SECTOR - offset;
        }
        Ok(())
    }

    /// The sectors by address, lowest first.
    pub fn sectors(&self) -> impl Iterator<Item = (u32, &[u8; SECTOR_BYTES])> {
        self.sectors.iter().map(|(address, bytes)| (*address, &**bytes))
    }

    /// The file. For a Pico 2 W its first block is that of RP2350-E10, outside the numbering.
    pub fn encode(&self) -> Vec<u8> {
        let count = self.sectors.len() * PAGES_PER_SECTOR;
        let mut out = Vec::with_capacity((count + 1) * BLOCK_BYTES);
        if self.board == Board::Pico2W {
            encode_absolute_block(&mut out);
        }
        let pages = self.sectors().flat_map(|(address, bytes)| {
            let (pages, _) = bytes.as_chunks();
            (address..).step_by(PAGE_BYTES).zip(pages)
        });
        for ((address, page), number) in pages.zip(0..) {
            // A flash of 4 MiB has 16,384 pages.
            let block = Block { family: self.board.family(), address, number, count: count as u32, page };
            block.encode(&mut out);
        }
        out
    }

    /// Reads a file. Pages may be missing, as in the last sector of other tools' files: they are erased flash.
    ///
    /// # Errors
    /// The file is damaged, or for something else than a Pico W or Pico 2 W.
    pub fn decode(file: &[u8]) -> Result<Self, Uf2Error> {
        let (blocks, rest) = file.as_chunks::<BLOCK_BYTES>();
        if !rest.is_empty() {
            return Err(Uf2Error::Length(file.len()));
        }
        let skipped = usize::from(blocks.first().is_some_and(is_absolute_block));
        let blocks = &blocks[skipped..];
        let mut uf2: Option<Self> = None;
        let mut pages = std::collections::BTreeSet::new();
        for (position, bytes) in blocks.iter().enumerate() {
            let index = position + skipped;
            let block = Block::decode(bytes).map_err(|error| Uf2Error::Block { index, error })?;
            let board = Board::of_family(block.family).ok_or(Uf2Error::Family(block.family))?;
            let uf2 = uf2.get_or_insert_with(|| Self::new(board));
            if board != uf2.board {
                return Err(Uf2Error::MixedFamilies { index });
            }
            let Block { number, count, address, page, .. } = block;
            if (number as usize, count as usize) != (position, blocks.len()) {
                return Err(Uf2Error::Order { index, number, count });
            }
            if !address.is_multiple_of(PAGE_BYTES as u32) {
                return Err(Uf2Error::Unaligned { index, address });
            }
            if !pages.insert(address) {
                return Err(Uf2Error::Twice { index, address });
            }
            uf2.put(address, page).map_err(|error| Uf2Error::OutsideFlash { index, error })?;
        }
        match uf2 {
            // The block of RP2350-E10 before a file for the other chip is nothing that anybody writes.
            Some(uf2) if skipped == 1 && uf2.board != Board::Pico2W => {
                Err(Uf2Error::MixedFamilies { index: 1 })
            }
            Some(uf2) => Ok(uf2),
            None => Err(Uf2Error::Empty),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example(board: Board) -> Uf2 {
        let mut uf2 = Uf2::new(board);
        uf2.put(FLASH_ADDRESS, &[1; 5000]).unwrap();
        uf2.put(0x101F_0010, &[2; 3]).unwrap();
        uf2
    }

    #[test]
    fn touched_sectors_are_padded_and_numbered_through() {
        let uf2 = example(Board::PicoW);
        let file = uf2.encode();
        assert_eq!(file.len(), 3 * 16 * 512, "three sectors");
        let (blocks, _) = file.as_chunks::<BLOCK_BYTES>();
        for (position, bytes) in blocks.iter().enumerate() {
            let block = Block::decode(bytes).unwrap();
            assert_eq!((block.number as usize, block.count), (position, 48));
            // What the RP2040's boot ROM relies on.
            let sector = [0x1000_0000, 0x1000_1000, 0x101F_0000][position / 16];
            assert_eq!(block.address, sector + 256 * (position as u32 % 16));
        }
        let bytes: Vec<_> = uf2.sectors().map(|(_, bytes)| bytes).collect();
        assert_eq!(bytes[1][5000 - 4096..], [0xFF; 3192]);
        assert_eq!(bytes[2][..0x14], [[0xFF; 16].as_slice(), &[2, 2, 2, 0xFF]].concat());
    }

    /// Another reader of UF2 files: it makes one binary of all regions, with zeros between them.
    #[test]
    fn uf2_decode_reads_the_same() {
        for board in Board::ALL {
            let (binary, families) = uf2_decode::convert_from_uf2(&example(board).encode()).unwrap();
            // The block of RP2350-E10 comes first, 256 bytes of another family.
            let lead = if board == Board::Pico2W { 256 } else { 0 };
            assert_eq!(families.get(&board.family()), Some(&0x1000_0000));
            assert_eq!(families.len(), 1 + lead / 256);
            let binary = &binary[lead..];
            assert_eq!(binary.len(), 0x1F_1000);
            assert_eq!(binary[..5000], [1; 5000]);
            assert_eq!(binary[5000..8192], [0xFF; 3192]);
            assert!(binary[8192..0x1F_0000].iter().all(|byte| *byte == 0));
            assert_eq!(binary[0x1F_0010..0x1F_0013], [2; 3]);
        }
    }

    #[test]
    fn flash_ends_with_the_board() {
        let mut uf2 = Uf2::new(Board::PicoW);
        let last = FLASH_ADDRESS + 2 * 1024 * 1024 - 1;
        assert_eq!(uf2.put(last, &[0]), Ok(()));
        let outside = |address, bytes| Err(OutsideFlash { address, bytes, board: Board::PicoW });
        assert_eq!(uf2.put(last, &[0; 2]), outside(last, 2));
        assert_eq!(uf2.put(FLASH_ADDRESS - 1, &[0]), outside(FLASH_ADDRESS - 1, 1));
        assert_eq!(uf2.put(u32::MAX, &[0; 2]), outside(u32::MAX, 2));
        assert_eq!(Uf2::new(Board::Pico2W).put(last, &[0; 2]), Ok(()));
    }

    #[test]
    fn what_a_board_would_not_take_whole_is_refused() {
        let file = example(Board::PicoW).encode();
        let changed = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut file = file.clone();
            change(&mut file);
            Uf2::decode(&file).unwrap_err()
        };
        assert_eq!(Uf2::decode(&[]), Err(Uf2Error::Empty));
        assert_eq!(changed(&|file| file.truncate(1000)), Uf2Error::Length(1000));
        assert_eq!(changed(&|file| file.truncate(512)), Uf2Error::Order { index: 0, number: 0, count: 48 });
        assert_eq!(changed(&|file| file[512] = 0), Uf2Error::Block { index: 1, error: BlockError::Magic });
        assert_eq!(changed(&|file| file[28] = 0x57), Uf2Error::Family(0xE48B_FF57));
        assert_eq!(changed(&|file| file[512 + 28] = 0x59), Uf2Error::MixedFamilies { index: 1 });
        assert_eq!(changed(&|file| file[512 + 20] = 0), Uf2Error::Order { index: 1, number: 0, count: 48 });
        assert_eq!(
            changed(&|file| file[512 + 12] = 4),
            Uf2Error::Unaligned { index: 1, address: 0x1000_0104 }
        );
        assert_eq!(changed(&|file| file[512 + 13] = 0), Uf2Error::Twice { index: 1, address: 0x1000_0000 });
        assert_eq!(
            changed(&|file| file[512 + 15] = 0x20),
            Uf2Error::OutsideFlash {
                index: 1,
                error: OutsideFlash { address: 0x2000_0100, bytes: 256, board: Board::PicoW }
            }
        );
    }

    #[test]
    fn the_first_block_of_the_other_chip_is_skipped_on_it_alone() {
        let mut absolute = Vec::new();
        encode_absolute_block(&mut absolute);
        assert_eq!(Uf2::decode(&absolute), Err(Uf2Error::Empty));
        let mut file = absolute.clone();
        file.extend(example(Board::PicoW).encode());
        assert_eq!(Uf2::decode(&file), Err(Uf2Error::MixedFamilies { index: 1 }));
        let file = example(Board::Pico2W).encode();
        assert!(file.starts_with(&absolute));
        assert_eq!(Uf2::decode(&file[BLOCK_BYTES..]), Uf2::decode(&file), "files without it are read too");
    }

    fn any_uf2() -> impl Strategy<Value = Uf2> {
        let pieces = proptest::collection::vec(
            (0_u32..2 * 1024 * 1024 - 9000, proptest::collection::vec(any::<u8>(), 1..9000)),
            1..4,
        );
        (any::<bool>(), pieces).prop_map(|(is_new, pieces)| {
            let mut uf2 = Uf2::new(if is_new { Board::Pico2W } else { Board::PicoW });
            for (offset, bytes) in pieces {
                uf2.put(FLASH_ADDRESS + offset, &bytes).unwrap();
            }
            uf2
        })
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(uf2 in any_uf2()) {
            prop_assert_eq!(Uf2::decode(&uf2.encode()), Ok(uf2));
        }

        #[test]
        fn no_change_of_a_header_makes_it_panic(uf2 in any_uf2(), block in any::<usize>(), at in 0_usize..32, byte in any::<u8>()) {
            let mut file = uf2.encode();
            let start = block % (file.len() / BLOCK_BYTES) * BLOCK_BYTES;
            file[start + at] = byte;
            let _ = Uf2::decode(&file);
        }

        /// Blocks with right magic numbers and any header.
        #[test]
        fn no_blocks_make_it_panic(headers in proptest::collection::vec(any_header(), 0..4), rest in 0_usize..2) {
            let mut file = Vec::new();
            for header in headers {
                let start = file.len();
                file.extend([0x0A32_4655, 0x9E5D_5157].into_iter().chain(header).flat_map(u32::to_le_bytes));
                file.resize(start + BLOCK_BYTES - 4, 0);
                file.extend(0x0AB1_6F30_u32.to_le_bytes());
            }
            file.resize(file.len() + rest, 0);
            let _ = Uf2::decode(&file);
        }
    }

    /// Flags, address, length, number, count and family: those that occur, or any.
    fn any_header() -> impl Strategy<Value = [u32; 6]> {
        let word = |usual: u32| prop_oneof![4 => Just(usual), 1 => any::<u32>()];
        let address = prop_oneof![Just(FLASH_ADDRESS), Just(0x101F_FF00), Just(0x10FF_FF00), any::<u32>()];
        let family = prop_oneof![Just(0xE48B_FF56), Just(0xE48B_FF57), Just(0xE48B_FF59), any::<u32>()];
        (word(0x2000), address, word(256), 0_u32..3, 0_u32..4, family).prop_map(
            |(flags, address, length, number, count, family)| [flags, address, length, number, count, family],
        )
    }
}
