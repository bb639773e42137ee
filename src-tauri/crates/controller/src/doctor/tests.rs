use std::sync::Arc;

use managed::{Managed, Raw, Value};
use model::{Advice, ListeningProcess, Timestamp};
use os::{FolderState, Service};

use super::*;
use crate::state::{AppState, Freshness, Link, Mode, Organisation, PolicyState, Session};

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

/// A desk at which all is well and nothing runs.
fn well() -> Looked {
    let folder = FolderState { own: true, open_to_others: false, writable: true, free: Some(50_000_000_000) };
    Looked {
        now: NOW,
        version: "1.2.3".to_owned(),
        home: "/home/ada/deskgate".to_owned(),
        folder: FolderFound::There(folder),
        instance: Instance::None,
        port: PortFound::Free(7717),
        keychain: Some(KeychainState::Available),
        machine: None,
        settings: None,
        organisation: None,
        records: RecordsFound::Checked { bytes: 4_000, records: 12, undelivered: 0, faults: Vec::new() },
        quota: Some(512_000_000),
        programs: Vec::new(),
        session: Some((Service::Running, Service::OnDemand)),
        autostart: Autostart::Off,
        browser: (true, Some("xdg-open".to_owned())),
        proxies: Vec::new(),
        proxies_spare_this_computer: false,
        state: None,
    }
}

fn running() -> Looked {
    let mut state = AppState::starting(true);
    state.session = Session::Local { label: "ada".to_owned() };
    state.address = Some("http://127.0.0.1:7717".to_owned());
    let (version, digest) = ("personal".to_owned(), "sha256:0".to_owned());
    state.policy = Some(PolicyState { version, digest, since: NOW, freshness: Freshness::Own });
    let port = PortFound::Ours("http://127.0.0.1:7717".to_owned());
    Looked { instance: Instance::This, port, state: Some(Arc::new(state)), ..well() }
}

fn with_state(change: impl FnOnce(&mut AppState)) -> Looked {
    let mut looked = running();
    if let Some(state) = &mut looked.state {
        change(Arc::make_mut(state));
    }
    looked
}

fn check(looked: &Looked, name: &str) -> Check {
    let examination = examine(looked);
    let found = examination.checks.iter().find(|check| check.name == name).cloned();
    found.unwrap_or_else(|| panic!("no check {name} in {examination}"))
}

fn state(looked: &Looked, name: &str) -> CheckState {
    check(looked, name).state
}

#[test]
fn where_all_is_well_nothing_is_a_problem() {
    for looked in [well(), running()] {
        let examination = examine(&looked);
        assert!(examination.is_well(), "{examination}");
        for check in &examination.checks {
            assert!(!check.found.is_empty() && !check.title.is_empty(), "{check:?}");
        }
    }
    assert_eq!(state(&well(), "instance"), CheckState::Note);
    assert_eq!(state(&well(), "policy"), CheckState::NotChecked, "only a running one knows");
}

#[test]
fn every_problem_says_what_to_do_or_what_it_means() {
    let folder = |change: &dyn Fn(&mut FolderState)| {
        let mut folder =
            FolderState { own: true, open_to_others: false, writable: true, free: Some(50_000_000_000) };
        change(&mut folder);
        Looked { folder: FolderFound::There(folder), ..well() }
    };
    let program = |found| ProgramFound {
        connector: "files".to_owned(),
        title: "Files".to_owned(),
        program: "mcp-files".to_owned(),
        found,
    };
    let faults = vec!["record 3 was changed".to_owned()];
    let advice = Advice::new("managed-closed", "IT has set nobody.", "No call is made.", "Tell IT.");
    let problems = [
        ("folder", folder(&|it| it.own = false)),
        ("folder", folder(&|it| it.writable = false)),
        ("folder", folder(&|it| it.free = Some(1_000))),
        ("folder", Looked { folder: FolderFound::Unusable("not a directory".to_owned()), ..well() }),
        ("instance", Looked { instance: Instance::Silent { pid: Some(7) }, ..well() }),
        ("port", Looked { port: PortFound::Taken { port: 7717, holder: None }, ..well() }),
        ("port", Looked { port: PortFound::Refused { port: 7717, why: "no".to_owned() }, ..well() }),
        ("keychain", Looked { keychain: Some(KeychainState::Locked), ..well() }),
        ("managed", Looked { machine: Some(advice.clone()), ..well() }),
        ("organisation", Looked { machine: Some(advice.clone()), ..well() }),
        ("settings", Looked { settings: Some(advice.clone()), ..well() }),
        ("records", Looked { records: RecordsFound::Unreadable("no".to_owned()), ..well() }),
        (
            "records",
            Looked {
                records: RecordsFound::Checked { bytes: 1, records: 9, undelivered: 0, faults },
                ..well()
            },
        ),
        ("connector:files", Looked { programs: vec![program(false)], ..well() }),
        ("browser", Looked { browser: (true, None), ..well() }),
        (
            "proxy",
            Looked {
                proxies: vec![ProxyFound { variable: "HTTP_PROXY".to_owned(), address: None }],
                ..well()
            },
        ),
        (
            "policy",
            with_state(|it| it.policy.as_mut().unwrap().freshness = Freshness::DenyAll(advice.clone())),
        ),
        (
            "journal-failed",
            with_state(|it| {
                it.faults.insert(
                    "journal-failed".to_owned(),
                    Advice { code: "journal-failed".to_owned(), ..advice.clone() },
                );
            }),
        ),
    ];
    for (name, looked) in problems {
        let check = check(&looked, name);
        assert_eq!(check.state, CheckState::Problem, "{check:?}");
        assert!(!check.means.is_empty() || !check.todo.is_empty(), "{check:?}");
        assert!(!examine(&looked).is_well());
    }
    assert!(examine(&Looked { programs: vec![program(true)], ..well() }).is_well());
}

#[test]
fn whoever_has_the_port_is_named_with_the_way_out() {
    let holder = ListeningProcess { pid: 4711, executable: "/usr/bin/python3".to_owned(), user_id: 1000 };
    let found =
        check(&Looked { port: PortFound::Taken { port: 7717, holder: Some(holder) }, ..well() }, "port");
    assert!(found.found.contains("python3 (process 4711, /usr/bin/python3) uses port 7717"), "{found:?}");
    assert!(found.todo.contains("deskgate port --move"), "{found:?}");
    let silent = Looked {
        instance: Instance::Silent { pid: None },
        port: PortFound::Taken { port: 7717, holder: None },
        ..well()
    };
    assert_eq!(state(&silent, "port"), CheckState::NotChecked, "it may be Deskgate's own");
}

#[test]
fn an_organisation_is_told_with_its_clock_and_its_contact() {
    let at = |clock| {
        let address = "https://gate.acme.test/".parse().unwrap();
        let mut looked = with_state(|state| {
            state.mode = Mode::Managed(Box::new(Organisation {
                name: "Acme".to_owned(),
                support_url: None,
                config_url: None,
                fingerprint: None,
                confirmed: true,
            }));
            state.link = Link::Offline { since: NOW };
            state.session = Session::SignedOut;
        });
        looked.organisation = Some(OrganisationFound { address, set_by_it: true, clock });
        looked
    };
    let good = at(ServerClock::Ahead(-3));
    assert!(check(&good, "organisation").found.starts_with("Acme, at https://gate.acme.test/"));
    assert_eq!(state(&good, "clock"), CheckState::Ok);
    assert_eq!(state(&good, "contact"), CheckState::Note);
    assert_eq!(state(&good, "sign-in"), CheckState::Problem);
    let wrong = check(&at(ServerClock::Ahead(-7_200)), "clock");
    assert_eq!(
        (wrong.state, wrong.found.contains("2 hours behind")),
        (CheckState::Problem, true),
        "{wrong:?}"
    );
    assert_eq!(state(&at(ServerClock::Silent("no route".to_owned())), "organisation"), CheckState::Note);
}

#[test]
fn autostart_that_it_wants_and_that_is_missing_is_a_problem() {
    let flag = Raw { name: "Autostart".to_owned(), value: Value::Flag(true), from: "a test".to_owned() };
    let managed = Managed::parse("a test", [flag]).unwrap().map(Arc::new);
    let looked = with_state(|state| state.managed = managed);
    assert_eq!(state(&looked, "autostart"), CheckState::Problem);
    assert_eq!(state(&running(), "autostart"), CheckState::Ok);
}

#[test]
fn proxies_that_may_hide_this_computer_are_noted() {
    let proxy = ProxyFound { variable: "HTTP_PROXY".to_owned(), address: Some("proxy.test:3128".to_owned()) };
    let looked = Looked { proxies: vec![proxy], ..well() };
    assert_eq!(state(&looked, "proxy"), CheckState::Note);
    assert_eq!(state(&Looked { proxies_spare_this_computer: true, ..looked }, "proxy"), CheckState::Ok);
}

#[test]
fn a_command_of_another_version_says_so_and_the_text_counts() {
    let examination = examine(&Looked { keychain: Some(KeychainState::Absent), ..well() }).asked_by("9.9.9");
    let version = examination.checks.last().unwrap();
    assert_eq!(version.state, CheckState::Note, "{version:?}");
    let text = examination.to_string();
    assert!(text.contains("\n1 problem, 2 notes. "), "{text}");
    assert!(text.contains("→ Start a keychain service"), "{text}");
    assert_eq!(examine(&well()).asked_by("1.2.3"), examine(&well()));
}

#[test]
fn the_words_are_no_protocol_s() {
    let text = examine(&running()).to_string().to_lowercase() + &examine(&well()).to_string().to_lowercase();
    for jargon in ["upstream", "oauth", "json-rpc", "dbus", "socket", "journal", "bundle", "cedar", "mcp"] {
        assert!(!text.contains(jargon), "{jargon}: {text}");
    }
}
