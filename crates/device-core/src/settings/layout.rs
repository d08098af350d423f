//! Where firmware and configuration lie in flash: the same on every board, which have 2 MiB (Pico W) or 4 MiB.

/// Start of the firmware, and of the flash as the processor sees it.
pub const FIRMWARE_ADDRESS: u32 = 0x1000_0000;

/// Bytes that a firmware image may have: two of them and their state fit beside the configuration, so that an update
/// over the air stays possible.
pub const FIRMWARE_BYTES_MAX: usize = 832 * 1024;

/// Start of the configuration partition: the last 64 KiB of 2 MiB.
pub const CONFIG_ADDRESS: u32 = 0x101F_0000;

/// Bytes of the configuration partition: four sectors of flash. Keys and five certificates need half of it.
pub const CONFIG_BYTES: usize = 16 * 1024;
