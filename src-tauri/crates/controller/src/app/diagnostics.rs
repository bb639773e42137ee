//! What a person may hand to whoever helps them: collected here, shown to them first, written to one archive by their own word.
//! Nothing is sent anywhere, unless IT asks for it and the person says so (`asked`).
//!
//! No record of a call, no secret and no content of settings is collected, only what they are about; whatever is collected passes
//! the [`Redaction`] all the same.

mod asked;
mod redaction;

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use model::{Advice, Timestamp};
use org_protocol::Transport;
use os::{Clock as _, RotatingFile, SystemClock};
use serde::Serialize;
use serde_json::{Map, Value};

use super::home::Home;
use super::machine::Machine;
use super::program_log;
use super::settings::Settings;
use super::socket::{Client, Command, Report};
use crate::doctor::Examination;
use crate::words;
pub use asked::AskedDiagnostics;
pub(crate) use asked::AskedParts;
use redaction::Redaction;

/// The version of what is in the archive.
const FORMAT: u32 = 1;
/// How much of the log is taken, in bytes, from its end.
const MOST_LOG: u64 = 256 * 1024;
/// Records of more bytes are not looked through.
const MOST_RECORDS: u64 = 64 * 1024 * 1024;
/// What is taken of a running gateway's status: neither people nor calls.
const OF_STATUS: [&str; 8] =
    ["status", "status_word", "manager", "offline_since", "paused", "policy", "audit", "address"];
/// What is taken of each of its connectors.
const OF_CONNECTOR: [&str; 7] = ["id", "runs", "credential", "status", "tools", "list", "silent_since"];

/// Everything that would be handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    at: Timestamp,
    entries: Vec<Entry>,
}

/// One file of it, as plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the archive.
    pub name: &'static str,
    /// What it is, in words.
    pub about: &'static str,
    /// What is in it.
    pub text: String,
}

impl Diagnostics {
    /// Collects it. `examination` is what doctor found.
    ///
    /// # Errors
    /// The words: what is collected could not be looked through for secrets, so none of it is given.
    pub async fn collect(home: &Home, examination: &Examination) -> Result<Self, Advice> {
        let state = state(home).await;
        let (home, examination) = (home.clone(), examination.clone());
        let work = tokio::task::spawn_blocking(move || Self::collected(&home, &examination, state));
        work.await.unwrap_or_else(|_| Err(unclean("the work was broken off")))
    }

    fn collected(home: &Home, examination: &Examination, state: Option<Value>) -> Result<Self, Advice> {
        let machine = Machine::read();
        let redaction = Redaction::of(home, &machine).map_err(|why| unclean(&why))?;
        let entry = |name, about, text: String| Ok(Entry { name, about, text: redaction.clean(&text)? });
        let mut entries = vec![
            entry("doctor.txt", "what \"deskgate doctor\" says", format!("{examination}\n")),
            entry("doctor.json", "the same, for programs", pretty(examination)),
            entry("computer.txt", "version of Deskgate, kind of computer and desktop", computer()),
            entry(
                "settings.txt",
                "which connectors and virtual servers there are, and what IT has set; no values",
                settings(home, &machine),
            ),
            entry(
                "records.json",
                "whether the audit records are whole, and how many there are; none of them",
                records(&home.journal()),
            ),
            entry("deskgate.log", "the end of Deskgate's own log", recent_log(&home.log())),
        ];
        if let Some(state) = &state {
            entries.push(entry(
                "running.json",
                "how the running Deskgate is: policy, connectors; no people, no calls",
                pretty(state),
            ));
        }
        let entries = entries.into_iter().collect::<Result<Vec<_>, String>>().map_err(|why| unclean(&why))?;
        Ok(Self { at: SystemClock.now(), entries })
    }

    /// When it was collected.
    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }

    /// What is in it.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// A name for the archive.
    pub fn file_name(&self) -> String {
        let stamp: String = self.at.to_string().chars().take(19).filter(|c| *c != ':').collect();
        format!("deskgate-diagnostics-{stamp}.tar.gz")
    }

    /// The archive: a folder of plain texts, with the list in front.
    ///
    /// # Errors
    /// Whatever packing says.
    pub fn archive(&self) -> io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        let folder = self.file_name();
        let folder = folder.trim_end_matches(".tar.gz");
        let list = self.to_string();
        let list = [("LIST.txt", list.as_str())];
        for (name, text) in list.into_iter().chain(self.entries.iter().map(|it| (it.name, it.text.as_str())))
        {
            let mut header = tar::Header::new_gnu();
            header.set_size(u64::try_from(text.len()).unwrap_or(u64::MAX));
            header.set_mode(0o600);
            header.set_mtime(u64::try_from(self.at.seconds()).unwrap_or_default());
            archive.append_data(&mut header, format!("{folder}/{name}"), text.as_bytes())?;
        }
        let mut packed = archive.into_inner()?;
        packed.flush()?;
        packed.finish()
    }
}

impl std::fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "Diagnostics of Deskgate (format {FORMAT}), collected at {}", self.at)?;
        for Entry { name, about, text } in &self.entries {
            writeln!(f, "  {name:<14} {:>8} bytes  {about}", text.len())?;
        }
        writeln!(
            f,
            "Not in it: secrets, records of calls, what was called with which arguments, who is signed in where."
        )?;
        writeln!(f, "What looked like a secret was taken out. Paths, and addresses of connectors, are in it.")
    }
}

fn unclean(why: &str) -> Advice {
    Advice::new(
        "diagnostics-unclean",
        format!("What was collected could not be looked through for secrets: {why}."),
        "Nothing was written.",
        "Give whoever helps you what this says instead: deskgate doctor",
    )
}

/// What a running gateway says of itself, without people and calls.
async fn state(home: &Home) -> Option<Value> {
    let Ok(Report::Ok { json: Value::Object(mut all), .. }) =
        Client::new(home.clone()).ask(&Command::Status).await
    else {
        return None;
    };
    let mut taken = Map::new();
    taken.extend(OF_STATUS.iter().filter_map(|name| Some(((*name).to_owned(), all.remove(*name)?))));
    if let Some(Value::Array(connectors)) = all.remove("connectors") {
        let connectors = connectors.into_iter().filter_map(|connector| {
            let Value::Object(mut all) = connector else { return None };
            let known = OF_CONNECTOR.iter().filter_map(|name| Some(((*name).to_owned(), all.remove(*name)?)));
            Some(Value::Object(known.collect()))
        });
        taken.insert("connectors".to_owned(), Value::Array(connectors.collect()));
    }
    Some(Value::Object(taken))
}

fn computer() -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("unknown");
    let set = |name: &str| std::env::var(name).unwrap_or_else(|_| "not set".to_owned());
    format!(
        "Deskgate: {}\nSystem: {} {}, {}\nDesktop: {}, {}\nLanguage: {}\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        name.trim_matches('"'),
        set("XDG_CURRENT_DESKTOP"),
        set("XDG_SESSION_TYPE"),
        set("LANG"),
    )
}

/// What the settings are about: names and kinds, and of addresses only where they lead.
fn settings(home: &Home, machine: &Machine) -> String {
    let mut text = match machine {
        Machine::Free => "IT has set nothing on this computer.\n".to_owned(),
        Machine::Managed(managed) => format!("{}\n", words::machine(managed)),
        Machine::Refused(advice) => format!("What IT has set cannot be used: {advice}\n"),
    };
    let own = match std::fs::read_to_string(home.settings()) {
        Ok(own) => own,
        Err(fault) => return text + &format!("There are no settings of the person's own: {fault}.\n"),
    };
    let own = match Settings::parse(&own) {
        Ok(own) => own,
        Err(wrong) => return text + &format!("There is a mistake in the person's own settings: {wrong}\n"),
    };
    for (id, spec) in &own.connectors {
        let how = match spec.transport() {
            Ok(Transport::Http(url)) => format!("at {}", url.origin().ascii_serialization()),
            Ok(Transport::Stdio { program, arguments }) => format!(
                "the program {program} with {} and {}",
                words::counted(arguments.len(), "argument"),
                words::counted(spec.environment.len(), "variable")
            ),
            Err(fault) => fault.to_string(),
        };
        text.push_str(&format!("Connector {id}: {how}\n"));
    }
    for (id, server) in &own.servers {
        let connectors: Vec<_> = server.connectors.iter().map(ToString::to_string).collect();
        text.push_str(&format!("Virtual server {id}: {}\n", connectors.join(", ")));
    }
    let rules =
        own.policies.as_ref().map_or_else(|| "none".to_owned(), |folder| folder.display().to_string());
    text.push_str(&format!(
        "Rules of the person's own: {rules}\nAnswers in a terminal: {}\n",
        own.answer_in_terminal
    ));
    text.push_str(&format!("Records: {} MiB, {} days\n", own.journal.quota_mib, own.journal.keep_days));
    text
}

fn records(journal: &Path) -> String {
    let size = std::fs::read_dir(journal)
        .map(|entries| entries.flatten().filter_map(|entry| Some(entry.metadata().ok()?.len())).sum::<u64>());
    match size {
        Err(fault) => format!("There are none: {fault}.\n"),
        Ok(bytes) if bytes > MOST_RECORDS => format!("{bytes} bytes; they were not looked through.\n"),
        Ok(_) => match audit::verify(journal) {
            Ok(report) => pretty(&report),
            Err(fault) => format!("{fault}\n"),
        },
    }
}

/// The end of the log, over as many of its files as that takes; whole lines.
fn recent_log(path: &Path) -> String {
    let mut parts = Vec::new();
    let mut room = MOST_LOG;
    for file in RotatingFile::kept(path, program_log::FILES) {
        if room == 0 {
            break;
        }
        let part = end_of(&file, room).unwrap_or_default();
        room = room.saturating_sub(u64::try_from(part.len()).unwrap_or(room));
        parts.push(part);
    }
    parts.into_iter().rev().collect()
}

fn end_of(path: &Path, most: u64) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let size = file.metadata()?.len();
    let skipped = size.saturating_sub(most);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(match text.split_once('\n') {
        Some((_cut, whole)) if skipped > 0 => whole.to_owned(),
        Some(_) | None => text,
    })
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|fault| format!("not readable: {fault}"))
}

#[cfg(test)]
mod tests;
