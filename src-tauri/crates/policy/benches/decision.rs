//! What a decision costs with five hundred policies of which ten reach the tool, and what it costs to say which of a thousand
//! tools a person is shown: the first time, and whenever it is asked again. Run by `cargo xtask bench`.
#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "whoever measures takes the time")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use model::{CallId, ConnectorId, Digest, ServerId, Subject, Timestamp};
use org_protocol::{ConnectorSpec, PinnedTools, ServerSpec};
use policy::{Circumstance, Policy, PolicyInput, PolicyVersion, Question, Target};
use serde_json::{Value, json};

const POLICIES: usize = 500;
const REACHING: usize = 10;
const TOOLS: usize = 1_000;
const DECISIONS: usize = 20_000;
const COMPILED: usize = 3;

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Desk {
    connectors: BTreeMap<ConnectorId, ConnectorSpec>,
    servers: BTreeMap<ServerId, ServerSpec>,
    tools: BTreeMap<ConnectorId, PinnedTools>,
    policies: BTreeMap<String, String>,
}

impl Desk {
    fn new() -> Outcome<Self> {
        let schema = json!({"type": "object", "properties": {
            "query": {"type": "string"}, "limit": {"type": "integer"}, "folder": {"enum": ["inbox", "archive"]},
        }});
        let tool = |number: usize| json!({"name": format!("tool-{number}"), "inputSchema": schema});
        let tools: Vec<Value> = (0..TOOLS).map(tool).collect();
        Ok(Self {
            connectors: serde_json::from_value(json!({"mail": {"title": "Mail", "command": ["mail"]}}))?,
            servers: serde_json::from_value(json!({"desk": {"title": "Desk", "connectors": ["mail"]}}))?,
            tools: serde_json::from_str(&json!({"mail": tools}).to_string())?,
            policies: BTreeMap::from([("policies/all.cedar".to_owned(), policies()?)]),
        })
    }

    fn compiled(&self) -> Outcome<Policy> {
        let compiled = Policy::compile(PolicyInput {
            version: PolicyVersion { label: "1".to_owned(), digest: Digest::of(b"bench") },
            connectors: &self.connectors,
            servers: &self.servers,
            tools: &self.tools,
            claims: &BTreeMap::new(),
            policies: &self.policies,
            payload: &org_protocol::PayloadSettings::default(),
            limits: &[],
        });
        compiled.map_err(|faults| format!("{faults:?}").into())
    }
}

/// One permit for all, and forbids that read the arguments: ten of the tool that is called, the rest of others.
fn policies() -> Outcome<String> {
    let mut text = "@id(\"all\") permit (principal in Group::\"staff\", action, resource);\n".to_owned();
    for number in 0..POLICIES - 1 {
        let tool = if number < REACHING - 1 { 0 } else { 1 + number % (TOOLS - 1) };
        writeln!(
            text,
            "@id(\"rule-{number}\") @reason(\"At most {number} at a time.\")\n\
             forbid (principal in Group::\"team-{number}\", action == Action::\"mail/tool-{tool}\", resource)\n\
             when {{ context.input has limit && context.input.limit > {number} }};"
        )?;
    }
    Ok(text)
}

/// Half are bound by a rule that reaches the tool, none is refused by it.
fn person() -> Subject {
    let mut person = Subject::local("ann");
    person.groups = ["staff", "team-3", "team-5", "team-499"].map(str::to_owned).into();
    person
}

fn quantiles(mut all: Vec<Duration>) -> (f64, f64) {
    all.sort_unstable();
    let at = |share: usize| all.get(all.len() * share / 100).map_or(0.0, |took| took.as_secs_f64() * 1e6);
    (at(50), at(99))
}

fn main() -> Outcome<()> {
    let (desk, person) = (Desk::new()?, person());
    let (server, connector, tool) = ("desk".parse()?, "mail".parse()?, "tool-0".parse()?);
    let circumstance = Circumstance {
        now: Timestamp::from_seconds(1_790_000_000),
        client_id: "assistant".to_owned(),
        client_name: "Assistant".to_owned(),
        device: None,
        program: None,
        address: None,
    };
    let (mut compiling, mut first, mut again) = (Vec::new(), Vec::new(), Vec::new());
    let mut policy = desk.compiled()?;
    for _ in 0..COMPILED {
        let begun = Instant::now();
        policy = desk.compiled()?;
        compiling.push(begun.elapsed());
        for turn in 0..=200 {
            let begun = Instant::now();
            let listed = policy.listed(&person, &server, &circumstance).len();
            let took = begun.elapsed();
            if listed != TOOLS {
                return Err(format!("{listed} of {TOOLS} tools are shown").into());
            }
            if turn == 0 { first.push(took) } else { again.push(took) }
        }
    }
    let arguments = r#"{"query":"from:it@acme.test","limit":3,"folder":"inbox"}"#;
    let question = Question {
        call: CallId::new(),
        subject: &person,
        server: &server,
        connector: &connector,
        target: Target::Tool { name: &tool, arguments },
        circumstance: &circumstance,
    };
    let mut deciding = Vec::with_capacity(DECISIONS);
    for _ in 0..DECISIONS {
        let begun = Instant::now();
        let decided = policy.decide(&question);
        deciding.push(begun.elapsed());
        if decided.is_err() {
            return Err("a call that is permitted was refused".into());
        }
    }
    let ((decided, slowest), (first, _), (again, again_slowest)) =
        (quantiles(deciding), quantiles(first), quantiles(again));
    let text = format!(
        "decision with {POLICIES} policies, {REACHING} of which reach the tool: p50 {decided:.1} µs, p99 {slowest:.1} µs\n\
         list of {TOOLS} tools: first {:.1} ms, again p50 {again:.0} µs, p99 {again_slowest:.0} µs; compiling {:.0} ms\n",
        first / 1e3,
        quantiles(compiling).0 / 1e3,
    );
    std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes())?;
    Ok(())
}
