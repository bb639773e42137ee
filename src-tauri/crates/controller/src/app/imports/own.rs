//! A connector that a person describes in a window, and one that they remove.

use std::collections::BTreeMap;

use assistants::{Configured, Unfit};
use model::{ConnectorId, ForPerson as _, ServerId};
use org_protocol::CredentialSpec;

use super::plan::Planned;
use super::settings::SettingsFile;
use super::{Imports, OwnAccounts, Prepared, Sealed, Told, target, words};
use crate::view::{ConnectorChangeView, ConnectorPlace, ConnectorWish};

/// A connector that is to be there.
pub(super) struct Adding {
    settings: SettingsFile,
    planned: Planned,
}

/// A connector that is to go, with its accounts and its secrets.
pub(super) struct Removing {
    settings: SettingsFile,
    connector: ConnectorId,
}

impl Imports {
    /// What a connector that the person describes would change. It is made by [`Self::make`].
    ///
    /// # Errors
    /// Why there can be none.
    pub async fn propose_connector(&self, wish: ConnectorWish) -> Told<ConnectorChangeView> {
        let mut settings = self.own_settings()?;
        let mut planned = described(wish.title.trim(), wish.place)?;
        let wanted: Option<ServerId> =
            wish.server.map(|id| id.parse().map_err(|_| words::no_server(&id))).transpose()?;
        let (into, _) = target(&settings, wanted)?;
        if settings.settings.connectors.contains_key(&planned.connector) {
            return Err(words::title_taken(&planned.connector));
        }
        if planned.spec.credential == CredentialSpec::None {
            self.ask_addresses(std::slice::from_mut(&mut planned)).await;
        }
        settings.add(&planned.connector, &planned.spec, &into)?;
        let (title, diff) = (planned.spec.title.clone(), settings.diff());
        let id = self.show(Prepared::Adding(Box::new(Adding { settings, planned })));
        Ok(ConnectorChangeView { id, title, diff })
    }

    /// What would change if a connector went. It is made by [`Self::make`].
    ///
    /// # Errors
    /// Why it has to stay.
    pub async fn propose_removal(&self, connector: ConnectorId) -> Told<ConnectorChangeView> {
        let mut settings = self.own_settings()?;
        let Some(spec) = settings.settings.connectors.get(&connector) else {
            return Err(words::no_connector(&connector));
        };
        let title = spec.title.clone();
        let records = self.0.sealed.records().await?;
        if let Some(record) = records.iter().find(|record| record.connector == connector) {
            return Err(words::imported(&title, &record.assistant));
        }
        settings.remove(&connector, None)?;
        let diff = settings.diff();
        let id = self.show(Prepared::Removing(Box::new(Removing { settings, connector })));
        Ok(ConnectorChangeView { id, title, diff })
    }
}

/// The connector that somebody describes.
fn described(title: &str, place: ConnectorPlace) -> Told<Planned> {
    let unfit = |unfit: Unfit| words::described(&unfit);
    match place {
        ConnectorPlace::Address { url, by_token } => {
            let mut planned = Planned::described(title, &Configured::address(&url).map_err(unfit)?)?;
            if by_token {
                planned.spec.credential =
                    CredentialSpec::UserToken { header: Default::default(), hint: None };
            }
            Ok(planned)
        }
        ConnectorPlace::Program { line, secrets } => {
            let mut environment = BTreeMap::new();
            for secret in secrets {
                let name = secret.name.trim().to_owned();
                if !is_variable(&name) || secret.value.contains('\0') {
                    return Err(words::no_variable(&name));
                }
                environment.insert(name, secret.value);
            }
            Planned::described(title, &Configured::program(&line, environment).map_err(unfit)?)
        }
    }
}

/// Whether it is the name of a variable (POSIX.1-2017, section 8.1).
fn is_variable(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| is_part(c) && !c.is_ascii_digit()) && name.chars().all(is_part)
}

impl Adding {
    /// The secrets first: a connector without them could only fail.
    pub(super) async fn make(self, sealed: &Sealed) -> Told<()> {
        self.settings.check()?;
        for (name, value) in &self.planned.values {
            sealed.seal(&self.planned.connector, name, value).await?;
        }
        self.settings.write()
    }
}

impl Removing {
    /// The accounts first: only while the connector is there can its provider be told that they are over.
    pub(super) async fn make(self, sealed: &Sealed, accounts: &OwnAccounts) -> Told<()> {
        self.settings.check()?;
        for account in accounts.signed_in().iter().filter(|account| account.connector == self.connector) {
            accounts.sign_out(account).await.map_err(|fault| fault.advice())?;
        }
        self.settings.write()?;
        sealed.forget_all(&self.connector).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::SecretWish;

    fn program(line: &str, secrets: &[(&str, &str)]) -> Told<Planned> {
        let secret =
            |(name, value): &(&str, &str)| SecretWish { name: (*name).into(), value: (*value).into() };
        let secrets = secrets.iter().map(secret).collect();
        described("My Files", ConnectorPlace::Program { line: line.to_owned(), secrets })
    }

    #[test]
    fn a_program_is_described_and_its_secrets_are_not_in_the_connector() {
        let planned = program("npx -y files --token=hunter2", &[(" FILES_KEY ", "hunter3")]).expect("fits");
        assert_eq!(planned.connector.as_str(), "my-files");
        assert_eq!(planned.spec.command, ["npx", "-y", "files", "--token=${sealed:argument-3}"]);
        assert_eq!(planned.spec.environment["FILES_KEY"], "${sealed:FILES_KEY}");
        assert_eq!(planned.values["FILES_KEY"], "hunter3");
        assert_eq!(planned.values["argument-3"], "hunter2");
        for name in ["", "A B", "1A", "A=B", "A}"] {
            assert_eq!(
                program("npx", &[(name, "x")]).err().map(|it| it.code).as_deref(),
                Some("no-variable"),
                "{name}"
            );
        }
        assert_eq!(program("npx 'x", &[]).err().map(|it| it.code).as_deref(), Some("connector-command"));
    }

    #[test]
    fn an_address_is_described_with_the_way_in() {
        let address = |url: &str, by_token| {
            described("Mail", ConnectorPlace::Address { url: url.to_owned(), by_token })
        };
        let open = address("https://mail.example.com/mcp", false).expect("fits");
        assert_eq!(open.spec.credential, CredentialSpec::None);
        let typed = address("https://mail.example.com/mcp", true).expect("fits");
        assert!(matches!(typed.spec.credential, CredentialSpec::UserToken { .. }));
        assert_eq!(address("mail", false).err().map(|it| it.code).as_deref(), Some("connector-address"));
    }
}
