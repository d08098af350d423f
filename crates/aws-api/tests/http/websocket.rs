//! What of a WebSocket needs a setting or a clock of its own; the rest is tested with real clients, in `tests/`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_api::sigv4::{Credentials, Message, Payload, sign};
use mqtt_session::Limits;

use crate::server::Server;

/// A WebSocket on which a client of MQTT 5 with this name is connected.
fn connected(server: &Server, client_id: char) -> TcpStream {
    let connect = [0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 60, 0, 0, 1, client_id as u8];
    let host = server.address.to_string();
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let headers = [("host", host.as_str())];
    let message =
        Message { method: "GET", path: "/mqtt", query: "", headers: &headers, payload: Payload::Bytes(b"") };
    let key = Credentials { access_key_id: "test", secret_access_key: "test", session_token: None };
    let added = sign(&message, &key, "us-east-1", "iotdevicegateway", i64::try_from(now_ms).unwrap());
    let mut request = format!(
        "GET /mqtt HTTP/1.1\r\nhost: {host}\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: mqtt\r\n"
    );
    for (name, value) in added {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // CONNECT right behind the request, masked with zeros.
    let frame = [&[0x82, 0x80 | connect.len() as u8, 0, 0, 0, 0][..], &connect].concat();
    stream.write_all(&[request.as_bytes(), &frame].concat()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    let (kind, payload) = frame_of(&mut stream);
    assert_eq!((kind, payload[0], payload[3]), (2, 0x20, 0), "CONNACK, accepted");
    stream
}

/// The server's next frame: its kind and payload, which is short.
fn frame_of(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    assert!(head[1] < 126, "{head:?}");
    let mut payload = vec![0; usize::from(head[1])];
    stream.read_exact(&mut payload).unwrap();
    (head[0] & 0x0f, payload)
}

/// [AWS iot protocols] A client of MQTT 5 learns it in its own words first: 0xA0, Maximum connect time.
#[test]
fn a_websocket_that_has_lasted_long_enough_is_ended() {
    let server = Server::with(8, Limits { websocket_duration_max_s: 1, ..Limits::none() });
    let mut stream = connected(&server, 'c');
    let (kind, disconnect) = frame_of(&mut stream);
    assert_eq!((kind, disconnect[0], disconnect[2]), (2, 0xe0, 0xa0), "{disconnect:?}");
    let (kind, code) = frame_of(&mut stream);
    assert_eq!((kind, code), (8, vec![0x03, 0xe8]));
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    let answer = server.data("GET", "/connections/c", "");
    assert_eq!(answer.json()["disconnectReason"], "WEBSOCKET_TTL_EXPIRATION", "{answer:?}");
}

#[test]
fn websockets_are_none_of_the_apis_connections() {
    let server = Server::with(1, Limits::none());
    let open = ['a', 'b', 'c'].map(|client_id| connected(&server, client_id));
    let answer = server.iot("GET", "/things", "");
    assert_eq!(answer.status, 200, "{answer:?}");
    drop(open);
}
