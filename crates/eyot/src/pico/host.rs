//! Which hosts a board can look up and connect to.

use std::net::Ipv4Addr;

use device_core::settings::HOST_BYTES_MAX;

use crate::device::Endpoint;
use crate::provision::MQTTS_PORT;

/// Longest part of a DNS name between two dots [RFC 1035 2.3.4].
const LABEL_BYTES_MAX: usize = 63;

/// What is wrong with a host, as a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostError {
    /// Neither a name nor an address.
    #[error("write a host's name (letters, digits, hyphens, dots), or an IPv4 address such as 192.168.1.20")]
    Malformed,
    /// An IPv6 address.
    #[error("the firmware speaks IPv4 alone: give the server's name or its IPv4 address")]
    Ipv6,
    /// Four numbers that nobody has.
    #[error("nobody has that address: give the server's own IPv4 address, or its name")]
    NobodysAddress,
    /// `localhost`, 127.0.0.1 and the like.
    #[error(
        "that is the board itself: give the server's address in the network, or a name that its DNS server knows"
    )]
    Itself,
    /// Multicast DNS.
    #[error(
        "the board does not look up names under .local: give the server's IPv4 address, or a name that the network's DNS server knows"
    )]
    Local,
}

/// A host that a board can use as it is written.
pub(crate) fn host(text: &str) -> Result<String, HostError> {
    if text.matches(':').count() > 1 || text.starts_with('[') {
        return Err(HostError::Ipv6);
    }
    let labels: Vec<&str> = text.split('.').collect();
    // As a URL's host is read: what ends in a number is meant as an address.
    let is_number = |label: &&str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit());
    if labels.last().is_some_and(is_number) {
        let address: Ipv4Addr = text.parse().map_err(|_| HostError::Malformed)?;
        return if address.is_loopback() {
            Err(HostError::Itself)
        } else if address.octets()[0] == 0 || address.is_multicast() || address.octets()[0] >= 240 {
            Err(HostError::NobodysAddress)
        } else {
            Ok(text.to_owned())
        };
    }
    if text.len() > HOST_BYTES_MAX || !labels.iter().all(|label| is_label(label)) {
        return Err(HostError::Malformed);
    }
    match labels.last() {
        Some(last) if last.eq_ignore_ascii_case("localhost") => Err(HostError::Itself),
        Some(last) if last.eq_ignore_ascii_case("local") => Err(HostError::Local),
        _ => Ok(text.to_owned()),
    }
}

/// `HOST` or `HOST:PORT`.
pub(crate) fn endpoint(text: &str) -> Result<Endpoint, String> {
    let (host_text, port) = match text.rsplit_once(':') {
        // More than one colon: an IPv6 address, whatever follows the last one.
        Some((before, _)) if before.contains(':') => (text, None),
        Some((before, port)) => (before, Some(port)),
        None => (text, None),
    };
    let host = host(host_text).map_err(|error| error.to_string())?;
    let port = match port {
        None => MQTTS_PORT,
        Some(port) => port
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| port.parse().ok().filter(|&port: &u16| port > 0))
            .flatten()
            .ok_or("a port is a number from 1 to 65535")?,
    };
    Ok(Endpoint { host, port })
}

/// [RFC 1123 2.1]
fn is_label(label: &str) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_that_a_board_can_use() {
        let label = "x".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "x".repeat(61));
        for text in [
            "pool.ntp.org",
            "laptop",
            "a1b2-ats.iot.eu-central-1.amazonaws.com",
            "192.168.1.20",
            "10.0.2.2",
            "localhost.example",
            "local.example",
            "1.example",
            "xn--mller-kva.example",
            &longest,
        ] {
            assert_eq!(host(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_no_board_can_use_is_told_apart() {
        let long_label = format!("{}.example", "x".repeat(64));
        let too_long = format!("{}x", "x.".repeat(127));
        for text in [
            "",
            ".",
            "a..b",
            "a.",
            ".a",
            "a b",
            "a_b",
            "ü.example",
            "-a.example",
            "a-.example",
            "a/b",
            "1.2.3",
            "256.1.1.1",
            "10.0.0.01",
            "1.2.3.4.5",
            "0x7f.1",
            "5",
            "h:123",
            &long_label,
            &too_long,
        ] {
            assert_eq!(host(text), Err(HostError::Malformed), "{text}");
        }
        for text in ["::1", "[::1]", "fe80::1", "[fe80::1]:8883"] {
            assert_eq!(host(text), Err(HostError::Ipv6), "{text}");
        }
        for text in ["localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "127.9.9.9"] {
            assert_eq!(host(text), Err(HostError::Itself), "{text}");
        }
        for text in ["eyot.local", "a.b.LOCAL", "local"] {
            assert_eq!(host(text), Err(HostError::Local), "{text}");
        }
        for text in ["0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255"] {
            assert_eq!(host(text), Err(HostError::NobodysAddress), "{text}");
        }
    }

    #[test]
    fn an_endpoint_has_a_port_or_the_usual_one() {
        let parts = |text: &str| endpoint(text).map(|endpoint| (endpoint.host, endpoint.port));
        assert_eq!(parts("eyot.test"), Ok(("eyot.test".to_owned(), 8883)));
        assert_eq!(parts("10.0.2.2:1"), Ok(("10.0.2.2".to_owned(), 1)));
        assert_eq!(parts("a:65535"), Ok(("a".to_owned(), 65535)));
        for text in ["a:0", "a:65536", "a:", "a:+1", "a:x", "a:-1"] {
            assert_eq!(parts(text), Err("a port is a number from 1 to 65535".to_owned()), "{text}");
        }
        for text in ["[::1]:8883", "::1", "[::1]"] {
            assert_eq!(parts(text), Err(HostError::Ipv6.to_string()), "{text}");
        }
        assert!(parts(":8883").is_err() && parts("mqtts://a").is_err() && parts("").is_err());
    }
}
