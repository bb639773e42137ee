//! Versions of releases.

use serde::{Deserialize, Serialize};

/// The version of a release: three numbers, such as `1.4.2` (Semantic Versioning 2.0.0, without pre-releases and build metadata, which
/// no release has). Ordered by age.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String", extend("pattern" = r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$")))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseVersion {
    major: u32,
    minor: u32,
    patch: u32,
}

/// The text is not the version of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the version of a release is three numbers, such as 1.4.2")]
pub struct VersionFault;

impl std::str::FromStr for ReleaseVersion {
    type Err = VersionFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('.').map(number);
        let mut next = || parts.next().flatten().ok_or(VersionFault);
        let version = Self { major: next()?, minor: next()?, patch: next()? };
        if parts.next().is_some() { Err(VersionFault) } else { Ok(version) }
    }
}

/// A number as it is written in one way only: a version is a folder's name too.
fn number(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

impl std::fmt::Display for ReleaseVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl TryFrom<String> for ReleaseVersion {
    type Error = VersionFault;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ReleaseVersion> for String {
    fn from(version: ReleaseVersion) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_their_numbers_and_written_in_one_way() {
        let version = |text: &str| text.parse::<ReleaseVersion>();
        let ordered = ["0.9.0", "0.10.0", "1.0.0"].map(|text| version(text).expect(text));
        assert!(ordered.is_sorted(), "{ordered:?}");
        assert_eq!(version("12.0.3").map(|it| it.to_string()).as_deref(), Ok("12.0.3"));
        for wrong in
            ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-rc1", "+1.2.3", "1.2.x", "1..3", "4294967296.0.0"]
        {
            assert_eq!(version(wrong), Err(VersionFault), "{wrong}");
        }
    }
}
