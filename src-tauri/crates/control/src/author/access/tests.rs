//! Gains and losses of the example organisation's people and groups.

use model::DeviceId;

use super::*;
use crate::author::{check, init};

fn content(more: &str) -> Content {
    let dir = tempfile::tempdir().expect("a directory");
    let org = dir.path().join("org");
    init(&org, "example").expect("writes the example");
    std::fs::remove_dir_all(org.join("tests")).expect("the example has tests");
    std::fs::write(org.join("policies/more.cedar"), more).expect("writes");
    check(&org).unwrap_or_else(|faults| panic!("{}", faults[0]))
}

fn person(email: &str, groups: &[&str]) -> KnownPerson {
    let mut subject = Subject::local(email);
    subject.email = Some(email.to_owned());
    subject.groups = groups.iter().map(ToString::to_string).collect();
    KnownPerson { device: DeviceId::new(), subject }
}

fn told(before: &str, after: &str, people: &[KnownPerson]) -> String {
    let now = Timestamp::from_seconds(1_795_000_000);
    let change = access_change(&content(before), &content(after), people, now);
    change.expect("both can be asked").to_string()
}

const NO_READING: &str = "@id(\"no-reading\")\nforbid (principal in Group::\"interns\", action == Action::\"files/read_text_file\", resource);\n";
const GUESTS: &str = "@id(\"guests\")\npermit (principal in Group::\"guests\", action in [Action::\"see_server\", Action::\"expose_connector\", Action::\"files/read_text_file\"], resource in Server::\"office\");\n";

#[test]
fn people_who_gain_or_lose_are_told_by_name_and_those_alike_together() {
    let people = [
        person("ann@example.test", &["staff", "interns"]),
        person("bob@example.test", &["staff", "interns"]),
        person("eve@example.test", &["staff"]),
        person("gus@example.test", &["guests"]),
    ];
    assert_eq!(told("", "", &people), "None of the 4 people who are known gains or loses anything.");
    assert_eq!(
        told("", &format!("{NO_READING}{GUESTS}"), &people),
        "Who gains and loses, of 4 people who are known:\n  \
         ann@example.test, bob@example.test\n    loses office: files/read_text_file\n  \
         gus@example.test\n    gains office: files/read_text_file\n    gains virtual server office"
    );
}

#[test]
fn where_nobody_is_known_the_groups_that_either_names_are_asked_of() {
    let text = told(GUESTS, NO_READING, &[]);
    assert_eq!(
        text,
        "Who gains and loses, by the groups that policies name:\n  \
         whoever is in guests alone\n    loses office: files/read_text_file\n    loses virtual server office"
    );
}

#[test]
fn a_person_who_is_told_apart_by_the_device_has_what_any_device_shows() {
    let ann = person("ann@example.test", &["guests"]);
    let other = KnownPerson { device: DeviceId::new(), ..ann.clone() };
    let here = GUESTS.replace(
        ");\n",
        &format!(")\nwhen {{ context has device && context.device == \"{}\" }};\n", ann.device),
    );
    assert!(told("", &here, &[ann, other.clone()]).contains("gains virtual server office"));
    assert_eq!(told("", &here, &[other]), "None of the 1 people who are known gains or loses anything.");
}

#[test]
fn other_conditions_on_arguments_are_told_of_the_tool() {
    let limit = |pattern: &str| {
        format!(
            "@id(\"some\")\nforbid (principal, action == Action::\"files/read_text_file\", resource)\nwhen {{ context.input.path like \"{pattern}\" }};\n"
        )
    };
    let text = told(&limit("*secret*"), &limit("*s*"), &[]);
    assert!(text.starts_with("Nobody gains or loses anything, by the groups that policies name."), "{text}");
    assert!(
        text.ends_with("Other policies judge the arguments of:\n  office: files/read_text_file (some)"),
        "{text}"
    );
    assert!(!told(&limit("*s*"), &limit("*s*"), &[]).contains("Other policies"));
    assert!(told("", &limit("*s*"), &[]).contains("(some)"), "one that is new");
}

#[test]
fn that_a_person_is_asked_is_told() {
    let asked = "@id(\"asked\")\n@approval\nforbid (principal in Group::\"staff\", action == Action::\"files/read_text_file\", resource);\n";
    let people = [person("eve@example.test", &["staff"])];
    assert_eq!(
        told("", asked, &people),
        "Who gains and loses, of 1 people who are known:\n  eve@example.test\n    \
         gains office: files/read_text_file, asking a person\n    loses office: files/read_text_file"
    );
}
