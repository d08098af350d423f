//! What a client speaks inside TLS, as it says with ALPN.

/// [AWS iot protocols] MQTT with a client certificate.
pub(super) const MQTT_WITH_CERTIFICATE: &[u8] = b"x-amzn-mqtt-ca";

/// [AWS iot protocols] HTTPS with a client certificate.
pub(super) const HTTP_WITH_CERTIFICATE: &[u8] = b"x-amzn-http-ca";

/// What SDKs offer for WebSockets [verified 15], and browsers beside HTTP/2.
pub(super) const HTTP: &[u8] = b"http/1.1";

/// [AWS iot protocols] MQTT with a custom authorizer, which there is none of.
const MQTT_WITH_AUTHORIZER: &[u8] = b"mqtt";

/// What is to be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// MQTT with a client certificate; also what is refused as such, with a reason.
    Mqtt,
    /// HTTPS with a client certificate.
    HttpWithCertificate,
    /// HTTPS, confirmed to the client.
    Http,
    /// The client offers nothing that we know, or nothing at all: HTTPS without a word about it.
    Silent,
}

/// What a client that offers these speaks. The more special comes first: who offers it knows AWS.
pub(crate) fn spoken<'a>(offered: Option<impl Iterator<Item = &'a [u8]>>) -> Spoken {
    let offered: Vec<&[u8]> = offered.into_iter().flatten().collect();
    let order = [
        (MQTT_WITH_CERTIFICATE, Spoken::Mqtt),
        (HTTP_WITH_CERTIFICATE, Spoken::HttpWithCertificate),
        (HTTP, Spoken::Http),
        // Its handshake fails, and the log says why.
        (MQTT_WITH_AUTHORIZER, Spoken::Mqtt),
    ];
    order.into_iter().find(|(name, _)| offered.contains(name)).map_or(Spoken::Silent, |(_, spoken)| spoken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_special_one_wins() {
        let of = |offered: &[&'static str]| spoken(Some(offered.iter().map(|name| name.as_bytes())));
        assert_eq!(of(&["http/1.1", "x-amzn-mqtt-ca"]), Spoken::Mqtt);
        assert_eq!(of(&["x-amzn-http-ca", "http/1.1"]), Spoken::HttpWithCertificate);
        assert_eq!(of(&["h2", "http/1.1"]), Spoken::Http);
        assert_eq!(of(&["mqtt"]), Spoken::Mqtt);
        assert_eq!(of(&["h2"]), Spoken::Silent);
        assert_eq!(spoken(None::<std::iter::Empty<&[u8]>>), Spoken::Silent);
    }
}
