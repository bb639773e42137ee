//! The suite's own lists of what a revision requires.

use std::collections::BTreeSet;

use testkit::PeerFault;

/// Which side is under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leg {
    /// The suite is the client.
    Server,
    /// The suite is the server.
    Client,
}

/// The scenarios of one revision.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Requirements {
    server: Scenarios,
    client: Scenarios,
}

/// The scenarios of one leg.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scenarios {
    /// Those that decide.
    pub(crate) scored: BTreeSet<String>,
    /// Those that are run and do not decide.
    pub(crate) unscored: BTreeSet<String>,
}

impl Requirements {
    /// Reads one of the suite's files.
    ///
    /// # Errors
    /// If it has a line of another kind than those files have.
    pub(crate) fn read(text: &str) -> Result<Self, PeerFault> {
        let mut read = Self::default();
        let (mut section, mut pending) = (String::new(), None);
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let odd = || PeerFault::answer("the list of requirements", format!("cannot be read: {line}"));
            if let Some(name) = line.strip_suffix(':').filter(|_| !line.starts_with(' ')) {
                name.clone_into(&mut section);
                continue;
            }
            match (section.as_str(), line.strip_prefix("  - ")) {
                ("server", Some(name)) => drop(read.server.scored.insert(name.to_owned())),
                ("client", Some(name)) => drop(read.client.scored.insert(name.to_owned())),
                ("not_scored", Some(item)) => {
                    pending = Some(item.strip_prefix("scenario: ").ok_or_else(odd)?.to_owned());
                }
                ("not_scored", None) => match line.trim() {
                    "leg: server" => read.server.unscored.extend(pending.take()),
                    "leg: client" => read.client.unscored.extend(pending.take()),
                    // Why it is not scored, and remarks.
                    _ => {}
                },
                _ => return Err(odd()),
            }
        }
        Ok(read)
    }

    /// One leg's scenarios.
    pub(crate) fn of(&self, leg: Leg) -> &Scenarios {
        match leg {
            Leg::Server => &self.server,
            Leg::Client => &self.client,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn scored_and_unscored_scenarios_are_told_apart_by_leg() {
        let text = "# Requirements\n\nserver:\n  - ping\n  - tools-list\n\nclient:\n  - initialize\n\nnot_scored:\n  \
                    - scenario: auth/dpop\n    leg: client\n    reason: extension\n  - scenario: sse\n    leg: server\n    \
                    reason: pending\n    note: >-\n      on hold\n";
        let read = Requirements::read(text).expect("readable");
        assert_eq!(read.of(Leg::Server).scored, set(&["ping", "tools-list"]));
        assert_eq!(read.of(Leg::Server).unscored, set(&["sse"]));
        assert_eq!(read.of(Leg::Client).scored, set(&["initialize"]));
        assert_eq!(read.of(Leg::Client).unscored, set(&["auth/dpop"]));
    }

    #[test]
    fn what_is_not_understood_is_not_passed_over() {
        assert!(Requirements::read("server:\n  ping: yes\n").is_err());
        assert!(Requirements::read("not_scored:\n  - ping\n").is_err());
    }
}
