//! The message that the device publishes.

use crate::sensor::MilliDegrees;
use core::fmt::{self, Write as _};

/// Longest payload: the largest numbers, and the text around them.
pub const PAYLOAD_BYTES_MAX: usize = r#"{"temp": -2147483.648, "measured_at": 18446744073709551615}"#.len();

/// Writes the message and returns its size.
///
/// `{"temp": 27.512}`, as in the post, is a reading of now: the server's clock says when. One that comes late says when
/// it was measured, in milliseconds since 1970: `{"temp": 27.512, "measured_at": 1764000000000}`.
pub fn write_payload(
    temperature: MilliDegrees,
    measured_at_unix_ms: Option<u64>,
    out: &mut [u8; PAYLOAD_BYTES_MAX],
) -> usize {
    let mut text = Text { out, written: 0 };
    let written = match measured_at_unix_ms {
        None => write!(text, r#"{{"temp": {temperature}}}"#),
        Some(unix_ms) => write!(text, r#"{{"temp": {temperature}, "measured_at": {unix_ms}}}"#),
    };
    written.expect("the buffer has room for the longest numbers");
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
        for (temperature, measured_at, expected) in [
            (27_512, None, r#"{"temp": 27.512}"#),
            (-500, None, r#"{"temp": -0.500}"#),
            (i32::MAX, None, r#"{"temp": 2147483.647}"#),
            (27_512, Some(1_764_000_000_000), r#"{"temp": 27.512, "measured_at": 1764000000000}"#),
            (i32::MIN, Some(u64::MAX), r#"{"temp": -2147483.648, "measured_at": 18446744073709551615}"#),
        ] {
            let mut out = [0; PAYLOAD_BYTES_MAX];
            let written = write_payload(MilliDegrees(temperature), measured_at, &mut out);
            assert_eq!(core::str::from_utf8(&out[..written]), Ok(expected));
        }
    }
}
