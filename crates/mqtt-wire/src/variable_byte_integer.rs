//! Integers of one to four bytes: lengths, and the subscription identifiers of MQTT 5.
//!
//! ```text
//! integer := u8{1..4}      ; 7 bits per byte, lowest first, top bit: another byte follows
//! ```

/// Bytes that an integer may take [MQTT311 2.2.3] [MQTT5 1.5.5].
pub(crate) const BYTES_MAX: usize = 4;

/// The largest integer that four bytes can say [MQTT311 2.2.3] [MQTT5 1.5.5].
pub(crate) const LIMIT: usize = 268_435_455;

/// The integer has a fifth byte.
#[derive(Debug, PartialEq)]
pub(crate) struct TooLong;

/// The integer at the start of `bytes` and the bytes it takes, superfluous zero bytes included; `None` when it is
/// not whole.
#[inline]
pub(crate) fn read(bytes: &[u8]) -> Result<Option<(usize, usize)>, TooLong> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().take(BYTES_MAX).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((value, at + 1)));
        }
    }
    if bytes.len() < BYTES_MAX { Ok(None) } else { Err(TooLong) }
}

/// The fewest bytes that say this integer [MQTT5 1.5.5-1].
pub(crate) const fn bytes_of(value: usize) -> usize {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table 2.4 of MQTT 3.1.1, which is table 1-1 of MQTT 5.
    #[test]
    fn the_standards_table() {
        let rows: [(usize, &[u8]); 8] = [
            (0, &[0x00]),
            (127, &[0x7F]),
            (128, &[0x80, 0x01]),
            (16_383, &[0xFF, 0x7F]),
            (16_384, &[0x80, 0x80, 0x01]),
            (2_097_151, &[0xFF, 0xFF, 0x7F]),
            (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
            (268_435_455, &[0xFF, 0xFF, 0xFF, 0x7F]),
        ];
        for (value, bytes) in rows {
            assert_eq!(read(bytes), Ok(Some((value, bytes.len()))));
            assert_eq!(bytes_of(value), bytes.len());
            assert_eq!(read(&bytes[..bytes.len() - 1]), Ok(None));
        }
    }

    #[test]
    fn a_fifth_byte_is_refused() {
        assert_eq!(read(&[0xFF, 0xFF, 0xFF, 0xFF]), Err(TooLong));
    }
}
