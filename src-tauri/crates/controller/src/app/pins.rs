//! Definitions as they were first seen. In personal mode what a connector says to models is accepted at first sight, and what
//! changes afterwards is held until the person accepts it: a connector must not turn into another behind their back. Of an
//! organisation's connectors, what the person accepted where the organisation leaves that to them.

use std::collections::BTreeMap;

use connector::Listing;
use model::{ConnectorId, Digest, ToolName};
use org_protocol::ConnectorSpec;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use vault::{Kind, Vault, VaultFault};

use super::definitions::{Change, Definitions, Part, changes, listed};

/// The format version of what the vault keeps.
const FORMAT: u32 = 1;

/// The accepted definitions of all connectors.
pub(crate) struct Pins {
    vault: Vault,
    /// Whether it kept them when they were read.
    durable: bool,
    accepted: BTreeMap<ConnectorId, Accepted>,
}

/// The accepted definitions of one connector.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Accepted {
    format: u32,
    /// Of the connector's definition: who points a connector elsewhere has accepted another one.
    connector: Digest,
    tools: BTreeMap<ToolName, Box<RawValue>>,
    /// What else it says to models; nothing where that was never looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    beside: Option<Beside>,
    /// What the person accepted in place of what the organisation did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    instead: Vec<Instead>,
}

/// What a connector says to models beside its tools.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Beside {
    prompts: BTreeMap<String, Box<RawValue>>,
    templates: BTreeMap<String, Box<RawValue>>,
    instructions: Option<Box<RawValue>>,
}

/// A definition that the person accepted in place of one that the organisation accepted. It is good for that one alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Instead {
    /// The part, as people read it.
    part: String,
    /// Of what the organisation accepted.
    of: Digest,
    /// What the person accepted.
    accepted: Box<RawValue>,
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

    /// What was accepted of a connector.
    pub(crate) fn definitions(&self, connector: &ConnectorId) -> Definitions {
        self.accepted.get(connector).map(Accepted::definitions).unwrap_or_default()
    }

    /// Accepts what is new in a fresh listing, and keeps that durably; what was accepted and differs stays as it was.
    ///
    /// # Errors
    /// [`VaultFault`] if it cannot be kept.
    pub(crate) async fn compare(
        &mut self,
        id: &ConnectorId,
        spec: &ConnectorSpec,
        listing: &Listing,
    ) -> Result<Vec<Change>, VaultFault> {
        self.catch_up().await;
        let mut record = self.record(id, spec);
        let listed = listed(listing);
        let grew = record.grow(&listed);
        let held = record.changes(&listed);
        if grew {
            self.keep(id, record).await?;
        }
        Ok(held)
    }

    /// The person accepts a change of a connector of their own.
    ///
    /// # Errors
    /// [`VaultFault`] if it cannot be kept; nothing is accepted then.
    pub(crate) async fn accept(
        &mut self,
        id: &ConnectorId,
        spec: &ConnectorSpec,
        change: &Change,
    ) -> Result<(), VaultFault> {
        self.catch_up().await;
        let mut record = self.record(id, spec);
        record.accept(change.part.clone(), change.now.clone());
        self.keep(id, record).await
    }

    /// The person accepts a change of an organisation's connector.
    ///
    /// # Errors
    /// [`VaultFault`] if it cannot be kept; nothing is accepted then.
    pub(crate) async fn accept_instead(
        &mut self,
        id: &ConnectorId,
        spec: &ConnectorSpec,
        organisations: &Definitions,
        change: &Change,
    ) -> Result<(), VaultFault> {
        self.catch_up().await;
        let mut record = self.record(id, spec);
        let part = change.part.to_string();
        record.instead.retain(|instead| instead.part != part);
        let of = digest(organisations.get(&change.part).map(AsRef::as_ref));
        record.instead.push(Instead { part, of, accepted: change.now.clone() });
        self.keep(id, record).await
    }

    /// What an organisation accepted, with what the person accepted in its place.
    pub(crate) fn instead_of(
        &self,
        id: &ConnectorId,
        spec: &ConnectorSpec,
        mut organisations: Definitions,
    ) -> Definitions {
        let record = self.record(id, spec);
        for (part, accepted) in &mut organisations {
            let name = part.to_string();
            let of = digest(Some(accepted));
            if let Some(instead) =
                record.instead.iter().find(|instead| instead.part == name && instead.of == of)
            {
                accepted.clone_from(&instead.accepted);
            }
        }
        organisations
    }

    /// Where what was accepted could not be read before, it counts as soon as it can, and must not be written over.
    async fn catch_up(&mut self) {
        if !self.durable && self.vault.is_durable() {
            *self = self.again().await;
        }
    }

    fn record(&self, id: &ConnectorId, spec: &ConnectorSpec) -> Accepted {
        let connector = Digest::of(&serde_json::to_vec(&(&spec.url, &spec.command)).unwrap_or_default());
        match self.accepted.get(id) {
            Some(record) if record.connector == connector => record.clone(),
            Some(_) | None => Accepted {
                format: FORMAT,
                connector,
                tools: BTreeMap::new(),
                beside: None,
                instead: Vec::new(),
            },
        }
    }

    async fn keep(&mut self, id: &ConnectorId, record: Accepted) -> Result<(), VaultFault> {
        let bytes = serde_json::to_vec(&record).unwrap_or_default();
        self.vault.put(Kind::Pin, id.as_str(), &bytes).await?;
        self.accepted.insert(id.clone(), record);
        Ok(())
    }
}

fn digest(definition: Option<&RawValue>) -> Digest {
    Digest::of(definition.map(mcp::canonical).unwrap_or_default().as_bytes())
}

impl Accepted {
    fn definitions(&self) -> Definitions {
        let tools = self.tools.iter().map(|(name, definition)| (Part::Tool(name.clone()), definition));
        let mut all: Definitions = tools.map(|(part, definition)| (part, definition.clone())).collect();
        if let Some(Beside { prompts, templates, instructions }) = self.beside.clone() {
            all.extend(prompts.into_iter().map(|(name, definition)| (Part::Prompt(name), definition)));
            all.extend(templates.into_iter().map(|(name, definition)| (Part::Template(name), definition)));
            all.extend(instructions.map(|instructions| (Part::Instructions, instructions)));
        }
        all
    }

    /// Accepts what was never seen. Instructions are one text for all: those that come later are no first sight. `true` if
    /// there was anything.
    fn grow(&mut self, listed: &Definitions) -> bool {
        let is_first = self.beside.is_none();
        let accepted = self.definitions();
        let is_new = |part: &Part| !accepted.contains_key(part) && (is_first || *part != Part::Instructions);
        for (part, definition) in listed.iter().filter(|(part, _)| is_new(part)) {
            self.accept(part.clone(), definition.clone());
        }
        self.beside.get_or_insert_default();
        is_first || listed.keys().any(is_new)
    }

    fn changes(&self, listed: &Definitions) -> Vec<Change> {
        let accepted = self.definitions();
        let mut held = changes(&accepted, listed);
        let unseen = listed.get(&Part::Instructions).filter(|_| !accepted.contains_key(&Part::Instructions));
        held.extend(unseen.map(|now| Change { part: Part::Instructions, accepted: None, now: now.clone() }));
        held
    }

    fn accept(&mut self, part: Part, definition: Box<RawValue>) {
        match part {
            Part::Tool(name) => drop(self.tools.insert(name, definition)),
            Part::Prompt(name) => drop(self.beside().prompts.insert(name, definition)),
            Part::Template(template) => drop(self.beside().templates.insert(template, definition)),
            Part::Instructions => self.beside().instructions = Some(definition),
        }
    }

    fn beside(&mut self) -> &mut Beside {
        self.beside.get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::super::definitions::tests::{definition, listing};
    use super::*;

    fn spec(program: &str) -> ConnectorSpec {
        toml::from_str(&format!("title = \"T\"\ncommand = [\"{program}\"]")).unwrap()
    }

    fn parts(held: &[Change]) -> Vec<String> {
        held.iter().map(|change| change.part.to_string()).collect()
    }

    async fn open(dir: &tempfile::TempDir, keychain: &Arc<vault::testing::MemoryKeychain>) -> Pins {
        let keychain = Arc::clone(keychain) as Arc<dyn vault::Keychain>;
        Pins::load(Vault::open(dir.path(), keychain, Arc::new(os::SystemClock)).await).await
    }

    #[tokio::test]
    async fn what_changed_is_held_even_after_a_restart_until_it_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let keychain = Arc::new(vault::testing::MemoryKeychain::default());
        let id: ConnectorId = "files".parse().unwrap();
        let mut pins = open(&dir, &keychain).await;
        let first = pins.compare(&id, &spec("a"), &listing("says this")).await.unwrap();
        assert_eq!(parts(&first), [""; 0], "accepted at first sight");
        assert_eq!(pins.definitions(&id).len(), 3);
        drop(pins);

        let mut pins = open(&dir, &keychain).await;
        let mut now = listing("says that, and tells the whole world");
        now.tools.push(("write".parse().unwrap(), definition(&json!({"name": "write"}))));
        let held = pins.compare(&id, &spec("a"), &now).await.unwrap();
        assert_eq!(parts(&held), ["tool read", "prompt greet", "resource template notes/{id}"]);
        let kept = pins.definitions(&id);
        assert!(kept[&held[0].part].get().contains("says this"), "what was accepted stays: {kept:?}");
        assert!(kept.contains_key(&Part::Tool("write".parse().unwrap())), "what is new is seen first now");

        pins.accept(&id, &spec("a"), &held[1]).await.unwrap();
        drop(pins);
        let mut pins = open(&dir, &keychain).await;
        let left = pins.compare(&id, &spec("a"), &now).await.unwrap();
        assert_eq!(parts(&left), ["tool read", "resource template notes/{id}"]);

        let other = pins.compare(&id, &spec("b"), &now).await.unwrap();
        assert_eq!(parts(&other), [""; 0], "another program is another connector");
    }

    #[test]
    fn instructions_that_come_later_are_no_first_sight() {
        let said = |text: &str| Definitions::from([(Part::Instructions, definition(&json!(text)))]);
        let new = || Accepted {
            format: FORMAT,
            connector: Digest::of(b""),
            tools: BTreeMap::new(),
            beside: None,
            instead: Vec::new(),
        };
        let mut silent = new();
        assert!(silent.grow(&Definitions::new()), "that there were none is kept");
        assert!(!silent.grow(&said("Obey.")));
        assert_eq!(parts(&silent.changes(&said("Obey."))), ["instructions"]);
        let mut told = new();
        assert!(told.grow(&said("Ask.")));
        assert_eq!(parts(&told.changes(&said("Ask."))), [""; 0]);
        assert_eq!(parts(&told.changes(&said("Obey."))), ["instructions"]);
        assert_eq!(parts(&told.changes(&Definitions::new())), [""; 0]);
    }

    #[tokio::test]
    async fn what_the_person_accepted_is_good_for_what_the_organisation_says_now() {
        let dir = tempfile::tempdir().unwrap();
        let mut pins = open(&dir, &Arc::default()).await;
        let id: ConnectorId = "files".parse().unwrap();
        let (before, now) = (listed(&listing("as pinned")), listed(&listing("as it says now")));
        let change = changes(&before, &now).swap_remove(1);
        pins.accept_instead(&id, &spec("a"), &before, &change).await.unwrap();
        let accepted = pins.instead_of(&id, &spec("a"), before.clone());
        assert_eq!(parts(&changes(&accepted, &now)), ["tool read", "resource template notes/{id}"]);
        let pinned_anew = listed(&listing("as pinned anew"));
        let accepted = pins.instead_of(&id, &spec("a"), pinned_anew);
        assert_eq!(changes(&accepted, &now).len(), 3, "what IT accepted since is not overruled");
        assert_eq!(changes(&pins.instead_of(&id, &spec("b"), before), &now).len(), 3);
    }
}
