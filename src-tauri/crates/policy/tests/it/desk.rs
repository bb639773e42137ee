//! A small organisation: files (no credential), mail (the user's own grant) and warehouse (two shared credentials).

use std::collections::BTreeMap;

use model::{AttributeValue, CallId, ConnectorId, Digest, ServerId, Subject, Timestamp, ToolName};
use org_protocol::{ClaimType, ClaimTypes, ConnectorSpec, CredentialSpec, PinnedTools, ServerSpec, ToolList};
use policy::{
    Circumstance, Denial, Permit, Policy, PolicyFault, PolicyInput, PolicyVersion, Question, Target,
};
use serde_json::value::RawValue;

/// Everything that a policy is compiled from.
pub(crate) struct Desk {
    pub(crate) connectors: BTreeMap<ConnectorId, ConnectorSpec>,
    pub(crate) servers: BTreeMap<ServerId, ServerSpec>,
    pub(crate) tools: BTreeMap<ConnectorId, PinnedTools>,
}

/// What is computed of arguments, by connector.
const FACTS: [(&str, &str); 3] = [
    ("files", r#"{"write_file": {"file": {"path": "path"}}}"#),
    (
        "mail",
        r#"{"search": {"link": {"url": "query"}, "early": {"matches": "query", "pattern": "^a"},
                       "labelled": {"count": "labels"}},
            "send": {"to": {"email": "to"}, "many": {"count": "to"}, "length": {"length": "body"}}}"#,
    ),
    ("warehouse", r#"{"execute_sql": {"query": {"sql": "sql", "dialect": "postgresql"}}}"#),
];

pub(crate) fn desk() -> Desk {
    let connectors = BTreeMap::from([
        (id("files"), connector(CredentialSpec::None)),
        (
            id("mail"),
            connector(CredentialSpec::UserOauth {
                scopes: [].into(),
                client_id: None,
                client_secret: None,
                redirect_uris: vec![],
            }),
        ),
        (
            id("warehouse"),
            connector(CredentialSpec::Brokered {
                credentials: vec![cred("warehouse-finance"), cred("warehouse-analyst")],
                identity: None,
            }),
        ),
    ]);
    let offered = |connectors: &[&str]| ServerSpec {
        title: "A server".to_owned(),
        connectors: connectors.iter().map(|connector| id(connector)).collect(),
        tools: BTreeMap::new(),
        tool_list: ToolList::Whole,
        accounts: BTreeMap::new(),
    };
    let mut desk = offered(&["files", "mail"]);
    desk.accounts.insert(id("mail"), "shared-inbox".parse().expect("an account"));
    desk.tools.insert(id("files"), ["read_file".parse().expect("a tool")].into());
    Desk {
        connectors,
        servers: BTreeMap::from([
            (server("analyst"), offered(&["files", "mail", "warehouse"])),
            (server("desk"), desk),
        ]),
        tools: BTreeMap::from([
            (
                id("files"),
                pinned(&[
                    r#"{"name": "read_file", "inputSchema": {"type": "object", "properties":
                        {"path": {"type": "string"}, "head": {"type": "number"}}, "required": ["path"]}}"#,
                    r#"{"name": "write_file", "inputSchema": {"type": "object", "properties":
                        {"path": {"type": "string"}, "content": {"type": "string"}, "mode": {"enum": ["append", "replace"]}},
                        "required": ["path", "content"]}}"#,
                ]),
            ),
            (
                id("mail"),
                pinned(&[
                    r#"{"name": "search", "inputSchema": {"type": "object", "properties":
                        {"query": {"type": "string"}, "limit": {"type": "integer"},
                         "labels": {"type": "array", "items": {"type": "string", "enum": ["inbox", "sent"]}}},
                        "required": ["query"]}}"#,
                    r#"{"name": "send", "inputSchema": {"type": "object", "properties":
                        {"to": {"type": "array", "items": {"type": "string"}}, "body": {"type": "string"}},
                        "required": ["to", "body"]}}"#,
                ]),
            ),
            (
                id("warehouse"),
                pinned(&[
                    r#"{"name": "execute_sql", "inputSchema": {"type": "object", "properties":
                        {"sql": {"type": "string"}}, "required": ["sql"], "additionalProperties": false}}"#,
                    r#"{"name": "search_objects", "inputSchema": {"oneOf": [{"type": "object"}, {"type": "null"}]}}"#,
                ]),
            ),
        ]),
    }
}

impl Desk {
    /// With facts of the arguments of every tool that is there.
    pub(crate) fn with_facts(mut self) -> Self {
        for (connector, facts) in
            FACTS.into_iter().filter(|(connector, _)| self.tools.contains_key(*connector))
        {
            let spec = self.connectors.get_mut(&id(connector)).expect("a connector");
            spec.facts = serde_json::from_str(facts).expect("facts");
        }
        self
    }

    pub(crate) fn compile(&self, policies: &str) -> Result<Policy, Vec<PolicyFault>> {
        self.compile_files(&[("policies/desk.cedar", policies)])
    }

    pub(crate) fn compile_files(&self, files: &[(&str, &str)]) -> Result<Policy, Vec<PolicyFault>> {
        let policies = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        Policy::compile(PolicyInput {
            version: PolicyVersion { label: "7".to_owned(), digest: Digest::of(b"seven") },
            connectors: &self.connectors,
            servers: &self.servers,
            tools: &self.tools,
            claims: &claims(),
            payload: &org_protocol::PayloadSettings::default(),
            limits: &[],
            policies: &policies,
        })
    }

    pub(crate) fn policy(&self, policies: &str) -> Policy {
        self.compile(policies).unwrap_or_else(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            panic!("{}", faults.join("\n"))
        })
    }
}

pub(crate) fn id(text: &str) -> ConnectorId {
    text.parse().expect("a connector id")
}

pub(crate) fn server(text: &str) -> ServerId {
    text.parse().expect("a server id")
}

fn cred(text: &str) -> model::CredentialId {
    text.parse().expect("a credential id")
}

pub(crate) fn connector(credential: CredentialSpec) -> ConnectorSpec {
    ConnectorSpec {
        in_grace: None,
        facts: BTreeMap::new(),
        changes_accepted_by: org_protocol::ChangesAcceptedBy::default(),
        title: "A connector".to_owned(),
        url: None,
        command: vec!["program".to_owned()],
        environment: BTreeMap::new(),
        credential,
    }
}

pub(crate) fn pinned(tools: &[&str]) -> PinnedTools {
    PinnedTools(tools.iter().map(|tool| RawValue::from_string((*tool).to_owned()).expect("JSON")).collect())
}

/// What users have beside what every user has.
pub(crate) fn claims() -> ClaimTypes {
    let declared = [
        ("department", ClaimType::String),
        ("contractor", ClaimType::Bool),
        ("cost-centre", ClaimType::Long),
        ("roles", ClaimType::Texts),
    ];
    declared.map(|(name, kind)| (name.to_owned(), kind)).into()
}

pub(crate) fn user(name: &str, groups: &[&str]) -> Subject {
    Subject {
        issuer: "https://idp.example".to_owned(),
        subject: name.to_owned(),
        email: Some(format!("{name}@corp.example")),
        name: None,
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        attributes: BTreeMap::from([("department".to_owned(), AttributeValue::Text("research".to_owned()))]),
    }
}

pub(crate) fn circumstance() -> Circumstance {
    Circumstance {
        now: Timestamp::from_seconds(1_795_443_620),
        client_id: "client-1".to_owned(),
        client_name: "Assistant".to_owned(),
        device: None,
        program: None,
        address: None,
    }
}

/// Asks for `<server> <connector>/<tool>`, `<server> <connector> resource <uri>` or `<server> <connector> prompt <name>`.
pub(crate) fn decide(
    policy: &Policy,
    subject: &Subject,
    what: &str,
    arguments: &str,
) -> Result<Permit, Denial> {
    with_question(subject, what, arguments, |question| policy.decide(question))
}

pub(crate) fn with_question<T>(
    subject: &Subject,
    what: &str,
    arguments: &str,
    ask: impl FnOnce(&Question<'_>) -> T,
) -> T {
    with_question_at(&circumstance(), subject, what, arguments, ask)
}

pub(crate) fn with_question_at<T>(
    circumstance: &Circumstance,
    subject: &Subject,
    what: &str,
    arguments: &str,
    ask: impl FnOnce(&Question<'_>) -> T,
) -> T {
    let (server_id, wanted) = what.split_once(' ').expect("a server and what is wanted of it");
    with_target(wanted, arguments, |connector, target| {
        ask(&Question {
            call: CallId::new(),
            subject,
            server: &server(server_id),
            connector,
            target: *target,
            circumstance,
        })
    })
}

/// Reads `<connector>/<tool>`, `<connector> resource <uri>` or `<connector> prompt <name>`.
pub(crate) fn with_target<T>(
    wanted: &str,
    arguments: &str,
    take: impl FnOnce(&ConnectorId, &Target<'_>) -> T,
) -> T {
    if let Some((connector, uri)) = wanted.split_once(" resource ") {
        return take(&id(connector), &Target::Resource { uri });
    }
    if let Some((connector, name)) = wanted.split_once(" prompt ") {
        return take(&id(connector), &Target::Prompt { name, arguments });
    }
    let (connector, tool) = wanted.split_once('/').expect("a connector and a tool");
    let name: ToolName = tool.parse().expect("a tool name");
    take(&id(connector), &Target::Tool { name: &name, arguments })
}

/// Whether a server shows a connector's resource or prompt.
pub(crate) fn shown(policy: &Policy, subject: &Subject, circumstance: &Circumstance, what: &str) -> bool {
    let (on, wanted) = what.split_once(' ').expect("a server and what is wanted of it");
    let on = server(on);
    let viewer = policy.viewer(subject, &on, circumstance);
    with_target(wanted, "{}", |connector, target| match target {
        Target::Tool { name, .. } => {
            policy.listed(subject, &on, circumstance).contains(&(connector.clone(), (*name).clone()))
        }
        Target::Resource { uri } => viewer.shows_resource(connector, uri),
        Target::Prompt { name, .. } => viewer.shows_prompt(connector, name),
    })
}

/// What is listed on a server, as `<connector>/<tool>`.
pub(crate) fn listed(policy: &Policy, subject: &Subject, on: &str) -> Vec<String> {
    let listed = policy.listed(subject, &server(on), &circumstance());
    listed.iter().map(|(connector, tool)| format!("{connector}/{tool}")).collect()
}
