//! Where an update of the program stands.

use std::path::PathBuf;

use model::{Advice, ReleaseVersion};

use super::AppState;
use crate::effect::Effect;

/// Where an update of the program stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum UpdateState {
    /// Nobody offers any here: whatever installed the program updates it.
    #[default]
    Elsewhere,
    /// IT has switched updates off.
    Off,
    /// The program was built without its publisher's key and could not tell a good update from a bad one.
    Unable,
    /// It is being looked for one.
    Looking,
    /// The version that runs is the one that is wanted.
    Current,
    /// A version is being fetched.
    Fetching {
        /// Which.
        version: ReleaseVersion,
        /// How much of it is there, in whole percent.
        percent: u8,
    },
    /// A version lies here, and its publisher has signed it.
    Ready(ReadyUpdate),
    /// There is a version, and programs that were installed like this one do not install it themselves.
    ForIt {
        /// Which.
        version: ReleaseVersion,
    },
    /// A version is being installed.
    Installing {
        /// Which.
        version: ReleaseVersion,
    },
    /// Another version is installed than the one that runs.
    Installed {
        /// Which.
        version: ReleaseVersion,
    },
    /// It is not known, or what is there is refused.
    Failed(Advice),
}

impl UpdateState {
    /// The version that can be installed, if there is one.
    pub fn ready(&self) -> Option<&ReadyUpdate> {
        if let Self::Ready(ready) = self { Some(ready) } else { None }
    }
}

/// A version that can be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyUpdate {
    /// Which.
    pub version: ReleaseVersion,
    /// The package; statement and signature lie beside it.
    pub package: PathBuf,
    /// Whether it is an earlier one than runs, which an administrator installs.
    pub is_older: bool,
    /// Whether it was fetched just now: then the person is told.
    pub is_new: bool,
}

impl ReadyUpdate {
    /// The same, still there: the person was told of it.
    #[must_use]
    pub fn again(&self) -> Self {
        Self { is_new: false, ..self.clone() }
    }
}

impl AppState {
    /// Says once that a version can be installed: when it was fetched. What an administrator has to install is nothing to tell.
    pub(super) fn update_is(&mut self, update: UpdateState) -> Option<Effect> {
        self.update = update;
        let tells = |ready: &&ReadyUpdate| ready.is_new && !ready.is_older && self.desktop;
        let ready = self.update.ready().filter(tells)?;
        Some(Effect::Notify(crate::words::update_notice(ready.version)))
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;
    use crate::event::Event;

    fn told(desktop: bool, update: UpdateState) -> usize {
        AppState::starting(desktop).handle(Event::Update(update), Timestamp::from_seconds(0)).len()
    }

    #[test]
    fn a_person_is_told_once_of_what_they_can_install() {
        let version = "0.2.0".parse().expect("a version");
        let ready = |is_new, is_older| {
            UpdateState::Ready(ReadyUpdate { version, package: PathBuf::from("p"), is_older, is_new })
        };
        assert_eq!(told(true, ready(true, false)), 1);
        assert_eq!(told(true, ready(false, false)), 0, "it lay here already");
        assert_eq!(told(true, ready(true, true)), 0, "an administrator goes back");
        assert_eq!(told(false, ready(true, false)), 0, "there is nobody to click");
        assert_eq!(told(true, UpdateState::ForIt { version }), 0);
    }
    #[test]
    fn a_person_who_closed_the_question_for_a_password_is_not_told_anew() {
        let version = "0.2.0".parse().expect("a version");
        let ready = ReadyUpdate { version, package: PathBuf::from("p"), is_older: false, is_new: true };
        let again = ready.again();
        let mut state = AppState::starting(true);
        let mut told = |update| state.handle(Event::Update(update), Timestamp::from_seconds(0)).len();
        assert_eq!(told(UpdateState::Ready(ready)), 1);
        assert_eq!(told(UpdateState::Installing { version }), 0);
        assert_eq!(told(UpdateState::Ready(again)), 0);
    }
}
