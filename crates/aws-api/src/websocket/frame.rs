//! Frames of WebSocket, as a server reads and writes them. [RFC 6455 5]
//!
//! Nothing is collected: payload is passed on as it comes, unmasked where it lies, so that a frame of a gigabyte and ten
//! thousand fragments take no memory. MQTT is a stream of bytes whatever frames it comes in [MQTT311 6.0.0-3]. That is
//! why this is ours: libraries hand out whole frames or messages.
//!
//! Pure: bytes in, bytes out.

/// The longest frame: the longest packet of MQTT. [MQTT311 2.2.3]
pub(crate) const FRAME_BYTES_MAX: u64 = 268_435_455 + 5;

/// Payload of a control frame. [RFC 6455 5.5]
pub(crate) const CONTROL_BYTES_MAX: usize = 125;

/// Bytes of the longest header that a client sends: length of 64 bits, and a mask.
const CLIENT_HEADER_BYTES_MAX: usize = 2 + 8 + 4;

/// Bytes of the longest header that we send: payloads of ours fit in 16 bits.
pub(crate) const HEADER_BYTES_MAX: usize = 4;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What a client does that it must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("the client broke the WebSocket protocol: {0}")]
    Protocol(&'static str),
    /// [MQTT311 6.0.0-1]
    #[error("the client sent MQTT in a text frame; it must be binary")]
    Text,
    #[error("the client announced a WebSocket frame of {0} bytes, more than any MQTT packet has")]
    TooLarge(u64),
}

impl Violation {
    /// [RFC 6455 7.4.1]
    pub(crate) const fn close_code(self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::Text => 1003,
            Self::TooLarge(_) => 1009,
        }
    }
}

/// What bytes of a client held.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Unframed {
    /// So many bytes of payload, which now stand at the beginning.
    pub(crate) data: usize,
    /// The payload of the last Ping among them: earlier ones need no answer. [RFC 6455 5.5.3]
    pub(crate) ping: Option<Vec<u8>>,
    /// The client closes; nothing behind it was looked at.
    pub(crate) close: bool,
}

/// Reads a client's frames, in pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct Unframer {
    state: State,
    /// A message has begun whose last fragment has not come.
    is_fragmented: bool,
}

#[derive(Debug)]
enum State {
    Header { bytes: [u8; CLIENT_HEADER_BYTES_MAX], count: usize },
    Payload { kind: Kind, left: u64, mask: [u8; 4] },
}

impl Default for State {
    fn default() -> Self {
        Self::Header { bytes: [0; CLIENT_HEADER_BYTES_MAX], count: 0 }
    }
}

/// What a payload is.
#[derive(Debug)]
enum Kind {
    Data,
    Ping(Vec<u8>),
    Pong,
    Close,
}

impl Unframer {
    /// Takes the next bytes, and leaves the payload at their beginning.
    ///
    /// # Errors
    /// The client broke the protocol: the connection is to be closed.
    pub(crate) fn unframe(&mut self, bytes: &mut [u8]) -> Result<Unframed, Violation> {
        let mut unframed = Unframed::default();
        let mut at = 0;
        loop {
            match &mut self.state {
                State::Header { bytes: header, count } => {
                    let Some(&next) = bytes.get(at) else { return Ok(unframed) };
                    header[*count] = next;
                    *count += 1;
                    at += 1;
                    if let Some((head, mask)) = parse_header(&header[..*count])? {
                        let kind = self.begin(head)?;
                        self.state = State::Payload { kind, left: head.length, mask };
                    }
                }
                State::Payload { left: 0, .. } => {
                    let State::Payload { kind, .. } = std::mem::take(&mut self.state) else { continue };
                    match kind {
                        Kind::Data | Kind::Pong => {}
                        Kind::Ping(payload) => unframed.ping = Some(payload),
                        Kind::Close => {
                            unframed.close = true;
                            return Ok(unframed);
                        }
                    }
                }
                State::Payload { kind, left, mask } => {
                    if at == bytes.len() {
                        return Ok(unframed);
                    }
                    let here = (bytes.len() - at).min(usize::try_from(*left).unwrap_or(usize::MAX));
                    let payload = &mut bytes[at..at + here];
                    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
                    mask.rotate_left(here % 4);
                    match kind {
                        Kind::Data => {
                            bytes.copy_within(at..at + here, unframed.data);
                            unframed.data += here;
                        }
                        Kind::Ping(collected) => collected.extend_from_slice(payload),
                        Kind::Pong | Kind::Close => {}
                    }
                    at += here;
                    *left -= here as u64;
                }
            }
        }
    }

    /// A frame begins: what it is, if it may come here. [RFC 6455 5.4]
    fn begin(&mut self, head: Head) -> Result<Kind, Violation> {
        let kind = match head.opcode {
            TEXT => return Err(Violation::Text),
            CONTINUATION if !self.is_fragmented => {
                return Err(Violation::Protocol("a continuation of nothing"));
            }
            BINARY if self.is_fragmented => {
                return Err(Violation::Protocol("a new message before the last fragment of the one before"));
            }
            CONTINUATION | BINARY => Kind::Data,
            CLOSE => Kind::Close,
            PING => Kind::Ping(Vec::new()),
            PONG => Kind::Pong,
            _ => return Err(Violation::Protocol("a frame of an unknown kind")),
        };
        if matches!(kind, Kind::Data) {
            self.is_fragmented = !head.is_final;
            if head.length > FRAME_BYTES_MAX {
                return Err(Violation::TooLarge(head.length));
            }
        } else if !head.is_final || head.length > CONTROL_BYTES_MAX as u64 {
            return Err(Violation::Protocol("a control frame in fragments, or of more than 125 bytes"));
        }
        Ok(kind)
    }
}

#[derive(Debug, Clone, Copy)]
struct Head {
    is_final: bool,
    opcode: u8,
    length: u64,
}

/// The header with its mask, once it is whole. [RFC 6455 5.2]
fn parse_header(bytes: &[u8]) -> Result<Option<(Head, [u8; 4])>, Violation> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err(Violation::Protocol("reserved bits that no extension was agreed on for"));
    }
    if second & 0x80 == 0 {
        return Err(Violation::Protocol("a frame without a mask"));
    }
    let (length, rest) = match (second & 0x7f, rest) {
        (126, [a, b, rest @ ..]) => (u64::from(u16::from_be_bytes([*a, *b])), rest),
        (127, [a, b, c, d, e, f, g, h, rest @ ..]) => {
            (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), rest)
        }
        (126 | 127, _) => return Ok(None),
        (short, rest) => (u64::from(short), rest),
    };
    // Every length has one form, and 63 bits at most.
    let is_minimal = match second & 0x7f {
        126 => length > 125,
        127 => length > u64::from(u16::MAX) && length >> 63 == 0,
        _ => true,
    };
    if !is_minimal {
        return Err(Violation::Protocol("a length in another form than its shortest"));
    }
    let Ok(mask) = <[u8; 4]>::try_from(rest) else { return Ok(None) };
    Ok(Some((Head { is_final: first & 0x80 != 0, opcode: first & 0x0f, length }, mask)))
}

/// The header of a binary frame with a payload of this length, at the end of the given room; gives where it begins.
pub(crate) fn binary_header(room: &mut [u8; HEADER_BYTES_MAX], payload_bytes: u16) -> usize {
    let length = payload_bytes.to_be_bytes();
    match u8::try_from(payload_bytes) {
        Ok(short @ ..=125) => {
            room[2..].copy_from_slice(&[0x80 | BINARY, short]);
            2
        }
        _ => {
            room.copy_from_slice(&[0x80 | BINARY, 126, length[0], length[1]]);
            0
        }
    }
}

/// The answer to a Ping.
pub(crate) fn pong(payload: &[u8]) -> Vec<u8> {
    control(PONG, payload)
}

/// A Close frame with this code.
pub(crate) fn close(code: u16) -> Vec<u8> {
    control(CLOSE, &code.to_be_bytes())
}

fn control(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(CONTROL_BYTES_MAX)];
    let length = u8::try_from(payload.len()).expect("125 at most");
    [&[0x80 | opcode, length][..], payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A client's frame.
    fn framed(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x12, 0x34, 0x56, 0x78];
        let mut frame = vec![first];
        match payload.len() {
            short @ 0..126 => frame.push(0x80 | short as u8),
            long @ 126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend((long as u16).to_be_bytes());
            }
            longer => {
                frame.push(0x80 | 127);
                frame.extend((longer as u64).to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    /// Payload, pings that were to be answered, whether it was closed.
    type Collected = (Vec<u8>, Vec<Vec<u8>>, bool);

    /// Everything that comes of these pieces.
    fn unframe(pieces: &[&[u8]]) -> Result<Collected, Violation> {
        let (mut unframer, mut data, mut pings) = (Unframer::default(), Vec::new(), Vec::new());
        for piece in pieces {
            let mut piece = piece.to_vec();
            let unframed = unframer.unframe(&mut piece)?;
            data.extend_from_slice(&piece[..unframed.data]);
            pings.extend(unframed.ping);
            if unframed.close {
                return Ok((data, pings, true));
            }
        }
        Ok((data, pings, false))
    }

    #[test]
    fn payload_comes_out_of_frames_and_fragments_with_pings_between() {
        let bytes = [
            framed(0x02, b"one"),
            framed(0x89, b"are you there"),
            framed(0x00, b""),
            framed(0x80, b"two"),
            framed(0x8a, b"an unasked pong"),
            framed(0x82, &[7; 300]),
            framed(0x82, &[8; 70_000]),
            framed(0x88, &[0x03, 0xe8]),
            framed(0x82, b"behind the end"),
        ]
        .concat();
        let expected = [&b"onetwo"[..], &[7; 300], &[8; 70_000]].concat();
        assert_eq!(unframe(&[&bytes]), Ok((expected, vec![b"are you there".to_vec()], true)));
    }

    #[test]
    fn of_many_pings_at_once_the_last_counts() {
        let bytes = [framed(0x89, b"1"), framed(0x89, b"2")].concat();
        assert_eq!(unframe(&[&bytes]), Ok((vec![], vec![b"2".to_vec()], false)));
    }

    #[test]
    fn violations_are_told_apart() {
        let code = |bytes: &[u8]| unframe(&[bytes]).unwrap_err().close_code();
        assert_eq!(code(&framed(0x81, b"text")), 1003);
        let announced = [&[0x82, 0xff][..], &(FRAME_BYTES_MAX + 1).to_be_bytes(), &[0; 4]].concat();
        assert_eq!(code(&announced), 1009);
        let wrong: [&[u8]; 10] = [
            &[0x82, 3, 1, 2, 3],                                  // no mask
            &framed(0xc2, b"x"),                                  // a reserved bit
            &framed(0x83, b"x"),                                  // a reserved kind
            &framed(0x8b, b"x"),                                  // a reserved kind of control frame
            &framed(0x80, b"x"),                                  // continues nothing
            &[framed(0x02, b"x"), framed(0x82, b"y")].concat(),   // a message in a message
            &framed(0x09, b"x"),                                  // a ping in fragments
            &framed(0x89, &[0; 126]),                             // a long ping
            &[0x82, 0xfe, 0, 125, 0, 0, 0, 0],                    // 125 in 16 bits
            &[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], // 64 bits
        ];
        for bytes in wrong {
            assert_eq!(code(bytes), 1002, "{bytes:?}");
        }
    }

    #[test]
    fn our_frames_are_as_short_as_they_can_be() {
        let header = |length| {
            let mut room = [0; HEADER_BYTES_MAX];
            let at = binary_header(&mut room, length);
            room[at..].to_vec()
        };
        assert_eq!(header(0), [0x82, 0]);
        assert_eq!(header(125), [0x82, 125]);
        assert_eq!(header(126), [0x82, 126, 0, 126]);
        assert_eq!(header(u16::MAX), [0x82, 126, 0xff, 0xff]);
        assert_eq!(pong(b"hi"), [0x8a, 2, b'h', b'i']);
        assert_eq!(close(1000), [0x88, 2, 0x03, 0xe8]);
        assert_eq!(pong(&[0; 200]).len(), 2 + 125);
    }

    proptest! {
        /// However the bytes are cut, the same comes out.
        #[test]
        fn cuts_change_nothing(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut bytes = Vec::new();
            for payload in &payloads {
                let (head, tail) = payload.split_at(payload.len() / 2);
                bytes.extend(framed(0x02, head));
                bytes.extend(framed(0x89, b"ping"));
                bytes.extend(framed(0x80, tail));
            }
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            places.extend([0, bytes.len()]);
            places.sort_unstable();
            let pieces: Vec<&[u8]> = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let (data, _, is_closed) = unframe(&pieces).unwrap();
            prop_assert_eq!(data, payloads.concat());
            prop_assert!(!is_closed);
        }

        /// Whatever comes: no panic, and never more payload than bytes.
        #[test]
        fn garbage_is_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut piece = bytes.clone();
            if let Ok(unframed) = Unframer::default().unframe(&mut piece) {
                prop_assert!(unframed.data <= bytes.len());
                prop_assert!(unframed.ping.is_none_or(|ping| ping.len() <= CONTROL_BYTES_MAX));
            }
        }
    }
}
