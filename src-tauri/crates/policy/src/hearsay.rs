//! Policies about shared accounts that rest on what only a device says. The control plane decides again on claims that it verified
//! itself, but which assistant calls (`context.client`) it has from the device alone: whoever owns that says what they like.

use std::collections::BTreeSet;

use cedar_policy::Effect;
use model::ConnectorId;

use crate::compile::PolicyInput;
use crate::rule::{Rule, RuleId};
use crate::scope::{EXPOSE_CONNECTOR, SEE_SERVER, Topic, USE_SHARED_CREDENTIAL};
use crate::source::read;

/// A policy about shared accounts that reads `context.client`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hearsay {
    /// The file of the policy.
    pub file: String,
    /// The line that reads it, counted from one; where it cannot be told, the policy's first.
    pub line: u32,
    /// The policy.
    pub policy: RuleId,
    /// Whether it permits; it forbids otherwise.
    pub permits: bool,
    /// The connectors with shared accounts that it is about.
    pub connectors: BTreeSet<ConnectorId>,
}

/// Every policy of the set that reaches a connector with shared accounts and rests on what only a device says, in the order of the
/// files. Of policies that cannot be read, none.
pub fn hearsay(input: &PolicyInput<'_>) -> Vec<Hearsay> {
    let Ok(rules) = read(input.policies) else { return Vec::new() };
    let mut found: Vec<Hearsay> = rules.iter().filter_map(|rule| of_rule(rule, input)).collect();
    found.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    found
}

fn of_rule(rule: &Rule, input: &PolicyInput<'_>) -> Option<Hearsay> {
    if !rule.reads.client {
        return None;
    }
    let connectors: BTreeSet<ConnectorId> =
        input.connectors.keys().filter(|connector| reaches(rule, connector, input)).cloned().collect();
    (!connectors.is_empty()).then(|| Hearsay {
        file: rule.file.to_string(),
        line: line_of_client(rule, input).unwrap_or(rule.line),
        policy: rule.id.clone(),
        permits: rule.policy.effect() == Effect::Permit,
        connectors,
    })
}

/// Whether a policy can be about calls of a connector with shared accounts.
fn reaches(rule: &Rule, connector: &ConnectorId, input: &PolicyInput<'_>) -> bool {
    let Some(spec) = input.connectors.get(connector).filter(|spec| spec.credential.is_shared()) else {
        return false;
    };
    let servers = input.servers.iter().filter(|(_, server)| server.connectors.contains(connector));
    let (id, tool) = (connector.as_str(), format!("{connector}/"));
    let about = |action: &str, resource: &[(&str, Option<&str>)]| {
        Topic { action, resource }.is_reached_by(&rule.body)
    };
    for server in servers.map(|(server, _)| server.as_str()) {
        let of_server = ("Server", Some(server));
        let of_connector = [("Connector", Some(id)), of_server];
        let named = |name: &str| about(&format!("{tool}{name}"), &of_connector);
        let tools = input.tools.get(connector).into_iter().flat_map(|tools| &tools.0);
        let names = tools.filter_map(|tool| mcp_name(tool.get()));
        let of_credentials = spec.credential.shared().iter().any(|credential| {
            about(
                USE_SHARED_CREDENTIAL,
                &[("Credential", Some(credential.as_str())), ("Connector", Some(id)), of_server],
            )
        });
        if of_credentials
            || about(EXPOSE_CONNECTOR, &of_connector)
            || about(SEE_SERVER, &[of_server])
            || names.into_iter().any(|name| named(&name))
        {
            return true;
        }
    }
    false
}

/// A tool's name, by its definition.
fn mcp_name(definition: &str) -> Option<String> {
    let definition: serde_json::Value = serde_json::from_str(definition).ok()?;
    definition.get("name")?.as_str().map(ToOwned::to_owned)
}

/// The first line of the policy that has the word.
fn line_of_client(rule: &Rule, input: &PolicyInput<'_>) -> Option<u32> {
    let text = input.policies.get(rule.file.as_ref())?;
    let first = usize::try_from(rule.line).ok()?;
    let mut lines = text.lines().enumerate().skip(first.saturating_sub(1));
    let reads = |line: &str| !line.trim_start().starts_with("//") && line.contains("client");
    let (at, _) = lines.find(|(_, line)| reads(line))?;
    u32::try_from(at + 1).ok()
}
