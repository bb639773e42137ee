//! From a content to its policy.

use model::Digest;
use org_protocol::Content;
use policy::{Policy, PolicyInput, PolicyVersion};

/// The policy that would be signed, which has no version yet.
pub(super) fn compile(content: &Content) -> Result<Policy, Vec<policy::PolicyFault>> {
    let version = PolicyVersion { label: "check".to_owned(), digest: Digest::of(b"") };
    Policy::compile(policy_input(content, version))
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
