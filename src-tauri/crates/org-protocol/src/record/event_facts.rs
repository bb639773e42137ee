//! What each kind of event says beside who it is about: the names of its facts and what they mean. Whoever writes another fact has to
//! say here what it is.

use super::AuditEvent;

/// A fact's name and meaning.
pub type Fact = (&'static str, &'static str);

const ACCOUNT: [Fact; 2] = [
    ("connector", "the connector"),
    ("account", "which of the person's accounts there, if it is a named one"),
];

const APPROVAL: &[Fact] = &[
    ("call", "the call that was asked about"),
    ("server", "the virtual server"),
    ("connector", "the connector"),
    ("tool", "the tool"),
    ("resource", "the resource, without what may be secret in its URI"),
    ("prompt", "the prompt"),
    ("client", "the assistant's client id"),
    ("name", "the name that it claims"),
    ("rules", "the policies that asked"),
    ("most", "the most that the person could allow: once, session or always"),
    ("answer", "once, session or always; or denied, deadline, nobody, unproved or withdrawn"),
    ("factor", "how the person proved to the operating system who they are: polkit"),
    ("digest", "of the statement, where the call was approved"),
    ("signed", "the statement as the device signed it, as JSON"),
];

impl AuditEvent {
    /// The facts that an event of this kind may have.
    #[expect(clippy::too_many_lines, reason = "a table with a line for each fact")]
    pub fn facts(&self) -> &'static [Fact] {
        match self {
            Self::Start => &[("version", "of the program")],
            Self::Stop | Self::Paused | Self::Resumed | Self::Leaving | Self::Unknown(_) => &[],
            Self::JournalRepaired => &[
                ("lost", "the file that was missing or could not be read"),
                ("set_aside", "the file that the torn end was copied to"),
                ("torn_bytes", "how long the torn end was"),
                ("detail", "what was found, for people"),
            ],
            Self::JournalFilling => &[
                ("percent", "how much of the quota is taken, in whole percent"),
                ("bytes", "what the journal takes"),
                ("quota", "what it may take, in bytes"),
            ],
            Self::JournalPruned => &[
                ("segments", "how many were removed"),
                ("bytes", "how much room that made"),
                ("to", "the last record that was removed of each epoch: epoch/number"),
            ],
            Self::RecordSetAside => &[
                ("epoch", "the record's epoch"),
                ("seq", "its number"),
                ("reason", "why the organisation refuses it"),
            ],
            Self::PersonalDataErased => &[
                (
                    "state",
                    "done, where it is; missing-on-arrival, where a device delivered records without; otherwise it is only asked for",
                ),
                ("by", "who asked, where it is nobody who is signed in"),
                ("of", "a digest, with the journal's key, of how the person was named; none for all people"),
                ("before", "only records before this time"),
                ("records", "from how many records something was erased"),
                ("fields", "how many fields that were"),
                ("waiting", "how many records were left alone, because the organisation does not have them"),
                ("device", "the device that delivered records without"),
                ("epoch", "the epoch of the first of them"),
                ("seq", "its number"),
            ],
            Self::SignedIn => &[("device", "the device, where the control plane writes it")],
            Self::SignInFailed => &[
                ("code", "why, as a stable code"),
                ("identity_provider", "the SAML identity provider"),
                ("not_recorded_before", "how many alike were not recorded one by one before this"),
                ACCOUNT[0],
                ACCOUNT[1],
            ],
            Self::SignedOut => &[("device", "the device, where the control plane writes it")],
            Self::SessionEnded => &[
                ("cause", "who ended it: the identity provider or an administrator"),
                ("code", "why, as a stable code, where the desktop writes it"),
                ("device", "the device"),
                ("issuer", "the identity provider, where nobody had a session"),
                ("person", "whom it named then"),
                ("session", "the session of its own that it named then"),
            ],
            Self::Enrolled => &[
                ("device", "the device"),
                ("name", "what it calls itself"),
                ("platform", "its platform"),
                ("enrolment_token", "the number of the enrolment token that it showed"),
            ],
            Self::EnrolmentRefused => &[("name", "what it calls itself"), ("why", "why")],
            Self::DeviceSuspended => {
                &[("device", "the device"), ("name", "what it calls itself"), ("why", "why")]
            }
            Self::ConsentGiven => &[
                ("client", "the assistant's client id"),
                ("name", "the name that it claims"),
                ("server", "the virtual server"),
                ("remembered", "whether the person had allowed it before"),
                ("program", "the program that asked"),
            ],
            Self::ConsentRefused | Self::ConsentRevoked => {
                &[("client", "the assistant's client id"), ("server", "the virtual server"), ("why", "why")]
            }
            Self::ApprovalAnswered => APPROVAL,
            Self::ApprovalRevoked => &[
                ("client", "the assistant's client id"),
                ("server", "the virtual server"),
                ("connector", "the connector"),
                ("tool", "the tool"),
                ("resource", "the resource, without what may be secret in its URI"),
                ("prompt", "the prompt"),
            ],
            Self::AssistantSuspended => &[
                ("client", "the assistant's client id"),
                ("name", "the name that it claims"),
                ("server", "the virtual server"),
                ("seconds", "for how long nobody is asked on its behalf"),
            ],
            Self::ClientRegistered => {
                &[("client", "the assistant's client id"), ("name", "the name that it claims")]
            }
            Self::TokenIssued => &[
                ("client", "the assistant's client id"),
                ("server", "the virtual server"),
                ("renewed", "whether it follows an earlier one"),
            ],
            Self::TokenRevoked => &[
                ("client", "the assistant's client id"),
                ("server", "the virtual server"),
                ("cause", "what ended it"),
            ],
            Self::RequestRefused => {
                &[("breach", "what was wrong"), ("path", "what was asked for, cut at 200 characters")]
            }
            Self::GrantObtained | Self::GrantRefreshed | Self::GrantLost => &[
                ACCOUNT[0],
                ACCOUNT[1],
                ("issuer", "the authorization server"),
                ("cause", "how, where it is not by a page of the authorization server"),
            ],
            Self::OrganisationConfirmed => &[("fingerprint", "that was compared")],
            Self::ServersImported | Self::ServersGivenBack => &[
                ("assistant", "the assistant, by its name in commands"),
                ("connectors", "the connectors' ids"),
            ],
            Self::ConnectorAdded | Self::ConnectorRemoved => &[("connector", "its id")],
            Self::BundleApplied => &[
                ("by", "who published it"),
                ("epoch", "of the manifest"),
                ("version", "of the manifest"),
                ("bundle", "its digest"),
                ("root", "the version of the root document"),
                ("signed_by", "the keys that have signed the manifest, by their ids"),
                ("root_signed_by", "the keys that have signed the root document, by their ids"),
                ("left_behind", "the devices that cannot read it"),
                ("policy", "its label, where a desktop writes it"),
                ("digest", "its digest, where a desktop writes it"),
            ],
            Self::BundleRefused => &[
                ("by", "who wanted to publish it"),
                ("reason", "why, where the control plane writes it"),
                ("policy", "its label"),
                ("digest", "its digest"),
                ("why", "why, where a desktop writes it"),
            ],
            Self::ManagedChanged => &[
                ("settings", "the names of what is set"),
                ("organisation", "the configuration URL that is set"),
            ],
            Self::ManagedRefused => &[("why", "why")],
            Self::UpdateOffered | Self::UpdateInstalled => {
                &[("version", "the version"), ("running", "the version that ran then")]
            }
            Self::UpdateRefused => &[("version", "the version that was asked for"), ("why", "why")],
            Self::ToolHeld | Self::ToolAccepted => &[
                ACCOUNT[0],
                ACCOUNT[1],
                ("tools", "the tools, by the connector's own names"),
                ("beside", "what else, in words: prompts, resource templates, instructions"),
                ("digests", "of what each of them says now, tools first: SHA-256 of its canonical JSON"),
            ],
            Self::ConnectorState => &[ACCOUNT[0], ACCOUNT[1], ("what", "what it is now")],
            Self::KeychainState => &[("what", "what it is now")],
            Self::StateSetAside => &[
                ("what", "what was lost or damaged"),
                ("kind", "what kind of record"),
                ("why", "what was wrong with it"),
            ],
            Self::ClockMoved => {
                &[("expected", "the time that it would be"), ("found", "the time that the clock says")]
            }
            Self::DeliveryFailed => &[
                ("receiver", "where records are passed on to"),
                ("why", "what it said"),
                ("record", "the one record that it refuses, and that was passed over"),
            ],
            Self::ReceiptRefused => &[("why", "why")],
            Self::Administration => ADMINISTRATION,
            Self::LeaseGranted
            | Self::LeaseRenewed
            | Self::LeaseRefused
            | Self::LeaseEnded
            | Self::LeaseSecretRevoked => &[
                ("lease", "the lease"),
                ("credential", "the shared credential"),
                ("connector", "the connector"),
                ("device", "the device"),
                ("until", "when it would end"),
                ("why", "why it ended"),
                ("revoked", "whether the secret was revoked at its source"),
            ],
            Self::CredentialDrained => {
                &[("credential", "the shared credential"), ("version", "of its secret")]
            }
            Self::HaltsChanged => &[
                ("halt", "its number"),
                ("what", "whether something was stopped or let go on"),
                ("target", "what"),
            ],
            Self::Diagnostics => &[
                ("request", "its number"),
                (
                    "state",
                    "asked, sending, sent, refused by the person or gone, on the desktop; sent, refused, expired or erased, at the control plane",
                ),
                ("device", "the device, where the control plane writes it"),
                ("by", "who asked, where the desktop writes it"),
                ("reason", "why, as the administrator says"),
                ("sha256", "of the archive"),
                ("bytes", "how long it is"),
            ],
        }
    }

    /// The facts, of whatever kind of event, that can be about a person: they can be erased.
    pub(super) const PERSONAL_FACTS: &[&str] = &[
        "by", "detail", "filter", "name", "path", "person", "program", "reason", "resource", "session",
        "signed", "target",
    ];

    /// Whether an event of this kind may have a fact of this name.
    pub fn has_fact(&self, name: &str) -> bool {
        matches!(self, Self::Unknown(_)) || self.facts().iter().any(|(known, _)| *known == name)
    }
}

/// The facts of what administrators do.
const ADMINISTRATION: &[Fact] = &[
    ("act", "what was done or asked"),
    ("by", "who: a user of the server's machine, or a person at the identity provider"),
    ("roles", "what they may do"),
    ("asked", "what was refused for want of a role"),
    ("credential", "the shared credential"),
    ("connector", "the connector"),
    ("source", "where the secret comes from"),
    ("untested", "whether a new secret was not tried"),
    ("reason", "why, as the administrator or the connector says"),
    ("target", "what is stopped or goes on"),
    ("halt", "its number"),
    ("device", "the device"),
    ("lease", "the lease"),
    ("person", "their e-mail address or subject"),
    ("token", "the number of the enrolment token"),
    ("days", "for how many days it enrols"),
    ("uses", "how many devices it enrols"),
    ("filter", "which records were asked for"),
    ("since", "from when on"),
    ("until", "before when"),
    ("of", "a digest, with the journal's key, of how the person was named whose data are erased"),
    ("records", "from how many records something was erased"),
    ("fields", "how many fields that were"),
    ("request", "the number of the request for diagnostics"),
    ("sha256", "of the diagnostics that were read"),
    ("bytes", "how long they are"),
    ("epoch", "whose records"),
    ("from", "the first record"),
    ("to", "the last record"),
];
