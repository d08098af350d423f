//! The time of day, for commands; the server's parts are given theirs.

use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::macros::format_description;

/// Now, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A moment as `2026-03-25T21:50:14.810Z`: UTC, as everything in AWS's logs.
pub(crate) fn to_text(ms: i64) -> String {
    formatted(ms, |moment| {
        moment
            .format(format_description!(
                "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
            ))
            .ok()
    })
}

/// A moment's time of day as `21:50:14`, UTC.
pub(crate) fn to_clock(ms: i64) -> String {
    formatted(ms, |moment| moment.format(format_description!("[hour]:[minute]:[second]")).ok())
}

/// A moment's date as `2026-03-25`, UTC.
pub(crate) fn to_date(ms: i64) -> String {
    formatted(ms, |moment| moment.format(format_description!("[year]-[month]-[day]")).ok())
}

fn formatted(ms: i64, format: impl FnOnce(OffsetDateTime) -> Option<String>) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .ok()
        .and_then(format)
        .unwrap_or_else(|| format!("{ms} ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_aws_writes_them() {
        assert_eq!(to_text(1_679_781_014_810), "2023-03-25T21:50:14.810Z");
        assert_eq!(to_clock(1_679_781_014_810), "21:50:14");
        assert_eq!(to_date(1_679_781_014_810), "2023-03-25");
        assert_eq!(to_text(i64::MAX), format!("{} ms", i64::MAX));
        assert!(now_ms() > 1_679_781_014_810);
    }
}
