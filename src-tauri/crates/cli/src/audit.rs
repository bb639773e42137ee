//! `deskgate audit`: reads the journal's files; works whether or not the gateway runs.

use std::collections::{BTreeMap, VecDeque};
use std::process::ExitCode;

use ::audit::{AuditRecord, Fate, Fates, NoteKey, Position};
use controller::app::Home;
use model::Advice;

/// Checks the journal. Fails when anything was found.
pub(crate) fn verify(home: &Home, key: Option<&NoteKey>, json: bool) -> ExitCode {
    let report = match key {
        None => ::audit::verify(&home.journal()),
        Some(key) => ::audit::verify_signed(&home.journal(), key),
    };
    let report = match report {
        Ok(report) => report,
        Err(fault) => return crate::fail(&unreadable(&fault)),
    };
    if json {
        match serde_json::to_string(&report) {
            Ok(text) => println!("{text}"),
            Err(fault) => return crate::fail(&unreadable(&fault)),
        }
    } else {
        println!("{report}");
    }
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How many records are read at once.
const CHUNK: usize = 1000;

/// Prints the last records.
pub(crate) fn tail(home: &Home, count: usize) -> ExitCode {
    let mut last = Last::new(count);
    let read = each(home, |record| last.push(record.line().to_owned()));
    last.print();
    read
}

/// Prints the last records that the organisation receives, as they are sent.
pub(crate) fn sent(home: &Home, count: usize, json: bool) -> ExitCode {
    let fates = match Fates::read(&home.journal()) {
        Ok(fates) => fates,
        Err(fault) => return crate::fail(&unreadable(&fault)),
    };
    let mut last = Last::new(count);
    let mut sums = Sums::default();
    let read = each(home, |record| {
        let (org, fate) = fates.of(record);
        sums.count(org, fate);
        if fate != Fate::Stays {
            let word = if json { "" } else { word(fate) };
            last.push(format!("{word}{}", record.line()));
        }
    });
    last.print();
    if !json {
        println!("{sums}");
    }
    read
}

/// The last lines of many.
struct Last {
    count: usize,
    lines: VecDeque<String>,
}

impl Last {
    fn new(count: usize) -> Self {
        Self { count, lines: VecDeque::new() }
    }

    fn push(&mut self, line: String) {
        self.lines.push_back(line);
        if self.lines.len() > self.count {
            self.lines.pop_front();
        }
    }

    fn print(&self) {
        self.lines.iter().for_each(|line| println!("{line}"));
    }
}

fn word(fate: Fate) -> &'static str {
    match fate {
        Fate::Stays => "stays     ",
        Fate::Waits => "waits     ",
        Fate::Received => "received  ",
        Fate::Collected => "collected ",
        Fate::Refused => "refused   ",
    }
}

/// How many records there are of each fate.
#[derive(Default)]
struct Sums {
    orgs: BTreeMap<String, BTreeMap<Fate, u64>>,
    own: u64,
}

impl Sums {
    fn count(&mut self, org: Option<&str>, fate: Fate) {
        let count = match org {
            None => &mut self.own,
            Some(org) => self.orgs.entry(org.to_owned()).or_default().entry(fate).or_default(),
        };
        *count = count.saturating_add(1);
    }
}

impl std::fmt::Display for Sums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (org, sums) in &self.orgs {
            let of = |fate| sums.get(&fate).copied().unwrap_or_default();
            let received = of(Fate::Received).saturating_add(of(Fate::Collected));
            let waits = of(Fate::Waits);
            write!(f, "{org} has received {received} of the records here; {waits} wait to be sent")?;
            match of(Fate::Refused) {
                0 => f.write_str(".\n")?,
                refused => writeln!(f, "; {refused} it could not read, and they stay here.")?,
            }
        }
        write!(f, "{} records are your own and stay on this computer.", self.own)
    }
}

/// Prints every record.
pub(crate) fn export(home: &Home) -> ExitCode {
    each(home, |record| println!("{}", record.line()))
}

fn each(home: &Home, mut take: impl FnMut(&AuditRecord)) -> ExitCode {
    let mut position = Position::default();
    loop {
        match ::audit::export(&home.journal(), position, CHUNK) {
            Ok(records) if records.is_empty() => return ExitCode::SUCCESS,
            Ok(records) => {
                for record in records {
                    take(&record);
                    position = Position { epoch: record.link().epoch, seq: record.link().seq };
                }
            }
            Err(fault) => return crate::fail(&unreadable(&fault)),
        }
    }
}

fn unreadable(fault: &dyn std::fmt::Display) -> Advice {
    Advice::new(
        "journal-unreadable",
        format!("The audit journal cannot be read: {fault}."),
        "",
        "Check that the folder is the right one and belongs to you.",
    )
}
