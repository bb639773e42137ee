//! Consents that are remembered, so that an assistant that signs in again need not ask again.
//!
//! A client id and a name are claims, and so is a redirect URI: any program can send them. A consent is therefore
//! remembered for the executable that was shown to the person, and only if that executable runs nobody else's code.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use model::{Digest, ListeningProcess, ServerId, Subject, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ledger::{FORMAT, Ledger};
use crate::{Event, RecordKind, StoreFault};

/// Programs that run what they are given, or listen for others: their path says nothing about who asks.
const HOSTS_OF_OTHERS: &[&str] = &[
    "ash",
    "bash",
    "bun",
    "busybox",
    "cmd",
    "cscript",
    "csh",
    "dash",
    "deno",
    "docker-proxy",
    "dotnet",
    "electron",
    "fish",
    "gjs",
    "guile",
    "java",
    "javaw",
    "ksh",
    "lua",
    "luajit",
    "mono",
    "nc",
    "ncat",
    "netcat",
    "node",
    "nodejs",
    "osascript",
    "perl",
    "php",
    "powershell",
    "pwsh",
    "pypy",
    "python",
    "pythonw",
    "qjs",
    "rootlessport",
    "ruby",
    "sh",
    "slirp",
    "socat",
    "ssh",
    "sshd",
    "systemd",
    "tclsh",
    "uv",
    "wish",
    "wscript",
    "wslhost",
    "wslrelay",
    "zsh",
];

/// Who may use what, through which program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Consented {
    format: u32,
    client_id: String,
    server: ServerId,
    subject_issuer: String,
    subject: String,
    /// Without its port.
    redirect: String,
    executable: String,
    given: Timestamp,
}

impl Consented {
    /// The consent that could be remembered; `None` where the program is unknown or runs others' code.
    pub(crate) fn of(
        client_id: &str,
        server: &ServerId,
        subject: &Subject,
        redirect: String,
        process: Option<&ListeningProcess>,
        given: Timestamp,
    ) -> Option<Self> {
        let executable =
            process.map(|process| process.executable.clone()).filter(|path| speaks_for_itself(path))?;
        Some(Self {
            format: FORMAT,
            client_id: client_id.to_owned(),
            server: server.clone(),
            subject_issuer: subject.issuer.clone(),
            subject: subject.subject.clone(),
            redirect,
            executable,
            given,
        })
    }

    fn key(&self) -> Digest {
        Digest::of_parts(&[
            self.client_id.as_bytes(),
            self.server.as_str().as_bytes(),
            self.subject_issuer.as_bytes(),
            self.subject.as_bytes(),
            self.redirect.as_bytes(),
            self.executable.as_bytes(),
        ])
    }

    pub(crate) fn is_of_client(&self, client_id: &str) -> bool {
        self.client_id == client_id
    }

    pub(crate) fn is_for(&self, server: &ServerId) -> bool {
        self.server == *server
    }

    pub(crate) fn is_of(&self, subject: &Subject) -> bool {
        self.subject_issuer == subject.issuer && self.subject == subject.subject
    }
}

/// The remembered consents.
pub(crate) struct Consents {
    ledger: Ledger,
    known: RwLock<BTreeMap<Digest, Consented>>,
}

impl Consents {
    /// None yet.
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self { ledger, known: RwLock::default() }
    }

    /// Takes up what the store holds, beside what is known.
    pub(crate) async fn read(&self) {
        let stored = self.ledger.load::<Consented>(RecordKind::Consent).await;
        let stored = stored.into_iter().map(|(_, consented)| (consented.key(), consented));
        self.known.write().unwrap_or_else(PoisonError::into_inner).extend(stored);
    }

    pub(crate) fn holds(&self, consented: &Consented) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).contains_key(&consented.key())
    }

    pub(crate) async fn remember(&self, consented: Consented) -> Result<(), StoreFault> {
        let key = consented.key();
        self.ledger.put(RecordKind::Consent, key.hex(), &consented).await?;
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(key, consented);
        Ok(())
    }

    /// Forgets all consents that `chosen` names: at once in memory, then in the store.
    pub(crate) async fn forget(&self, chosen: impl Fn(&Consented) -> bool) -> Result<(), StoreFault> {
        let mut forgotten = Vec::new();
        self.known.write().unwrap_or_else(PoisonError::into_inner).retain(|key, consented| {
            let leaves = chosen(consented);
            if leaves {
                forgotten.push((*key, consented.client_id.clone(), consented.server.clone()));
            }
            !leaves
        });
        let mut outcome = Ok(());
        for (key, client_id, server) in forgotten {
            self.ledger.report(Event::ConsentForgotten { client_id, server });
            outcome = self.ledger.delete(RecordKind::Consent, key.hex()).await.and(outcome);
        }
        outcome
    }
}

/// Whether the program at a path answers for what it does, rather than running what others give it.
fn speaks_for_itself(executable: &str) -> bool {
    let file = executable.rsplit(['/', '\\']).next().unwrap_or(executable).to_ascii_lowercase();
    let stem = file.strip_suffix(".exe").unwrap_or(&file);
    let bare = stem.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '_'));
    !bare.is_empty() && !HOSTS_OF_OTHERS.contains(&bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_that_run_others_code_are_known_by_name() {
        for path in [
            "/usr/bin/node",
            "/usr/bin/python3.11",
            "/opt/node-v22/bin/node22",
            "C:\\Program Files\\nodejs\\node.exe",
            "/usr/bin/perl5.36",
            "/bin/bash",
            "/usr/lib/systemd/systemd",
            "/usr/bin/ssh",
            "",
            "/",
            "/usr/bin/3",
            "C:\\Windows\\System32\\CMD.EXE",
        ] {
            assert!(!speaks_for_itself(path), "{path}");
        }
        for path in
            ["/opt/claude/bin/claude", "/usr/local/bin/codex", "/usr/share/code/code", "C:\\x\\Cursor.exe"]
        {
            assert!(speaks_for_itself(path), "{path}");
        }
    }
}
