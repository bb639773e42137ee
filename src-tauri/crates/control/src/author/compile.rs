//! From a content to its policy.

use std::path::{Path, PathBuf};

use model::Digest;
use org_protocol::Content;
use policy::{FaultKind, PayloadFault, PayloadPlace, Policy, PolicyFault, PolicyInput, PolicyVersion};

use super::folder::{AuthorFault, AuthorFaultKind};
use super::later::line_of_key;

/// The policy that would be signed, which has no version yet.
pub(super) fn compile(content: &Content) -> Result<Policy, Vec<PolicyFault>> {
    let version = PolicyVersion { label: "check".to_owned(), digest: Digest::of(b"") };
    Policy::compile(policy_input(content, version))
}

/// A fault where the folder's author finds it.
pub(super) fn author_fault(folder: &Path, fault: PolicyFault) -> AuthorFault {
    let line = if let FaultKind::Fact { tool, fact, .. } = &fault.kind {
        let text = std::fs::read_to_string(folder.join(&fault.file)).unwrap_or_default();
        line_of_key(&text, &["facts".to_owned(), tool.clone(), fact.clone()])
    } else if let FaultKind::Limit { at, .. } = &fault.kind {
        let text = std::fs::read_to_string(folder.join(&fault.file)).unwrap_or_default();
        line_of_key(&text, &["limits".to_owned(), at.to_string()])
    } else if let FaultKind::Payload { place, .. } = &fault.kind {
        line_of_place(folder, place)
    } else {
        usize::try_from(fault.line).ok()
    };
    let kind =
        AuthorFaultKind::Policy { id: fault.policy.unwrap_or_default(), reason: fault.kind.to_string() };
    AuthorFault { file: PathBuf::from(fault.file), line, kind }
}

/// A fault of the payload rules where the folder's author finds it.
pub(super) fn payload_fault(folder: &Path, (place, fault): (PayloadPlace, PayloadFault)) -> AuthorFault {
    let kind = AuthorFaultKind::Policy { id: String::new(), reason: fault.to_string() };
    AuthorFault { file: PathBuf::from("org.toml"), line: line_of_place(folder, &place), kind }
}

fn line_of_place(folder: &Path, place: &PayloadPlace) -> Option<usize> {
    let text = std::fs::read_to_string(folder.join("org.toml")).unwrap_or_default();
    let keys = match place {
        PayloadPlace::Rule(at) => ["payload".to_owned(), "rule".to_owned(), at.to_string()],
        PayloadPlace::Pattern(name) => ["payload".to_owned(), "patterns".to_owned(), name.clone()],
    };
    line_of_key(&text, &keys)
}

/// What a content's policies are compiled from.
pub(crate) fn policy_input(content: &Content, version: PolicyVersion) -> PolicyInput<'_> {
    PolicyInput {
        version,
        connectors: &content.connectors,
        servers: &content.servers,
        tools: &content.tools,
        claims: &content.org.identity_provider.claims,
        policies: &content.policies,
        payload: &content.org.payload,
        limits: &content.org.limits,
    }
}

#[cfg(test)]
mod tests {
    use crate::author::{check, init};

    /// What is wrong with the example when its connector declares these facts, and the line after those that it has.
    fn faults(facts: &str) -> (Vec<String>, usize) {
        let dir = tempfile::tempdir().expect("a directory");
        let org = dir.path().join("org");
        init(&org, "example").expect("writes the example");
        let path = org.join("connectors/files.toml");
        let text = std::fs::read_to_string(&path).expect("reads");
        std::fs::write(&path, format!("{text}\n[facts.read_file]\n{facts}\n")).expect("writes");
        let found = check(&org).err().unwrap_or_default();
        (found.iter().map(ToString::to_string).collect(), text.lines().count() + 3)
    }

    #[test]
    fn a_fact_that_cannot_be_computed_is_refused_on_its_line() {
        assert_eq!(faults("file = { path = \"path\" }").0, Vec::<String>::new());
        for (fact, expected) in [
            (
                "file = { path = \"pth\" }",
                "the fact file of read_file: the tool's schema declares no argument pth",
            ),
            ("file = { length = \"head\" }", "the argument head is not a text"),
            ("file = { path = \"path\", colour = 1 }", "unknown field `colour`"),
            ("file = { path = \"path\", url = \"path\" }", "exactly one of sql, url"),
            ("file = { matches = \"path\", pattern = \"(\" }", "the pattern cannot be used"),
        ] {
            let (found, line) = faults(&format!("# a note\n{fact}"));
            let place = format!("connectors/files.toml:{}: ", line + 1);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(
                found[0].starts_with(&place) && found[0].contains(expected),
                "{place}{expected}: {found:?}"
            );
        }
    }
}
