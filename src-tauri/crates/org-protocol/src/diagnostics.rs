//! Diagnostics that IT asks a device for. Asking moves nothing: what goes, and whether it goes, the person at the device says.

use std::time::Duration;

use model::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a device asks whether diagnostics are wanted of it, relative to the configuration URL.
pub const DIAGNOSTICS_PATH: &str = "v1/diagnostics";
/// The format version of [`DiagnosticsAsked`].
pub const DIAGNOSTICS_FORMAT: u32 = 1;
/// The media type of what is sent: an archive that nobody but whoever saves it unpacks.
pub const DIAGNOSTICS_TYPE: &str = "application/octet-stream";
/// The longest archive, in bytes.
pub const DIAGNOSTICS_LIMIT: usize = 2 * 1024 * 1024;
/// For how long a request stands. Whoever does not answer has sent nothing.
pub const DIAGNOSTICS_STAND: Duration = Duration::from_secs(7 * 24 * 3600);
/// The code with which an answer is refused that nobody waits for: it was given already, or the request was withdrawn or is over.
pub const DIAGNOSTICS_NOT_ASKED: &str = "diagnostics-not-asked";
/// The code with which an archive is refused that is longer than [`DIAGNOSTICS_LIMIT`].
pub const DIAGNOSTICS_TOO_LARGE: &str = "diagnostics-too-large";

/// What a device is told that asks whether diagnostics are wanted of it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiagnosticsAsked {
    /// The format version: [`DIAGNOSTICS_FORMAT`].
    pub format: u32,
    /// The request that stands; none where nothing is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<DiagnosticsRequest>,
}

/// A request that waits for an answer. A device has one at most.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiagnosticsRequest {
    /// Counts the organisation's requests. After a restored backup a number may come again, with another `since`.
    pub id: u64,
    /// Who asks, as the identity provider calls them; nobody in particular where it was done at the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<PlainLine>,
    /// Why, for the person at the device.
    pub reason: PlainLine,
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
}

impl DiagnosticsAsked {
    /// This, in the current format.
    pub fn new(request: Option<DiagnosticsRequest>) -> Self {
        Self { format: DIAGNOSTICS_FORMAT, request }
    }
}

impl DiagnosticsRequest {
    /// Where it is answered, relative to the configuration URL: an archive is sent (`POST`), or refused (`DELETE`).
    pub fn path(&self) -> String {
        format!("{DIAGNOSTICS_PATH}/{}", self.id)
    }
}

/// One line that somebody wrote for a person at another computer, which cannot look like more than that: not empty, of at most
/// [`PlainLine::LIMIT`] characters, none of which break the line, hide or turn the direction of reading.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String", extend("minLength" = 1, "maxLength" = 240)))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlainLine(String);

/// The text is not one plain line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not one plain line of 1 to {} characters", PlainLine::LIMIT)]
pub struct NotPlain;

impl PlainLine {
    /// The longest one, in characters.
    pub const LIMIT: usize = 240;

    /// The line.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What of a text is one; none where nothing is left.
    pub fn of(text: &str) -> Option<Self> {
        let plain: String = text.chars().filter(|c| !is_strange(*c)).take(Self::LIMIT).collect();
        Self::try_from(plain.trim().to_owned()).ok()
    }
}

impl TryFrom<String> for PlainLine {
    type Error = NotPlain;

    fn try_from(text: String) -> Result<Self, NotPlain> {
        let is_plain =
            !text.trim().is_empty() && text.chars().count() <= Self::LIMIT && !text.chars().any(is_strange);
        if is_plain { Ok(Self(text)) } else { Err(NotPlain) }
    }
}

impl std::str::FromStr for PlainLine {
    type Err = NotPlain;

    fn from_str(text: &str) -> Result<Self, NotPlain> {
        Self::try_from(text.trim().to_owned())
    }
}

impl From<PlainLine> for String {
    fn from(PlainLine(text): PlainLine) -> Self {
        text
    }
}

impl std::fmt::Display for PlainLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_strange(c: char) -> bool {
    c.is_control() || model::is_hidden(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_plain_or_refused() {
        let line = |text: &str| text.parse::<PlainLine>().map(String::from);
        assert_eq!(
            line(" Calls to mail fail since Monday. "),
            Ok("Calls to mail fail since Monday.".to_owned())
        );
        assert!(line(&"x".repeat(PlainLine::LIMIT)).is_ok());
        for wrong in ["", "  ", "a\nb", "a\u{202e}b", "a\u{200b}b", "a\u{2028}b", "a\u{7}b"] {
            assert_eq!(line(wrong), Err(NotPlain), "{wrong:?}");
            assert!(serde_json::from_value::<PlainLine>(wrong.into()).is_err(), "{wrong:?} from the network");
        }
        assert_eq!(line(&"x".repeat(PlainLine::LIMIT + 1)), Err(NotPlain));
        assert_eq!(PlainLine::of("Ada\u{202e}\nLovelace").map(String::from), Some("AdaLovelace".to_owned()));
        assert_eq!(PlainLine::of("\u{202e}"), None);
    }

    #[test]
    fn the_written_form_is_fixed_and_a_later_one_is_read() {
        let none = DiagnosticsAsked::new(None);
        assert_eq!(serde_json::to_string(&none).expect("writes"), r#"{"format":1}"#);
        let request = DiagnosticsRequest {
            id: 3,
            by: None,
            reason: "why".parse().expect("a line"),
            since: Timestamp::from_seconds(0),
            until: Timestamp::from_seconds(60),
        };
        assert_eq!(request.path(), "v1/diagnostics/3");
        let text = serde_json::to_string(&DiagnosticsAsked::new(Some(request.clone()))).expect("writes");
        assert_eq!(
            text,
            r#"{"format":1,"request":{"id":3,"reason":"why","since":"1970-01-01T00:00:00.000000Z","until":"1970-01-01T00:01:00.000000Z"}}"#
        );
        let later = text.replace(r#""id":3"#, r#""id":3,"wants":"a film""#);
        let read: DiagnosticsAsked = serde_json::from_str(&later).expect("reads");
        assert_eq!(read.request, Some(request));
    }
}
