//! The Wi-Fi password: from a file or standard input, and never in a message.

use std::io::Read as _;
use std::path::Path;

use device_core::settings::{WIFI_PASSWORD_BYTES_MAX, WIFI_PASSWORD_BYTES_MIN};

use crate::failure::{Context as _, Failure, Outcome};

/// Longest file that a password is read from: what is longer was meant to be another.
const PASSWORD_FILE_BYTES_MAX: u64 = 4096;
/// Digits of a WPA2 key, 256 bits [IEEE 802.11 J.4.1].
const HEX_KEY_DIGITS: usize = 64;

/// Reads a password; no message shows it.
pub(super) fn read(path: &Path) -> Outcome<String> {
    let shown =
        if path == Path::new("-") { "standard input".to_owned() } else { format!("`{}`", path.display()) };
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(PASSWORD_FILE_BYTES_MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(PASSWORD_FILE_BYTES_MAX).read_to_string(&mut text))
    };
    read.context(|| format!("cannot read the Wi-Fi password from {shown}")).map_err(|failure| {
        failure.advice("give --wifi-password-file a text file that you may read, or - for standard input")
    })?;
    parse(&text).map_err(|error| {
        let failure = Failure::new(format!("what {shown} holds is no Wi-Fi password")).because(&error);
        match error {
            PasswordError::HexKey => failure.advice("write the password that it was made from"),
            PasswordError::Unfit { .. } => failure.advice("for a network without a password: --wifi-open"),
        }
    })
}

/// What is wrong with a Wi-Fi password. No message repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum PasswordError {
    /// What other programs take for the key itself.
    #[error("64 hexadecimal digits are a key and no password, and hexadecimal keys are not supported")]
    HexKey,
    /// Too short, too long, or with characters that nobody types.
    #[error(
        "a Wi-Fi password is one line of {WIFI_PASSWORD_BYTES_MIN} to {WIFI_PASSWORD_BYTES_MAX} bytes without control characters, and this has {bytes}"
    )]
    Unfit {
        /// Its length.
        bytes: usize,
    },
}

/// A passphrase as its file holds it: one line end is not part of it, nor is the mark that editors on Windows write first.
fn parse(file: &str) -> Result<String, PasswordError> {
    let line = file.strip_prefix('\u{feff}').unwrap_or(file);
    let line = line.strip_suffix('\n').unwrap_or(line);
    let password = line.strip_suffix('\r').unwrap_or(line);
    if password.len() == HEX_KEY_DIGITS && password.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(PasswordError::HexKey);
    }
    let fits = (WIFI_PASSWORD_BYTES_MIN..=WIFI_PASSWORD_BYTES_MAX).contains(&password.len());
    if fits && !password.contains(char::is_control) {
        return Ok(password.to_owned());
    }
    Err(PasswordError::Unfit { bytes: password.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_ends_with_its_line() {
        assert_eq!(parse("12345678\n"), Ok("12345678".to_owned()));
        assert_eq!(parse("12345678\r\n"), Ok("12345678".to_owned()));
        assert_eq!(parse(" with spaces "), Ok(" with spaces ".to_owned()));
        assert_eq!(parse(&"x".repeat(63)).map(|text| text.len()), Ok(63));
        assert_eq!(parse("\u{feff}12345678\r\n"), Ok("12345678".to_owned()));
        assert_eq!(parse("pässword\u{feff}x"), Ok("pässword\u{feff}x".to_owned()));
        for text in [
            "",
            "\n",
            "1234567",
            "1234567\n",
            "12345678\n\n",
            "1234\t5678",
            "12345678\x1b",
            "12345678\0",
            "\u{feff}1234567",
            "12345678\u{85}",
            &"x".repeat(64),
        ] {
            let error = parse(text).expect_err(text);
            assert!(matches!(error, PasswordError::Unfit { .. }), "{text:?}");
            assert!(text.trim().is_empty() || !error.to_string().contains(text.trim()), "{error}");
        }
        assert_eq!(parse(&"0123456789abcdefABCDEF".repeat(3)[..64]), Err(PasswordError::HexKey));
        assert_eq!(parse(&"a".repeat(63)), Ok("a".repeat(63)));
    }
}
