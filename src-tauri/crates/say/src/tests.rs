use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use fluent_bundle::{FluentResource, FluentValue};

use super::MESSAGES;
use super::catalogue::{SOURCE, said};

/// Every way in which plurals differ.
const COUNTS: [usize; 4] = [0, 1, 2, 5];

fn given<'a>(variables: &[(&'a str, &str)], count: usize) -> Vec<(&'a str, FluentValue<'a>)> {
    let value = |kind| match kind {
        "usize" => FluentValue::from(count),
        _ => FluentValue::from("some <text>"),
    };
    variables.iter().map(|(name, kind)| (*name, value(*kind))).collect()
}

#[test]
fn the_whole_catalogue_can_be_read() {
    let faults = FluentResource::try_new(SOURCE.to_owned()).err().map(|(_, faults)| faults);
    assert_eq!(faults, None);
}

#[test]
fn every_message_is_said_with_just_its_variables() {
    for (message, variables) in MESSAGES {
        for count in COUNTS {
            let text = said(message, &given(variables, count));
            assert!(text.as_ref().is_ok_and(|text| !text.contains(['{', '}'])), "{message}: {text:?}");
        }
        for at in 0..variables.len() {
            let mut fewer = variables.to_vec();
            let (name, _) = fewer.remove(at);
            let is_missed = COUNTS.iter().any(|count| said(message, &given(&fewer, *count)).is_err());
            assert!(is_missed, "{message} does not say ${name}");
        }
    }
}

#[test]
fn a_message_that_is_not_there_is_told() {
    assert!(said("no_such_message", &[]).is_err());
    assert_eq!(super::catalogue::say("no_such_message", &[]), "no-such-message");
}

#[test]
fn plurals_are_those_of_english() {
    assert_eq!(super::summary_ready(1, 3), "Ready. 1 assistant, 3 connectors.");
    assert_eq!(super::tray_audit_to_send(1200, 7), "Audit: 1200 records, 7 still to be sent");
    assert!(super::farewell_stays_assistants(0).starts_with("Assistants that you let in stay"));
    assert!(super::farewell_stays_assistants(1).starts_with("Your assistant stays"));
}

#[test]
fn every_message_is_said_somewhere() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut text = String::new();
    for folder in ["src", "crates/controller/src"] {
        read(&source.join(folder), &mut text);
    }
    let name_of =
        |rest: &str| rest.split(|c: char| !c.is_ascii_lowercase() && c != '_').next().map(str::to_owned);
    let said: BTreeSet<_> = text.split("say::").skip(1).filter_map(name_of).collect();
    let unsaid: Vec<_> =
        MESSAGES.iter().map(|(message, _)| *message).filter(|it| !said.contains(*it)).collect();
    assert_eq!(unsaid, [""; 0]);
}

fn read(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, text);
        } else if path.extension().is_some_and(|it| it == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}
