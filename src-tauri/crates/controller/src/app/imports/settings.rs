//! Connectors in the person's `deskgate.toml`: put in and taken out, with every comment where it was.

use std::path::{Path, PathBuf};

use model::{ConnectorId, ServerId};
use org_protocol::{ConnectorSpec, CredentialSpec};
use toml_edit::{Array, DocumentMut, Item, Table, TableLike, Value, value};
use url::Url;

use super::{Told, words};
use crate::app::settings::{OrganisationSettings, Settings};

/// The settings as they are, and as they are to be.
#[derive(Debug)]
pub(in crate::app) struct SettingsFile {
    pub(super) path: PathBuf,
    /// Nothing where there is no file.
    before: Option<String>,
    after: String,
    pub(super) settings: Settings,
}

impl SettingsFile {
    /// Reads them.
    pub(in crate::app) fn read(path: &Path) -> Told<Self> {
        let before = match std::fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => None,
            Err(fault) => return Err(words::unreadable(path, &fault)),
        };
        let after = before.clone().unwrap_or_default();
        let settings = Settings::parse(&after).map_err(|why| words::wrong_settings(path, &why))?;
        Ok(Self { path: path.to_owned(), before, after, settings })
    }

    /// Puts a connector in, and into a virtual server, which is made where it is not there.
    pub(super) fn add(&mut self, id: &ConnectorId, spec: &ConnectorSpec, server: &ServerId) -> Told<()> {
        let mut meant = self.settings.clone();
        meant.connectors.insert(id.clone(), spec.clone());
        self.edit(|document| {
            if !document.contains_key(CONNECTORS) {
                let mut connectors = Table::new();
                connectors.set_implicit(true);
                document.insert(CONNECTORS, Item::Table(connectors));
            }
            let connectors = document.get_mut(CONNECTORS)?.as_table_mut()?;
            connectors.insert(id.as_str(), Item::Table(table(spec)?));
            Some(())
        })?;
        let meant_server = meant.servers.entry(server.clone()).or_insert_with(|| made(server));
        if !meant_server.connectors.contains(id) {
            meant_server.connectors.push(id.clone());
            self.edit(|document| put_into(document, server, id))?;
        }
        self.insist(&meant)
    }

    /// Has an organisation decide that is found at this address.
    pub(in crate::app) fn join_organisation(&mut self, address: &Url) -> Told<()> {
        let mut meant = self.settings.clone();
        meant.organisation =
            Some(OrganisationSettings { config_url: address.clone(), root_key_fingerprint: None });
        self.edit(|document| {
            let mut organisation = Table::new();
            organisation.insert("config_url", value(address.as_str()));
            document.insert(ORGANISATION, Item::Table(organisation));
            Some(())
        })?;
        self.insist(&meant)
    }

    /// Puts a connector that is there into a virtual server, if it is not in it.
    pub(super) fn join(&mut self, id: &ConnectorId, server: &ServerId) -> Told<()> {
        match self.settings.connectors.get(id).cloned() {
            Some(spec) if !self.serves(server, id) => {
                let mut meant = self.settings.clone();
                meant.connectors.insert(id.clone(), spec);
                let it = meant.servers.entry(server.clone()).or_insert_with(|| made(server));
                it.connectors.push(id.clone());
                self.edit(|document| put_into(document, server, id))?;
                self.insist(&meant)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Takes a connector out, wherever it is named; and the virtual server that was made for it, if nothing else is in it.
    pub(super) fn remove(&mut self, id: &ConnectorId, made: Option<&ServerId>) -> Told<()> {
        let mut meant = self.settings.clone();
        meant.connectors.remove(id);
        for spec in meant.servers.values_mut() {
            spec.connectors.retain(|it| it != id);
            spec.tools.remove(id);
            spec.accounts.remove(id);
        }
        let empty =
            |server: &&ServerId| meant.servers.get(*server).is_some_and(|it| it.connectors.is_empty());
        let gone = made.filter(empty).cloned();
        if let Some(server) = &gone {
            meant.servers.remove(server);
        }
        self.edit(|document| {
            remove_from(document, CONNECTORS, id.as_str());
            if let Some(servers) = document.get_mut(SERVERS).and_then(Item::as_table_like_mut) {
                for (_, server) in servers.iter_mut() {
                    let Some(server) = server.as_table_like_mut() else { continue };
                    leave(server, id.as_str());
                }
            }
            if let Some(server) = &gone {
                remove_from(document, SERVERS, server.as_str());
            }
            Some(())
        })?;
        self.insist(&meant)
    }

    /// Whether a virtual server has the connector.
    pub(super) fn serves(&self, server: &ServerId, id: &ConnectorId) -> bool {
        self.settings.servers.get(server).is_some_and(|it| it.connectors.contains(id))
    }

    /// What differs; nothing secret is in it, and what was there before is shown nowhere but where it changes.
    pub(super) fn diff(&self) -> String {
        assistants::diff(&self.path, self.before.as_deref(), Some(&self.after), &[])
    }

    /// Whether the file is as it was read.
    pub(super) fn check(&self) -> Told<()> {
        let now = match std::fs::read_to_string(&self.path) {
            Ok(text) => Some(text),
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => None,
            Err(fault) => return Err(words::unreadable(&self.path, &fault)),
        };
        if now == self.before { Ok(()) } else { Err(words::meanwhile(&self.path)) }
    }

    /// Writes them, durably, if they are to be others.
    pub(in crate::app) fn write(&self) -> Told<()> {
        self.check()?;
        let written = match &self.before {
            Some(before) if *before == self.after => Ok(()),
            Some(_) if self.after.trim().is_empty() => os::remove_durable(&self.path),
            Some(_) => os::replace_durable(&self.path, self.after.as_bytes()),
            None if self.after.is_empty() => Ok(()),
            None => os::write_durable(&self.path, self.after.as_bytes()),
        };
        written.map_err(|fault| words::unwritable(&self.path, &fault))
    }

    fn edit(&mut self, edit: impl FnOnce(&mut DocumentMut) -> Option<()>) -> Told<()> {
        let odd = || words::settings_odd(&self.path);
        let mut document: DocumentMut = self.after.parse().map_err(|_| odd())?;
        edit(&mut document).ok_or_else(odd)?;
        let is_windows = self.after.contains("\r\n");
        let text = document.to_string();
        self.after = if is_windows { text.replace("\r\n", "\n").replace('\n', "\r\n") } else { text };
        Ok(())
    }

    /// What was written has to say what was meant, and nothing else.
    fn insist(&mut self, meant: &Settings) -> Told<()> {
        match Settings::parse(&self.after) {
            Ok(settings) if settings == *meant => {
                self.settings = settings;
                Ok(())
            }
            Ok(_) | Err(_) => Err(words::settings_odd(&self.path)),
        }
    }
}

const ORGANISATION: &str = "organisation";
const CONNECTORS: &str = "connectors";
const SERVERS: &str = "servers";

/// A virtual server that is made because there is none.
fn made(server: &ServerId) -> org_protocol::ServerSpec {
    org_protocol::ServerSpec {
        title: title_of(server),
        connectors: Vec::new(),
        tools: std::collections::BTreeMap::new(),
        tool_list: org_protocol::ToolList::default(),
        accounts: std::collections::BTreeMap::new(),
    }
}

fn title_of(server: &ServerId) -> String {
    if server.as_str() == super::FIRST_SERVER { "My desk".to_owned() } else { server.to_string() }
}

fn put_into(document: &mut DocumentMut, server: &ServerId, id: &ConnectorId) -> Option<()> {
    if !document.contains_key(SERVERS) {
        let mut servers = Table::new();
        servers.set_implicit(true);
        document.insert(SERVERS, Item::Table(servers));
    }
    let servers = document.get_mut(SERVERS)?.as_table_mut()?;
    if !servers.contains_key(server.as_str()) {
        let mut table = Table::new();
        table.insert("title", value(title_of(server)));
        table.insert(CONNECTORS, value(Array::new()));
        servers.insert(server.as_str(), Item::Table(table));
    }
    let connectors = servers.get_mut(server.as_str())?.as_table_like_mut()?.get_mut(CONNECTORS)?;
    connectors.as_array_mut()?.push(id.as_str());
    Some(())
}

fn leave(server: &mut dyn TableLike, id: &str) {
    if let Some(connectors) = server.get_mut(CONNECTORS).and_then(Item::as_array_mut) {
        connectors.retain(|it| it.as_str() != Some(id));
    }
    for named in ["tools", "accounts"] {
        if let Some(named) = server.get_mut(named).and_then(Item::as_table_like_mut) {
            named.remove(id);
        }
    }
}

fn remove_from(document: &mut DocumentMut, name: &str, id: &str) {
    let Some(table) = document.get_mut(name).and_then(Item::as_table_like_mut) else { return };
    table.remove(id);
    let is_ours =
        table.is_empty() && document.get(name).and_then(Item::as_table).is_some_and(Table::is_implicit);
    if is_ours {
        document.remove(name);
    }
}

/// A connector as a table, what belongs together on one line.
fn table(spec: &ConnectorSpec) -> Option<Table> {
    let text = toml::to_string(spec).ok()?;
    let mut table = text.parse::<DocumentMut>().ok()?.as_table().clone();
    if spec.credential == CredentialSpec::None {
        table.remove("credential");
    }
    let nested: Vec<String> =
        table.iter().filter(|(_, item)| item.is_table()).map(|(name, _)| name.to_owned()).collect();
    for name in nested {
        // Put in anew, its name is written as that of a value.
        let mut inline = table.remove(&name)?.into_table().ok()?.into_inline_table();
        inline.fmt();
        table.insert(&name, Item::Value(Value::InlineTable(inline)));
    }
    table.set_implicit(false);
    Some(table)
}

/// Refuses where somebody else decides which connectors there are.
pub(super) fn own(settings: &Settings) -> Told<()> {
    match settings.organisation {
        Some(_) => Err(words::organisation()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "# mine\npolicies = \"p\" # kept\n\n[connectors.files]\ntitle = \"Files\"\ncommand = [\"x\"]\n\n# about the desk\n[servers.desk]\ntitle = \"Desk\"\nconnectors = [\"files\"] # all\n";

    fn spec() -> ConnectorSpec {
        let text = "title = \"GitHub\"\ncommand = [\"npx\"]\nenvironment = { T = \"${sealed:T}\" }\n";
        toml::from_str(text).expect("a connector")
    }

    #[track_caller]
    fn check(before: Option<&str>, server: &str, expected: &str) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deskgate.toml");
        if let Some(before) = before {
            std::fs::write(&path, before).expect("written");
        }
        let (id, server) = ("github".parse().expect("an id"), server.parse().expect("an id"));
        let mut file = SettingsFile::read(&path).expect("read");
        let made = (!file.settings.servers.contains_key(&server)).then_some(&server);
        file.add(&id, &spec(), &server).expect("added");
        assert_eq!(file.after, expected);
        file.write().expect("written");
        let mut file = SettingsFile::read(&path).expect("read");
        file.remove(&id, made).expect("removed");
        file.write().expect("written");
        assert_eq!(std::fs::read_to_string(&path).ok().as_deref(), before);
    }

    #[test]
    fn a_connector_is_put_in_and_taken_out_and_the_rest_keeps_every_byte() {
        let added = "[connectors.github]\ntitle = \"GitHub\"\ncommand = [\"npx\"]\nenvironment = { T = \"${sealed:T}\" }\n";
        let expected = OWN
            .replace("# about the desk", &format!("{added}\n# about the desk"))
            .replace("[\"files\"]", "[\"files\", \"github\"]");
        check(Some(OWN), "desk", &expected);
        let windows = |text: &str| text.replace('\n', "\r\n");
        check(Some(&windows(OWN)), "desk", &windows(&expected));
        let server = "\n[servers.desk]\ntitle = \"My desk\"\nconnectors = [\"github\"]\n";
        check(None, "desk", &format!("{added}{server}"));
    }

    #[test]
    fn settings_that_were_changed_meanwhile_are_not_written_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deskgate.toml");
        let mut file = SettingsFile::read(&path).expect("read");
        file.add(&"github".parse().expect("an id"), &spec(), &"desk".parse().expect("an id")).expect("added");
        std::fs::write(&path, OWN).expect("written");
        assert_eq!(file.write().expect_err("changed").code, "import-meanwhile");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), OWN);
    }
}
