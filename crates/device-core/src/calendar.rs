//! Dates of the Gregorian calendar in UTC, for certificates and for people.

use core::fmt;

/// A second of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime {
    /// Such as 2026.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59: Unix time knows no leap seconds.
    pub second: u8,
}

const SECONDS_PER_DAY: u64 = 86_400;
/// Days from 1 March of year 0, where leap days come last in their year, to 1 January 1970.
const DAYS_BEFORE_1970: u64 = 719_468;
/// The calendar repeats after 400 years.
const DAYS_PER_ERA: u64 = 146_097;
/// The last second that a year of 16 bits can hold is in the year 65535; later ones stand still there.
const LAST_UNIX_S: u64 = 2_005_949_145_599;

impl DateTime {
    /// The second since 1970 as a date.
    pub const fn from_unix_s(unix_s: u64) -> Self {
        let unix_s = if unix_s > LAST_UNIX_S { LAST_UNIX_S } else { unix_s };
        let days = unix_s / SECONDS_PER_DAY + DAYS_BEFORE_1970;
        let second_of_day = unix_s % SECONDS_PER_DAY;
        let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
        // Without the leap days before it, a day's year is its number through 365.
        let leap_days = day_of_era / 1_460 + day_of_era / 146_096 - day_of_era / 36_524;
        let year_of_era = (day_of_era - leap_days) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // From March on, five months have 153 days.
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let is_next_year = month_from_march >= 10;
        let month = if is_next_year { month_from_march - 9 } else { month_from_march + 3 };
        let year = era * 400 + year_of_era + if is_next_year { 1 } else { 0 };
        // INVARIANT: all parts are within the ranges above, so that nothing is cut.
        Self {
            year: year as u16,
            month: month as u8,
            day: day as u8,
            hour: (second_of_day / 3_600) as u8,
            minute: (second_of_day / 60 % 60) as u8,
            second: (second_of_day % 60) as u8,
        }
    }
}

impl fmt::Display for DateTime {
    /// `2026-11-24T12:00:00Z` [RFC 3339].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn known_seconds() {
        for (unix_s, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_764_000_000, "2025-11-24T16:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (LAST_UNIX_S, "65535-12-31T23:59:59Z"),
            (u64::MAX, "65535-12-31T23:59:59Z"),
        ] {
            assert_eq!(DateTime::from_unix_s(unix_s).to_string(), text);
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = DateTime::from_unix_s(0);
        for day in 1..200_000 {
            let date = DateTime::from_unix_s(day * SECONDS_PER_DAY);
            let is_next_day = date.day == before.day + 1 && date.month == before.month;
            let is_next_month = date.day == 1 && before.day >= 28 && date.month == before.month % 12 + 1;
            assert!(is_next_day || is_next_month, "{before} and {date}");
            assert_eq!(date.year, before.year + u16::from(date.month == 1 && date.day == 1));
            before = date;
        }
    }
}
