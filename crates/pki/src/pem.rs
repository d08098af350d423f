//! PEM text: base64 between two labelled lines (RFC 7468).

use crate::ReadError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Characters of base64 in a line, as openssl and AWS write it.
const LINE_CHARS: usize = 64;

/// Writes DER bytes as a PEM block, with a line feed at its end.
pub fn to_pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::with_capacity(text.len() + text.len() / LINE_CHARS + 2 * label.len() + 36);
    pem.push_str("-----BEGIN ");
    pem.push_str(label);
    pem.push_str("-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE_CHARS));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END ");
    pem.push_str(label);
    pem.push_str("-----\n");
    pem
}

/// The bytes of the first PEM block with the label, ignoring text around it.
///
/// # Errors
/// [`ReadError::NoPemBlock`] when there is none, [`ReadError::DamagedPem`] when it is cut short or not base64.
pub fn pem_to_der(pem: &str, label: &'static str) -> Result<Vec<u8>, ReadError> {
    blocks(pem)
        .find_map(|block| match block {
            Ok((found, der)) => (found == label).then_some(Ok(der)),
            Err(error) => Some(Err(error)),
        })
        .unwrap_or(Err(ReadError::NoPemBlock { expected: label }))
}

/// Every block of the text in turn, as label and bytes; ends after the first damaged one.
pub(crate) fn blocks(pem: &str) -> impl Iterator<Item = Result<(&str, Vec<u8>), ReadError>> {
    const BEGIN: &str = "-----BEGIN ";
    const DASHES: &str = "-----";
    let mut rest = pem;
    std::iter::from_fn(move || {
        let start = rest.find(BEGIN)? + BEGIN.len();
        let block = split_block(&rest[start..], DASHES);
        rest = block.as_ref().map_or("", |(_, _, after)| after);
        let Some((label, body, _)) = block else { return Some(Err(ReadError::DamagedPem)) };
        // RFC 1421 headers of encrypted keys (`Proc-Type: …`) hold a colon, which base64 never does.
        let text: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        Some(STANDARD.decode(text).map(|der| (label, der)).map_err(|_| ReadError::DamagedPem))
    })
}

/// Splits what follows `-----BEGIN ` into label, body, and what comes after the end line.
fn split_block<'a>(text: &'a str, dashes: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let (label, after) = text.split_once(dashes)?;
    let end = format!("-----END {label}-----");
    let (body, after) = after.split_once(end.as_str())?;
    Some((label, body, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_round_trips() {
        let der: Vec<u8> = (0..=255).collect();
        let pem = to_pem("CERTIFICATE", &der);
        assert!(pem.lines().all(|line| line.len() <= LINE_CHARS));
        assert_eq!(pem_to_der(&pem, "CERTIFICATE"), Ok(der));
    }

    #[test]
    fn text_around_and_other_blocks_are_skipped() {
        let pem = format!(
            "Bag Attributes\r\n{}subject=\n{}",
            to_pem("X", b"no"),
            to_pem("Y", b"yes").replace('\n', "\r\n")
        );
        assert_eq!(pem_to_der(&pem, "Y"), Ok(b"yes".to_vec()));
        assert_eq!(pem_to_der(&pem, "Z"), Err(ReadError::NoPemBlock { expected: "Z" }));
    }

    #[test]
    fn damage_is_an_error() {
        let pem = to_pem("X", b"some bytes that matter");
        assert_eq!(pem_to_der(&pem.replace("-----END X-----", ""), "X"), Err(ReadError::DamagedPem));
        assert_eq!(pem_to_der(&pem.replacen("-----\n", "-----\n!", 1), "X"), Err(ReadError::DamagedPem));
        assert_eq!(pem_to_der("", "X"), Err(ReadError::NoPemBlock { expected: "X" }));
    }
}
