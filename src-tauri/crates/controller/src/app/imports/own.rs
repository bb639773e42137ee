//! A connector that a person describes in a window, and one that they remove.

use std::collections::BTreeMap;

use assistants::{Configured, Unfit, is_variable};
use audit::AuditEvent;
use model::{ConnectorId, ForPerson as _, ServerId};
use org_protocol::CredentialSpec;

use super::plan::Planned;
use super::settings::SettingsFile;
use super::{Imports, Prepared, Told, target, words};
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
        if let Some(gone) = wanted.as_ref().filter(|id| !settings.settings.servers.contains_key(*id)) {
            return Err(words::no_server(gone.as_str()));
        }
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
                if !is_variable(&name) {
                    return Err(words::no_variable(&name));
                }
                if secret.value.is_empty() || secret.value.contains('\0') {
                    return Err(words::no_secret(&name));
                }
                if environment.insert(name.clone(), secret.value).is_some() {
                    return Err(words::twice(&name));
                }
            }
            Planned::described(title, &Configured::program(&line, environment).map_err(unfit)?)
        }
    }
}

impl Imports {
    /// The secrets first: a connector without them could only fail. What an earlier one of this name left does not become its own.
    pub(super) async fn add(&self, Adding { settings, planned }: Adding) -> Told<()> {
        settings.check()?;
        let (sealed, connector) = (&self.0.sealed, &planned.connector);
        sealed.forget_all(connector).await?;
        for (name, value) in &planned.values {
            sealed.seal(connector, name, value).await?;
        }
        if let Err(advice) = settings.write() {
            sealed.forget_all(connector).await?;
            return Err(advice);
        }
        self.note_own(AuditEvent::ConnectorAdded, connector);
        Ok(())
    }

    /// The accounts first: only while the connector is there can its provider be told that they are over. What is sealed goes last;
    /// [`Self::tidy`] forgets it should this end before.
    pub(super) async fn remove(&self, Removing { settings, connector }: Removing) -> Told<()> {
        settings.check()?;
        let accounts = &self.0.accounts;
        for account in accounts.signed_in().iter().filter(|account| account.connector == connector) {
            accounts.sign_out(account).await.map_err(|fault| words::half_removed(fault.advice()))?;
        }
        settings.write().map_err(words::half_removed)?;
        self.note_own(AuditEvent::ConnectorRemoved, &connector);
        self.0.approvals.removed(&connector);
        self.0.sealed.forget_all(&connector).await
    }

    /// Forgets what is sealed for connectors that are not there any more: something ended between two steps.
    pub(crate) async fn tidy(&self) {
        let _one = self.0.making.lock().await;
        let Ok(settings) = self.own_settings() else { return };
        let Ok(records) = self.0.sealed.records().await else { return };
        let is_known = |id: &ConnectorId| {
            settings.settings.connectors.contains_key(id) || records.iter().any(|it| it.connector == *id)
        };
        for connector in self.0.sealed.connectors().await.iter().filter(|id| !is_known(id)) {
            if let Err(advice) = self.0.sealed.forget_all(connector).await {
                tracing::warn!(%connector, what = advice.happened, "what is sealed for a connector that is gone stays");
            }
        }
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
        let refused = |secrets| program("npx", secrets).err().map(|it| it.code);
        assert_eq!(refused(&[("A", "x"), ("A", "y")]).as_deref(), Some("secret-twice"));
        assert_eq!(refused(&[("A", "")]).as_deref(), Some("no-secret"));
        assert_eq!(program("npx", &[("A", "$x${y}")]).expect("a secret").values["A"], "$x${y}");
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
