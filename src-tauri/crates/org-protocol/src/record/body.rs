//! What a record says.

use std::collections::BTreeMap;

use model::{CallId, ConnectorId, Digest, ListeningProcess, ServerId, Subject};
use serde::{Deserialize, Deserializer, Serialize};

use super::personal::{Erasable, Members, Taken, erased_subject, is_erased};
use super::silent::{GapRecord, HeartbeatRecord};
use super::{ArgumentSummary, Effect, Head, PayloadFinding, to_one_line};
use crate::approval::ApprovalRecord;

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordBody {
    /// A chain begins. Always and only the first record of an epoch.
    Epoch(EpochRecord),
    /// A call is about to be made.
    Intent(Box<IntentRecord>),
    /// What became of it.
    Outcome(Box<OutcomeRecord>),
    /// A call was refused before any effect.
    Denial(Box<DenialRecord>),
    /// Something else happened.
    Event(Box<EventRecord>),
    /// Records are missing, and how many.
    Gap(GapRecord),
    /// Nothing happened, but Deskgate ran.
    Heartbeat(HeartbeatRecord),
    /// A kind that a later version writes.
    Unknown,
}

/// A body as JSON, ready to be sealed: made by the caller, so that the one writer has less to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedBody {
    kind: &'static str,
    json: String,
    personal: Members,
}

macro_rules! prepare {
    ($($(#[$doc:meta])* $name:ident: $body:ty = $kind:literal;)*) => {
        impl PreparedBody {
            $($(#[$doc])*
            ///
            /// # Errors
            /// None in practice: what the JSON writer reports, or that the operating system gives no random numbers.
            pub fn $name(body: &$body) -> Result<Self, serde_json::Error> {
                Self::of($kind, body.clone())
            })*
        }
    };
}

prepare! {
    /// A chain begins.
    epoch: EpochRecord = "epoch";
    /// A call is about to be made.
    intent: IntentRecord = "intent";
    /// What became of a call.
    outcome: OutcomeRecord = "outcome";
    /// A call was refused.
    denial: DenialRecord = "denial";
    /// Something else happened.
    event: EventRecord = "event";
    /// Records are missing.
    gap: GapRecord = "gap";
    /// Deskgate ran.
    heartbeat: HeartbeatRecord = "heartbeat";
}

impl PreparedBody {
    fn of(kind: &'static str, mut body: impl Erasable) -> Result<Self, serde_json::Error> {
        let mut taken = Taken::default();
        body.take_personal(&mut taken)?;
        Ok(Self { kind, json: to_one_line(&body)?, personal: taken.members()? })
    }

    /// The kind, as the line has it.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The JSON object, on one line, in which there is nothing personal.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The personal fields' digests and the fields themselves, as JSON; empty where there is none.
    pub(super) fn personal(&self) -> (&str, &str) {
        (&self.personal.digests, &self.personal.values)
    }
}

impl RecordBody {
    /// Reads the JSON of a body of the given kind.
    pub(super) fn read<'d, D: Deserializer<'d>>(kind: &str, json: D) -> Result<Self, D::Error> {
        Ok(match kind {
            "epoch" => Self::Epoch(Deserialize::deserialize(json)?),
            "intent" => Self::Intent(Deserialize::deserialize(json)?),
            "outcome" => Self::Outcome(Deserialize::deserialize(json)?),
            "denial" => Self::Denial(Deserialize::deserialize(json)?),
            "event" => Self::Event(Deserialize::deserialize(json)?),
            "gap" => Self::Gap(Deserialize::deserialize(json)?),
            "heartbeat" => Self::Heartbeat(Deserialize::deserialize(json)?),
            _ => Self::Unknown,
        })
    }

    /// The call that it is about.
    pub fn call(&self) -> Option<CallId> {
        match self {
            Self::Intent(intent) => Some(intent.call),
            Self::Outcome(outcome) => Some(outcome.of.call),
            Self::Denial(denial) => Some(denial.call),
            Self::Epoch(_) | Self::Event(_) | Self::Gap(_) | Self::Heartbeat(_) | Self::Unknown => None,
        }
    }

    /// Whether it is the first of a call's records.
    pub fn begins_call(&self) -> bool {
        matches!(self, Self::Intent(_) | Self::Denial(_))
    }
}

/// A chain begins.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// The organisation whose records these are; none in personal mode, where nothing is ever uploaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<String>,
    /// Why the chain does not continue an earlier one.
    pub reason: EpochReason,
    /// The last record before it that is known of, even if that record is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Head>,
    /// Whose signature the device's checkpoints of this chain have: a verifier key (C2SP `signed-note`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_key: Option<String>,
    /// What was found, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// Why a chain begins.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EpochReason {
    /// There is no history, and none is known to have been.
    First,
    /// There was a history, and it is gone in whole or at its end.
    HistoryMissing,
    /// The history was changed or cannot be read.
    HistoryDamaged,
    /// The device has another identity than the history.
    DeviceChanged,
    /// The device belongs to another organisation, or to one for the first time, or to none any more.
    OrgChanged,
    /// The device has another key for the journal, because its keychain or its vault was lost or reset, or the chain before named none.
    KeyChanged,
    /// Writing failed, and goes on in a new file.
    StorageFailed,
}

/// A call is about to be made. This is on disk before the connector hears of the call.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentRecord {
    /// The call.
    pub call: CallId,
    /// For whom, with the claims that policy saw.
    #[serde(default = "erased_subject", skip_serializing_if = "is_erased")]
    pub subject: Subject,
    /// The virtual server.
    pub server: ServerId,
    /// The connector.
    pub connector: ConnectorId,
    /// What is asked of it.
    #[serde(flatten)]
    pub effect: Effect,
    /// The assistant's client id.
    pub client_id: String,
    /// The name that the assistant claims.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client_name: String,
    /// The program behind the connection, where it can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ListeningProcess>,
    /// The policy that decided.
    pub policy: PolicyReference,
    /// The rules that determined the decision.
    pub rules: Vec<String>,
    /// The rules that are only observed (`@observe`) and would have refused the call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<String>,
    /// The person's leave that the call was made with, where a policy asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalRecord>,
    /// Which credential is used, never the secret: a reference such as `shared:warehouse-analyst`, `user` for the person's own
    /// account at the connector, `user:shared-inbox` for another one of theirs.
    pub credential: String,
    /// What is known of the arguments, as they are sent on.
    pub arguments: ArgumentSummary,
    /// What payload rules found in what the assistant sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payload: Vec<PayloadFinding>,
}

/// One version of the policy.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyReference {
    /// Its label, as people read it.
    pub label: String,
    /// Its digest.
    pub digest: Digest,
}

/// What identifies a call in its outcome, so that the outcome can be read without its intent.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallContext {
    /// The call.
    pub call: CallId,
    /// The user's issuer.
    pub issuer: String,
    /// The user's `sub`; empty where it was erased.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// The virtual server.
    pub server: ServerId,
    /// The connector.
    pub connector: ConnectorId,
    /// What is asked of it.
    #[serde(flatten)]
    pub effect: Effect,
}

impl CallContext {
    /// Takes away who made the call, and of a resource what is kept of its URI.
    pub fn forget_person(&mut self) {
        self.subject.clear();
        if let Some(uri) = self.effect.uri_mut() {
            uri.clear();
        }
    }
}

impl From<&IntentRecord> for CallContext {
    fn from(intent: &IntentRecord) -> Self {
        Self {
            call: intent.call,
            issuer: intent.subject.issuer.clone(),
            subject: intent.subject.subject.clone(),
            server: intent.server.clone(),
            connector: intent.connector.clone(),
            effect: intent.effect.clone(),
        }
    }
}

/// What became of a call.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeRecord {
    /// The call.
    pub of: CallContext,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a call.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// In one word.
    pub status: OutcomeStatus,
    /// A stable code where it is not `ok`, such as `sign-in-needed` or `crash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The connector's HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_status: Option<u16>,
    /// From intent to answer, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_micros: Option<u64>,
    /// The answer's size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_bytes: Option<u64>,
    /// The limit for which the answer was withheld, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// What payload rules found in what the connector said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payload: Vec<PayloadFinding>,
}

impl Outcome {
    /// An outcome of which only the status is known.
    pub fn new(status: OutcomeStatus) -> Self {
        Self {
            status,
            code: None,
            upstream_status: None,
            duration_micros: None,
            response_bytes: None,
            limit: None,
            payload: Vec::new(),
        }
    }

    /// The same with a stable code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }
}

/// What became of a call, in one word.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeStatus {
    /// The connector answered with a result.
    Ok,
    /// The connector answered that the tool failed (MCP, `isError`).
    ToolError,
    /// The connector asked for more before it would go on (MCP 2026-07-28, `input_required`); another call continues.
    #[serde(rename = "input-required")]
    InputRequired,
    /// The connector refused, or was not reached, or broke the protocol.
    Failed,
    /// The assistant or a person ended it.
    Cancelled,
    /// Nobody knows: Deskgate crashed or gave up waiting. The effect may have happened.
    Unknown,
}

/// A call was refused before any effect.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenialRecord {
    /// The call.
    pub call: CallId,
    /// For whom, with the claims that policy saw.
    #[serde(default = "erased_subject", skip_serializing_if = "is_erased")]
    pub subject: Subject,
    /// The virtual server.
    pub server: ServerId,
    /// The connector; none where what was asked for is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<ConnectorId>,
    /// What was asked, as the assistant named it.
    #[serde(flatten)]
    pub effect: Effect,
    /// The assistant's client id.
    pub client_id: String,
    /// The name that the assistant claims.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client_name: String,
    /// The program behind the connection, where it can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ListeningProcess>,
    /// The policy that decided.
    pub policy: PolicyReference,
    /// The rules that determined the decision; none where nothing permits.
    pub rules: Vec<String>,
    /// The kind of denial, such as `forbidden` or `not-listed`.
    pub kind: String,
    /// The reason, for people.
    pub reason: String,
    /// What is known of the arguments, where they were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<ArgumentSummary>,
    /// What payload rules found, where that is why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payload: Vec<PayloadFinding>,
}

/// Something other than a call.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// What.
    pub event: AuditEvent,
    /// Who, where a person is concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// Further facts by name, such as `client`, `server`, `version`. Never a secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

impl EventRecord {
    /// An event with nothing more to say.
    pub fn new(event: AuditEvent) -> Self {
        Self { event, subject: None, facts: BTreeMap::new() }
    }

    /// The same with the person concerned.
    #[must_use]
    pub fn of(mut self, subject: Subject) -> Self {
        self.subject = Some(subject);
        self
    }

    /// The same with one more fact.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        debug_assert!(self.event.has_fact(&name), "{} has no fact {name}", self.event.as_str());
        self.facts.insert(name, value.into());
        self
    }
}

macro_rules! event_kinds {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal,)*) => {
        /// What happened.
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "String", from = "String")]
        pub enum AuditEvent {
            $($(#[doc = $doc])* $name,)*
            /// A kind that a later version writes.
            Unknown(String),
        }

        impl AuditEvent {
            /// What happened, in words.
            pub fn meaning(&self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),*).trim_ascii(),)*
                    Self::Unknown(_) => "Something that a later version knows.",
                }
            }

            /// Every kind that this version writes.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The kind as the record has it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Unknown(text) => text,
                }
            }
        }

        impl From<String> for AuditEvent {
            fn from(text: String) -> Self {
                match text.as_str() {
                    $($text => Self::$name,)*
                    _ => Self::Unknown(text),
                }
            }
        }
    };
}

event_kinds! {
    /// Deskgate started.
    Start = "start",
    /// Deskgate stopped in an orderly way.
    Stop = "stop",
    /// The journal was repaired at the start: a torn end was set aside.
    JournalRepaired = "journal-repaired",
    /// The journal has come to 50, 80, 95 or 100 percent of its quota, or calls go on after the last.
    JournalFilling = "journal-filling",
    /// Segments that were no longer needed were removed from the journal.
    JournalPruned = "journal-pruned",
    /// Personal data are to be erased from records, were, or were missing when the records arrived.
    PersonalDataErased = "personal-data-erased",
    /// A person signed in.
    SignedIn = "signed-in",
    /// A sign-in did not succeed.
    SignInFailed = "sign-in-failed",
    /// A person signed out.
    SignedOut = "signed-out",
    /// The session ended without the person's doing.
    SessionEnded = "session-ended",
    /// The device was enrolled with an organisation.
    Enrolled = "enrolled",
    /// A device was not enrolled.
    EnrolmentRefused = "enrolment-refused",
    /// Two devices hold one key; both are stopped.
    DeviceSuspended = "device-suspended",
    /// A person allowed an assistant to use a virtual server.
    ConsentGiven = "consent-given",
    /// A person or a deadline refused it.
    ConsentRefused = "consent-refused",
    /// What a person had allowed is forgotten: they took it back or signed out, or a token came that was spent.
    ConsentRevoked = "consent-revoked",
    /// A person was asked about one call and answered, or did not.
    ApprovalAnswered = "approval-answered",
    /// A person took back what they had approved for more than one call.
    ApprovalRevoked = "approval-revoked",
    /// An assistant asked for too much at once; for a while nobody is asked on its behalf.
    AssistantSuspended = "assistant-suspended",
    /// An assistant registered as a client.
    ClientRegistered = "client-registered",
    /// A gateway token was issued, for the first time or anew.
    TokenIssued = "token-issued",
    /// A gateway token was revoked.
    TokenRevoked = "token-revoked",
    /// A request was refused before anybody was known: bad token, host, origin or size.
    RequestRefused = "request-refused",
    /// A person authorized a connector.
    GrantObtained = "grant-obtained",
    /// A connector's grant was renewed.
    GrantRefreshed = "grant-refreshed",
    /// A connector's grant is no longer good.
    GrantLost = "grant-lost",
    /// A person has compared the fingerprint of an organisation that was met by its address alone.
    OrganisationConfirmed = "organisation-confirmed",
    /// Servers that an assistant had were made connectors of the person's own, and their secrets sealed.
    ServersImported = "servers-imported",
    /// Such servers were put back into the assistant's file, with their secrets.
    ServersGivenBack = "servers-given-back",
    /// A person without an organisation added a connector in the window.
    ConnectorAdded = "connector-added",
    /// Such a person removed a connector, with its sign-ins and secrets.
    ConnectorRemoved = "connector-removed",
    /// The person removes Deskgate from their account on this computer: what follows is the end of this journal.
    Leaving = "leaving",
    /// A policy bundle took effect.
    BundleApplied = "bundle-applied",
    /// A policy bundle was refused; the last good one stays.
    BundleRefused = "bundle-refused",
    /// What the administrator has set on the machine changed.
    ManagedChanged = "managed-changed",
    /// What the administrator has set on the machine cannot be used; nothing of it is obeyed.
    ManagedRefused = "managed-refused",
    /// Another version of the program was fetched and verified, and is offered.
    UpdateOffered = "update-offered",
    /// An administrator was asked for and has installed a version that was offered.
    UpdateInstalled = "update-installed",
    /// A version that was offered is not the publisher's, or not what it says; nothing of it is installed.
    UpdateRefused = "update-refused",
    /// A connector's tool is not what was accepted; it is held.
    ToolHeld = "tool-held",
    /// Somebody accepted a changed tool.
    ToolAccepted = "tool-accepted",
    /// A connector answers again, does not, or needs a sign-in.
    ConnectorState = "connector-state",
    /// The keychain can be used or not, at the start where it cannot and whenever that changes.
    KeychainState = "keychain-state",
    /// State on disk was lost or damaged and has been set aside.
    StateSetAside = "state-set-aside",
    /// Calls were paused or resumed by a person.
    Paused = "paused",
    /// Calls go on.
    Resumed = "resumed",
    /// The wall clock was moved.
    ClockMoved = "clock-moved",
    /// The records could not be delivered.
    DeliveryFailed = "delivery-failed",
    /// The organisation refuses a record for ever; those after it are delivered all the same.
    RecordSetAside = "record-set-aside",
    /// A receipt was refused.
    ReceiptRefused = "receipt-refused",
    /// An administrator did something.
    Administration = "administration",
    /// A shared credential was lent to a device.
    LeaseGranted = "lease-granted",
    /// It goes on being lent.
    LeaseRenewed = "lease-renewed",
    /// It was not lent.
    LeaseRefused = "lease-refused",
    /// A lease was ended before its time.
    LeaseEnded = "lease-ended",
    /// No call is under way any more with a secret that was rotated.
    CredentialDrained = "credential-drained",
    /// What was lent was ended at its source, or could not be.
    LeaseSecretRevoked = "lease-secret-revoked",
    /// What administrators have stopped beside the policy is another thing than before.
    HaltsChanged = "halts-changed",
    /// Diagnostics were asked for, and what became of that.
    Diagnostics = "diagnostics",
}

impl From<AuditEvent> for String {
    fn from(kind: AuditEvent) -> Self {
        kind.as_str().to_owned()
    }
}
