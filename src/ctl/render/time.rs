//! Times: how long ago for people, RFC 3339 for programs.

use jiff::Timestamp;

/// Now, in milliseconds since the Unix epoch.
pub(in crate::ctl) fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// `3m ago`.
pub(in crate::ctl) fn ago(now: i64, at: i64) -> String {
    if at > now.saturating_add(2000) { format!("in {}", span(at - now)) } else { format!("{} ago", span(now - at)) }
}

/// As [`ago`], of a time that a server wrote; what is no time is shown as it is.
pub(in crate::ctl) fn since(now: i64, at: &str) -> String {
    at.parse::<Timestamp>().map_or_else(|_| super::text::cell(at), |at| ago(now, at.as_millisecond()))
}

/// `42s`, `3m`, `2h 5m`, `9d 3h`.
pub(in crate::ctl) fn span(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, 1..10) => format!("{minutes}m {}s", seconds % 60),
        (0, 0, _) => format!("{minutes}m"),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        (_, _, _) => format!("{days}d {}h", hours % 24),
    }
}

/// `2026-11-24T07:45:25.123Z`.
pub(in crate::ctl) fn rfc3339(at: i64) -> String {
    // Beyond the year 9999 there is no such text.
    Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_two_units_at_most() {
        let cases = [
            (0, "0s"),
            (59_999, "59s"),
            (185_000, "3m 5s"),
            (601_000, "10m"),
            (7_500_000, "2h 5m"),
            (788_400_000, "9d 3h"),
        ];
        for (ms, text) in cases {
            assert_eq!(span(ms), text);
        }
        assert_eq!(ago(10_000, 5_000), "5s ago");
        assert_eq!(ago(0, 5_000), "in 5s");
        assert_eq!(since(1_700_000_005_000, "2023-11-14T22:13:20.123000+00:00"), "4s ago");
        assert_eq!(since(0, "of old\n"), r"of old\n");
    }

    #[test]
    fn a_time_for_programs_is_rfc_3339() {
        assert_eq!(rfc3339(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(rfc3339(i64::MAX), i64::MAX.to_string());
    }
}
