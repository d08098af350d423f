//! A connection of the ALPN port before it is known who serves it.
//!
//! [AWS iot protocols] On port 443 the client says with ALPN what it speaks. The hello is looked at and left in the socket:
//! whoever is to serve the connection finds it untouched.

use crate::tls::{Spoken, spoken};
use mio::net::TcpStream;
use rustls::server::Acceptor;
use std::io::{self, ErrorKind};

/// Bytes of a ClientHello that are looked at. One with post-quantum key shares and a session ticket has 4 KB.
const HELLO_BYTES_MAX: usize = 16 * 1024;

pub(crate) struct Undecided {
    pub(crate) stream: TcpStream,
}

/// What was seen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Not enough yet.
    Nothing,
    Hello(Spoken),
    /// The client has closed.
    End,
}

impl Undecided {
    /// Looks at what has arrived.
    ///
    /// What is no hello counts as MQTT: that side says best what is wrong with it.
    ///
    /// # Errors
    /// The connection is lost.
    pub(crate) fn look(&self) -> io::Result<Seen> {
        let mut bytes = [0; HELLO_BYTES_MAX];
        let count = match self.stream.peek(&mut bytes) {
            Ok(0) => return Ok(Seen::End),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(Seen::Nothing);
            }
            Err(error) => return Err(error),
        };
        Ok(read_hello(&bytes[..count]))
    }
}

fn read_hello(bytes: &[u8]) -> Seen {
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        // Reading from memory cannot fail; what rustls does not take is too much for a hello.
        if !matches!(acceptor.read_tls(&mut rest), Ok(1..)) {
            return Seen::Hello(Spoken::Mqtt);
        }
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => return Seen::Hello(spoken(accepted.client_hello().alpn())),
            Err(_) => return Seen::Hello(Spoken::Mqtt),
        }
    }
    if bytes.len() < HELLO_BYTES_MAX { Seen::Nothing } else { Seen::Hello(Spoken::Mqtt) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use std::sync::Arc;

    fn hello(alpn: &[&str]) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_hello_is_understood_when_it_is_whole() {
        let bytes = hello(&["x-amzn-http-ca"]);
        for count in 1..bytes.len() {
            assert_eq!(read_hello(&bytes[..count]), Seen::Nothing, "{count}");
        }
        assert_eq!(read_hello(&bytes), Seen::Hello(Spoken::HttpWithCertificate));
        let more = [&bytes[..], &[0; 100]].concat();
        assert_eq!(read_hello(&more), Seen::Hello(Spoken::HttpWithCertificate));
    }

    #[test]
    fn what_is_no_hello_is_left_to_the_side_that_can_say_so() {
        let mqtt = Seen::Hello(Spoken::Mqtt);
        assert_eq!(read_hello(b"GET / HTTP/1.1\r\n\r\n"), mqtt);
        assert_eq!(read_hello(&[0x10, 0x0c, 0, 4, b'M', b'Q', b'T', b'T']), mqtt);
        // A hello of 16 KB that never ends.
        let endless = [&[22, 3, 1, 0x3f, 0xff, 1, 0, 0xff, 0xff][..], &vec![0; HELLO_BYTES_MAX]].concat();
        assert_eq!(read_hello(&endless[..HELLO_BYTES_MAX]), mqtt);
    }
}
