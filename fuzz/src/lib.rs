//! What several fuzz targets need: reading an input that is text in lines, disks in memory, and
//! packets that a client may send.
//!
//! A target reads its input by itself, so that seeds are small texts which a person can read and write. Targets of
//! binary formats build their files from `arbitrary` values instead: a checksum is not found by chance.

pub mod client_packets;
pub mod disk;

/// The first line without its line feed, and everything behind it.
pub fn split_line(input: &str) -> (&str, &str) {
    input.split_once('\n').unwrap_or((input, ""))
}

/// Whether a text is JSON, of any depth.
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}
