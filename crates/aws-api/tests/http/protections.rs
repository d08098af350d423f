//! What is turned away before any operation is looked at.

use crate::server::Server;

const KEYS: &str = "/keys-and-certificate?setAsActive=true";

fn certificates(server: &Server) -> usize {
    server.iot("GET", "/certificates", "").json()["certificates"].as_array().unwrap().len()
}

#[test]
fn only_signed_requests_under_our_names_from_our_pages_make_keys() {
    let server = Server::start();
    let host = server.address.to_string();

    server
        .send("POST", KEYS, &[("host", &host)], b"")
        .assert_error(403, "MissingAuthenticationTokenException");
    for authorization in ["Bearer token", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=a, Signature=b"] {
        let headers = [("host", host.as_str()), ("authorization", authorization)];
        server.send("POST", KEYS, &headers, b"").assert_error(403, "IncompleteSignatureException");
    }
    for origin in ["http://evil.example", "null", "http://localhost:1"] {
        let answer = server.signed("iot", "POST", KEYS, &[("origin", origin)], b"");
        answer.assert_error(403, "AccessDeniedException");
        assert!(!answer.head.contains("access-control-"), "{answer:?}");
    }
    server
        .signed("iot", "POST", KEYS, &[("sec-fetch-site", "cross-site")], b"")
        .assert_error(403, "AccessDeniedException");
    let answer = server.send("POST", KEYS, &[("host", "evil.example")], b"");
    assert_eq!(answer.status, 421, "{answer:?}");
    assert_eq!(server.send("POST", KEYS, &[], b"").status, 400);
    let preflight = [
        ("host", host.as_str()),
        ("origin", "http://evil.example"),
        ("access-control-request-method", "POST"),
    ];
    assert_eq!(server.send("OPTIONS", KEYS, &preflight, b"").status, 403);
    assert_eq!(certificates(&server), 0);

    // The control.
    let answer = server.signed("iot", "POST", KEYS, &[("origin", &format!("http://{host}"))], b"");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        answer.json()["keyPair"]["PrivateKey"]
            .as_str()
            .unwrap()
            .starts_with("-----BEGIN RSA PRIVATE KEY-----")
    );
    assert_eq!(certificates(&server), 1);
}

#[test]
fn the_guard_is_around_everything() {
    let server = Server::start();
    let host = server.address.to_string();
    for path in ["/_eyot/health", "/_eyot/metrics", "/_eyot/explain/c", "/_eyot/own", "/nowhere"] {
        assert_eq!(server.send("GET", path, &[("host", "evil.example")], b"").status, 421, "{path}");
        let crossing = [("host", host.as_str()), ("sec-fetch-site", "same-site")];
        assert_eq!(server.send("GET", path, &crossing, b"").status, 403, "{path}");
    }
    let health = server.send("GET", "/_eyot/health", &[("host", &host)], b"");
    assert_eq!((health.status, health.json()["status"].as_str()), (200, Some("ok")), "{health:?}");
    assert_eq!(server.send("GET", "/_eyot/own", &[("host", &host)], b"").body, "own");
    server.iot("GET", "/things", "");
    let metrics = server.send("GET", "/_eyot/metrics", &[("host", &host)], b"");
    assert!(metrics.has("content-type: text/plain; version=0.0.4; charset=utf-8"), "{metrics:?}");
    assert!(metrics.body.contains("operation=\"ListThings\",status=\"200\"} 1\n"), "{metrics:?}");
    assert!(metrics.body.contains("eyot_more 1\n"));
}

#[test]
fn unknown_and_absent_operations_are_told_apart() {
    let server = Server::start();
    server.iot("GET", "/no/such/path", "").assert_error(404, "UnknownOperationException");
    server.iot("BREW", "/things", "").assert_error(404, "UnknownOperationException");
    assert!(server.iot("GET", "/jobs", "").assert_error(501, "NotImplemented").contains("ListJobs"));
    server.iot("GET", "/things/%ff%fe", "").assert_error(400, "InvalidRequestException");
    server.logs("NoSuchThing", "{}").assert_logs_error("UnknownOperationException");
    let absent = server.logs("DescribeQueries", "{}");
    assert_eq!(
        (absent.status, absent.json()["__type"].as_str()),
        (501, Some("NotImplemented")),
        "{absent:?}"
    );
    assert!(absent.has("content-type: application/x-amz-json-1.1"));
}

#[test]
fn junk_is_answered_with_400s() {
    let server = Server::start();
    let headers = "GET /things HTTP/1.1\r\nHost: localhost\r\n".to_owned();
    for junk in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01".to_vec(),
        b"GET /\r\n\r\n".to_vec(),
        format!("{headers}{}\r\n", "X: y\r\n".repeat(20_000)).into_bytes(),
        format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(200_000)).into_bytes(),
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n".to_vec(),
        b"GET http://evil.example/things HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_vec(),
        b"GET /things HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
            .to_vec(),
    ] {
        let answer = server.raw(&junk);
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(server.iot("GET", "/things", "").status, 200);
}

#[test]
fn large_bodies_are_refused_before_they_are_read() {
    let server = Server::start();
    let signed = [("content-type", "application/json")];
    let body = vec![b'x'; aws_api::BODY_BYTES_MAX + 1];
    let answer = server.signed("iot", "POST", "/policies/large", &signed, &body);
    answer.assert_error(413, "RequestEntityTooLargeException");
    assert_eq!(server.iot("GET", "/things", "").status, 200);
}
