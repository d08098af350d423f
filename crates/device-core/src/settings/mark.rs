//! How tools know firmware of ours: one of these texts stands somewhere in it.

/// Firmware for a board.
pub const WITH_RADIO_FIRMWARE: &str = "eyot firmware, with the radio's own";
/// Firmware for the emulated board alone: a real radio does not start with it.
pub const WITHOUT_RADIO_FIRMWARE: &str = "eyot firmware, without the radio's own";
