//! The message that the device publishes.

use crate::sensor::MilliDegrees;
use core::fmt::{self, Write as _};

/// Longest payload: the largest number that [`MilliDegrees`] can hold, and the text around it.
pub const PAYLOAD_BYTES_MAX: usize = r#"{"temp": -2147483.648}"#.len();

/// Writes `{"temp": 27.512}`, the post's message, and returns its size.
pub fn write_payload(temperature: MilliDegrees, out: &mut [u8; PAYLOAD_BYTES_MAX]) -> usize {
    let mut text = Text { out, written: 0 };
    write!(text, "{{\"temp\": {temperature}}}").expect("the buffer has room for the longest number");
    text.written
}

/// A text that grows in a slice.
pub(crate) struct Text<'o> {
    pub(crate) out: &'o mut [u8],
    pub(crate) written: usize,
}

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = self.out.get_mut(self.written..).and_then(|room| room.get_mut(..part.len()));
        room.ok_or(fmt::Error)?.copy_from_slice(part.as_bytes());
        self.written += part.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_up_to_the_longest() {
        for (temperature, expected) in [
            (27_512, r#"{"temp": 27.512}"#),
            (-500, r#"{"temp": -0.500}"#),
            (i32::MAX, r#"{"temp": 2147483.647}"#),
            (i32::MIN, r#"{"temp": -2147483.648}"#),
        ] {
            let mut out = [0; PAYLOAD_BYTES_MAX];
            let written = write_payload(MilliDegrees(temperature), &mut out);
            assert_eq!(core::str::from_utf8(&out[..written]), Ok(expected));
        }
    }
}
