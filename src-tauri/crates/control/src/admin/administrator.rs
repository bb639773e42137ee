//! Who administers, and what they may.

use std::collections::BTreeSet;

use model::Subject;
use org_protocol::{AdministratorRole, HaltTarget};

use super::Ask;

/// Somebody who may administer.
#[derive(Debug, Clone)]
pub(crate) struct Administrator {
    /// How records name them.
    by: String,
    /// Who they are at the identity provider; nobody there who uses the local socket.
    subject: Option<Subject>,
    roles: BTreeSet<AdministratorRole>,
}

impl Administrator {
    /// Root, or the server's own user, at the local socket: they own the server, so they may everything.
    pub(super) fn local(uid: u32) -> Self {
        Self { by: format!("uid {uid}"), subject: None, roles: AdministratorRole::ALL.into() }
    }

    /// Somebody whom the identity provider vouches for.
    pub(crate) fn signed_in(subject: Subject, roles: BTreeSet<AdministratorRole>) -> Self {
        Self { by: format!("{} ({})", subject.subject, subject.label()), subject: Some(subject), roles }
    }

    /// How records name them.
    pub(super) fn by(&self) -> &str {
        &self.by
    }

    /// Who they are at the identity provider.
    pub(super) fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    /// Whether they have this role.
    pub(super) fn is(&self, role: AdministratorRole) -> bool {
        self.roles.contains(&role)
    }

    /// Whether their requests may be as long as a publication.
    pub(crate) fn publishes(&self) -> bool {
        self.is(AdministratorRole::Publisher)
    }

    /// Whether they may do it.
    pub(super) fn may(&self, ask: &Ask) -> bool {
        needed(ask).iter().any(|role| self.roles.contains(role))
    }
}

/// The roles of which one suffices.
pub(super) fn needed(ask: &Ask) -> &'static [AdministratorRole] {
    use AdministratorRole::{Auditor, CredentialCustodian, DeviceAdmin, PrivacyOfficer, Publisher};
    match ask {
        // What is published is no secret: every desktop reads it.
        Ask::Status | Ask::Content | Ask::ListHalts => &AdministratorRole::ALL,
        Ask::Publish { .. } => &[Publisher],
        // Whoever decides who may do what has to see whom that hits.
        Ask::People => &[Publisher, Auditor],
        Ask::PutCredential { .. } | Ask::RotateCredential { .. } | Ask::RemoveCredential { .. } => {
            &[CredentialCustodian]
        }
        Ask::RevokeLease { .. } => &[CredentialCustodian],
        Ask::ListCredentials | Ask::ShowCredential { .. } | Ask::ListLeases => {
            &[CredentialCustodian, Auditor]
        }
        Ask::ListDevices | Ask::ListEnrolmentTokens => &[DeviceAdmin, Auditor],
        Ask::RevokeDevice { .. }
        | Ask::ResumeDevice { .. }
        | Ask::NewEnrolmentToken { .. }
        | Ask::RevokeEnrolmentToken { .. }
        | Ask::SignOutPerson { .. }
        | Ask::AskDiagnostics { .. }
        | Ask::WithdrawDiagnostics { .. } => &[DeviceAdmin],
        Ask::ListDiagnostics => &[DeviceAdmin, Auditor, PrivacyOfficer],
        // They name servers and paths: for whoever helps the person.
        Ask::ReadDiagnostics { .. } => &[DeviceAdmin],
        Ask::EraseDiagnostics { .. } => &[DeviceAdmin, PrivacyOfficer],
        Ask::QueryAudit { .. }
        | Ask::VerifyAudit
        | Ask::ExportAudit { .. }
        | Ask::ExportLines { .. }
        | Ask::CountDenials { .. } => &[Auditor],
        // Not an auditor's, who changes nothing.
        Ask::EraseAudit { .. } => &[PrivacyOfficer],
        // Whoever sees the fire pulls the lever; only those whose business it is put it back.
        Ask::Halt { .. } => &[Publisher, CredentialCustodian, DeviceAdmin],
        Ask::Lift { .. } => &[Publisher, CredentialCustodian, DeviceAdmin],
    }
}

/// The role whose business it is to let this go on.
pub(super) fn lifts(target: &HaltTarget) -> AdministratorRole {
    match target {
        HaltTarget::User { .. } | HaltTarget::Device { .. } | HaltTarget::Assistant { .. } => {
            AdministratorRole::DeviceAdmin
        }
        HaltTarget::Connector { .. } | HaltTarget::Tool { .. } | HaltTarget::Unknown => {
            AdministratorRole::Publisher
        }
        HaltTarget::Credential { .. } => AdministratorRole::CredentialCustodian,
    }
}
