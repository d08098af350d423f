//! Values on the command line of `eyot pico image`, each checked against what the firmware takes.

use device_core::settings::{INTERVAL_MS_MIN, WIFI_SSID_BYTES_MAX};
use device_core::{TOPIC_BYTES_MAX, WILL_PAYLOAD_BYTES_MAX};
use mqtt_session::{Limits, basic_ingest, check_topic};
use mqtt_wire::TopicName;

use crate::duration::{DurationError, HumanDuration};

/// Longest interval: a day. A board that is silent for longer looks dead.
const INTERVAL_MS_MAX: u128 = 86_400_000;

/// The name of a network.
pub(super) fn ssid(text: &str) -> Result<String, String> {
    if (1..=WIFI_SSID_BYTES_MAX).contains(&text.len()) && !text.contains('\0') {
        Ok(text.to_owned())
    } else {
        Err(format!("a Wi-Fi network's name has 1 to {WIFI_SSID_BYTES_MAX} bytes"))
    }
}

/// Two capital letters.
pub(super) fn country(text: &str) -> Result<[u8; 2], String> {
    let code = text.to_ascii_uppercase().into_bytes();
    <[u8; 2]>::try_from(code).ok().filter(|code| code.iter().all(u8::is_ascii_uppercase)).ok_or_else(|| {
        "a country is two letters, such as DE; XX uses the channels that are allowed everywhere".to_owned()
    })
}

/// A topic to publish to, or to leave a last will for: what a server closes the connection over is refused.
pub(super) fn topic(text: &str) -> Result<String, String> {
    if text.len() > TOPIC_BYTES_MAX {
        return Err(format!("a topic has at most {TOPIC_BYTES_MAX} bytes"));
    }
    TopicName::parse(text).map_err(|error| format!("the topic {error}"))?;
    // [AWS iot reserved-topics]
    if text.starts_with('$') && basic_ingest(text).is_none_or(|ingest| ingest.rule.is_empty()) {
        return Err(
            "topics that begin with `$` are reserved, but for `$aws/rules/NAME/…` of a rule".to_owned()
        );
    }
    check_topic(text, &Limits::aws()).map_err(|excess| format!("the topic {excess}"))?;
    Ok(text.to_owned())
}

/// The last will's content.
pub(super) fn will_payload(text: &str) -> Result<String, String> {
    if text.len() <= WILL_PAYLOAD_BYTES_MAX && !text.contains('\0') {
        Ok(text.to_owned())
    } else {
        Err(format!("a last will has at most {WILL_PAYLOAD_BYTES_MAX} bytes"))
    }
}

/// Milliseconds between two readings.
pub(super) fn interval_ms(text: &str) -> Result<u32, String> {
    let interval: HumanDuration = text.parse().map_err(|error: DurationError| error.to_string())?;
    let ms = interval.0.as_millis();
    u32::try_from(ms)
        .ok()
        .filter(|_| (u128::from(INTERVAL_MS_MIN)..=INTERVAL_MS_MAX).contains(&ms))
        .ok_or_else(|| format!("choose something from {INTERVAL_MS_MIN}ms to 1d"))
}

/// Whole seconds. [AWS General Reference, AWS IoT Core] 30 to 1200.
pub(super) fn keep_alive_s(text: &str) -> Result<u16, String> {
    let keep_alive: HumanDuration = text.parse().map_err(|error: DurationError| error.to_string())?;
    u16::try_from(keep_alive.0.as_secs())
        .ok()
        .filter(|seconds| (30..=1200).contains(seconds) && keep_alive.0.subsec_nanos() == 0)
        .ok_or_else(|| "choose whole seconds from 30s to 20m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_keeps_the_servers_limits() {
        let (fits, too_long) = ("x".repeat(256), "x".repeat(257));
        for text in ["a", "0/1/2/3/4/5/6/7", "$aws/rules/r/0/1/2/3/4/5/6/7", "$aws/rules/r", &fits] {
            assert_eq!(topic(text).as_deref(), Ok(text));
        }
        assert!(topic(&format!("$aws/rules/r/{fits}")).is_ok());
        for text in
            ["$aws/rules//x", "$aws/rules/", "$aws/rules", "$aws/things/t/shadow/update", "$SYS/x", "$x"]
        {
            assert!(topic(text).expect_err(text).contains("reserved"), "{text}");
        }
        assert!(topic(&too_long).expect_err("long").contains("at most 256"));
        assert!(topic(&format!("$aws/rules/r/{too_long}")).expect_err("long").contains("at most 256"));
        assert!(topic("0/1/2/3/4/5/6/7/8").expect_err("deep").contains("8 slashes"));
        assert!(topic("$aws/rules/r/0/1/2/3/4/5/6/7/8").expect_err("deep").contains("8 slashes"));
    }

    #[test]
    fn what_the_firmware_would_refuse_is_refused_here() {
        assert!(ssid("").is_err() && ssid(&"x".repeat(33)).is_err() && ssid(&"x".repeat(32)).is_ok());
        assert_eq!(country("de"), Ok(*b"DE"));
        assert!(country("D").is_err() && country("D1").is_err() && country("DEU").is_err());
        assert!(topic("a/#").is_err() && topic("").is_err() && topic(&"x".repeat(321)).is_err());
        assert_eq!(interval_ms("100ms"), Ok(100));
        assert!(interval_ms("99ms").is_err() && interval_ms("25h").is_err() && interval_ms("2").is_err());
        assert_eq!(keep_alive_s("20m"), Ok(1200));
        assert!(
            keep_alive_s("29s").is_err()
                && keep_alive_s("1201s").is_err()
                && keep_alive_s("30500ms").is_err()
        );
        assert!(will_payload(&"x".repeat(129)).is_err());
    }
}
