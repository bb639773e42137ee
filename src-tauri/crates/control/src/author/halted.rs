//! What administrators have stopped and the authored folder does not stop yet: so that a halt, which nobody signed, is
//! followed by a bundle that says the same.

use model::Subject;
use org_protocol::{Content, HaltTarget};
use os::Clock as _;
use policy::{Circumstance, Policy};

use super::compile::compile;
use crate::store::{KnownPerson, StandingHalt};

/// Those of the halts to which the content says nothing yet.
///
/// A connector, tool or credential is stopped by a content that does not offer it. A person, device or assistant is, if no
/// virtual server can be seen any more by those who are known: `people`, with what their last sign-in said of them.
pub fn unsaid(halts: &[StandingHalt], people: &[KnownPerson], content: &Content) -> Vec<StandingHalt> {
    // Whoever calls has checked the folder; what does not compile says nothing.
    let policy = compile(content).ok();
    let is_unsaid = |standing: &&StandingHalt| !says(content, policy.as_ref(), people, &standing.halt.target);
    halts.iter().filter(is_unsaid).cloned().collect()
}

fn says(content: &Content, policy: Option<&Policy>, people: &[KnownPerson], target: &HaltTarget) -> bool {
    let sees_nothing = |who: &dyn Fn(&KnownPerson) -> Option<(Subject, Circumstance)>| {
        let mut met = people.iter().filter_map(who).peekable();
        met.peek().is_some()
            && policy.is_some_and(|policy| {
                met.all(|(subject, circumstance)| policy.visible_servers(&subject, &circumstance).is_empty())
            })
    };
    match target {
        HaltTarget::Connector { connector } => {
            !content.servers.values().any(|server| server.connectors.contains(connector))
        }
        HaltTarget::Tool { connector, tool } => {
            !content.servers.values().any(|server| server.offers(connector, tool))
        }
        HaltTarget::Credential { credential } => {
            !content.connectors.values().any(|spec| spec.credential.shared().contains(credential))
        }
        HaltTarget::User { .. } => sees_nothing(&|known| {
            known.is_hit(target).then(|| (known.subject.clone(), circumstance(known, "")))
        }),
        HaltTarget::Device { .. } => sees_nothing(&|known| {
            known.is_hit(target).then(|| (known.subject.clone(), circumstance(known, "")))
        }),
        HaltTarget::Assistant { client } => {
            sees_nothing(&|known| Some((known.subject.clone(), circumstance(known, client))))
        }
        HaltTarget::Unknown => false,
    }
}

fn circumstance(known: &KnownPerson, client: &str) -> Circumstance {
    Circumstance {
        client_id: client.to_owned(),
        client_name: client.to_owned(),
        device: Some(known.device),
        ..Circumstance::of_nobody(os::SystemClock.now())
    }
}

#[cfg(test)]
mod tests {
    use model::{DeviceId, Timestamp};
    use org_protocol::Halt;

    use super::*;
    use crate::author::{check, init};

    fn content(more: &str) -> Content {
        let dir = tempfile::tempdir().expect("a directory");
        let org = dir.path().join("org");
        init(&org, "example").expect("writes the example");
        std::fs::write(org.join("policies/more.cedar"), more).expect("writes");
        check(&org).unwrap_or_else(|faults| panic!("{}", faults[0]))
    }

    fn halt(target: HaltTarget) -> StandingHalt {
        let halt = Halt {
            id: 1,
            target,
            subjects: [].into(),
            since: Timestamp::from_seconds(0),
            reason: String::new(),
        };
        StandingHalt { halt, by: "uid 0".to_owned() }
    }

    fn ann() -> KnownPerson {
        let mut subject = Subject::local("ann");
        subject.groups.insert("staff".to_owned());
        KnownPerson { device: DeviceId::new(), subject }
    }

    #[test]
    fn a_halt_is_shown_until_the_folder_says_the_same() {
        let ann = ann();
        let before = content("");
        let is_unsaid = |content: &Content, target: &HaltTarget| {
            !unsaid(&[halt(target.clone())], std::slice::from_ref(&ann), content).is_empty()
        };
        let (files, read) = ("files".parse().expect("an id"), "read_text_file".parse().expect("a tool"));
        let connector = HaltTarget::Connector { connector: files };
        let HaltTarget::Connector { connector: id } = connector.clone() else { unreachable!() };
        let tool = HaltTarget::Tool { connector: id.clone(), tool: read };
        let mut without = before.clone();
        without.servers.values_mut().for_each(|server| server.connectors.retain(|other| *other != id));
        for target in [&connector, &tool] {
            assert!(is_unsaid(&before, target) && !is_unsaid(&without, target), "{target}");
        }

        let user = HaltTarget::User { person: "ann".to_owned() };
        let device = HaltTarget::Device { device: ann.device };
        let assistant = HaltTarget::Assistant { client: "client-1".to_owned() };
        let others = HaltTarget::User { person: "bob".to_owned() };
        let forbid = |condition: &str| {
            content(&format!("@id(\"no\")\nforbid (principal, action, resource) when {{ {condition} }};\n"))
        };
        for (target, condition) in [
            (&user, "principal.subject == \"ann\"".to_owned()),
            (&device, format!("context has device && context.device == \"{}\"", ann.device)),
            (&assistant, "context.client.id == \"client-1\"".to_owned()),
        ] {
            assert!(is_unsaid(&before, target), "{target}");
            assert!(!is_unsaid(&forbid(&condition), target), "{target}");
            assert!(is_unsaid(&forbid(&condition), &others), "nobody of whom it could be told is known");
        }
    }
}
