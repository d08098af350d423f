//! Against AWS's published example and what botocore 1.44.5 signs with the same key and time.

use super::*;

const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2015-08-30T12:36:00Z
const NOW_MS: i64 = 1_440_938_160_000;

const PUBLISH: Message<'_> = Message {
    method: "POST",
    path: "/topics/%24aws%2Frules%2Ftelemetry%2Fpico%20w",
    query: "qos=1",
    headers: &[("Content-Type", "application/json"), ("Host", "localhost:4566")],
    payload: Payload::Bytes(b"{\"temp\": 27.5}"),
};

const WEBSOCKET_SIGNATURE: &str = "4ff754d6e01871ef53424ff847dd23ad6bdc6ccb9bd1011e8767615b2808cb34";

fn key(session_token: Option<&'static str>) -> Credentials<'static> {
    Credentials { access_key_id: ID, secret_access_key: SECRET, session_token }
}

fn authorization(message: &Message<'_>, token: Option<&'static str>, service: &str) -> String {
    sign(message, &key(token), "us-east-1", service, NOW_MS).pop().unwrap().1
}

fn get<'a>(host: &'a [(&'a str, &'a str)], path: &'a str, query: &'a str) -> Message<'a> {
    Message { method: "GET", path, query, headers: host, payload: Payload::Bytes(b"") }
}

/// A message with the headers that `sign` gave, and what it claims.
fn signed_and_read<T>(message: &Message<'_>, use_it: impl FnOnce(&Message<'_>, Claim) -> T) -> T {
    let added = sign(message, &key(None), "us-east-1", "iotdata", NOW_MS);
    let mut headers = message.headers.to_vec();
    headers.extend(added.iter().map(|(name, value)| (*name, value.as_str())));
    let message = Message { headers: &headers, ..*message };
    use_it(&message, Claim::read(&message).unwrap())
}

#[test]
fn the_published_example_is_met() {
    // [AWS sigv4 test suite] get-vanilla
    let message = get(&[("Host", "example.amazonaws.com")], "/", "");
    assert_eq!(
        authorization(&message, None, "service"),
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    );
    // get-vanilla-query-order-key-case
    let message = get(&[("Host", "example.amazonaws.com")], "/", "Param2=value2&Param1=value1");
    assert!(
        authorization(&message, None, "service")
            .ends_with("b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500")
    );
}

#[test]
fn botocore_signs_the_same() {
    assert!(
        authorization(&PUBLISH, None, "iotdata")
            .ends_with("f87f613ad0300d6e209a87c68bc7323470071bb49bceee0404ce9d7da139036f")
    );
    let logs = Message {
        method: "POST",
        path: "/",
        query: "",
        headers: &[
            ("X-Amz-Target", "Logs_20140328.CreateLogGroup"),
            ("Content-Type", "application/x-amz-json-1.1"),
            ("Host", "localhost:4566"),
        ],
        payload: Payload::Bytes(b"{\"logGroupName\":\"g\"}"),
    };
    assert!(
        authorization(&logs, Some("tok/en+="), "logs")
            .ends_with("bb0b62c0cd02e8b68597adb3e879d989ead7e9d1860e43011280c0c28119ea9a")
    );
    let query = "maxResults=1&attributeValue=a%20b&attributeName=x";
    assert!(
        authorization(&get(&[("Host", "localhost:4566")], "/things", query), None, "iot")
            .ends_with("22cd28242c38b9f5b5f76b722932aa300bfe2b1e4a57f5a5d803c7309fb37ff2")
    );
}

#[test]
fn what_is_signed_verifies_and_nothing_else() {
    signed_and_read(&PUBLISH, |message, claim| {
        assert_eq!((claim.access_key_id(), claim.region(), claim.service()), (ID, "us-east-1", "iotdata"));
        assert_eq!(claim.verify(message, SECRET, NOW_MS), Ok(()));
        assert_eq!(claim.verify(message, "another secret", NOW_MS), Err(SignatureError::Mismatch));
        let changed = [
            Message { method: "PUT", ..*message },
            Message { path: "/topics/other", ..*message },
            Message { query: "qos=0", ..*message },
            Message { payload: Payload::Bytes(b"{\"temp\": 99}"), ..*message },
            Message { payload: Payload::Unsigned, ..*message },
        ];
        for message in changed {
            assert_eq!(claim.verify(&message, SECRET, NOW_MS), Err(SignatureError::Mismatch), "{message:?}");
        }
    });
}

#[test]
fn old_and_future_signatures_have_expired() {
    signed_and_read(&PUBLISH, |message, claim| {
        for skew in [-CLOCK_SKEW_MS_MAX, CLOCK_SKEW_MS_MAX] {
            assert_eq!(claim.verify(message, SECRET, NOW_MS + skew), Ok(()));
        }
        let error = |skew| claim.verify(message, SECRET, NOW_MS + skew).unwrap_err().to_string();
        // In AWS's words [verified 14: 163 bytes of body].
        assert_eq!(
            error(CLOCK_SKEW_MS_MAX + 1_000),
            "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)"
        );
        assert_eq!(
            error(-CLOCK_SKEW_MS_MAX - 1_000),
            "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T123059Z + 5 min.)"
        );
    });
}

#[test]
fn a_presigned_url_verifies() {
    let query = "maxResults=1&X-Amz-Algorithm=AWS4-HMAC-SHA256\
                 &X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fiot%2Faws4_request&X-Amz-Date=20150830T123600Z\
                 &X-Amz-Expires=60&X-Amz-SignedHeaders=host\
                 &X-Amz-Signature=62c6ac08d3552ce9f638b38e9964e531e67eae8e28bff811d77486032a8ec994";
    let host = [("Host", "localhost:4566")];
    let message = get(&host, "/things", query);
    let claim = Claim::read(&message).unwrap();
    assert_eq!(claim.verify(&message, SECRET, NOW_MS + 60_000), Ok(()));
    assert!(claim.verify(&message, SECRET, NOW_MS + 60_001).is_err());
    let more = query.replace("maxResults=1", "maxResults=2");
    assert_eq!(claim.verify(&get(&host, "/things", &more), SECRET, NOW_MS), Err(SignatureError::Mismatch));
}

/// What `SigV4QueryAuth` of botocore 1.44.5 signs for `iotdevicegateway`, with the token appended as AWS's SDKs do.
#[test]
fn a_websocket_url_verifies_with_its_token_behind_the_signature_and_for_five_minutes() {
    let signed = "X-Amz-Algorithm=AWS4-HMAC-SHA256\
                  &X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fiotdevicegateway%2Faws4_request\
                  &X-Amz-Date=20150830T123600Z&X-Amz-Expires=EXPIRES&X-Amz-SignedHeaders=host&X-Amz-Signature=SIGNATURE";
    let query = signed.replace("EXPIRES", "86400").replace("SIGNATURE", WEBSOCKET_SIGNATURE);
    let host = [("Host", "localhost:4566")];
    let with_token = format!("{query}&X-Amz-Security-Token=tok%2Fen%2B%3D");
    for query in [&query, &with_token] {
        let message = get(&host, "/mqtt", query);
        let claim = Claim::read(&message).unwrap();
        assert_eq!(claim.service(), GATEWAY);
        assert_eq!(claim.verify(&message, SECRET, NOW_MS + CLOCK_SKEW_MS_MAX), Ok(()));
        let late = claim.verify(&message, SECRET, NOW_MS + CLOCK_SKEW_MS_MAX + 1);
        assert!(
            matches!(late, Err(SignatureError::Expired { minutes: 5, .. })),
            "X-Amz-Expires is ignored: {late:?}"
        );
    }
    let nonsense = signed.replace("EXPIRES", "soon").replace("SIGNATURE", WEBSOCKET_SIGNATURE);
    assert!(Claim::read(&get(&host, "/mqtt", &nonsense)).is_ok());
    let other = get(&host, "/mqtt", &query.replace("host&", "host&x=y&")).query.to_owned();
    let message = get(&host, "/mqtt", &other);
    let claim = Claim::read(&message).unwrap();
    assert_eq!(claim.verify(&message, SECRET, NOW_MS), Err(SignatureError::Mismatch));
}

#[test]
fn malformed_claims_are_told_from_missing_ones() {
    let scope = "x/20260101/us-east-1/iot/aws4_request";
    let digits = "0".repeat(64);
    let whole = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={digits}");
    let read = |authorization: &str, date: &str| {
        Claim::read(&get(&[("Authorization", authorization), ("X-Amz-Date", date)], "/", "")).map(|_| ())
    };
    assert_eq!(read(&whole, "20260101T000000Z"), Ok(()));
    assert_eq!(read("", "20260101T000000Z"), Err(SignatureError::Missing));
    assert_eq!(Claim::read(&get(&[], "/things", "a=b")), Err(SignatureError::Missing));
    let broken = [
        "Bearer token".to_owned(),
        "Basic cGFnZTpzZWNyZXQ=".to_owned(),
        "AWS4-HMAC-SHA256".to_owned(),
        "AWS4-HMAC-SHA256 Credential=a, Signature=b".to_owned(),
        whole.replace(", SignedHeaders=host", ""),
        whole.replace(&digits, ""),
        whole.replace(&digits, "xyz"),
        whole.replace("SignedHeaders=host", "SignedHeaders=date"),
        whole.replace("aws4_request", "aws5_request"),
        whole.replace("x/2026", "2026"),
        whole.replace("AWS4-HMAC-SHA256 ", "AWS4-ECDSA-P256-SHA256 "),
    ];
    for authorization in broken {
        assert!(
            matches!(read(&authorization, "20260101T000000Z"), Err(SignatureError::Incomplete(_))),
            "{authorization}"
        );
    }
    for date in ["20260102T000000Z", "yesterday", ""] {
        assert!(matches!(read(&whole, date), Err(SignatureError::Incomplete(_))), "{date}");
    }
    let undated = [("Authorization", whole.as_str())];
    let message = get(&undated, "/", "");
    assert!(matches!(Claim::read(&message), Err(SignatureError::Incomplete(_))), "no date");
}
