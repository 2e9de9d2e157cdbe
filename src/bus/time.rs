//! Days and hours (UTC), as the archive's folders are named.

use jiff::Timestamp;

/// `YYYY-MM-DD` of a Unix time in milliseconds. A time that no calendar has is the first day of 1970.
pub fn day(ms: u64) -> String {
    stamp(ms).strftime("%Y-%m-%d").to_string()
}

/// `HH` of a Unix time in milliseconds.
pub fn hour(ms: u64) -> String {
    stamp(ms).strftime("%H").to_string()
}

/// `YYYY-MM-DDTHH:MM:SS.mmmZ`, for people. A time that no calendar has is told as the number that it is: a message may wait until
/// then.
pub fn readable(ms: u64) -> String {
    match in_calendar(ms) {
        Some(stamp) => stamp.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        None => format!("Unix time {ms} ms"),
    }
}

/// The whole days between two `YYYY-MM-DD`; `None` if either is not a day.
pub fn days_between(earlier: &str, later: &str) -> Option<i64> {
    let parse = |day: &str| day.parse::<jiff::civil::Date>().ok();
    let span = parse(earlier)?.until((jiff::Unit::Day, parse(later)?)).ok()?;
    Some(i64::from(span.get_days()))
}

/// Is this a day as [`day`] writes it?
pub fn is_day(text: &str) -> bool {
    text.parse::<jiff::civil::Date>().is_ok_and(|day| day.to_string() == text)
}

fn stamp(ms: u64) -> Timestamp {
    in_calendar(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn in_calendar(ms: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_hours_are_utc() {
        assert_eq!(day(1_763_683_200_000), "2025-11-21");
        assert_eq!(hour(1_763_683_200_000), "00");
        assert_eq!(readable(1_763_683_200_123), "2025-11-21T00:00:00.123Z");
        assert_eq!(day(u64::MAX), "1970-01-01");
        assert_eq!(readable(253_402_207_200_000), "9999-12-30T22:00:00.000Z");
        assert_eq!(readable(9_007_199_254_740_991), "Unix time 9007199254740991 ms");
        assert_eq!(days_between("2025-02-27", "2025-03-01"), Some(2));
        assert_eq!(days_between("x", "2025-03-01"), None);
    }
}
