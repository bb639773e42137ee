//! `deskgate audit`: reads the journal's files; works whether or not the gateway runs.

use std::collections::VecDeque;
use std::process::ExitCode;

use ::audit::NoteKey;
use ::audit::Position;
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
    let mut last = VecDeque::new();
    let read = each(home, |line| {
        last.push_back(line.to_owned());
        if last.len() > count {
            last.pop_front();
        }
    });
    last.iter().for_each(|line| println!("{line}"));
    read
}

/// Prints every record.
pub(crate) fn export(home: &Home) -> ExitCode {
    each(home, |line| println!("{line}"))
}

fn each(home: &Home, mut take: impl FnMut(&str)) -> ExitCode {
    let mut position = Position::default();
    loop {
        match ::audit::export(&home.journal(), position, CHUNK) {
            Ok(records) if records.is_empty() => return ExitCode::SUCCESS,
            Ok(records) => {
                for record in records {
                    take(record.line());
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
