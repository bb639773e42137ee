//! Who administers an organisation's control plane.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What an administrator may do. Nobody has two of them by having one.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdministratorRole {
    /// Publishes what was signed; stops connectors and tools, and lets them go on.
    Publisher,
    /// Stores, rotates and removes shared secrets, and ends their leases.
    CredentialCustodian,
    /// Reads and checks audit records. Changes nothing.
    Auditor,
    /// Revokes devices, ends sign-ins; stops people, devices and assistants, and lets them go on.
    DeviceAdmin,
    /// Erases personal data from audit records. Reads none.
    PrivacyOfficer,
}

impl AdministratorRole {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Publisher, Self::CredentialCustodian, Self::Auditor, Self::DeviceAdmin, Self::PrivacyOfficer];

    /// Its name, as `org.toml` has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publisher => "publisher",
            Self::CredentialCustodian => "credential_custodian",
            Self::Auditor => "auditor",
            Self::DeviceAdmin => "device_admin",
            Self::PrivacyOfficer => "privacy_officer",
        }
    }
}

impl std::fmt::Display for AdministratorRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The groups at the identity provider whose members have a role.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Administrators(BTreeMap<AdministratorRole, BTreeSet<String>>);

impl Administrators {
    /// Whether nobody administers but by the local socket.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The roles of somebody who is in these groups.
    pub fn roles(&self, groups: &BTreeSet<String>) -> BTreeSet<AdministratorRole> {
        let has = |(_, named): &(&AdministratorRole, &BTreeSet<String>)| !named.is_disjoint(groups);
        self.0.iter().filter(has).map(|(role, _)| *role).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_follows_from_a_group_and_from_nothing_else() {
        let administrators: Administrators = serde_json::from_str(
            r#"{"auditor": ["audit", "board"], "device_admin": ["helpdesk"], "publisher": []}"#,
        )
        .expect("reads");
        let roles =
            |groups: &[&str]| administrators.roles(&groups.iter().map(|group| (*group).to_owned()).collect());
        assert_eq!(
            roles(&["board", "helpdesk"]),
            BTreeSet::from([AdministratorRole::Auditor, AdministratorRole::DeviceAdmin])
        );
        assert!(roles(&["auditor", "publisher", ""]).is_empty());
        assert!(Administrators::default().is_empty() && !administrators.is_empty());
        assert!(serde_json::from_str::<Administrators>(r#"{"root": ["x"]}"#).is_err());
    }

    #[test]
    fn the_names_are_those_that_are_written() {
        for role in AdministratorRole::ALL {
            assert_eq!(serde_json::to_string(&role).expect("writes"), format!("\"{role}\""));
        }
    }
}
