//! What administrators may do: over a local socket that only the server's user and root may use, or over HTTP, whom the identity
//! provider vouches for and the signed content gives a role. Every act is an audit record.

mod access;
mod acts;
mod administrator;
mod client;
mod credentials;
mod diagnostics;
mod enrolment;
mod erase;
mod export;
mod halts;
pub mod remote;
mod socket;
mod verify;
pub(crate) mod wire;

use std::collections::BTreeMap;

use model::{Advice, ConnectorId, CredentialId, DeviceId, LeaseId, Timestamp};
use org_protocol::{HaltTarget, PlainLine};
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::credential::SourceSpec;
use crate::publication::Published;
use crate::store::{
    AskedDiagnostics, DeniedBy, Device, EnrolmentToken, Filter, KnownPerson, LiveLease, StandingHalt,
    StoredCredential,
};

pub use access::{CredentialAccess, PersonAccess};
pub(crate) use administrator::Administrator;
pub use client::{AskFault, ask};
pub use diagnostics::SentDiagnostics;
pub use erase::ErasedRecords;
pub(crate) use socket::listen;
pub use verify::{ChainVerdict, Verdict};

/// The largest request, in bytes: a publication with several bundles.
pub(crate) const REQUEST_LIMIT: u64 = 96 * 1024 * 1024;

/// What an administrator asks for.
#[derive(JsonSchema, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// Publishes documents, by their path below the configuration URL.
    Publish {
        /// The documents; all of them are JSON texts.
        documents: BTreeMap<String, String>,
        /// Also where desktops that are in use would have no bundle that they can read.
        #[serde(default)]
        leave_behind: bool,
    },
    /// What is published.
    Status,
    /// The content of the bundle that is published.
    Content,
    /// Who has signed in, with what their last sign-in said of them.
    People,
    /// Stores a secret in the place of an earlier one.
    PutCredential {
        /// The credential.
        id: CredentialId,
        /// The secret; what opens the source, where there is one.
        secret: Secret,
        /// Where the secret comes from, if it is not given here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<SourceSpec>,
    },
    /// Tests a new secret with the connectors that use it, and has it take the earlier one's place while calls with that finish.
    RotateCredential {
        /// The credential.
        id: CredentialId,
        /// The new secret; what opens the source, where there is one.
        secret: Secret,
        /// Where the secret comes from from now on; as before where nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<SourceSpec>,
        /// Without the test.
        #[serde(default)]
        untested: bool,
    },
    /// Lists credentials without their secrets.
    ListCredentials,
    /// Who may use a credential, and who holds it.
    ShowCredential {
        /// The credential.
        id: CredentialId,
    },
    /// Removes a secret and ends the connectors that hold it.
    RemoveCredential {
        /// The credential.
        id: CredentialId,
    },
    /// Lists devices.
    ListDevices,
    /// Ends a device.
    RevokeDevice {
        /// The device.
        id: DeviceId,
    },
    /// Lets a device go on that was suspended because two hold its key.
    ResumeDevice {
        /// The device.
        id: DeviceId,
    },
    /// Makes an enrolment token.
    NewEnrolmentToken {
        /// For how many days it enrols.
        days: u32,
        /// How many devices it enrols; any number where none is given.
        uses: Option<u32>,
    },
    /// Lists enrolment tokens, without the tokens.
    ListEnrolmentTokens,
    /// Has an enrolment token enrol nothing any more.
    RevokeEnrolmentToken {
        /// Its number.
        id: i64,
    },
    /// Ends the sign-ins of a person on every device. Whoever may still sign in at the provider can do so again.
    SignOutPerson {
        /// Their subject at the provider, or their e-mail address.
        person: String,
    },
    /// Looks up audit records.
    QueryAudit {
        /// Which.
        filter: Filter,
    },
    /// Checks all stored chains.
    VerifyAudit,
    /// States which records there are of a time, for an export.
    ExportAudit {
        /// Not before.
        since: Timestamp,
        /// Before; now at the latest.
        until: Timestamp,
    },
    /// Lines of an export: as many as are given at once.
    ExportLines {
        /// Whose.
        device: DeviceId,
        /// The epoch.
        epoch: u64,
        /// The first record.
        first: u64,
        /// The last record.
        last: u64,
    },
    /// Erases personal data from stored records.
    EraseAudit {
        /// Everything about this person: subject or e-mail address.
        #[serde(default)]
        person: Option<String>,
        /// Of records before this time only.
        #[serde(default)]
        before: Option<Timestamp>,
    },
    /// Counts what was refused, by policy.
    CountDenials {
        /// Not before.
        #[serde(default)]
        since: Option<Timestamp>,
        /// Before.
        #[serde(default)]
        until: Option<Timestamp>,
    },
    /// Stops something at once, until it is let go on.
    Halt {
        /// What.
        target: HaltTarget,
        /// Why, in one line for those whom it hits; may be empty.
        reason: String,
    },
    /// Lets something go on.
    Lift {
        /// The halt.
        id: u64,
    },
    /// What is stopped.
    ListHalts,
    /// Who holds shared credentials now.
    ListLeases,
    /// Ends a lease. Its device may ask for another, unless something is stopped as well.
    RevokeLease {
        /// The lease.
        id: LeaseId,
    },
    /// Asks a device for diagnostics. Its person sees them first, and says whether they go.
    AskDiagnostics {
        /// The device.
        device: DeviceId,
        /// Why, in one line for that person.
        reason: PlainLine,
    },
    /// What devices were asked for, and what came of it.
    ListDiagnostics,
    /// What a device sent.
    ReadDiagnostics {
        /// The request.
        id: u64,
    },
    /// Does not ask a device any more.
    WithdrawDiagnostics {
        /// The request.
        id: u64,
    },
    /// Erases a request that is over, and what was sent.
    EraseDiagnostics {
        /// The request.
        id: u64,
    },
}

impl Ask {
    /// What it is called in records.
    fn name(&self) -> &'static str {
        match self {
            Self::Publish { .. } => "publish",
            Self::Status => "status",
            Self::Content => "content",
            Self::People => "people-list",
            Self::PutCredential { .. } => "credential-put",
            Self::ShowCredential { .. } => "credential-show",
            Self::RotateCredential { .. } => "credential-rotate",
            Self::ListCredentials => "credential-list",
            Self::RemoveCredential { .. } => "credential-remove",
            Self::ListDevices => "device-list",
            Self::RevokeDevice { .. } => "device-revoke",
            Self::ResumeDevice { .. } => "device-resume",
            Self::NewEnrolmentToken { .. } => "enrolment-token-new",
            Self::ListEnrolmentTokens => "enrolment-token-list",
            Self::RevokeEnrolmentToken { .. } => "enrolment-token-revoke",
            Self::SignOutPerson { .. } => "person-sign-out",
            Self::QueryAudit { .. } => "audit-query",
            Self::VerifyAudit => "audit-verify",
            Self::ExportAudit { .. } => "audit-export",
            Self::ExportLines { .. } => "audit-export-lines",
            Self::EraseAudit { .. } => "audit-erase",
            Self::CountDenials { .. } => "audit-denials",
            Self::Halt { .. } => "halt",
            Self::Lift { .. } => "halt-lift",
            Self::ListHalts => "halt-list",
            Self::ListLeases => "lease-list",
            Self::RevokeLease { .. } => "lease-revoke",
            Self::AskDiagnostics { .. } => "diagnostics-ask",
            Self::ListDiagnostics => "diagnostics-list",
            Self::ReadDiagnostics { .. } => "diagnostics-read",
            Self::WithdrawDiagnostics { .. } => "diagnostics-withdraw",
            Self::EraseDiagnostics { .. } => "diagnostics-erase",
        }
    }
}

/// What an administrator is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// It was published, or this is what is.
    Published(Published),
    /// What is published, with its content.
    Content {
        /// What it is.
        published: Published,
        /// The content as JSON: text, because pinned tools are kept word by word.
        content: String,
        /// What is stopped beside it.
        halts: Vec<StandingHalt>,
        /// Whom the stopped people, devices and assistants are known to be.
        people: Vec<KnownPerson>,
    },
    /// Who has signed in, and where.
    People {
        /// The latest first.
        people: Vec<KnownPerson>,
    },
    /// Nothing is published yet.
    Nothing,
    /// The secret is stored.
    Stored(StoredCredential),
    /// The new secret is used from now on.
    Rotated(Rotated),
    /// Who may use a credential, and who holds it.
    Access(Box<CredentialAccess>),
    /// The credentials.
    Credentials {
        /// In the order of their ids.
        credentials: Vec<StoredCredential>,
    },
    /// An enrolment token, which is shown this once.
    EnrolmentToken {
        /// Its number.
        id: i64,
        /// The token.
        token: Secret,
    },
    /// The enrolment tokens.
    EnrolmentTokens {
        /// The latest first.
        tokens: Vec<EnrolmentToken>,
    },
    /// The devices.
    Devices {
        /// The latest first.
        devices: Vec<Device>,
    },
    /// The person's sign-ins were ended.
    SignedOut {
        /// On how many devices they had a session.
        devices: usize,
    },
    /// It was done.
    Done,
    /// The records that were asked for, as they were written.
    Records {
        /// Oldest first.
        lines: Vec<String>,
    },
    /// What a check of the chains found.
    Verified(Verdict),
    /// An export's first line.
    Export {
        /// The statement and what it is checked with.
        header: String,
    },
    /// Personal data were erased.
    Erased(ErasedRecords),
    /// What was refused.
    Denials {
        /// The most frequent first.
        denied: Vec<DeniedBy>,
    },
    /// Who holds shared credentials now.
    Leases {
        /// The oldest first.
        leases: Vec<LiveLease>,
    },
    /// It is stopped.
    Halted(Halted),
    /// What is stopped.
    Halts {
        /// In the order in which it was.
        halts: Vec<StandingHalt>,
    },
    /// A device is asked for diagnostics.
    AskedDiagnostics(Box<AskedDiagnostics>),
    /// What devices were asked for.
    Diagnostics {
        /// The latest first.
        diagnostics: Vec<AskedDiagnostics>,
    },
    /// What a device sent.
    SentDiagnostics(Box<SentDiagnostics>),
}

/// A secret that took an earlier one's place.
#[derive(Debug, Serialize, Deserialize)]
pub struct Rotated {
    /// The secret.
    #[serde(flatten)]
    pub stored: StoredCredential,
    /// The connectors that took it when it was tested; none where it was not.
    pub tested: Vec<ConnectorId>,
    /// How many sessions with the earlier one go on until their calls are done.
    pub draining: usize,
    /// How many devices were told to ask for the new one.
    pub leases: usize,
}

/// Something that is stopped.
#[derive(Debug, Serialize, Deserialize)]
pub struct Halted {
    /// What, and by whom.
    pub standing: StandingHalt,
    /// Whether it names somebody or something that is known here by now.
    pub known: bool,
}

/// What goes back over the socket.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    Done(Answer),
    Refused(Advice),
}

/// A secret on its way over the local socket. Never printed.
#[derive(JsonSchema)]
#[schemars(with = "String", extend("format" = "password"))]
#[derive(Clone)]
pub struct Secret(pub SecretString);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_secret())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(SecretString::from(text)))
    }
}
