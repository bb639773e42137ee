//! Which of a person's accounts virtual servers use.

use std::collections::{BTreeMap, BTreeSet};

use model::{AccountId, ConnectorId, ServerId};

use crate::{ConnectorSpec, CredentialSpec, ServerSpec};

impl ConnectorSpec {
    /// Whether a person can choose whose account it is that they sign in with, and so have several. A program's account is one
    /// and the same, and the identity provider vouches for nobody but the person.
    pub fn can_have_several_accounts(&self) -> bool {
        match &self.credential {
            CredentialSpec::UserOauth { .. } | CredentialSpec::UserToken { .. } => self.url.is_some(),
            CredentialSpec::None
            | CredentialSpec::ClientCredentials { .. }
            | CredentialSpec::Enterprise { .. }
            | CredentialSpec::Brokered { .. }
            | CredentialSpec::Leased { .. } => false,
        }
    }
}

impl ServerSpec {
    /// Checks that the accounts are those of connectors that it exposes and that have several.
    ///
    /// # Errors
    /// [`AccountFault`], about the first that is not.
    pub fn check_accounts(
        &self,
        connectors: &BTreeMap<ConnectorId, ConnectorSpec>,
    ) -> Result<(), AccountFault> {
        for id in self.accounts.keys() {
            let exposed = self.connectors.contains(id).then(|| connectors.get(id)).flatten();
            let spec = exposed.ok_or_else(|| AccountFault::NotExposed(id.clone()))?;
            if !spec.can_have_several_accounts() {
                return Err(AccountFault::NoAccounts(id.clone()));
            }
        }
        Ok(())
    }
}

/// Every account that is in use, with its connector as it is defined and titled as people are to read it: those that the virtual
/// servers name, and the default one of a connector that none of them exposes.
pub fn accounts_in_use(
    connectors: &BTreeMap<ConnectorId, ConnectorSpec>,
    servers: &BTreeMap<ServerId, ServerSpec>,
) -> BTreeMap<AccountId, ConnectorSpec> {
    let named = servers.values().flat_map(|server| server.connectors.iter().map(|id| server.account(id)));
    let mut ids: BTreeSet<AccountId> = named.collect();
    for connector in connectors.keys() {
        if !ids.iter().any(|id| id.connector == *connector) {
            ids.insert(AccountId::default_of(connector.clone()));
        }
    }
    let titled = |id: AccountId| {
        let spec = connectors.get(&id.connector)?;
        let title = id.titled(&spec.title);
        Some((id, ConnectorSpec { title, ..spec.clone() }))
    };
    ids.into_iter().filter_map(titled).collect()
}

/// What of a virtual server's accounts is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountFault {
    /// Nothing of the connector is to be had there.
    #[error("names an account of connector {0}, which is not among its connectors")]
    NotExposed(ConnectorId),
    /// The connector is used without an account, or with one that is the same whatever its name.
    #[error(
        "names an account of connector {0}, to which people do not sign in with accounts of their choice: that is possible with a url and credential kind user_oauth or user_token"
    )]
    NoAccounts(ConnectorId),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connectors() -> BTreeMap<ConnectorId, ConnectorSpec> {
        let text = r#"{
            "mail": {"title":"Mail","url":"https://mail.example/","credential":{"kind":"user_oauth"}},
            "keys": {"title":"Keys","url":"https://keys.example/","credential":{"kind":"user_token"}},
            "files": {"title":"Files","command":["mcp"]},
            "odd": {"title":"Odd","command":["mcp"],"credential":{"kind":"user_oauth"}},
            "robot": {"title":"R","url":"https://r.example/","credential":{"kind":"client_credentials","client_id":"c"}},
            "vouched": {"title":"V","url":"https://v.example/","credential":{"kind":"enterprise","client_id":"c"}},
            "shared": {"title":"S","url":"https://s.example/","credential":{"kind":"brokered","credentials":["a"]}}
        }"#;
        serde_json::from_str(text).unwrap()
    }

    fn server(connectors: &str, accounts: &str) -> Result<ServerSpec, serde_json::Error> {
        serde_json::from_str(&format!(r#"{{"title":"T","connectors":{connectors}{accounts}}}"#))
    }

    #[test]
    fn only_accounts_that_people_choose_are_named() {
        let check = |accounts: &str| {
            let all = r#"["mail","keys","files","odd","robot","vouched","shared"]"#;
            server(all, &format!(r#","accounts":{accounts}"#)).unwrap().check_accounts(&connectors())
        };
        assert_eq!(check(r#"{"mail":"shared-inbox","keys":"work"}"#), Ok(()));
        for without in ["files", "odd", "robot", "vouched", "shared"] {
            let fault = AccountFault::NoAccounts(without.parse().unwrap());
            assert_eq!(check(&format!(r#"{{"{without}":"work"}}"#)), Err(fault));
        }
        let not_exposed = |id: &str| Err(AccountFault::NotExposed(id.parse().unwrap()));
        assert_eq!(check(r#"{"nowhere":"work"}"#), not_exposed("nowhere"));
        let elsewhere = server(r#"["keys"]"#, r#","accounts":{"mail":"work"}"#).unwrap();
        assert_eq!(elsewhere.check_accounts(&connectors()), not_exposed("mail"));
        for wrong in [r#"{"mail":"Work"}"#, r#"{"mail":""}"#, r#"{"mail":"a/b"}"#, r#"{"mail":["a"]}"#] {
            assert!(server("[]", &format!(r#","accounts":{wrong}"#)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn accounts_are_written_only_where_they_are_named() {
        let written = |accounts: &str| serde_json::to_string(&server("[]", accounts).unwrap()).unwrap();
        assert!(!written("").contains("accounts"), "older readers know nothing of it");
        let named = r#","accounts":{"mail":"shared-inbox"}"#;
        assert!(written(named).contains(named));
    }

    #[test]
    fn the_accounts_in_use_are_those_of_the_servers_and_every_connector_has_one() {
        let servers = BTreeMap::from([
            ("desk".parse().unwrap(), server(r#"["mail"]"#, "").unwrap()),
            (
                "service".parse().unwrap(),
                server(r#"["mail","keys"]"#, r#","accounts":{"mail":"shared-inbox","keys":"work"}"#).unwrap(),
            ),
        ]);
        let used = accounts_in_use(&connectors(), &servers);
        let shown: Vec<_> = used.iter().map(|(id, spec)| format!("{id}: {}", spec.title)).collect();
        let expected = [
            "files: Files",
            "keys/work: Keys (work)",
            "mail: Mail",
            "mail/shared-inbox: Mail (shared-inbox)",
            "odd: Odd",
            "robot: R",
            "shared: S",
            "vouched: V",
        ];
        assert_eq!(shown, expected);
    }
}
