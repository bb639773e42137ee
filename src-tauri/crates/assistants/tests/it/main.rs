//! Assistants from the outside: each file, every undo, and what is refused.
#![cfg(test)]

mod each;
mod failures;
mod import;
mod laws;
mod refusals;
mod undo;

use std::path::{Path, PathBuf};

use assistants::{
    Assistant, Change, Connection, Fault, Ledger, Machine, Platform, Target, Undone, connect, disconnect,
};
use tempfile::TempDir;
use url::Url;

/// A person's machine in a folder of its own, with Deskgate's folder beside.
struct Desk {
    folder: TempDir,
    machine: Machine,
}

impl Desk {
    fn new() -> Self {
        Self::on(Platform::Linux)
    }

    fn on(platform: Platform) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().join("home");
        std::fs::create_dir(&home).expect("a home");
        let variables = [("APPDATA", "Roaming"), ("LOCALAPPDATA", "Local")];
        let variables = variables.map(|(name, at)| (name.to_owned(), home.join("AppData").join(at))).into();
        let machine = Machine { platform, home, variables, path: Vec::new() };
        Self { folder, machine }
    }

    fn ledger(&self) -> Ledger {
        Ledger::open(&self.ledger_folder()).expect("a ledger")
    }

    fn ledger_folder(&self) -> PathBuf {
        self.folder.path().join("deskgate")
    }

    fn file(&self, assistant: &str) -> PathBuf {
        named(assistant).file(&self.machine).expect("a file")
    }

    /// Writes what the assistant has already.
    fn write(&self, assistant: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let file = self.file(assistant);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(&file, text).expect("written");
        file
    }

    fn read(&self, assistant: &str) -> String {
        String::from_utf8(std::fs::read(self.file(assistant)).expect("a file")).expect("text")
    }

    fn connect(&self, assistant: &str, server: &str) -> Result<(), Fault> {
        self.connect_to(assistant, &target(server))
    }

    fn connect_to(&self, assistant: &str, target: &Target) -> Result<(), Fault> {
        let mut ledger = self.ledger();
        match connect(&self.machine, named(assistant), target, &ledger)? {
            Connection::Already { .. } => Ok(()),
            Connection::Change(change) => change.apply(&mut ledger),
        }
    }

    /// What connecting would change now.
    fn connecting(&self, assistant: &str, server: &str) -> Change {
        match connect(&self.machine, named(assistant), &target(server), &self.ledger()).expect("possible") {
            Connection::Change(change) => change,
            Connection::Already { .. } => panic!("it is connected already"),
        }
    }

    /// What disconnecting would change now.
    fn disconnecting(&self, assistant: &str, server: &str) -> Change {
        let undone = disconnect(&self.machine, named(assistant), server, &self.ledger());
        let (Undone::Gone(change) | Undone::Change(change)) = undone.expect("possible");
        change
    }

    /// Whether the file is as before, byte for byte.
    fn disconnect(&self, assistant: &str, server: &str) -> Result<bool, Fault> {
        let mut ledger = self.ledger();
        let (Undone::Gone(change) | Undone::Change(change)) =
            disconnect(&self.machine, named(assistant), server, &ledger)?;
        change.apply(&mut ledger)?;
        Ok(change.exact)
    }

    /// The names of the entries that lead to Deskgate, each with its virtual server.
    fn connected(&self, assistant: &str) -> Vec<(String, String)> {
        let found = assistants::find(&self.machine);
        let found = found.into_iter().find(|it| it.assistant.id == assistant).expect("known");
        assert!(found.trouble.is_none(), "{:?}", found.trouble);
        found.connected.into_iter().map(|(name, reached)| (name, reached.server)).collect()
    }
}

fn named(id: &str) -> &'static Assistant {
    Assistant::named(id).expect("known")
}

fn target(server: &str) -> Target {
    Target {
        server: server.parse().expect("an id"),
        url: Url::parse(&format!("http://127.0.0.1:7717/s/{server}/mcp")).expect("a URL"),
        bridge: ["/opt/deskgate/deskgate", "bridge", server].map(str::to_owned).to_vec(),
    }
}

/// The same at the address that it has once Deskgate listens elsewhere.
fn moved(server: &str) -> Target {
    let mut moved = target(server);
    moved.url.set_port(Some(7718)).expect("a port");
    moved
}

/// Every file and folder below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("readable").flatten() {
        found.push(entry.path());
        if entry.path().is_dir() {
            found.extend(below(&entry.path()));
        }
    }
    found.sort();
    found
}
