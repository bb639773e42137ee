//! What administrators stop beside the policies.

use std::sync::Arc;

use model::{ForPerson as _, Subject, Timestamp};
use org_protocol::{Halt, HaltTarget, Halts};
use policy::{DenialKind, PERSONAL, Policy};
use proptest::prelude::*;

use crate::desk::{circumstance, decide, desk, id, listed, server, user};

fn halts(targets: &[HaltTarget]) -> Arc<Halts> {
    let halt = |(id, target): (u64, &HaltTarget)| Halt {
        id,
        target: target.clone(),
        subjects: [].into(),
        since: Timestamp::from_seconds(0),
        reason: "It leaks".to_owned(),
    };
    Arc::new(Halts::new((1..).zip(targets).map(halt).collect()))
}

fn ann() -> Subject {
    user("ann", &["analysts"])
}

fn policy() -> Policy {
    desk().policy(PERSONAL)
}

const CALLS: [(&str, &str); 4] = [
    ("analyst files/read_file", r#"{"path": "a"}"#),
    ("analyst files/write_file", r#"{"path": "a", "content": "b"}"#),
    ("analyst mail/search", r#"{"query": "a"}"#),
    ("analyst warehouse/execute_sql", r#"{"sql": "select 1"}"#),
];

fn targets() -> [(HaltTarget, &'static [usize]); 7] {
    let credential = |id: &str| HaltTarget::Credential { credential: id.parse().expect("an id") };
    [
        (HaltTarget::User { person: "ann".to_owned() }, &[0, 1, 2, 3]),
        (HaltTarget::User { person: "bob".to_owned() }, &[]),
        (HaltTarget::Assistant { client: circumstance().client_id }, &[0, 1, 2, 3]),
        (HaltTarget::Connector { connector: id("files") }, &[0, 1]),
        (HaltTarget::Tool { connector: id("files"), tool: "write_file".parse().expect("a tool") }, &[1]),
        // It is the one that the call would be made with; another that is permitted too is not taken in its place.
        (credential("warehouse-finance"), &[3]),
        (credential("warehouse-analyst"), &[]),
    ]
}

#[test]
fn what_is_stopped_is_refused_with_words_and_not_listed() {
    let policy = policy();
    for (target, hit) in targets() {
        let halted = policy.halted_by(halts(std::slice::from_ref(&target)));
        let shown = listed(&halted, &ann(), "analyst");
        for (place, (call, arguments)) in CALLS.iter().enumerate() {
            let decided = decide(&halted, &ann(), call, arguments);
            let name = call.split(' ').nth(1).expect("a tool");
            assert_eq!(shown.contains(&name.to_owned()), !hit.contains(&place), "{target}: {call}");
            match decided {
                Ok(_) => assert!(!hit.contains(&place), "{target}: {call}"),
                Err(denial) => {
                    assert!(hit.contains(&place), "{target}: {call}");
                    assert_eq!((denial.kind(), denial.is_hidden()), (DenialKind::Halted, false));
                    assert_eq!(
                        denial.rules().iter().map(ToString::to_string).collect::<Vec<_>>(),
                        ["halt:1"]
                    );
                    assert_eq!(denial.advice().code, "halted");
                    let words = format!("An administrator has stopped {target}: It leaks.");
                    assert_eq!(denial.outside_text(), words);
                }
            }
        }
    }
}

#[test]
fn whoever_is_stopped_sees_no_server_and_it_goes_on_afterwards() {
    let policy = policy();
    let halted = policy.halted_by(halts(&[HaltTarget::User { person: "ann".to_owned() }]));
    assert!(halted.visible_servers(&ann(), &circumstance()).is_empty());
    assert!(!halted.viewer(&ann(), &server("analyst"), &circumstance()).shows_prompt(&id("files"), "x"));
    let lifted = halted.halted_by(halts(&[]));
    assert_eq!(
        lifted.visible_servers(&ann(), &circumstance()),
        policy.visible_servers(&ann(), &circumstance())
    );
    assert_eq!(listed(&lifted, &ann(), "analyst"), listed(&policy, &ann(), "analyst"));
}

#[test]
fn a_halt_tells_nobody_of_what_they_may_not_see() {
    let policy = desk().policy(
        r#"@id("a") permit (principal, action, resource) unless { resource in Connector::"warehouse" };"#,
    );
    let halted = policy.halted_by(halts(&[HaltTarget::Connector { connector: id("warehouse") }]));
    let denial = decide(&halted, &ann(), "analyst warehouse/execute_sql", "{}").expect_err("no permit");
    assert!(denial.is_hidden());
    assert_eq!(denial.kind(), DenialKind::NoPermit);
}

#[test]
fn a_call_under_way_is_stopped_by_what_it_reaches() {
    let policy = policy();
    for (target, hit) in targets() {
        let halted = policy.halted_by(halts(std::slice::from_ref(&target)));
        for (place, (call, arguments)) in CALLS.iter().enumerate() {
            let reach = decide(&policy, &ann(), call, arguments).expect("permitted").reach();
            let stopped = halted.stops(&reach, &ann(), &circumstance()).is_some();
            assert_eq!(stopped, hit.contains(&place), "{target}: {call}");
            assert!(policy.stops(&reach, &ann(), &circumstance()).is_none());
        }
    }
}

proptest! {
    /// Whatever is stopped: nothing is permitted or listed that was not before, and listed is what is not refused.
    #[test]
    fn halts_only_ever_take_away(chosen in prop::collection::vec(any::<bool>(), 7)) {
        let policy = policy();
        let chosen: Vec<HaltTarget> = targets()
            .into_iter()
            .zip(chosen)
            .filter_map(|((target, _), taken)| taken.then_some(target))
            .collect();
        let halted = policy.halted_by(halts(&chosen));
        let (before, after) = (listed(&policy, &ann(), "analyst"), listed(&halted, &ann(), "analyst"));
        prop_assert!(after.iter().all(|tool| before.contains(tool)));
        for (call, arguments) in CALLS {
            let name = call.split(' ').nth(1).expect("a tool").to_owned();
            let permitted = decide(&halted, &ann(), call, arguments).is_ok();
            prop_assert!(!permitted || decide(&policy, &ann(), call, arguments).is_ok());
            prop_assert_eq!(permitted, after.contains(&name));
        }
    }
}
