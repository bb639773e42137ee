//! Where an update of the program stands, in words.

use model::ReleaseVersion;

use crate::effect::{Notice, Place};
use crate::state::UpdateState;

/// The notification that a version can be installed.
pub(crate) fn update_notice(version: ReleaseVersion) -> Notice {
    Notice::new(say::update_notice(&version.to_string()), say::update_notice_what(), Place::About)
}

/// In a line.
pub fn update(state: &UpdateState) -> String {
    match state {
        UpdateState::Elsewhere => say::update_elsewhere(),
        UpdateState::Off => say::update_off(),
        UpdateState::Unable => say::update_unable(),
        UpdateState::Looking => say::update_looking(),
        UpdateState::Current => say::update_current(),
        UpdateState::Fetching { version, percent } => {
            say::update_fetching(&version.to_string(), usize::from(*percent))
        }
        UpdateState::Ready(ready) if ready.is_older => say::update_ready_older(&ready.version.to_string()),
        UpdateState::Ready(ready) => say::update_ready(&ready.version.to_string()),
        UpdateState::ForIt { version } => say::update_for_it(&version.to_string()),
        UpdateState::Installing { version } => say::update_installing(&version.to_string()),
        UpdateState::Installed { version } => say::update_installed(&version.to_string()),
        UpdateState::Failed(advice) => [advice.happened.as_str(), &advice.todo].join(" ").trim().to_owned(),
    }
}
