//! Times as signatures have them: `20150830T123600Z`.

use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

/// Epoch milliseconds as text, to the second. The date is its first eight digits.
pub(super) fn format(now_ms: i64) -> String {
    let moment =
        OffsetDateTime::from_unix_timestamp(now_ms.div_euclid(1000)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    moment
        .format(format_description!("[year][month][day]T[hour][minute][second]Z"))
        .expect("the format uses what every date has")
}

/// Epoch milliseconds of a time in ISO 8601 basic format.
pub(super) fn parse(text: &str) -> Option<i64> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let moment = PrimitiveDateTime::parse(text, format).ok()?.assume_utc();
    moment.unix_timestamp().checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_back() {
        assert_eq!(parse("20150830T123600Z"), Some(1_440_938_160_000));
        assert_eq!(format(1_440_938_160_999), "20150830T123600Z");
        for text in ["", "20150830", "20151330T123600Z", "2015-08-30T12:36:00Z", "20150830T123600"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
