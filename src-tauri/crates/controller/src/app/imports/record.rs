//! What the vault remembers of an import: all that it takes to finish it, and to take it back.

use std::collections::BTreeSet;
use std::path::PathBuf;

use assistants::{Place, TakenOut};
use connector::SealedValues;
use model::{AccountId, BoxFuture, ConnectorId, Digest, ForPerson as _, ServerId, Subject};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use vault::{Kind, SecretBytes, Vault};

use super::Told;

const FORMAT: u32 = 1;

/// One server that became a connector. Holds its secrets as the file had them, so it is sealed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    format: u32,
    /// The order in which entries were taken out.
    pub(super) number: u64,
    /// The assistant's id.
    pub(super) assistant: String,
    /// The file that the entry stood in.
    pub(super) file: PathBuf,
    /// The connector that it became.
    pub(super) connector: ConnectorId,
    /// The virtual server that has it.
    pub(super) server: ServerId,
    /// Whether the virtual server was made for it.
    pub(super) made_server: bool,
    /// The vault's key of its token, where it has one.
    pub(super) grant: Option<String>,
    /// The names under which its secrets are sealed.
    pub(super) names: Vec<String>,
    /// The digest of what it is and of its secrets: two of the same are one connector.
    pub(super) secrets: Digest,
    /// The entry.
    pub(super) taken: TakenOut,
}

impl Record {
    #[expect(clippy::too_many_arguments, reason = "they are its parts")]
    pub(super) fn new(
        number: u64,
        assistant: &str,
        file: PathBuf,
        (connector, grant): (ConnectorId, Option<String>),
        (server, made_server): (ServerId, bool),
        names: Vec<String>,
        secrets: Digest,
        taken: TakenOut,
    ) -> Self {
        let assistant = assistant.to_owned();
        Self {
            format: FORMAT,
            number,
            assistant,
            file,
            connector,
            server,
            made_server,
            grant,
            names,
            secrets,
            taken,
        }
    }

    /// The same, of an entry that has to be put back otherwise by now.
    pub(super) fn with(&self, taken: &TakenOut) -> Self {
        Self { taken: taken.clone(), ..self.clone() }
    }

    /// The vault's key: one for each place of each file.
    pub(super) fn key(&self) -> String {
        key(&self.assistant, &self.file, &self.taken.place)
    }
}

fn key(assistant: &str, file: &std::path::Path, Place { within, name }: &Place) -> String {
    let mut parts: Vec<&[u8]> = vec![file.as_os_str().as_encoded_bytes()];
    parts.extend(within.iter().map(String::as_bytes));
    parts.push(name.as_bytes());
    format!("{assistant}.{}", Digest::of_parts(&parts).hex())
}

/// The vault, as far as imports go.
#[derive(Clone)]
pub(crate) struct Sealed(pub(crate) Vault);

impl Sealed {
    /// All that was imported, in order.
    pub(super) async fn records(&self) -> Told<Vec<Record>> {
        let keys = self.0.list(Kind::Import).await.map_err(|fault| fault.advice())?;
        let mut records: Vec<Record> = Vec::new();
        for key in keys {
            let bytes = self.0.get(Kind::Import, &key).await.map_err(|fault| fault.advice())?;
            let read = bytes.and_then(|bytes| serde_json::from_slice(bytes.expose_secret()).ok());
            records.extend(read.filter(|record: &Record| record.format == FORMAT));
        }
        records.sort_by_key(|record| record.number);
        Ok(records)
    }

    pub(super) async fn remember(&self, record: &Record) -> Told<()> {
        let bytes = SecretBytes::from(serde_json::to_vec(record).map_err(|_| super::words::unwritten())?);
        let kept = self.0.put(Kind::Import, &record.key(), bytes.expose_secret()).await;
        kept.map_err(|fault| fault.advice())
    }

    pub(super) async fn forget(&self, record: &Record) -> Told<()> {
        self.0.delete(Kind::Import, &record.key()).await.map_err(|fault| fault.advice())
    }

    pub(super) async fn seal(&self, connector: &ConnectorId, name: &str, value: &str) -> Told<()> {
        let kept = self.0.put(Kind::Sealed, &value_key(connector, name), value.as_bytes()).await;
        kept.map_err(|fault| fault.advice())
    }

    /// Forgets the secrets of a connector that is gone, the token of its account among them.
    pub(super) async fn forget_secrets(
        &self,
        connector: &ConnectorId,
        names: &[String],
        grant: Option<&str>,
    ) -> Told<()> {
        for name in names {
            let gone = self.0.delete(Kind::Sealed, &value_key(connector, name)).await;
            gone.map_err(|fault| fault.advice())?;
        }
        match grant {
            Some(key) => self.0.delete(Kind::Grant, key).await.map_err(|fault| fault.advice()),
            None => Ok(()),
        }
    }
}

impl Sealed {
    /// The connectors that something is sealed for.
    pub(super) async fn connectors(&self) -> BTreeSet<ConnectorId> {
        let keys = self.0.list(Kind::Sealed).await.unwrap_or_default();
        keys.iter().filter_map(|key| key.split_once('/')?.0.parse().ok()).collect()
    }

    /// Forgets everything that is sealed for a connector.
    pub(super) async fn forget_all(&self, connector: &ConnectorId) -> Told<()> {
        let own = value_key(connector, "");
        for key in self.0.list(Kind::Sealed).await.map_err(|fault| fault.advice())? {
            if key.starts_with(&own) {
                self.0.delete(Kind::Sealed, &key).await.map_err(|fault| fault.advice())?;
            }
        }
        Ok(())
    }
}

impl SealedValues for Sealed {
    fn value<'a>(&'a self, connector: &'a ConnectorId, name: &'a str) -> BoxFuture<'a, Option<SecretString>> {
        Box::pin(async move {
            let found = self.0.get(Kind::Sealed, &value_key(connector, name)).await;
            Some(SecretString::from(found.ok()??.expose_text()?))
        })
    }
}

fn value_key(connector: &ConnectorId, name: &str) -> String {
    format!("{connector}/{name}")
}

/// The account that a connector with a token has.
pub(super) fn account(connector: &ConnectorId) -> AccountId {
    AccountId { connector: connector.clone(), account: model::AccountName::default() }
}

/// Whose accounts a person's own are.
pub(super) fn person() -> Subject {
    let (_, user) = os::current_user();
    Subject::local(user)
}
