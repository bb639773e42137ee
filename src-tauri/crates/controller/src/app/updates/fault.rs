//! Why there is no update.

use ::updates::ReleaseFault;
use model::{Advice, ForPerson, ReleaseVersion};
use org::OrgFault;

/// Why there is no update.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpdateFault {
    /// The mirror does not give it.
    #[error("the mirror: {0}")]
    Mirror(#[from] OrgFault),
    /// The mirror does not say which version is the latest.
    #[error("the mirror's file \"latest\" names no version")]
    Latest,
    /// What is there is not believed.
    #[error("version {0} is refused: {1}")]
    Refused(ReleaseVersion, ReleaseFault),
    /// It cannot be kept.
    #[error("it cannot be kept: {0}")]
    Disk(#[from] std::io::Error),
    /// This program has a version that no release has.
    #[error("this program is no release")]
    Version,
}

impl ForPerson for UpdateFault {
    fn advice(&self) -> Advice {
        let it = |code, happened: String| {
            let means = "The version that runs goes on working.";
            Advice::new(code, happened, means, "If it stays so, tell your IT department.")
        };
        match self {
            Self::Mirror(OrgFault::Disk(error)) | Self::Disk(error) => it(
                "update-disk",
                format!("An update of Deskgate could not be kept on this computer: {error}."),
            ),
            Self::Mirror(_) => it(
                "update-unreachable",
                "Your organisation's folder with updates of Deskgate does not answer as it should."
                    .to_owned(),
            ),
            Self::Latest => it(
                "update-latest",
                "Your organisation's folder with updates does not say which version is the latest."
                    .to_owned(),
            ),
            Self::Refused(version, why) => {
                it("update-refused", format!("Version {version} of Deskgate was offered and refused: {why}."))
            }
            Self::Version => it("update-version", "This Deskgate is no release.".to_owned()),
        }
    }
}
