//! The contract of the central URL: signed bundle, enrolment, session, broker, event, audit and receipt types with
//! their verification. No IO, no clock: `now` is a parameter.
#![forbid(unsafe_code)]

mod account;
mod administration;
mod approval;
mod broker;
mod client;
mod content;
mod diagnostics;
pub mod dpop;
mod dsse;
mod event;
mod export;
mod fault;
mod format;
mod halt;
mod key;
mod lease;
mod manifest;
mod note;
mod provider;
mod receipt;
mod record;
mod refusal;
mod root;
mod saml;
mod session;
mod sign_in_host;
mod trust;
mod upload;

pub use account::{AccountFault, accounts_in_use};
pub use administration::{AdministratorRole, Administrators};
pub use approval::{
    APPROVAL_FORMAT, APPROVAL_LIFE, APPROVAL_TYPE, ApprovalFault, ApprovalProof, ApprovalRecord,
    ApprovalStatement, Approved, ArgumentsKey, Factor, SignedApproval, statement_rules, statement_target,
};
pub use broker::{
    BROKER_ANSWER_EVENT, BROKER_CONTEXT_HEADER, BROKER_FAULT_EVENT, BROKER_FORMAT, BrokerContext,
    ContextFault, TRACE_PARENT_HEADER, broker_path,
};
pub use client::{ClientMetadataUrl, LoopbackRedirect, TokenHeader};
pub use content::{
    ArgumentPath, AssistantSpec, AuditSettings, AuditSettingsFault, CONTENT_FORMAT, CREDENTIAL_PLACEHOLDER,
    CallAllowance, ChangesAcceptedBy, ClientAuthentication, CollectorUrl, ConnectorFacts, ConnectorSpec,
    Content, ContentFault, CredentialFault, CredentialSpec, Detect, EnrolmentRules, Extractor, FactName,
    FactSpec, IdentityProvider, InGrace, LimitPer, LimitRule, MirrorUrl, OfflineRules, OnAuditFailure,
    OrgSettings, PayloadAction, PayloadDirection, PayloadName, PayloadPattern, PayloadRule, PayloadSettings,
    Period, PersonalData, PinnedDefinitions, PinnedTools, ServerSpec, SignInSurface, SqlDialect, ToolList,
    Transport, USER_ASSERTION_HEADER, UpdateMode, UpdateRules, UserIdentity,
};
pub use diagnostics::{
    DIAGNOSTICS_FORMAT, DIAGNOSTICS_LIMIT, DIAGNOSTICS_NOT_ASKED, DIAGNOSTICS_PATH, DIAGNOSTICS_STAND,
    DIAGNOSTICS_TOO_LARGE, DIAGNOSTICS_TYPE, DiagnosticsAsked, DiagnosticsRequest, NotPlain, PlainLine,
};
pub use dsse::{DsseFault, Envelope, EnvelopeSignature, MOST_SIGNATURES};
pub use event::{EVENTS_PATH, Event, EventKind, HEARTBEAT};
pub use export::{
    AsidePlace, EXPORT_FORMAT, EXPORT_TYPE, ExportCheck, ExportFault, ExportReport, ExportStatement,
    ExportedChain, LONGEST_SILENCE, Remark, RemarkKind, export_header,
};
pub use fault::ErrorBody;
pub use format::{
    LaterKey, LaterUse, READABLE_FORMATS, annotation_at, later_keys, newest_readable, readable_formats,
};
pub use halt::{HALT_FORMAT, HALT_REASON_LIMIT, HALTED, HALTS_PATH, Halt, HaltTarget, Halts};
pub use key::{KeyFault, KeyId, PublicKey, SigningKey};
pub use lease::{
    LEASE_FORMAT, LEASE_INFO, LEASE_TYPE, LEASES_PATH, LONGEST_LEASE, Lease, LeaseFault, LeaseRequest,
    LeaseTerms, LeaseWanted,
};
pub use manifest::{
    BUNDLE_LIMIT, BundleRef, MANIFEST_FORMAT, MANIFEST_LIMIT, MANIFEST_TYPE, Manifest, Rollout, Stage,
};
pub use note::{NoteFault, NoteKey, sign_note, unverified_note};
pub use provider::{
    ClaimType, ClaimTypes, ClientSecretRule, GroupSource, OfflineAccess, ProviderFault, ProviderKind, Quirks,
    SignOuts, refuses_embedded_views,
};
pub use receipt::{RECEIPT_FORMAT, RECEIPT_TYPE, Receipt, ReceiptFault, SignedReceipt, verify_receipt};
#[cfg(feature = "schema")]
pub use record::RecordLine;
pub use record::{
    Argument, ArgumentKind, ArgumentSummary, AuditEvent, AuditRecord, CallContext, ChainFault, ChainLink,
    ChainReport, ChainWalk, DenialRecord, Effect, EffectMethod, EffectTarget, EpochReason, EpochRecord,
    Erasure, EventRecord, Fact, Finding, FindingKind, GENESIS, GapRecord, Head, HeartbeatRecord,
    IntentRecord, Known, LONGEST_LINE, LineFault, Outcome, OutcomeRecord, OutcomeStatus, PayloadFinding,
    PolicyReference, PreparedBody, RECORD_FORMAT, RecordBody, RecordedUri, argument_mac, bare_uri, is_erased,
    seal, sealed_digest, to_one_line, verify_chain,
};
pub use refusal::Refusal;
pub use root::{ROOT_FORMAT, ROOT_LIMIT, ROOT_TYPE, Role, Roles, Root, RootFault, RootFingerprint};
pub use saml::{SamlCertificate, SamlProvider, SamlProviderFault};
pub use session::{
    DEVICE_REVOKED, DEVICE_SUSPENDED, DeviceDescription, ENROL_PATH, EnrolAnswer, EnrolRequest,
    ID_TOKEN_NOT_BOUND, KeyProtection, NonceSeed, NonceSeedFault, SESSION_FORMAT, SESSION_PATH,
    SIGN_IN_ENDED, SessionAnswer, SessionRequest,
};
pub use sign_in_host::SignInHost;
pub use trust::{CLOCK_SKEW, Freshness, Ratchet, TrustState};
pub use upload::{
    AUDIT_PATH, BATCH_BYTES, BATCH_CODING, BATCH_RECORDS, BATCH_TYPE, BatchFault, Delivered, Resumed,
    SetAside, UploadRefused, pack_batch, read_batch, unpack_batch, write_batch,
};
