//! Definitions as they were first seen. In personal mode what a connector says to models is accepted at first sight, and what
//! changes afterwards is held until the person accepts it: a connector must not turn into another behind their back. Of an
//! organisation's connectors, what the person accepted where the organisation leaves that to them.

use std::collections::BTreeMap;

use model::{AccountId, ConnectorId, Digest, Subject, ToolName};
use org_protocol::ConnectorSpec;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use vault::{Kind, Vault, VaultFault};

use super::definitions::{Change, Definitions, Part};

/// The format version of what the vault keeps.
const FORMAT: u32 = 1;

/// The accepted definitions of all connectors.
pub(crate) struct Pins {
    vault: Vault,
    /// Whether it kept them when they were read.
    durable: bool,
    accepted: BTreeMap<ConnectorId, Accepted>,
    /// By person.
    instead: BTreeMap<String, Instead>,
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
}

/// What a connector says to models beside its tools.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Beside {
    prompts: BTreeMap<String, Box<RawValue>>,
    templates: BTreeMap<String, Box<RawValue>>,
    instructions: Option<Box<RawValue>>,
}

/// What one person accepted, each in place of what was accepted before.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Instead {
    format: u32,
    accepted: Vec<Acceptance>,
}

/// A definition that a person accepted in place of another. It is good for that other one alone, and for one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Acceptance {
    account: AccountId,
    /// Of the connector's definition.
    connector: Digest,
    /// The part, as people read it.
    part: String,
    /// Of what was accepted before: at first sight, or by the organisation.
    of: Digest,
    /// Of what this person accepted.
    now: Digest,
}

/// How many parts of one connector are accepted at first sight at most. What comes after them is not passed on.
const MOST_PARTS: usize = 12_000;
/// How many changes of one account a person's acceptances are kept for; the oldest are asked about again.
const MOST_ACCEPTANCES: usize = 1_000;

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
        let mut instead = BTreeMap::new();
        for key in vault.list(Kind::Acceptance).await.unwrap_or_default() {
            let Ok(Some(bytes)) = vault.get(Kind::Acceptance, &key).await else { continue };
            match serde_json::from_slice::<Instead>(bytes.expose_secret()) {
                Ok(record) if record.format == FORMAT => drop(instead.insert(key, record)),
                Ok(_) | Err(_) => tracing::warn!("acceptances of another format"),
            }
        }
        Self { vault, durable, accepted, instead }
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
    pub(crate) async fn grow(
        &mut self,
        id: &ConnectorId,
        spec: &ConnectorSpec,
        listed: &Definitions,
    ) -> Result<Definitions, VaultFault> {
        self.catch_up().await;
        let mut record = self.record(id, spec);
        if record.grow(listed) {
            self.keep(id, record.clone()).await?;
        }
        Ok(record.definitions())
    }

    /// A person accepts a change: `before` is what was accepted without them.
    ///
    /// # Errors
    /// [`VaultFault`] if it cannot be kept; nothing is accepted then.
    pub(crate) async fn accept(
        &mut self,
        person: &Subject,
        account: &AccountId,
        spec: &ConnectorSpec,
        before: Option<&RawValue>,
        change: &Change,
    ) -> Result<(), VaultFault> {
        self.catch_up().await;
        let key = key_of(person);
        let mut record = self.instead.get(&key).cloned().unwrap_or_default();
        record.format = FORMAT;
        record.accepted.push(Acceptance {
            account: account.clone(),
            connector: connector_digest(spec),
            part: change.part.to_string(),
            of: digest(before),
            now: digest(Some(&change.now)),
        });
        let of_account = |it: &&Acceptance| it.account == *account;
        if record.accepted.iter().filter(of_account).count() > MOST_ACCEPTANCES
            && let Some(oldest) = record.accepted.iter().position(|it| it.account == *account)
        {
            record.accepted.remove(oldest);
        }
        let bytes = serde_json::to_vec(&record).unwrap_or_default();
        self.vault.put(Kind::Acceptance, &key, &bytes).await?;
        self.instead.insert(key, record);
        Ok(())
    }

    /// What is accepted of what a connector lists now: what was accepted without the person, or what they accepted in its place.
    pub(crate) fn accepted_of(
        &self,
        person: Option<&Subject>,
        account: &AccountId,
        spec: &ConnectorSpec,
        mut accepted: Definitions,
        listed: &Definitions,
    ) -> Definitions {
        let Some(theirs) = person.and_then(|person| self.instead.get(&key_of(person))) else {
            return accepted;
        };
        let connector = connector_digest(spec);
        for (part, now) in listed {
            let before = accepted.get(part).map(AsRef::as_ref);
            // What was accepted without them needs nobody.
            if before.is_some_and(|before| mcp::is_same(before, now)) {
                continue;
            }
            let accepts = |it: &Acceptance| {
                it.account == *account
                    && it.connector == connector
                    && it.part == part.to_string()
                    && it.of == digest(before)
                    && it.now == digest(Some(now))
            };
            if theirs.accepted.iter().any(accepts) {
                accepted.insert(part.clone(), now.clone());
            }
        }
        accepted
    }

    /// Where what was accepted could not be read before, it counts as soon as it can, and must not be written over.
    async fn catch_up(&mut self) {
        if !self.durable && self.vault.is_durable() {
            *self = self.again().await;
        }
    }

    fn record(&self, id: &ConnectorId, spec: &ConnectorSpec) -> Accepted {
        let connector = connector_digest(spec);
        match self.accepted.get(id) {
            Some(record) if record.connector == connector => record.clone(),
            Some(_) | None => Accepted { format: FORMAT, connector, tools: BTreeMap::new(), beside: None },
        }
    }

    async fn keep(&mut self, id: &ConnectorId, record: Accepted) -> Result<(), VaultFault> {
        let bytes = serde_json::to_vec(&record).unwrap_or_default();
        self.vault.put(Kind::Pin, id.as_str(), &bytes).await?;
        self.accepted.insert(id.clone(), record);
        Ok(())
    }
}

/// Who points a connector elsewhere has another one.
fn connector_digest(spec: &ConnectorSpec) -> Digest {
    Digest::of(&serde_json::to_vec(&(&spec.url, &spec.command)).unwrap_or_default())
}

/// Under what a person's acceptances are kept.
fn key_of(person: &Subject) -> String {
    Digest::of(&serde_json::to_vec(&(&person.issuer, &person.subject)).unwrap_or_default()).hex()
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
        let room = MOST_PARTS.saturating_sub(accepted.len());
        let new: Vec<_> = listed.iter().filter(|(part, _)| is_new(part)).take(room).collect();
        for (part, definition) in &new {
            self.accept((*part).clone(), (*definition).clone());
        }
        self.beside.get_or_insert_default();
        is_first || !new.is_empty()
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

    use connector::Listing;

    use super::super::definitions::tests::{definition, listing};
    use super::super::definitions::{changes, listed};
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

    async fn held(pins: &mut Pins, spec: &ConnectorSpec, listing: &Listing) -> Vec<Change> {
        let listed = listed(listing);
        let accepted = pins.grow(&"files".parse().unwrap(), spec, &listed).await.unwrap();
        let (ann, account) = (Subject::local("ann"), "files".parse().unwrap());
        changes(&pins.accepted_of(Some(&ann), &account, spec, accepted, &listed), &listed, true)
    }

    #[tokio::test]
    async fn what_changed_is_held_even_after_a_restart_until_it_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let keychain = Arc::new(vault::testing::MemoryKeychain::default());
        let (id, account): (ConnectorId, AccountId) = ("files".parse().unwrap(), "files".parse().unwrap());
        let mut pins = open(&dir, &keychain).await;
        let first = held(&mut pins, &spec("a"), &listing("says this")).await;
        assert_eq!(parts(&first), [""; 0], "accepted at first sight");
        assert_eq!(pins.definitions(&id).len(), 3);
        drop(pins);

        let mut pins = open(&dir, &keychain).await;
        let mut now = listing("says that, and tells the whole world");
        now.tools.push(("write".parse().unwrap(), definition(&json!({"name": "write"}))));
        let changed = held(&mut pins, &spec("a"), &now).await;
        assert_eq!(parts(&changed), ["tool read", "prompt greet", "resource template notes/{id}"]);
        let kept = pins.definitions(&id);
        assert!(kept[&changed[0].part].get().contains("says this"), "what was accepted stays: {kept:?}");
        assert!(kept.contains_key(&Part::Tool("write".parse().unwrap())), "what is new is seen first now");

        let before = changed[1].accepted.as_deref();
        let ann = Subject::local("ann");
        pins.accept(&ann, &account, &spec("a"), before, &changed[1]).await.unwrap();
        drop(pins);
        let mut pins = open(&dir, &keychain).await;
        let left = held(&mut pins, &spec("a"), &now).await;
        assert_eq!(parts(&left), ["tool read", "resource template notes/{id}"]);
        let back = held(&mut pins, &spec("a"), &listing("says this")).await;
        assert_eq!(parts(&back), [""; 0], "what was accepted first needs nobody");

        let other = held(&mut pins, &spec("b"), &now).await;
        assert_eq!(parts(&other), [""; 0], "another program is another connector");
    }

    #[test]
    fn instructions_that_come_later_are_no_first_sight() {
        let said = |text: &str| Definitions::from([(Part::Instructions, definition(&json!(text)))]);
        let new =
            || Accepted { format: FORMAT, connector: Digest::of(b""), tools: BTreeMap::new(), beside: None };
        let held =
            |record: &Accepted, listed: &Definitions| parts(&changes(&record.definitions(), listed, true));
        let mut silent = new();
        assert!(silent.grow(&Definitions::new()), "that there were none is kept");
        assert!(!silent.grow(&said("Obey.")));
        assert_eq!(held(&silent, &said("Obey.")), ["instructions"]);
        let mut told = new();
        assert!(told.grow(&said("Ask.")));
        assert_eq!(held(&told, &said("Ask.")), [""; 0]);
        assert_eq!(held(&told, &said("Obey.")), ["instructions"]);
        assert_eq!(held(&told, &Definitions::new()), [""; 0]);
    }

    #[tokio::test]
    async fn what_a_person_accepted_is_good_for_them_there_and_for_what_was_accepted_before() {
        let dir = tempfile::tempdir().unwrap();
        let mut pins = open(&dir, &Arc::default()).await;
        let (ann, bob) = (Subject::local("ann"), Subject::local("bob"));
        let (files, shared): (AccountId, AccountId) =
            ("files".parse().unwrap(), "files/shared".parse().unwrap());
        let (before, now) = (listed(&listing("as pinned")), listed(&listing("as it says now")));
        let change = changes(&before, &now, true).swap_remove(1);
        let accepted = change.accepted.as_deref();
        pins.accept(&ann, &files, &spec("a"), accepted, &change).await.unwrap();
        let held = |person: Option<&Subject>, account: &AccountId, program: &str, pinned: &Definitions| {
            let accepted = pins.accepted_of(person, account, &spec(program), pinned.clone(), &now);
            changes(&accepted, &now, true).len()
        };
        assert_eq!(held(Some(&ann), &files, "a", &before), 2);
        let pinned_anew = listed(&listing("as pinned anew"));
        assert_eq!(held(Some(&ann), &files, "a", &pinned_anew), 3, "what IT accepted since is not overruled");
        assert_eq!(held(Some(&bob), &files, "a", &before), 3, "nobody accepts for another");
        assert_eq!(held(None, &files, "a", &before), 3);
        assert_eq!(held(Some(&ann), &shared, "a", &before), 3, "nor for another account");
        assert_eq!(held(Some(&ann), &files, "b", &before), 3, "nor for another connector");
    }
}
