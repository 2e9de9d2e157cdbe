//! Times and sizes, as people write and read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Unix milliseconds now. The one place where the command line asks the clock of the day.
pub fn now_ms() -> u64 {
    // A clock before 1970 counts as 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

const NO_TIME: &str = "a time is a whole number and ms, s, m, h or d, such as 30s; a bare number is seconds";

/// Reads `250ms`, `10s`, `5m`, `2h`, `7d`; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let ms_per_unit: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(NO_TIME.into()),
    };
    let number: u64 = number.parse().map_err(|_| NO_TIME)?;
    number.checked_mul(ms_per_unit).map(Duration::from_millis).ok_or_else(|| "that is too long".into())
}

/// Reads a moment: `2026-01-31T12:00:00Z` (RFC 3339), or Unix milliseconds.
pub fn moment(text: &str) -> Result<u64, String> {
    if let Ok(ms) = text.parse() {
        return Ok(ms);
    }
    let wrong = || "a moment is like 2026-01-31T12:00:00Z, or in Unix milliseconds".to_owned();
    let moment: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
    u64::try_from(moment.as_millisecond()).map_err(|_| wrong())
}

/// A length of time in one or two characters and a number: `12ms`, `3.4s`, `5m`, `2h`, `7d`.
pub fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..10_000 => format!("{:.1}s", ms as f64 / 1e3),
        10_000..120_000 => format!("{}s", ms / 1_000),
        120_000..7_200_000 => format!("{}m", ms / 60_000),
        7_200_000..172_800_000 => format!("{}h", ms / 3_600_000),
        _ => format!("{}d", ms / 86_400_000),
    }
}

/// A length of time in microseconds.
pub fn span_us(us: u64) -> String {
    match us {
        0..1_000 => format!("{us}us"),
        1_000..10_000 => format!("{:.1}ms", us as f64 / 1e3),
        _ => span(us / 1_000),
    }
}

/// A number of bytes: `812 B`, `4.1 KiB`, `16 MiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value < 10.0 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

/// `12:34:56.789` (UTC) of a Unix time in milliseconds.
pub fn clock(ms: u64) -> String {
    let readable = postroom::bus::time::readable(ms);
    readable.split_once('T').map_or_else(|| readable.clone(), |(_, time)| time.trim_end_matches('Z').to_owned())
}

/// `1 message`, `2 messages`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, ms) in [("250ms", 250), ("10", 10_000), ("3s", 3_000), ("5m", 300_000), ("2h", 7_200_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "s", "1.5s", "-1", "3 s", "1w", "99999999999999999999d", "999999999999999d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert_eq!(moment("2025-11-21T00:00:00Z"), Ok(1_763_683_200_000));
        assert_eq!(moment("1763683200000"), Ok(1_763_683_200_000));
        assert!(moment("tomorrow").is_err());
    }

    #[test]
    fn times_and_sizes_are_short() {
        let shown = [0, 999, 1_500, 59_000, 300_000, 7_200_000, 900_000_000].map(span);
        assert_eq!(shown, ["0ms", "999ms", "1.5s", "59s", "5m", "2h", "10d"]);
        assert_eq!([0, 1_023, 4_200, 16 << 20].map(bytes), ["0 B", "1023 B", "4.1 KiB", "16 MiB"]);
        assert_eq!([7, 1_700, 45_000].map(span_us), ["7us", "1.7ms", "45ms"]);
        assert_eq!(clock(1_763_683_200_123), "00:00:00.123");
    }
}
