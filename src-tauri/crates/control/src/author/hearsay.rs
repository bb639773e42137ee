//! Policies about shared accounts that rest on what only a device says: no mistake, but somebody has to know it.

use std::fmt;
use std::path::PathBuf;

use model::{ConnectorId, Digest};
use org_protocol::Content;
use policy::{Hearsay, PolicyVersion, hearsay};
use serde::Serialize;

use super::compile::policy_input;

/// A policy that whoever owns a device decides about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceClaim {
    /// The file, relative to the folder.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u32,
    /// The policy.
    pub policy: String,
    /// Whether it permits; it forbids otherwise.
    pub permits: bool,
    /// The connectors with shared accounts that it is about.
    pub connectors: Vec<ConnectorId>,
}

impl fmt::Display for DeviceClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, policy, permits, connectors } = self;
        let connectors: Vec<&str> = connectors.iter().map(ConnectorId::as_str).collect();
        write!(f, "{}:{line}: {policy} ", file.display())?;
        let rest = "on context.client, which the control plane has from the device alone: whoever owns that can name any assistant";
        if *permits {
            write!(f, "permits the use of shared accounts ({}) resting {rest}. ", connectors.join(", "))?;
        } else {
            write!(
                f,
                "keeps from shared accounts ({}) only those who say so, for it rests {rest}. ",
                connectors.join(", ")
            )?;
        }
        write!(
            f,
            "Let it rest on the person and their groups; that an assistant is to be kept out, an administrator can say by `halt assistant`"
        )
    }
}

/// What rests on the word of a device, in the order of the files.
pub(super) fn device_claims(content: &Content) -> Vec<DeviceClaim> {
    let version = PolicyVersion { label: String::new(), digest: Digest::of(b"") };
    hearsay(&policy_input(content, version)).into_iter().map(claim).collect()
}

fn claim(found: Hearsay) -> DeviceClaim {
    let Hearsay { file, line, policy, permits, connectors } = found;
    DeviceClaim {
        file: PathBuf::from(file),
        line,
        policy: policy.to_string(),
        permits,
        connectors: connectors.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::author::{check, init};

    /// The example with a warehouse of this kind, and these policies beside its own.
    fn claims(credential: &str, policies: &str) -> Vec<DeviceClaim> {
        let dir = tempfile::tempdir().expect("a directory");
        let org = dir.path().join("org");
        init(&org, "example").expect("writes the example");
        let write = |file: &str, text: &str| std::fs::write(org.join(file), text).expect("writes");
        let warehouse =
            format!("title = \"W\"\nurl = \"https://w.example/mcp\"\ncredential = {credential}\n");
        write("connectors/warehouse.toml", &warehouse);
        write("connectors/warehouse.tools.json", r#"[{"name":"query","inputSchema":{"type":"object"}}]"#);
        write("servers/analyst.toml", "title = \"A\"\nconnectors = [\"warehouse\"]\n");
        write("policies/warehouse.cedar", policies);
        let content = check(&org).map_err(|faults| faults[0].to_string()).expect("good");
        device_claims(&content)
    }

    const BROKERED: &str = r#"{ kind = "brokered", credentials = ["w"] }"#;
    const OWN: &str = r#"{ kind = "none" }"#;

    #[test]
    fn a_permit_that_rests_on_what_only_the_device_says_is_told_with_its_line() {
        let policies = "// context.client is not read here
@id(\"account\")
permit (principal in Group::\"a\", action == Action::\"use_shared_credential\", resource == Credential::\"w\");
@id(\"by-assistant\")
permit (principal, action == Action::\"warehouse/query\", resource)
when {
    context.client.id == \"https://claude.ai/\"
};
@id(\"not-by-assistant\")
forbid (principal, action, resource in Server::\"analyst\") when { context.client.name == \"Other\" };
";
        let found = claims(BROKERED, policies);
        let told: Vec<_> = found.iter().map(|one| (one.policy.as_str(), one.line, one.permits)).collect();
        assert_eq!(told, [("by-assistant", 7, true), ("not-by-assistant", 10, false)]);
        let words = found[0].to_string();
        assert!(words.starts_with("policies/warehouse.cedar:7: by-assistant permits"), "{words}");
        assert!(words.contains("(warehouse)") && words.contains("groups"), "{words}");
    }

    #[test]
    fn what_rests_on_the_person_or_is_about_nothing_shared_is_not_told() {
        let person = "@id(\"account\")
permit (principal in Group::\"a\", action, resource in Server::\"analyst\")
when { principal has email && context has device };
";
        assert_eq!(claims(BROKERED, person), []);
        let own = "@id(\"by-assistant\")
permit (principal, action, resource in Server::\"analyst\") when { context.client.id == \"x\" };
";
        assert_eq!(claims(OWN, own), []);
        assert_eq!(claims(BROKERED, own).len(), 1);
    }
}
