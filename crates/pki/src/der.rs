//! The little DER that unwrapping a private key needs: reading a value, and writing one.

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT` and `[1] EXPLICIT`.
pub(crate) const CONTEXT_0: u8 = 0xa0;
pub(crate) const CONTEXT_1: u8 = 0xa1;

/// Takes the value with this tag from the front: its contents, and what follows it.
pub(crate) fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    if found != tag {
        return None;
    }
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        // Four length octets are far more than a key has.
        let octets = usize::from(first & 0x7f);
        if octets == 0 || octets > 4 {
            return None;
        }
        let (length, rest) = rest.split_at_checked(octets)?;
        (length.iter().fold(0usize, |sum, &octet| sum << 8 | usize::from(octet)), rest)
    };
    rest.split_at_checked(length)
}

/// Appends a value with this tag.
pub(crate) fn put(out: &mut Vec<u8>, tag: u8, contents: &[u8]) {
    out.push(tag);
    let length = contents.len();
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let octets = length.to_be_bytes();
        let skip = octets.iter().take_while(|&&octet| octet == 0).count();
        out.push(0x80 | (octets.len() - skip) as u8);
        out.extend_from_slice(&octets[skip..]);
    }
    out.extend_from_slice(contents);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_length_form_round_trip() {
        for length in [0usize, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let contents = vec![7; length];
            let mut der = Vec::new();
            put(&mut der, OCTET_STRING, &contents);
            der.extend_from_slice(b"after");
            assert_eq!(
                take(&der, OCTET_STRING),
                Some((contents.as_slice(), b"after".as_slice())),
                "{length}"
            );
        }
    }

    #[test]
    fn cut_or_foreign_bytes_give_nothing() {
        for der in [
            &b""[..],
            b"\x30",
            b"\x30\x05abc",
            b"\x30\x82\x01",
            b"\x30\x80",
            b"\x30\x85\x01\x01\x01\x01\x01",
            b"\x02\x01\x00",
        ] {
            assert_eq!(take(der, SEQUENCE), None, "{der:02x?}");
        }
    }
}
