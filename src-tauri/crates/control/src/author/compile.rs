//! From a content to its policy.

use std::path::{Path, PathBuf};

use model::Digest;
use org_protocol::Content;
use policy::{FaultKind, Policy, PolicyFault, PolicyInput, PolicyVersion};

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
    } else {
        usize::try_from(fault.line).ok()
    };
    let kind =
        AuthorFaultKind::Policy { id: fault.policy.unwrap_or_default(), reason: fault.kind.to_string() };
    AuthorFault { file: PathBuf::from(fault.file), line, kind }
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
    }
}
