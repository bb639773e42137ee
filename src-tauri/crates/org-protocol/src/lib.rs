//! The contract of the central URL: signed bundle, enrolment, session, broker, event, audit and receipt types with
//! their verification. No IO, no clock: `now` is a parameter.
#![forbid(unsafe_code)]

mod content;

pub use content::{
    AuditSettings, CONTENT_FORMAT, ConnectorSpec, Content, ContentFault, CredentialSpec, IdentityProvider,
    OfflineRules, OrgSettings, PinnedTools, ServerSpec, SignInSurface, Transport,
};
