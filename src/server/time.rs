//! Times as the server writes them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A moment, cut to milliseconds as the document store of the real server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(Timestamp);

impl Moment {
    pub(super) fn now() -> Self {
        Self::from_millis(Timestamp::now().as_millisecond())
    }

    /// A number no calendar can hold becomes the epoch.
    pub(super) fn from_millis(millis: i64) -> Self {
        Self(Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Ok(stamp) = text.parse::<Timestamp>() {
            return Some(Self(stamp));
        }
        // Clients also write dates and times without an offset, meaning UTC.
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        TimeZone::UTC.to_timestamp(civil).ok().map(Self)
    }

    pub(super) fn millis(self) -> i64 {
        self.0.as_millisecond()
    }

    pub(super) fn seconds(self) -> i64 {
        self.0.as_second()
    }

    /// `2024-12-26T18:59:42.123000+00:00`; the fraction is left out when it is zero. Such texts sort as times do.
    pub(super) fn text(self) -> String {
        let civil = TimeZone::UTC.to_datetime(self.0);
        let micros = civil.subsec_nanosecond() / 1000;
        let whole = civil.strftime("%Y-%m-%dT%H:%M:%S");
        if micros == 0 { format!("{whole}+00:00") } else { format!("{whole}.{micros:06}+00:00") }
    }

    /// `2024-12-26T18:59:42.123Z`, as the event store stamps arrival.
    pub(super) fn event_text(self) -> String {
        let civil = TimeZone::UTC.to_datetime(self.0);
        format!("{}.{:03}Z", civil.strftime("%Y-%m-%dT%H:%M:%S"), civil.subsec_nanosecond() / 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_the_server_writes_it_and_sorts_as_text() {
        let whole = Moment::from_millis(1_735_239_582_000);
        let later = Moment::from_millis(1_735_239_582_123);
        assert_eq!(whole.text(), "2024-12-26T18:59:42+00:00");
        assert_eq!(later.text(), "2024-12-26T18:59:42.123000+00:00");
        assert!(whole.text() < later.text());
        assert_eq!(Moment::parse(&later.text()), Some(later));
        assert_eq!(Moment::parse("2024-12-26T18:59:42"), Some(whole));
    }
}
