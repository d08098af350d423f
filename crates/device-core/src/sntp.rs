//! SNTP: what time is it? [RFC 4330] Both ends: the board asks, `eyot serve` answers.
//!
//! ```text
//! 0   1  leap indicator (2 bits), version (3), mode (3)      24  8  originate: when the question was sent
//! 1   1  stratum                                              32  8  receive: when it came in
//! 2   1  poll interval       3  1  precision                  40  8  transmit: when this packet was sent
//! 4   4  root delay          8  4  root dispersion
//! 12  4  reference identifier, or the code of a kiss-o'-death
//! 16  8  reference: when the server's clock was set
//! ```
//! A timestamp is 32 bits of seconds since 1900 and 32 bits of fractions, big endian. The seconds run over in 2036.

/// Bytes of a question and of an answer, without the optional authentication.
pub const SNTP_BYTES: usize = 48;

/// A server's port.
pub const SNTP_PORT: u16 = 123;

const VERSION: u8 = 4;
const MODE_CLIENT: u8 = 3;
const MODE_SERVER: u8 = 4;
/// The server's own clock is not set.
const LEAP_UNKNOWN: u8 = 3;
/// Above are servers that are not synchronized [RFC 5905 7.3].
const STRATUM_MAX: u8 = 15;

/// From 1900 to 1970.
const UNIX_EPOCH_NTP_S: u64 = 2_208_988_800;
/// Seconds until the 32 bits begin again.
const ERA_S: u64 = 1 << 32;

const ORIGINATE: usize = 24;
const RECEIVE: usize = 32;
const TRANSMIT: usize = 40;

/// A question to a server.
///
/// Its transmit timestamp is a random number and not the time: the server returns it, so that whoever does not see the
/// question cannot forge an answer, and the board, which does not know the time, tells nothing false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    nonce: u64,
}

/// Why an answer does not tell the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SntpError {
    /// Shorter than [`SNTP_BYTES`].
    #[error("the answer is too short")]
    TooShort,
    /// Not a server's answer, or of an unknown version.
    #[error("the packet is no answer of a time server")]
    NotAnAnswer,
    /// It answers something else, or somebody forged it.
    #[error("the answer does not belong to the question")]
    NotOurs,
    /// The server wants to be left alone; the code says why, such as `RATE` or `DENY` [RFC 4330 8].
    #[error("the server does not want to be asked: {}", kiss_code(.0))]
    KissOfDeath([u8; 4]),
    /// The server's own clock is not set.
    #[error("the server does not know the time itself")]
    NotSynchronized,
    /// The server did not write any time.
    #[error("the answer holds no time")]
    NoTime,
}

impl Request {
    /// A question with a random number, which must be a new one for each question.
    pub const fn new(nonce: u64) -> Self {
        Self { nonce }
    }

    /// The packet to send.
    pub fn bytes(&self) -> [u8; SNTP_BYTES] {
        let mut packet = [0; SNTP_BYTES];
        packet[0] = VERSION << 3 | MODE_CLIENT;
        packet[TRANSMIT..].copy_from_slice(&self.nonce.to_be_bytes());
        packet
    }

    /// The time that the answer tells, in milliseconds since 1970, when it was sent. Half of the time between question
    /// and answer may be added.
    ///
    /// Seconds run over in 2036: of the moments that the packet may mean, the one nearest to the build is meant.
    ///
    /// # Errors
    /// The packet does not answer this question, or not with the time.
    pub fn check(&self, answer: &[u8], built_at_unix_ms: u64) -> Result<u64, SntpError> {
        let answer: &[u8; SNTP_BYTES] = answer.first_chunk().ok_or(SntpError::TooShort)?;
        let (leap, version, mode) = (answer[0] >> 6, answer[0] >> 3 & 7, answer[0] & 7);
        if mode != MODE_SERVER || !(1..=VERSION).contains(&version) {
            return Err(SntpError::NotAnAnswer);
        }
        // Before anything that the packet says is believed, a refusal included.
        if timestamp(answer, ORIGINATE) != self.nonce {
            return Err(SntpError::NotOurs);
        }
        match answer[1] {
            0 => return Err(SntpError::KissOfDeath([answer[12], answer[13], answer[14], answer[15]])),
            1..=STRATUM_MAX if leap != LEAP_UNKNOWN => {}
            _ => return Err(SntpError::NotSynchronized),
        }
        match timestamp(answer, TRANSMIT) {
            0 => Err(SntpError::NoTime),
            transmit => Ok(to_unix_ms(transmit, built_at_unix_ms)),
        }
    }
}

/// The answer of a server whose clock shows this time. `None`: the packet is no question, and gets no answer.
///
/// An answer is as long as its question, so nobody can use the server to flood somebody else with more than he sends.
pub fn answer(request: &[u8], unix_ms_now: u64) -> Option<[u8; SNTP_BYTES]> {
    // A computer whose clock others keep: below those that have it from a reference, above nothing.
    const STRATUM: u8 = 10;
    // As a power of two: a millisecond.
    const PRECISION: i8 = -10;
    // In 1/65536 of a second: what the host's own synchronization may be off.
    const ROOT_DISPERSION: u32 = 1 << 12;
    const REFERENCE_IDENTIFIER: &[u8; 4] = b"LOCL";

    let request: &[u8; SNTP_BYTES] = request.try_into().ok()?;
    let (version, mode) = (request[0] >> 3 & 7, request[0] & 7);
    if mode != MODE_CLIENT || !(1..=VERSION).contains(&version) {
        return None;
    }
    let now = of_unix_ms(unix_ms_now).to_be_bytes();
    let mut packet = [0; SNTP_BYTES];
    packet[..4].copy_from_slice(&[
        version << 3 | MODE_SERVER,
        STRATUM,
        request[2],
        PRECISION.cast_unsigned(),
    ]);
    packet[8..12].copy_from_slice(&ROOT_DISPERSION.to_be_bytes());
    packet[12..16].copy_from_slice(REFERENCE_IDENTIFIER);
    packet[16..ORIGINATE].copy_from_slice(&now);
    packet[ORIGINATE..RECEIVE].copy_from_slice(&request[TRANSMIT..]);
    packet[RECEIVE..TRANSMIT].copy_from_slice(&now);
    packet[TRANSMIT..].copy_from_slice(&now);
    Some(packet)
}

fn timestamp(packet: &[u8; SNTP_BYTES], at: usize) -> u64 {
    packet[at..].first_chunk().copied().map_or(0, u64::from_be_bytes)
}

fn to_unix_ms(timestamp: u64, built_at_unix_ms: u64) -> u64 {
    let (seconds, fraction) = (timestamp >> 32, timestamp & 0xFFFF_FFFF);
    let built_at_ntp_s = built_at_unix_ms / 1_000 + UNIX_EPOCH_NTP_S;
    // The first moment with these seconds that is not more than half an era before the build.
    let earliest_s = built_at_ntp_s.saturating_sub(ERA_S / 2);
    let ntp_s = earliest_s + (seconds.wrapping_sub(earliest_s) & (ERA_S - 1));
    let fraction_ms = (fraction * 1_000 + (1 << 31)) >> 32;
    // Before 1970 only when the build says so.
    ntp_s.saturating_sub(UNIX_EPOCH_NTP_S) * 1_000 + fraction_ms
}

fn of_unix_ms(unix_ms: u64) -> u64 {
    let seconds = (unix_ms / 1_000).wrapping_add(UNIX_EPOCH_NTP_S);
    let fraction = ((unix_ms % 1_000) << 32) / 1_000;
    // The era is left out.
    seconds << 32 | fraction
}

/// The code as text; a server may send anything.
fn kiss_code(code: &[u8; 4]) -> &str {
    match core::str::from_utf8(code) {
        Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => text,
        _ => "unreadable code",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    const BUILT: u64 = 1_764_000_000_000;
    const NONCE: u64 = 0x0123_4567_89AB_CDEF;
    const QUESTION: Request = Request::new(NONCE);

    /// An answer of now, changed.
    fn changed(change: impl FnOnce(&mut [u8; SNTP_BYTES])) -> Result<u64, SntpError> {
        let mut packet = answer(&QUESTION.bytes(), BUILT + 123).expect("a question");
        change(&mut packet);
        QUESTION.check(&packet, BUILT)
    }

    #[test]
    fn a_question_is_48_bytes_of_version_4_with_the_number() {
        let bytes = QUESTION.bytes();
        assert_eq!((bytes[0], &bytes[40..]), (0x23, &NONCE.to_be_bytes()[..]));
        assert!(bytes[1..40].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn question_and_answer_tell_the_time_to_the_millisecond() {
        for unix_ms in BUILT..BUILT + 1_000 {
            let packet = answer(&QUESTION.bytes(), unix_ms).expect("a question");
            assert_eq!(QUESTION.check(&packet, BUILT), Ok(unix_ms));
        }
    }

    /// Byte by byte as RFC 4330 draws it. 2025-11-24T16:00:00.500Z is 3972988800.5 s after 1900.
    #[test]
    fn an_answers_bytes() {
        let mut question = QUESTION.bytes();
        question[0] = 3 << 3 | 3;
        question[2] = 6;
        let packet = answer(&question, 1_764_000_000_500).expect("a question");
        let time = [0xEC, 0xCE, 0xFF, 0x80, 0x80, 0, 0, 0];
        assert_eq!(packet[..16], [0x1C, 10, 6, 0xF6, 0, 0, 0, 0, 0, 0, 0x10, 0, b'L', b'O', b'C', b'L']);
        assert_eq!((&packet[16..24], &packet[24..32]), (&time[..], &NONCE.to_be_bytes()[..]));
        assert_eq!((&packet[32..40], &packet[40..]), (&time[..], &time[..]));
    }

    /// [RFC 4330 5] The checks of a client.
    #[test]
    fn what_is_no_answer_is_refused_by_its_reason() {
        assert_eq!(changed(|_| {}), Ok(BUILT + 123));
        assert_eq!(QUESTION.check(&[0x24; 47], BUILT), Err(SntpError::TooShort));
        assert_eq!(changed(|packet| packet[0] = 0x23), Err(SntpError::NotAnAnswer), "a question");
        assert_eq!(changed(|packet| packet[0] = 0x25), Err(SntpError::NotAnAnswer), "a broadcast");
        assert_eq!(changed(|packet| packet[0] = 0x04), Err(SntpError::NotAnAnswer), "version 0");
        assert_eq!(changed(|packet| packet[0] = 0x2C), Err(SntpError::NotAnAnswer), "version 5");
        assert_eq!(changed(|packet| packet[31] ^= 1), Err(SntpError::NotOurs));
        assert_eq!(changed(|packet| packet[0] |= 0xC0), Err(SntpError::NotSynchronized), "leap 3");
        assert_eq!(changed(|packet| packet[1] = 16), Err(SntpError::NotSynchronized), "stratum 16");
        assert_eq!(changed(|packet| packet[40..].fill(0)), Err(SntpError::NoTime));
    }

    #[test]
    fn a_kiss_of_death_says_why_unless_it_is_forged() {
        let kiss = |packet: &mut [u8; SNTP_BYTES]| {
            packet[1] = 0;
            packet[12..16].copy_from_slice(b"RATE");
        };
        let refused = changed(kiss).expect_err("a refusal");
        assert_eq!(refused, SntpError::KissOfDeath(*b"RATE"));
        assert_eq!(refused.to_string(), "the server does not want to be asked: RATE");
        assert!(SntpError::KissOfDeath([0xFF, 10, 0, 1]).to_string().ends_with("unreadable code"));
        let forged = changed(|packet| {
            kiss(packet);
            packet[24] ^= 1;
        });
        assert_eq!(forged, Err(SntpError::NotOurs));
    }

    #[test]
    fn the_seconds_begin_again_in_2036_and_the_board_knows() {
        let overflow_unix_ms = (ERA_S - UNIX_EPOCH_NTP_S) * 1_000;
        let told = |unix_ms, built| QUESTION.check(&answer(&QUESTION.bytes(), unix_ms).unwrap(), built);
        for unix_ms in
            [overflow_unix_ms - 1_000, overflow_unix_ms + 1_000, overflow_unix_ms + 20 * 365 * 86_400_000]
        {
            assert_eq!(told(unix_ms, BUILT), Ok(unix_ms));
        }
        let year_ms = 365 * 86_400_000;
        let (built_in_2100, in_2110) = (overflow_unix_ms + 64 * year_ms, overflow_unix_ms + 74 * year_ms);
        assert_eq!(told(in_2110, built_in_2100), Ok(in_2110));
        assert_eq!(
            told(BUILT, overflow_unix_ms + 1_000),
            Ok(BUILT),
            "a time before the build is no later era"
        );
    }

    #[test]
    fn only_a_question_of_48_bytes_is_answered() {
        let question = QUESTION.bytes();
        assert!(answer(&question, BUILT).is_some());
        assert_eq!(answer(&question[..47], BUILT), None);
        assert_eq!(answer(&[question.as_slice(), &[0; 20]].concat(), BUILT), None);
        for (first, is_answered) in
            [(0x0B, true), (0xE3, true), (0x03, false), (0x2B, false), (0x24, false), (0x26, false)]
        {
            let mut question = question;
            question[0] = first;
            assert_eq!(answer(&question, BUILT).is_some(), is_answered, "{first:#x}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..100), nonce: u64, unix_ms: u64, built: u64,
        ) {
            let _ = answer(&bytes, unix_ms);
            let _ = Request::new(nonce).check(&bytes, built);
            let mut ours = answer(&Request::new(nonce).bytes(), unix_ms).unwrap();
            for (at, byte) in bytes.iter().enumerate().filter(|(at, _)| (32..48).contains(at)) {
                ours[at] = *byte;
            }
            let _ = Request::new(nonce).check(&ours, built);
        }
    }
}
