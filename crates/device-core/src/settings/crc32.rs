//! CRC-32 (IEEE 802.3): tells a damaged partition from a whole one. No protection against somebody who means harm.

/// The checksum of the bytes. Bit by bit: it runs once per start, over a few kilobytes.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    const POLYNOMIAL_REFLECTED: u32 = 0xEDB8_8320;
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let low = crc & 1;
            crc = crc >> 1 ^ if low == 1 { POLYNOMIAL_REFLECTED } else { 0 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::crc32;

    #[test]
    fn the_check_value_of_the_catalogue() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
}
