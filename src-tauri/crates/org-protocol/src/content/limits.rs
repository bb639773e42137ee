//! Limits of calls: how large what is sent and answered may be, and how often calls are made.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use model::{ConnectorId, Timestamp, ToolName};
use serde::{Deserialize, Serialize};

use super::PayloadName;

/// The most calls in a second, minute or hour: each of them is remembered for as long.
const MOST_IN_WINDOW: u32 = 10_000;
/// The most calls in a day or a month.
const MOST_IN_QUOTA: u32 = 100_000_000;

/// One limit of the calls to some connectors, to each by itself.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitRule {
    /// Its name in records and in what people read. What was counted under another name does not count.
    pub id: PayloadName,
    /// The connectors that it is about, each by itself; all where none is named.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub connectors: BTreeSet<ConnectorId>,
    /// The tools that it is about, as their connectors name them; where none is named all, and resources and prompts as well.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tools: BTreeSet<ToolName>,
    /// The most calls in a period: `60 per minute`, `1000 per day`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<CallAllowance>,
    /// Whose calls are counted together; a person's where it is not given. Only beside `calls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<LimitPer>,
    /// The most bytes of a call's arguments, as JSON: more is not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argument_bytes: Option<NonZeroU32>,
    /// The most bytes of an answer, as JSON: more is withheld, though the call was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_bytes: Option<NonZeroU32>,
    /// Why, in one line: the assistant and the person are told it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl LimitRule {
    /// Whether it is about a tool of a connector; without a tool, about its resources and prompts.
    pub fn is_about(&self, connector: &ConnectorId, tool: Option<&ToolName>) -> bool {
        let is_its = self.connectors.is_empty() || self.connectors.contains(connector);
        is_its && (self.tools.is_empty() || tool.is_some_and(|tool| self.tools.contains(tool)))
    }

    /// Whose calls are counted together.
    pub fn counted_per(&self) -> LimitPer {
        self.per.unwrap_or_default()
    }
}

/// Whose calls to a connector are counted together, whichever assistant makes them.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitPer {
    /// A person's.
    #[default]
    Person,
    /// A person's of one tool.
    PersonAndTool,
    /// All people's with one shared account.
    Credential,
}

impl LimitPer {
    /// The same, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Person => "for each person",
            Self::PersonAndTool => "for each person and tool",
            Self::Credential => "for each shared account",
        }
    }
}

/// What calls are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Period {
    /// Any second.
    Second,
    /// Any minute.
    Minute,
    /// Any hour.
    Hour,
    /// A day of the calendar, in UTC.
    Day,
    /// A month of the calendar, in UTC.
    Month,
}

impl Period {
    /// Every period.
    pub const ALL: [Self; 5] = [Self::Second, Self::Minute, Self::Hour, Self::Day, Self::Month];

    /// The period as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// Its length, where any stretch of time that is so long counts; `None` where the calendar says.
    pub const fn window(self) -> Option<Duration> {
        match self {
            Self::Second => Some(Duration::from_secs(1)),
            Self::Minute => Some(Duration::from_secs(60)),
            Self::Hour => Some(Duration::from_secs(3600)),
            Self::Day | Self::Month => None,
        }
    }

    /// When the day or the month begins that a time is in; the time itself for shorter periods.
    pub fn begin(self, at: Timestamp) -> Timestamp {
        match self {
            Self::Second | Self::Minute | Self::Hour => at,
            Self::Day => at.day(),
            Self::Month => at.month(),
        }
    }

    /// When the period ends that begins then.
    pub fn end(self, begin: Timestamp) -> Timestamp {
        const DAY: Duration = Duration::from_secs(86_400);
        match self {
            Self::Second | Self::Minute | Self::Hour => begin.plus(self.window().unwrap_or_default()),
            Self::Day => begin.plus(DAY),
            // Whatever month it is, 31 days after its first it is in the next.
            Self::Month => begin.plus(DAY * 31).month(),
        }
    }

    /// The most calls that can be counted in it.
    const fn most(self) -> u32 {
        if self.window().is_some() { MOST_IN_WINDOW } else { MOST_IN_QUOTA }
    }

    /// How often a month has it, at most: to compare allowances.
    const fn in_month(self) -> u64 {
        match self {
            Self::Second => 31 * 86_400,
            Self::Minute => 31 * 1440,
            Self::Hour => 31 * 24,
            Self::Day => 31,
            Self::Month => 1,
        }
    }
}

/// How many calls in which period: `60 per minute`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String", extend("pattern" = "^[1-9][0-9]{0,8} per (second|minute|hour|day|month)$")))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallAllowance {
    calls: NonZeroU32,
    period: Period,
}

impl CallAllowance {
    /// How many calls.
    pub fn calls(self) -> u32 {
        self.calls.get()
    }

    /// In which period.
    pub fn period(self) -> Period {
        self.period
    }

    /// Whether it lets through whatever `other` does, in any period.
    pub fn is_as_wide_as(self, other: Self) -> bool {
        let (own, others) = (u64::from(self.calls()), u64::from(other.calls()));
        own >= others.saturating_mul(other.period.in_month().div_ceil(self.period.in_month()))
    }
}

impl std::fmt::Display for CallAllowance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} per {}", self.calls, self.period.as_str())
    }
}

impl TryFrom<String> for CallAllowance {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not like \"60 per minute\": a number, per, and second, minute, hour, day or month"
            )
        };
        let (number, period) = text.split_once(" per ").ok_or_else(wrong)?;
        let period = Period::ALL.into_iter().find(|known| known.as_str() == period).ok_or_else(wrong)?;
        let is_plain = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
        let calls: NonZeroU32 = number.parse().ok().filter(|_| is_plain).ok_or_else(wrong)?;
        if calls.get() > period.most() {
            return Err(format!(
                "{text:?} is more than {} calls, the most per {}",
                period.most(),
                period.as_str()
            ));
        }
        Ok(Self { calls, period })
    }
}

impl From<CallAllowance> for String {
    fn from(allowance: CallAllowance) -> Self {
        allowance.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowance(text: &str) -> CallAllowance {
        CallAllowance::try_from(text.to_owned()).expect("an allowance")
    }

    #[test]
    fn allowances_are_read_and_written_back() {
        for text in ["1 per second", "60 per minute", "10000 per hour", "100000 per day", "5 per month"] {
            assert_eq!(allowance(text).to_string(), text);
        }
        for wrong in [
            "",
            "60",
            "0 per minute",
            "06 per minute",
            "+6 per minute",
            "-1 per day",
            "6 per week",
            "6 per  day",
            "10001 per hour",
            "6/minute",
        ] {
            assert!(CallAllowance::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn days_and_months_are_those_of_the_calendar() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let now = at("2028-02-29T23:59:59.9Z");
        let day = Period::Day.begin(now);
        assert_eq!((day, Period::Day.end(day)), (at("2028-02-29T00:00:00Z"), at("2028-03-01T00:00:00Z")));
        let month = Period::Month.begin(now);
        assert_eq!(
            (month, Period::Month.end(month)),
            (at("2028-02-01T00:00:00Z"), at("2028-03-01T00:00:00Z"))
        );
        let december = Period::Month.begin(at("2028-12-31T00:00:00Z"));
        assert_eq!(Period::Month.end(december), at("2029-01-01T00:00:00Z"));
    }

    #[test]
    fn wider_is_what_lets_through_as_much_in_any_period() {
        assert!(allowance("60 per minute").is_as_wide_as(allowance("60 per minute")));
        assert!(allowance("61 per minute").is_as_wide_as(allowance("60 per minute")));
        assert!(allowance("1440 per day").is_as_wide_as(allowance("60 per hour")));
        assert!(!allowance("1 per second").is_as_wide_as(allowance("60 per minute")), "not at once");
        assert!(!allowance("60 per day").is_as_wide_as(allowance("60 per hour")));
    }
}
