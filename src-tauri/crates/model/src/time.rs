//! Points in time: RFC 3339 in UTC with microseconds.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// A point in time, in microseconds since 1970-01-01T00:00:00Z. Written `2026-11-23T14:07:00.000001Z` (RFC 3339).
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String", extend("format" = "date-time")))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Timestamp(i64);

/// The text is not an RFC 3339 time between the years 1677 and 9999.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time")]
pub struct TimestampFault;

impl Timestamp {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From whole seconds since the epoch, as JSON Web Tokens have them (RFC 7519, section 2).
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// When the day begins, in UTC, that this time is in.
    #[must_use]
    pub const fn day(self) -> Self {
        const DAY: i64 = 86_400_000_000;
        Self(self.0.saturating_sub(self.0.rem_euclid(DAY)))
    }

    /// When the month begins, in UTC, that this time is in.
    #[must_use]
    pub fn month(self) -> Self {
        const DAY: i64 = 86_400_000_000;
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000);
        let past = at.map_or(0, |at| i64::from(at.day()) - 1);
        Self(self.day().0.saturating_sub(past * DAY))
    }

    /// This time and a duration later; saturates.
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is not after.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let text = at
            .format(format_description!(
                "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z"
            ))
            .map_err(|_| std::fmt::Error)?;
        f.write_str(&text)
    }
}

impl std::fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Timestamp {
    type Err = TimestampFault;

    fn from_str(text: &str) -> Result<Self, TimestampFault> {
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| TimestampFault)?;
        i64::try_from(at.unix_timestamp_nanos() / 1000).map(Self).map_err(|_| TimestampFault)
    }
}

impl From<Timestamp> for String {
    fn from(at: Timestamp) -> Self {
        at.to_string()
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimestampFault;

    fn try_from(text: String) -> Result<Self, TimestampFault> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_has_microseconds_and_is_read_back() {
        let at = Timestamp::from_micros(1_795_443_620_000_001);
        assert_eq!(at.to_string().parse(), Ok(at));
        assert!(at.to_string().ends_with(".000001Z"), "{at}");
        assert_eq!(
            "2026-11-23T15:00:00+01:00".parse::<Timestamp>().map(|t| t.to_string()),
            Ok("2026-11-23T14:00:00.000000Z".to_owned())
        );
        assert_eq!("yesterday".parse::<Timestamp>(), Err(TimestampFault));
    }

    #[test]
    fn since_never_runs_backwards() {
        let early = Timestamp::from_seconds(10);
        let late = early.plus(std::time::Duration::from_secs(5));
        assert_eq!(late.since(early), std::time::Duration::from_secs(5));
        assert_eq!(early.since(late), std::time::Duration::ZERO);
    }
}
