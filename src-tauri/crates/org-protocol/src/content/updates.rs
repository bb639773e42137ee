//! Where devices find later versions of the program.

use model::ReleaseVersion;
use serde::{Deserialize, Serialize};
use url::Url;

/// Whether and from where devices update the program. Without it they do not: whatever installed the program updates it.
///
/// The organisation says which version is offered, never what is in it: packages are believed by their publisher's signature alone.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateRules {
    /// The folder in which the organisation keeps the releases, such as `https://mirror.example/deskgate/`.
    pub url: MirrorUrl,
    /// The version that devices are to have, exactly: an earlier one than they have is gone back to. Without it, the one that the file
    /// `latest` in the folder names, where it is later than theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<ReleaseVersion>,
    /// Whether versions are offered at all.
    #[serde(default, skip_serializing_if = "UpdateMode::is_offer")]
    pub mode: UpdateMode,
}

/// Whether versions are offered.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateMode {
    /// They are fetched, verified and offered to the person; an administrator's password or rule installs them.
    #[default]
    Offer,
    /// Nothing is fetched.
    Off,
}

impl UpdateMode {
    fn is_offer(&self) -> bool {
        *self == Self::Offer
    }
}

/// Where an organisation keeps releases: `https`, or `http` on the same computer. Every device knows it, so it has no secret: no user
/// name, password, query or fragment.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Url", into = "Url")]
pub struct MirrorUrl(Url);

impl MirrorUrl {
    /// The folder.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl TryFrom<Url> for MirrorUrl {
    type Error = &'static str;

    fn try_from(url: Url) -> Result<Self, Self::Error> {
        if super::is_plain_https(&url) {
            Ok(Self(url))
        } else {
            Err("updates come over https, from a URL without user name, password, query or fragment")
        }
    }
}

impl From<MirrorUrl> for Url {
    fn from(url: MirrorUrl) -> Self {
        url.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_come_from_a_protected_place_and_say_nothing_that_is_not_known() {
        let read = serde_json::from_str::<UpdateRules>;
        let rules = read(r#"{"url":"https://mirror.example/deskgate/"}"#).expect("rules");
        assert_eq!((rules.version, rules.mode), (None, UpdateMode::Offer));
        let written = serde_json::to_string(&rules).expect("JSON");
        assert_eq!(written, r#"{"url":"https://mirror.example/deskgate/"}"#);
        assert!(read(r#"{"url":"https://m.example/","version":"1.2.3","mode":"off"}"#).is_ok());
        for wrong in [
            r#"{"url":"http://mirror.example/"}"#,
            r#"{"url":"https://user@mirror.example/"}"#,
            r#"{"url":"https://mirror.example/?token=x"}"#,
            r#"{"url":"file:///srv/mirror"}"#,
            r#"{"url":"https://m.example/","version":"1.2"}"#,
            r#"{"url":"https://m.example/","mode":"force"}"#,
            r#"{"url":"https://m.example/","key":"RW"}"#,
            r#"{"mode":"off"}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
