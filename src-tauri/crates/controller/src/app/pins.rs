//! Tools as they were first seen. In personal mode a connector's tools are accepted at first sight, and one that changes
//! afterwards is held until the person accepts it: a connector must not turn into another behind their back.

use std::collections::BTreeMap;

use model::{ConnectorId, Digest, ToolName};
use org_protocol::ConnectorSpec;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use vault::{Kind, Vault, VaultFault};

/// The format version of what the vault keeps.
const FORMAT: u32 = 1;

/// The accepted tools of all connectors.
pub(crate) struct Pins {
    vault: Vault,
    /// Whether it kept them when they were read.
    durable: bool,
    accepted: BTreeMap<ConnectorId, Accepted>,
}

/// The accepted tools of one connector.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Accepted {
    format: u32,
    /// Of the connector's definition: who points a connector elsewhere has accepted another one.
    connector: Digest,
    tools: BTreeMap<ToolName, Box<RawValue>>,
}

/// What comes of comparing a list with what was accepted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Compared {
    /// Tools that differ from what was accepted.
    pub(crate) held: Vec<ToolName>,
    /// Tools that were accepted just now.
    pub(crate) new: Vec<ToolName>,
}

impl Pins {
    /// Reads what the vault keeps. A record that cannot be read is as good as none; the vault reports it.
    pub(crate) async fn load(vault: Vault) -> Self {
        let durable = vault.is_durable();
        let mut accepted = BTreeMap::new();
        for key in vault.list(Kind::Pin).await.unwrap_or_default() {
            let Ok(id) = key.parse::<ConnectorId>() else { continue };
            let Ok(Some(bytes)) = vault.get(Kind::Pin, &key).await else { continue };
            match serde_json::from_slice::<Accepted>(bytes.expose_secret()) {
                Ok(record) if record.format == FORMAT => {
                    accepted.insert(id, record);
                }
                Ok(_) | Err(_) => tracing::warn!(connector = %id, "accepted tools of another format"),
            }
        }
        Self { vault, durable, accepted }
    }

    /// Returns once the vault keeps what it did not when this was read; never where it does. What lies there is then to be
    /// read again, and counts.
    pub(crate) async fn out_of_date(&self) {
        if self.durable {
            return std::future::pending().await;
        }
        self.vault.durable().await;
    }

    /// What the vault keeps now.
    pub(crate) async fn again(&self) -> Self {
        Self::load(self.vault.clone()).await
    }

    /// The tools of a connector that were accepted.
    pub(crate) fn tools(&self, connector: &ConnectorId) -> Vec<(ToolName, Box<RawValue>)> {
        let accepted = self.accepted.get(connector).into_iter().flat_map(|record| &record.tools);
        accepted.map(|(name, definition)| (name.clone(), definition.clone())).collect()
    }

    /// Compares a fresh list with what was accepted; accepts what is new, and keeps that durably.
    pub(crate) async fn compare(
        &mut self,
        id: &ConnectorId,
        spec: &ConnectorSpec,
        listed: &[(ToolName, Box<RawValue>)],
    ) -> Result<Compared, VaultFault> {
        if !self.durable && self.vault.is_durable() {
            // What was accepted before counts, and must not be written over.
            *self = self.again().await;
        }
        let connector = Digest::of(&serde_json::to_vec(&(&spec.url, &spec.command)).unwrap_or_default());
        let mut record = match self.accepted.remove(id) {
            Some(record) if record.connector == connector => record,
            Some(_) | None => Accepted { format: FORMAT, connector, tools: BTreeMap::new() },
        };
        let compared = record.compare(listed);
        let stored = if compared.new.is_empty() {
            Ok(())
        } else {
            let bytes = serde_json::to_vec(&record).unwrap_or_default();
            self.vault.put(Kind::Pin, id.as_str(), &bytes).await
        };
        self.accepted.insert(id.clone(), record);
        stored.map(|()| compared)
    }
}

impl Accepted {
    fn compare(&mut self, listed: &[(ToolName, Box<RawValue>)]) -> Compared {
        let mut compared = Compared::default();
        for (name, definition) in listed {
            match self.tools.get(name) {
                Some(accepted) if mcp::is_same(accepted, definition) => {}
                Some(_) => compared.held.push(name.clone()),
                None => {
                    self.tools.insert(name.clone(), definition.clone());
                    compared.new.push(name.clone());
                }
            }
        }
        compared
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn tool(name: &str, description: &str) -> (ToolName, Box<RawValue>) {
        (name.parse().unwrap(), mcp::raw(&serde_json::json!({"name": name, "description": description})))
    }

    fn spec(program: &str) -> ConnectorSpec {
        toml::from_str(&format!("title = \"T\"\ncommand = [\"{program}\"]")).unwrap()
    }

    #[tokio::test]
    async fn a_changed_tool_is_held_even_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let keychain = Arc::new(vault::testing::MemoryKeychain::default());
        let open = || Vault::open(dir.path(), keychain.clone(), Arc::new(os::SystemClock));
        let id: ConnectorId = "files".parse().unwrap();

        let mut pins = Pins::load(open().await).await;
        let first = pins.compare(&id, &spec("a"), &[tool("read", "reads")]).await.unwrap();
        assert_eq!(first.new.len(), 1, "accepted at first sight");
        drop(pins);

        let mut pins = Pins::load(open().await).await;
        let listed = [tool("read", "reads, and tells the whole world"), tool("write", "writes")];
        let second = pins.compare(&id, &spec("a"), &listed).await.unwrap();
        assert_eq!(second.held, ["read".parse().unwrap()]);
        assert_eq!(second.new, ["write".parse().unwrap()]);
        let kept = pins.tools(&id);
        assert!(kept[0].1.get().contains("\"reads\""), "what was accepted stays: {kept:?}");

        let third = pins.compare(&id, &spec("b"), &listed).await.unwrap();
        assert_eq!((third.held.len(), third.new.len()), (0, 2), "another program is another connector");
    }
}
