//! UF2 and ELF files from anywhere, and the configuration that an image holds.
#![no_main]

use device_core::settings::Settings;
use libfuzzer_sys::fuzz_target;
use pico_image::{Board, Uf2, check_firmware, firmware_bytes, firmware_from_elf, partition};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(uf2) = Uf2::decode(bytes) {
        // What was read is written and read again: other tools' files lack pages, ours do not.
        assert_eq!(Uf2::decode(&uf2.encode()).as_ref(), Ok(&uf2));
        let _ = firmware_bytes(&uf2);
        if let Some(partition) = partition(&uf2) {
            let _ = Settings::read(&partition[..]);
        }
    }
    for board in Board::ALL {
        if let Ok(firmware) = firmware_from_elf(bytes, board) {
            assert_eq!(check_firmware(&firmware, board), Ok(()));
        }
    }
});
