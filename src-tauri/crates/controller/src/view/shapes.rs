//! The shapes of what a window shows. The TypeScript bindings are made from them.

mod activity;
mod diagnostics;
mod local;

use serde::{Deserialize, Serialize};
use specta::Type;

use crate::state::Status;

pub use activity::{ActivityFilter, ActivityView, OutcomeKind, PastView, SavingView};
pub use diagnostics::{AskedDiagnosticsView, DiagnosticsEntryView, DiagnosticsView};
pub use local::{
    AssistantChangeView, ConnectedView, ConnectorChangeView, ConnectorPlace, ConnectorWish, ImportView,
    LocalAssistantView, SecretWish, TrialView, TriedCallView,
};

/// Milliseconds: since 1970-01-01 UTC where it is a point in time. A whole number that JavaScript holds exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Type)]
#[serde(transparent)]
pub struct Millis(
    // The bindings' generator fears for 64 bits, which this never needs.
    #[specta(type = i32)] pub(super) i64,
);

/// A whole number that JavaScript holds exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(transparent)]
pub struct Count(
    // As above.
    #[specta(type = i32)] pub u64,
);

/// Everything that the main window shows, except the list of calls.
#[derive(Debug, Clone, PartialEq, Serialize, Type)]
pub struct WindowView {
    /// How it is, in a word.
    pub status: Status,
    /// That word, to read.
    pub status_word: String,
    /// How it is, in a sentence.
    pub summary: String,
    /// Who decides what may be done here.
    pub manager: ManagerView,
    /// Who is signed in.
    pub session: SessionView,
    /// Since when the organisation has not answered.
    pub offline_since: Option<Millis>,
    /// Where calls are taken.
    pub address: Option<String>,
    /// When the pause ends; `paused` says whether there is one.
    pub paused_until: Option<Millis>,
    /// Whether calls are refused because the person said so.
    pub paused: bool,
    /// What is wrong and what to do, the gravest first.
    pub advice: Vec<AdviceView>,
    /// What waits, the most urgent first.
    pub pending: Vec<PendingView>,
    /// The virtual servers.
    pub servers: Vec<ServerView>,
    /// The connectors.
    pub connectors: Vec<ConnectorView>,
    /// The assistants.
    pub assistants: Vec<AssistantView>,
    /// What the person has allowed for more than one call.
    pub approvals: Vec<StandingView>,
    /// The last few calls.
    pub recent: Vec<ActivityView>,
    /// The audit record.
    pub audit: AuditView,
    /// The policy.
    pub policy: Option<PolicyView>,
    /// What is decided for the person, and by whom.
    pub settings: Vec<SettingView>,
    /// What IT has left out of menus: quit, sign-out, pause, settings.
    pub hidden: Vec<String>,
    /// The file that a person edits in personal mode.
    pub settings_file: String,
    /// What signing out would mean; none where nobody is signed in to an organisation.
    pub farewell: Option<FarewellView>,
    /// Where an update of the program stands.
    pub update: UpdateView,
    /// Whether the person is new here and shown around.
    pub is_new: bool,
}

/// Where an update of the program stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct UpdateView {
    /// In a line.
    pub words: String,
    /// Whether it can be installed here and now, by an administrator who is asked for.
    pub can_install: bool,
    /// Whether another version is installed by now, which a new start would use.
    pub can_restart: bool,
    /// Whether it can be looked for one again, after that failed.
    pub can_look: bool,
}

/// What a sign-out takes, and what it leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct FarewellView {
    /// What ends.
    pub ends: Vec<String>,
    /// What stays.
    pub stays: Vec<String>,
    /// What becomes of the person's accounts at connectors, unless they are forgotten too; none where there are none.
    pub accounts: Option<String>,
}

/// Who decides.
#[derive(Debug, Clone, PartialEq, Serialize, Type)]
pub struct ManagerView {
    /// The organisation's name; none in personal mode.
    pub organisation: Option<String>,
    /// Whether it has a support page.
    pub support: bool,
    /// Where its settings come from.
    pub config_url: Option<String>,
    /// The fingerprint of its root key.
    pub fingerprint: Option<String>,
}

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Serialize, Type)]
pub struct SessionView {
    /// Which of the states it is.
    pub state: SessionKind,
    /// Who it is or was.
    pub label: Option<String>,
    /// In a line.
    pub words: String,
}

/// The states of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum SessionKind {
    /// The user of this computer.
    Local,
    /// Nobody.
    SignedOut,
    /// A sign-in is going on.
    SigningIn,
    /// Signed in.
    SignedIn,
    /// The session ended.
    Expired,
}

/// What is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct AdviceView {
    /// A stable code.
    pub code: String,
    /// What happened.
    pub happened: String,
    /// What it means.
    pub means: String,
    /// What to do.
    pub todo: String,
}

/// A question that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Type)]
pub struct PendingView {
    /// Its id.
    pub id: String,
    /// In a line.
    pub title: String,
    /// In a sentence.
    pub detail: String,
    /// When it was asked.
    pub created: Millis,
    /// When it is refused by itself.
    pub deadline: Millis,
    /// What is asked.
    pub question: QuestionView,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Type)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum QuestionView {
    /// To sign in.
    SignIn {
        /// The host where the person authenticates.
        host: String,
    },
    /// Whether an assistant may use a virtual server.
    Consent(ConsentView),
    /// Whether one call may be made.
    Approval(ApprovalView),
    /// Whether diagnostics that IT asks for are sent.
    Diagnostics(AskedDiagnosticsView),
}

/// What a person reads before allowing an assistant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct ConsentView {
    /// The name that the assistant claims.
    pub claimed_name: String,
    /// The host where the document lies by which it names itself, if it does.
    pub described_at: Option<String>,
    /// The program that is really running, if it can be told.
    pub program: Option<ProgramView>,
    /// Whether the program's own name has nothing in common with the claimed one.
    pub name_differs: bool,
    /// The socket that the program opens for others, who cannot be told.
    pub through: Option<String>,
    /// The virtual server's title.
    pub server_title: String,
    /// Where the permission is sent: the host and port, or the program itself that asks.
    pub returns_to: String,
    /// For whom the assistant will act.
    pub acts_for: String,
    /// What it will be able to do, a line for each connector.
    pub reach: Vec<ReachView>,
}

/// A program that runs on this computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct ProgramView {
    /// The executable's file name.
    pub name: String,
    /// Its absolute path.
    pub path: String,
    /// Its process id; none for a program that is known from before.
    pub pid: Option<u32>,
}

/// What an assistant can reach through one connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct ReachView {
    /// The connector's title.
    pub title: String,
    /// As whom, in words.
    pub credential: String,
    /// The tools that policy lists, as far as they are known.
    pub tools: Vec<String>,
}

/// What a person reads before allowing one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct ApprovalView {
    /// The assistant's name.
    pub assistant: String,
    /// The program that was let in as this assistant, if it could be told.
    pub program: Option<ProgramView>,
    /// The virtual server's title.
    pub server_title: String,
    /// The connector's title.
    pub connector_title: String,
    /// The tool, the resource or the prompt.
    pub tool: String,
    /// Which of these it is.
    pub call_kind: CallKind,
    /// Why a person is asked.
    pub reason: String,
    /// The arguments, as a form.
    pub arguments: Vec<ArgumentView>,
    /// Whether they were compared with those of an earlier call.
    pub compared: bool,
    /// Whether the person may allow it for the session.
    pub for_session: bool,
    /// Whether the person may allow it for good.
    pub always: bool,
    /// How many identical calls wait for the answer.
    pub count: u32,
}

/// What a call is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    /// A tool.
    Tool,
    /// A resource.
    Resource,
    /// A prompt.
    Prompt,
}

/// What a person has allowed for more than one call.
#[derive(Debug, Clone, PartialEq, Serialize, Type)]
pub struct StandingView {
    /// By this it is taken back.
    pub id: String,
    /// The assistant's name.
    pub assistant: String,
    /// The virtual server's title.
    pub server_title: String,
    /// The connector's title.
    pub connector_title: String,
    /// What may be asked of it, with any arguments.
    pub what: String,
    /// Whether it is for good; else for the session.
    pub always: bool,
    /// When the person allowed it.
    pub answered: Millis,
}

/// How an argument differs from the same one of the last approved call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ChangeView {
    /// It was not there.
    New,
    /// It was another.
    Other {
        /// What it was, whole.
        before: String,
    },
    /// It was there, and is not any more.
    Gone,
}

/// One argument of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct ArgumentView {
    /// Its path, such as `message.to`.
    pub name: String,
    /// Its value, whole; what would not be seen in it is written as its number.
    pub value: String,
    /// How it differs from the last approved call; nothing where it does not, or there was none.
    pub change: Option<ChangeView>,
}

/// A virtual server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct ServerView {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What an assistant is given.
    pub url: String,
    /// The titles of its connectors.
    pub connectors: Vec<String>,
    /// What may be done with it.
    pub tools: Vec<ToolView>,
}

/// What policy says of one tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct ToolView {
    /// The connector's title.
    pub connector: String,
    /// The tool.
    pub tool: String,
    /// What policy says.
    pub access: AccessKind,
    /// Why.
    pub reason: String,
}

/// What policy says of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum AccessKind {
    /// It may be called.
    Allowed,
    /// The person is asked each time.
    Asks,
    /// It may not be called.
    NotAllowed,
}

/// A connector.
#[derive(Debug, Clone, PartialEq, Serialize, Type)]
pub struct ConnectorView {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Where it runs, in words.
    pub runs: String,
    /// As whom it is used, in words.
    pub credential: String,
    /// Whether the person's own account is used, so that they can sign in and out.
    pub own_account: bool,
    /// The account, as the connector names it.
    pub account: Option<String>,
    /// How it is.
    pub status: ConnectorKind,
    /// What its log is of; none where it has none here.
    pub log: Option<LogOf>,
    /// What is wrong, if it does not answer.
    pub advice: Option<AdviceView>,
    /// How many tools it has.
    pub tools: Option<u32>,
    /// How what it lists stands.
    pub list: ListKind,
    /// What it says otherwise than was accepted, and that is held for it.
    pub held: Vec<HeldView>,
    /// Since when it does not answer.
    pub silent_since: Option<Millis>,
    /// When it was last used.
    pub last_used: Option<Millis>,
}

/// A part of what a connector says to assistants that is held, because it is not what was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct HeldView {
    /// By this it is accepted.
    pub id: String,
    /// Which part, in words.
    pub part: String,
    /// What differs, place by place.
    pub differences: Vec<DifferenceView>,
    /// What looks as if it were made to deceive.
    pub flags: Vec<String>,
    /// What it waits for, in words, where the person may not accept it.
    pub waits_for: Option<String>,
}

/// One place in which a definition differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct DifferenceView {
    /// Where; nothing where it is the whole.
    pub at: String,
    /// What was accepted; none where there was nothing.
    pub before: Option<String>,
    /// What it says now; none where that is gone.
    pub after: Option<String>,
    /// Whether there is more than is shown.
    pub cut: bool,
}

/// How a connector is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum ConnectorKind {
    /// Not used yet.
    Idle,
    /// It answers.
    Ready,
    /// The person has to sign in.
    SignInNeeded,
    /// A sign-in waits.
    SigningIn,
    /// It does not answer.
    Unreachable,
}

/// How what a connector lists stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum ListKind {
    /// It is what the connector says.
    Current,
    /// It is what the connector listed last.
    Kept,
    /// Nothing of it is offered until the connector answers.
    Withdrawn,
    /// Nothing of it is offered for now, because the organisation's own rules say so.
    Withheld,
}

/// One record of a call, as it was written and is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct RecordView {
    /// What it is.
    pub title: String,
    /// Who receives it, and whether they have: a sentence.
    pub fate: String,
    /// The record itself: one line of JSON.
    pub line: String,
}

/// What a connector's log holds from some entry on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct LogView {
    /// The entries, the oldest first.
    pub entries: Vec<LogEntryView>,
    /// The number of the entry that comes next, to go on from.
    pub next: Count,
    /// How many were asked for and are no longer kept.
    pub missed: Count,
    /// Entries before this one were another person's, and are not to be shown any more.
    pub begun: Count,
}

/// What a connector's log is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum LogOf {
    /// The programs that are run for it on this computer.
    Program,
    /// The connection to it.
    Connection,
}

/// One entry of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct LogEntryView {
    /// Its number.
    pub number: Count,
    /// When.
    pub at: Millis,
    /// The process that it is of.
    pub process: Option<u32>,
    /// Who says it.
    pub kind: LogKind,
    /// What.
    pub text: String,
}

/// Who says what is in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum LogKind {
    /// The program.
    Printed,
    /// Deskgate, of a start or an end.
    Life,
    /// Deskgate, of something that failed.
    Failed,
}

/// An assistant that was allowed to use a virtual server.
#[derive(Debug, Clone, PartialEq, Serialize, Type)]
pub struct AssistantView {
    /// Its client identifier.
    pub client_id: String,
    /// The name it claims.
    pub name: String,
    /// The program that was running when it was allowed.
    pub program: Option<ProgramView>,
    /// The virtual server's id.
    pub server: String,
    /// The virtual server's title.
    pub server_title: String,
    /// Since when it is allowed.
    pub allowed: Millis,
    /// When it last called.
    pub last_call: Option<Millis>,
    /// How many calls it has made since this program started.
    pub calls: u32,
}

/// The audit record.
#[derive(Debug, Clone, PartialEq, Serialize, Type)]
pub struct AuditView {
    /// How many records there are on this device.
    pub records: u32,
    /// How many the organisation has acknowledged; none where they stay on this device.
    pub receipted: Option<u32>,
    /// When the chain was last found whole.
    pub whole_at: Option<Millis>,
    /// What is wrong with it.
    pub broken: Option<AdviceView>,
}

/// The policy.
#[derive(Debug, Clone, PartialEq, Serialize, Type)]
pub struct PolicyView {
    /// Its version.
    pub version: String,
    /// Its fingerprint.
    pub digest: String,
    /// Since when it is in force here.
    pub since: Millis,
    /// How fresh it is.
    pub freshness: FreshnessKind,
    /// Until when.
    pub until: Option<Millis>,
}

/// How fresh a policy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum FreshnessKind {
    /// The person's own: it does not age.
    Own,
    /// In force.
    Fresh,
    /// Expired, and obeyed a while longer.
    Grace,
    /// Every call is refused.
    DenyAll,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct SettingView {
    /// What it is about.
    pub name: String,
    /// What it is set to, in words.
    pub value: String,
    /// Who has set it, where it is not the person's to set.
    pub managed_by: Option<String>,
}
