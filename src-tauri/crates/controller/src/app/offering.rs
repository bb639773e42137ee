//! What is offered, and under which policy: the common form of personal settings and an organisation's bundle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use audit::JournalRules;
use issuer::{Named, NamedClient};
use mcp::List;
use model::{AccountId, Advice, ConnectorId, Digest, ServerId, Timestamp, ToolName};
use org::{Applied, Collecting, Meeting};
use org_protocol::{
    AssistantSpec, AuditSettings, ClaimTypes, ClientMetadataUrl, ConnectorSpec, InGrace, LimitRule,
    PayloadSettings, PinnedDefinitions, PinnedTools, ServerSpec, SignInHost, SignInSurface, UpdateRules,
    accounts_in_use,
};
use policy::{Policy, PolicyFault, PolicyInput, PolicyVersion};
use serde_json::value::RawValue;
use url::Url;

use super::definitions::{Definitions, Part};
use super::home::SETTINGS_FILE;
use super::settings::{Loaded, OrganisationSettings, days, mib};
use crate::state::{Mode, Organisation, Withheld};
use crate::words;

/// The accepted tools of each connector, as far as each account has them.
pub(crate) type Accepted = BTreeMap<AccountId, Vec<(ToolName, Box<RawValue>)>>;

/// What is offered, and under which policy.
#[derive(Debug, Clone)]
pub(crate) struct Offering {
    pub(crate) version: PolicyVersion,
    pub(crate) connectors: BTreeMap<ConnectorId, ConnectorSpec>,
    pub(crate) servers: BTreeMap<ServerId, ServerSpec>,
    /// The accounts that the virtual servers use, each with its connector.
    pub(crate) accounts: BTreeMap<AccountId, ConnectorSpec>,
    pub(crate) policies: BTreeMap<String, String>,
    pub(crate) assistants: BTreeMap<String, AssistantSpec>,
    /// Who Deskgate is at connectors that take a document for it.
    pub(crate) client_metadata_url: Option<ClientMetadataUrl>,
    pub(crate) capture_arguments: bool,
    /// What is looked for in payloads.
    pub(crate) payload: PayloadSettings,
    /// How large what is sent and answered may be, and how often calls are made.
    pub(crate) limits: Vec<LimitRule>,
    /// How the journal is kept; none where nobody knows for now.
    pub(crate) journal: Option<JournalRules>,
    /// Who collects this device's records from it directly.
    pub(crate) collecting: Option<Collecting>,
    pub(crate) by: By,
    pub(crate) validity: Validity,
}

/// Who decides what is offered.
#[derive(Debug, Clone)]
pub(crate) enum By {
    /// The person. Tools are accepted at first sight.
    Person,
    /// An organisation, which accepted the tools beforehand.
    Organisation(Box<Managed>),
}

/// What only an organisation says.
#[derive(Debug, Clone)]
pub(crate) struct Managed {
    pub(crate) organisation: Organisation,
    pub(crate) sign_in_surface: SignInSurface,
    pub(crate) sign_in_hosts: BTreeSet<SignInHost>,
    pub(crate) issuer: Option<Url>,
    /// The tools as IT accepted them: what policies are typed against.
    pub(crate) pinned: BTreeMap<ConnectorId, PinnedTools>,
    /// What else connectors say to models, as IT accepted it.
    pub(crate) pinned_beside: BTreeMap<ConnectorId, PinnedDefinitions>,
    /// What of people's claims policies may read.
    pub(crate) claims: ClaimTypes,
    /// Whether and from where the program is updated.
    pub(crate) updates: Option<UpdateRules>,
}

/// Whether the policy is to be obeyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Validity {
    /// It does not age.
    Own,
    /// In force.
    Fresh {
        /// Until then.
        until: Timestamp,
        /// And obeyed a while longer, until then.
        end: Timestamp,
    },
    /// Expired, and obeyed for a while longer.
    Grace {
        /// Until then.
        until: Timestamp,
    },
    /// Nothing is permitted.
    Denied(Advice),
}

/// What an organisation wants of the journal.
fn journal_rules(audit: &AuditSettings) -> JournalRules {
    JournalRules {
        quota: mib(audit.quota_mib),
        keep_receipted: days(audit.keep_days),
        on_failure: audit.on_failure,
        ..JournalRules::default()
    }
}

/// Whose identity is certain.
fn is_confirmed(meeting: Option<Meeting>) -> bool {
    meeting.is_some_and(|met| met.confirmed)
}

impl Offering {
    /// The person's own settings, under the built-in policy and their own restrictions.
    pub(crate) fn personal(loaded: &Loaded) -> Self {
        let mut policies = loaded.policies.clone();
        policies.insert("(built in)".to_owned(), policy::PERSONAL.to_owned());
        let settings = &loaded.settings;
        let described =
            (&settings.connectors, &settings.servers, &policies, &settings.payload, &settings.limits);
        let described = serde_json::to_vec(&described);
        Self {
            version: PolicyVersion {
                label: "personal".to_owned(),
                digest: Digest::of(&described.unwrap_or_default()),
            },
            connectors: settings.connectors.clone(),
            servers: settings.servers.clone(),
            accounts: accounts_in_use(&settings.connectors, &settings.servers),
            policies,
            assistants: settings.assistants.clone(),
            client_metadata_url: settings.client_metadata_url.clone(),
            capture_arguments: settings.capture_arguments,
            payload: settings.payload.clone(),
            limits: settings.limits.clone(),
            journal: Some(settings.journal.rules()),
            collecting: None,
            by: By::Person,
            validity: Validity::Own,
        }
    }

    /// What an organisation's bundle says.
    pub(crate) fn managed(
        applied: &Applied,
        at: &OrganisationSettings,
        meeting: Option<Meeting>,
        validity: Validity,
    ) -> Self {
        let content = &applied.content;
        let organisation = Organisation {
            name: content.org.name.clone(),
            support_url: content.org.support_url.clone(),
            config_url: Some(at.config_url.clone()),
            fingerprint: meeting.map(|met| met.fingerprint.to_string()),
            confirmed: is_confirmed(meeting),
        };
        Self {
            version: PolicyVersion { label: applied.label.clone(), digest: applied.digest },
            connectors: content.connectors.clone(),
            servers: content.servers.clone(),
            accounts: accounts_in_use(&content.connectors, &content.servers),
            policies: content.policies.clone(),
            assistants: content.org.assistants.clone(),
            client_metadata_url: content.org.client_metadata_url.clone(),
            capture_arguments: content.org.audit.capture_arguments,
            payload: content.org.payload.clone(),
            limits: content.org.limits.clone(),
            journal: Some(journal_rules(&content.org.audit)),
            collecting: content
                .org
                .audit
                .collector
                .as_ref()
                .map(|at| Collecting { url: at.url().clone(), org: content.org.id.clone() }),
            by: By::Organisation(Box::new(Managed {
                organisation,
                sign_in_surface: content.org.sign_in_surface,
                sign_in_hosts: content.org.sign_in_hosts.clone(),
                issuer: Some(content.org.identity_provider.issuer.clone()),
                pinned: content.tools.clone(),
                pinned_beside: content.definitions.clone(),
                claims: content.org.identity_provider.claims.clone(),
                updates: content.org.updates.clone(),
            })),
            validity,
        }
    }

    /// An organisation whose settings are not here: nothing is offered.
    pub(crate) fn awaited(
        id: &str,
        at: &OrganisationSettings,
        meeting: Option<Meeting>,
        why: Advice,
    ) -> Self {
        let organisation = Organisation {
            name: id.to_owned(),
            support_url: None,
            config_url: Some(at.config_url.clone()),
            fingerprint: meeting.map(|met| met.fingerprint.to_string()),
            confirmed: is_confirmed(meeting),
        };
        Self {
            version: PolicyVersion { label: format!("{id} (none)"), digest: Digest::of(b"") },
            connectors: BTreeMap::new(),
            servers: BTreeMap::new(),
            accounts: BTreeMap::new(),
            policies: BTreeMap::new(),
            assistants: BTreeMap::new(),
            client_metadata_url: None,
            capture_arguments: false,
            payload: PayloadSettings::default(),
            limits: Vec::new(),
            journal: None,
            collecting: None,
            by: By::Organisation(Box::new(Managed {
                organisation,
                sign_in_surface: SignInSurface::Auto,
                sign_in_hosts: BTreeSet::new(),
                issuer: None,
                pinned: BTreeMap::new(),
                pinned_beside: BTreeMap::new(),
                claims: ClaimTypes::new(),
                updates: None,
            })),
            validity: Validity::Denied(why),
        }
    }

    /// Nothing, and why: nobody decides here.
    pub(crate) fn none(why: Advice) -> Self {
        let mut none = Self::personal(&Loaded::default());
        none.validity = Validity::Denied(why);
        none
    }

    /// When nothing is permitted any more, and why then.
    pub(crate) fn end(&self) -> Option<(Timestamp, Advice)> {
        let By::Organisation(managed) = &self.by else { return None };
        match self.validity {
            Validity::Fresh { end, .. } | Validity::Grace { until: end } => {
                Some((end, expired(&managed.organisation.name, end)))
            }
            Validity::Own | Validity::Denied(_) => None,
        }
    }

    /// Whether nothing of a connector is offered for now, and why.
    pub(crate) fn withheld(&self, account: &AccountId) -> Option<Withheld> {
        let By::Organisation(managed) = &self.by else { return None };
        let spec = self.accounts.get(account)?;
        let in_grace = matches!(self.validity, Validity::Grace { .. });
        // A program runs with all that its user may do here.
        if !managed.organisation.confirmed && spec.runs_here() {
            Some(Withheld::Unconfirmed)
        } else if in_grace && spec.in_grace() == InGrace::Rest {
            Some(Withheld::InGrace)
        } else {
            None
        }
    }

    /// The accounts of connectors that may be started at all.
    pub(crate) fn startable(&self) -> BTreeMap<AccountId, ConnectorSpec> {
        let may = |id: &AccountId| self.withheld(id) != Some(Withheld::Unconfirmed);
        self.accounts.iter().filter(|(id, _)| may(id)).map(|(id, spec)| (id.clone(), spec.clone())).collect()
    }

    /// The words for that.
    pub(crate) fn withheld_words(&self, account: &AccountId) -> Option<Advice> {
        let (why, By::Organisation(managed)) = (self.withheld(account)?, &self.by) else { return None };
        Some(words::withheld(why, &self.accounts.get(account)?.title, &managed.organisation))
    }

    /// Whether the organisation was introduced, or confirmed by a person; where none decides there is nothing to confirm.
    pub(crate) fn is_confirmed(&self) -> bool {
        match &self.by {
            By::Person => true,
            By::Organisation(managed) => managed.organisation.confirmed,
        }
    }

    /// The policy, checked against the tools that were accepted. Large sets take a while, so this happens beside the
    /// runtime: calls do not wait for it.
    ///
    /// # Errors
    /// Every fault of the policies.
    pub(crate) async fn compile(
        self: &Arc<Self>,
        accepted: &Arc<Accepted>,
    ) -> Result<Policy, Vec<PolicyFault>> {
        let (this, accepted) = (Arc::clone(self), Arc::clone(accepted));
        let compiled = tokio::task::spawn_blocking(move || this.compiled(&accepted)).await;
        compiled.unwrap_or_else(|failed| match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Ok(Policy::deny_all(Advice::new("stopping", "Deskgate is being ended.", "", ""))),
        })
    }

    fn compiled(&self, accepted: &Accepted) -> Result<Policy, Vec<PolicyFault>> {
        if let Validity::Denied(why) = &self.validity {
            return Ok(Policy::deny_all(why.clone()));
        }
        let (seen, none);
        let (tools, claims) = match &self.by {
            // A tool that is held for now is still what policies speak of.
            By::Organisation(managed) => (&managed.pinned, &managed.claims),
            By::Person => {
                seen = definitions(accepted);
                none = ClaimTypes::new();
                (&seen, &none)
            }
        };
        Policy::compile(PolicyInput {
            version: self.version.clone(),
            connectors: &self.connectors,
            servers: &self.servers,
            tools,
            claims,
            policies: &self.policies,
            payload: &self.payload,
            limits: &self.limits,
        })
        .map_err(|faults| match &self.by {
            By::Organisation(_) => faults,
            By::Person => faults.into_iter().map(in_settings).collect(),
        })
    }

    /// The assistant of this client id, if it is named here.
    pub(crate) fn assistant(&self, client_id: &str) -> Named {
        if matches!(&self.by, By::Organisation(managed) if managed.issuer.is_none()) {
            return Named::NotKnown;
        }
        let Some(spec) = self.assistants.get(client_id) else { return Named::Nobody };
        match NamedClient::new(client_id, &spec.title, &spec.redirect_uris) {
            Ok(named) => Named::Client(named),
            Err(fault) => {
                tracing::warn!(client_id, %fault, "a named assistant is left out");
                Named::Nobody
            }
        }
    }

    /// Who decides, as people see it.
    pub(crate) fn mode(&self) -> Mode {
        match &self.by {
            By::Person => Mode::Personal,
            By::Organisation(managed) => Mode::Managed(Box::new(managed.organisation.clone())),
        }
    }

    /// Where sign-in opens.
    pub(crate) fn sign_in_surface(&self) -> SignInSurface {
        match &self.by {
            By::Person => SignInSurface::Auto,
            By::Organisation(managed) => managed.sign_in_surface,
        }
    }

    /// The hosts that sign-in windows may visit; any where there are none.
    pub(crate) fn sign_in_hosts(&self) -> BTreeSet<SignInHost> {
        match &self.by {
            By::Person => BTreeSet::new(),
            By::Organisation(managed) => managed.sign_in_hosts.clone(),
        }
    }

    /// Addresses that connectors' metadata may lead to although they lie inside the network.
    pub(crate) fn named_addresses(&self) -> Vec<Url> {
        match &self.by {
            By::Person => Vec::new(),
            By::Organisation(managed) => managed.issuer.clone().into_iter().collect(),
        }
    }
}

/// A fault at the place where a person wrote it: what organisations have in files of their own stands in one here.
fn in_settings(fault: PolicyFault) -> PolicyFault {
    let is_document = fault.file.ends_with(".toml");
    PolicyFault { file: if is_document { SETTINGS_FILE.to_owned() } else { fault.file }, ..fault }
}

/// Each connector's tools, whichever account has them. A tool was accepted once for all of them.
fn definitions(accepted: &Accepted) -> BTreeMap<ConnectorId, PinnedTools> {
    let mut by_name: BTreeMap<ConnectorId, BTreeMap<&ToolName, &RawValue>> = BTreeMap::new();
    for (id, tools) in accepted {
        let known = by_name.entry(id.connector.clone()).or_default();
        known.extend(tools.iter().map(|(name, definition)| (name, definition.as_ref())));
    }
    let pinned = |tools: BTreeMap<&ToolName, &RawValue>| {
        PinnedTools(tools.into_values().map(ToOwned::to_owned).collect())
    };
    by_name.into_iter().map(|(id, tools)| (id, pinned(tools))).collect()
}

/// The words for a policy that nobody has renewed in time.
pub(crate) fn expired(organisation: &str, since: Timestamp) -> Advice {
    Advice::new(
        "policy-expired",
        format!("The policy of {organisation} expired at {since}."),
        "Until it is renewed no call is made.",
        words::RENEWAL,
    )
}

impl Managed {
    /// What IT accepted of a connector.
    pub(crate) fn definitions(&self, connector: &ConnectorId) -> Definitions {
        let pinned = self.pinned.get(connector).into_iter().flat_map(|tools| &tools.0);
        let mut all: Definitions = pinned
            .filter_map(|definition| {
                let name = mcp::connector::tool_name(definition)?.parse().ok()?;
                Some((Part::Tool(name), definition.clone()))
            })
            .collect();
        let Some(beside) = self.pinned_beside.get(connector) else { return all };
        let named = |list, definition: &RawValue| {
            Some((mcp::connector::identity(list, definition)?, definition.to_owned()))
        };
        let prompts = beside.prompts.iter().filter_map(|prompt| named(List::Prompts, prompt));
        let templates =
            beside.resource_templates.iter().filter_map(|template| named(List::Templates, template));
        all.extend(prompts.map(|(name, definition)| (Part::Prompt(name), definition)));
        all.extend(templates.map(|(name, definition)| (Part::Template(name), definition)));
        all.extend(beside.instructions.clone().map(|instructions| (Part::Instructions, instructions)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_persons_limits_is_said_of_their_settings() {
        let limit = "[[limits]]\nid = \"one\"\nconnectors = [\"nowhere\"]\ncalls = \"5 per day\"\n";
        let loaded = Loaded { settings: toml::from_str(limit).expect("settings"), ..Loaded::default() };
        let faults =
            Offering::personal(&loaded).compiled(&Accepted::default()).expect_err("no such connector");
        assert_eq!(faults.iter().map(|fault| fault.file.as_str()).collect::<Vec<_>>(), ["deskgate.toml"]);
    }
}
