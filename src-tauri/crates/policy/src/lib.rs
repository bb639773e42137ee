//! A checked policy from a bundle, and the one decision.
//!
//! Policies are written in [Cedar](https://docs.cedarpolicy.com) and checked, before they are ever obeyed, against the
//! very tools that IT accepted. [`Policy::compile`] refuses the whole set for one misspelt name; [`Policy::decide`] is the
//! only maker of a [`Permit`]; [`Policy::listed`] is the same decision before the arguments are known, and
//! [`Policy::viewer`] for resources and prompts; [`Policy::explain`] says why. Nothing here reads a clock, a file or a socket, and nothing decides without a policy:
//! what is missing, expired or broken is [`Policy::deny_all`].
//!
//! # What authors write
//!
//! Nothing is permitted unless a `permit` says so, and a `forbid` outweighs every `permit`. Each policy has an `@id`,
//! unique in the set, and may have a `@reason`, one line, which is shown to those whom it refuses.
//!
//! A call needs four permissions:
//!
//! | action | resource | asks |
//! |---|---|---|
//! | `Action::"see_server"` | the `Server` | may the user see this virtual server? |
//! | `Action::"expose_connector"` | the `Connector` | may the server show the user this connector? |
//! | `Action::"<connector>/<tool>"`, below `Action::"call_tool"` | the `Connector` | may the user call this tool? |
//! | or `Action::"read_resource"` | the `Connector` | may the user read this resource, follow its changes, or complete this template of resources? |
//! | or `Action::"get_prompt"` | the `Connector` | may the user get this prompt, or complete its arguments? |
//! | `Action::"use_shared_credential"` | the `Credential` | may this service account be used for the user? Asked of connectors with shared credentials only: the first one permitted, in the connector's order, is used. |
//!
//! The **principal** is always the `User`, lying `in` each `Group::"<name>"` that the identity provider names. It has
//! `issuer`, `subject` and, if known, `email` and `name` (`principal has email && principal.email like "*@example.com"`).
//! One person is `User::"<issuer>#<subject>"`. Further claims that the organisation declares are attributes of the
//! type that it declares, and may be missing: `principal has department && principal.department == "sales"`,
//! `principal has roles && principal.roles.contains("approver")`. A name that is no identifier is written as text:
//! `principal has "cost-centre" && principal["cost-centre"] > 4000`.
//!
//! The **resource** lies in the virtual server that the call comes through: `resource in Server::"analyst"` holds for the
//! server itself, its connectors and their credentials, and `resource in Connector::"mail"` for a connector and its
//! credentials.
//!
//! The **context** has `context.server` (the same server again, for conditions), `context.now` (a `datetime`),
//! `context.client.id` and `context.client.name` (the assistant's own claim, so no proof), `context.device` (if known),
//! `context.client.program` (the program that asks, if known: `name`, its file's, and `path`, the full one:
//! `context.client has program && context.client.program.path == "/usr/bin/claude"`), `context.network.address` (an `ipaddr`, if
//! known: the device's own as it says itself, and at the control plane the one that its request came from:
//! `context.network has address && context.network.address.isInRange(ip("10.0.0.0/8"))`), and `context.input`: for a resource `context.input.uri`, its URI or the template; for a prompt `context.input.name`, the
//! connector's own name for it; for a tool the arguments, typed by the tool's own schema:
//!
//! | JSON Schema | in policies | |
//! |---|---|---|
//! | `string` | `String` | `==`, `like "*.txt"` |
//! | `string` with `enum` or `const` | `String` | compared with a text that it can never be, the policy is refused |
//! | `boolean` | `Bool` | |
//! | `integer` | `Long` | `<=`, `+`; an overflow refuses the call |
//! | `number` | `decimal` | `.lessThan(decimal("1.5"))`; four decimal places, a finer number refuses the call |
//! | `array` | `Set` | `.contains(..)`; `like` and order are not to be had |
//! | `object` with declared members | record | `context.input.filter.name` |
//! | optional, or `null` allowed | optional | must be asked for: `context.input has limit && context.input.limit <= 100`; `null` is absence |
//! | a name that is no identifier | | `context.input["max-rows"]` |
//! | anything else | | can be asked for with `has`, not looked into |
//!
//! A tool whose arguments cannot be typed at all ([`Opaque`]) has no `context.input`: only policies about the tool itself
//! apply to it. A policy about several tools, some of them opaque, says so: `context has input && context.input has ..`.
//!
//! Where any policy that reaches a tool reads `context.input` or a fact, the arguments must be exactly what the tool declares: no
//! undeclared member, no key twice, nothing of another type. Where none does, they pass untouched.
//!
//! **Facts** tell what a text means. A connector's definition declares them of a tool's arguments
//! (`[facts.execute_sql]` with `query = { sql = "sql", dialect = "postgresql" }`), and policies about that tool read
//! `context.facts.query`:
//!
//! | declared | in policies | |
//! |---|---|---|
//! | `{ sql = "..", dialect = "postgresql" }` | record | `kinds` (some of `select`, `insert`, `update`, `delete`, `merge`, `ddl`, `copy`, `lock`, `explain`), `tables` (`"schema.table"`), `schemas` and `functions`, each a set; names without quotes in lower case |
//! | `{ url = ".." }` | record | `scheme`, `host` (lower case, ASCII), `port`, `path` (without `.` and `..`, plain characters decoded) |
//! | `{ path = ".." }` | record | `path` (without `.` and `..`, by its text alone), `absolute` |
//! | `{ email = ".." }` | record | `domains` (lower case, ASCII), `count`; of a text, or a list of texts |
//! | `{ count = ".." }` | `Long` | the items of a list |
//! | `{ length = ".." }` | `Long` | the characters of a text |
//! | `{ matches = "..", pattern = ".." }` | `Bool` | whether the regular expression is found |
//!
//! A fact of an optional argument is optional, and absent with it. One that cannot be told - a table without its schema, two statements,
//! a function that may reach anything, a path above its root - is neither guessed nor left out: where any policy that reaches the tool
//! reads it, permit or forbid, the call is refused ([`DenialKind::UnknownFact`]) and the assistant is told what to write instead
//! ([`Unknown::instead`]). Facts that no policy reads are not computed.
//!
//! A URI can be written in many ways (RFC 3986, section 6.2), and policies compare texts: permit what may be read rather
//! than forbid what may not. Where any policy that reaches a resource reads its URI, one with a segment `.` or `..`, plain
//! or percent-encoded, is refused.
//!
//! A policy that cannot be evaluated for a call refuses it, whatever the others say.
//!
//! A `forbid` marked `@observe` is tried out: it refuses and hides nothing. What it would have refused of the permitted calls is
//! recorded with them ([`Permit::observed`]). Taking the mark away enforces it.
//!
//! A `forbid` marked `@approval` refuses unless a person approves the call, at their own desktop and with the arguments before them.
//! `@approval("once")`, `@approval("session")` and `@approval("always")` say the most that the person may allow; without a text it is
//! one call. It hides nothing, and an approval makes up for it alone: what no policy permits, or another `forbid` refuses, nobody is
//! asked about. With `@factor("system")` beside it the person also has to prove to the operating system who they are.
//! The two marks do not go together, and neither goes with `permit`: what needs a person is permitted and forbidden so.
//!
//! ```text
//! @id("sending-needs-a-person")
//! @reason("Mail that leaves the company needs a person.")
//! @approval("session")
//! forbid (principal, action == Action::"mail/send", resource);
//! ```
//!
//! Payload rules (`org.payload`) look through what is sent and answered: [`Policy::sieve`] has those that a payload has to pass, and
//! [`Policy::decide_screened`] decides with what they found. They make nothing permitted; what they block or ask about is refused like
//! by a `forbid`.
//!
//! Limits (`org.limits`) say how large what is sent and answered may be and how often calls are made: [`Policy::counts`] has what a
//! call is counted as. Who makes the call counts it, and refuses what is permitted but too much ([`Permit::over`]).
//!
//! What administrators stop beside the policies ([`Policy::halted_by`]) is refused although a policy permits it, and not shown.
//!
//! # Example
//!
//! ```
//! # use std::collections::BTreeMap;
//! # use model::{CallId, Digest, Subject, Timestamp};
//! # use org_protocol::{ConnectorSpec, PinnedTools, ServerSpec};
//! # use policy::{Circumstance, Policy, PolicyInput, PolicyVersion, Question, Target};
//! const POLICIES: &str = r#"
//!     // Analysts and finance work through the virtual server "analyst".
//!     @id("analyst-server")
//!     permit (
//!         principal,
//!         action in [Action::"see_server", Action::"expose_connector", Action::"call_tool"],
//!         resource in Server::"analyst"
//!     )
//!     when { principal in Group::"analysts" || principal in Group::"finance" };
//!
//!     // A tool hidden from a group: it is not listed either.
//!     @id("analysts-do-not-write")
//!     @reason("Analysts do not change files.")
//!     forbid (principal in Group::"analysts", action == Action::"files/write_file", resource);
//!
//!     // An argument limited.
//!     @id("small-searches")
//!     @reason("At most 100 messages at a time.")
//!     forbid (principal, action == Action::"mail/search", resource)
//!     unless { context.input has limit && context.input.limit <= 100 };
//!
//!     // Resources of one connector, as far as they are public.
//!     @id("public-files")
//!     permit (principal, action == Action::"read_resource", resource in Connector::"files")
//!     when { context.input.uri like "file:///public/*" };
//!
//!     // Prompts, but for one.
//!     @id("prompts")
//!     permit (principal in Group::"analysts", action == Action::"get_prompt", resource in Server::"analyst")
//!     unless { context.input.name == "payroll" };
//!
//!     // A shared credential limited to a group.
//!     @id("finance-credential")
//!     permit (
//!         principal in Group::"finance",
//!         action == Action::"use_shared_credential",
//!         resource == Credential::"warehouse-finance"
//!     );
//! "#;
//! # let connectors: BTreeMap<model::ConnectorId, ConnectorSpec> = serde_json::from_str(r#"{
//! #     "files": {"title": "Files", "command": ["files"]},
//! #     "mail": {"title": "Mail", "command": ["mail"]},
//! #     "warehouse": {"title": "Warehouse", "command": ["dbhub"],
//! #                   "credential": {"kind": "brokered", "credentials": ["warehouse-finance"]}}
//! # }"#)?;
//! # let servers: BTreeMap<model::ServerId, ServerSpec> =
//! #     serde_json::from_str(r#"{"analyst": {"title": "Analyst", "connectors": ["files", "mail", "warehouse"]}}"#)?;
//! # let tools: BTreeMap<model::ConnectorId, PinnedTools> = serde_json::from_str(r#"{
//! #     "files": [{"name": "write_file", "inputSchema": {"type": "object"}}],
//! #     "mail": [{"name": "search", "inputSchema": {"type": "object", "properties": {"limit": {"type": "integer"}}}}],
//! #     "warehouse": [{"name": "execute_sql", "inputSchema": {"type": "object"}}]
//! # }"#)?;
//! let policy = Policy::compile(PolicyInput {
//!     version: PolicyVersion { label: "12".to_owned(), digest: Digest::of(b"the bundle") },
//!     connectors: &connectors,
//!     servers: &servers,
//!     tools: &tools,
//!     claims: &BTreeMap::new(),
//!     policies: &BTreeMap::from([("policies/analyst.cedar".to_owned(), POLICIES.to_owned())]),
//!     payload: &org_protocol::PayloadSettings::default(),
//!     limits: &[],
//! })
//! .expect("every name is spelt right");
//!
//! let mut ann = Subject::local("ann");
//! ann.groups.insert("analysts".to_owned());
//! # let (server, connector, tool) = ("analyst".parse()?, "mail".parse()?, "search".parse()?);
//! # let circumstance = Circumstance {
//! #     now: Timestamp::from_seconds(0), client_id: "c".into(), client_name: "Assistant".into(), device: None,
//! #     program: None, address: None,
//! # };
//! # let question = |arguments| Question {
//! #     call: CallId::new(), subject: &ann, server: &server, connector: &connector,
//! #     target: Target::Tool { name: &tool, arguments }, circumstance: &circumstance,
//! # };
//! assert!(policy.decide(&question(r#"{"limit": 100}"#)).is_ok());
//! let denial = policy.decide(&question(r#"{"limit": 101}"#)).expect_err("too many");
//! assert_eq!(denial.outside_text(), "Policy forbids this call: small-searches (At most 100 messages at a time).");
//! assert_eq!(policy.listed(&ann, &server, &circumstance), [(connector.clone(), tool.clone())]);
//!
//! let (files, viewer) = ("files".parse()?, policy.viewer(&ann, &server, &circumstance));
//! assert!(viewer.shows_resource(&files, "file:///public/a.txt"));
//! assert!(!viewer.shows_resource(&files, "file:///private/a.txt"));
//! assert!(viewer.shows_prompt(&files, "review") && !viewer.shows_prompt(&files, "payroll"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod approval;
mod compile;
mod conjunct;
mod convert;
mod decide;
mod declared;
mod explain;
mod facts;
mod fault;
mod given;
mod halt;
mod hearsay;
mod limits;
mod lint;
mod listing;
mod naming;
mod observed;
mod outcome;
mod payloads;
mod rule;
mod schema;
mod scope;
mod set;
mod shape;
mod source;
mod survey;
mod users;

pub use approval::ApprovalNeeded;
pub use compile::PolicyInput;
pub use convert::ArgumentFault;
pub use declared::{DeclarationFault, Unknown, UnknownFact};
pub use explain::{Explanation, RuleNote, Step, Verdict};
pub use facts::{Circumstance, Question, Target};
pub use fault::{FaultKind, PolicyFault};
pub use halt::Reach;
pub use hearsay::{Hearsay, hearsay};
pub use limits::{Again, Count, CountedBy, LimitFault, LimitLine, Over};
pub use listing::Viewer;
pub use org_protocol::{Approved, HALTED};
pub use outcome::{
    Aim, CredentialChoice, Denial, DenialKind, LIMIT_EXCEEDED, PAYLOAD_BLOCKED, Permit, Stage,
};
pub use payload::{Asking, Finding, Passed, PayloadFault, PayloadPlace, RuleLine, Screened, Sieve, recorded};
pub use rule::{PolicyVersion, RuleId, RuleIdFault};
pub use schema::{SchemaFault, Vocabulary};
pub use set::Policy;
pub use shape::Opaque;

/// The policy of a personal gateway: its user decides.
pub const PERSONAL: &str = r#"
@id("personal")
@reason("This gateway is personal: its user decides.")
permit (principal, action, resource);
"#;
