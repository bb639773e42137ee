//! What IT decides: connectors, virtual servers, policies and the organisation's settings.
//!
//! The same types are read from the authored folder (TOML), from the signed bundle (JSON) and from a personal
//! `deskgate.toml`. Unknown keys refuse the whole document: a setting that is not understood must not be half obeyed.

mod credential;
mod facts;
mod limits;
mod payload;
mod rules;
mod updates;

use std::collections::{BTreeMap, BTreeSet};

use model::{AccountId, AccountName, ConnectorId, ServerId, ToolName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use url::Url;

use crate::account::AccountFault;
use crate::administration::Administrators;
use crate::client::ClientMetadataUrl;
use crate::format::READABLE_FORMATS;
use crate::sign_in_host::SignInHost;
use crate::{ClaimTypes, ProviderFault, ProviderKind, SamlProvider, SamlProviderFault};

pub use credential::{
    ClientAuthentication, CredentialFault, CredentialSpec, USER_ASSERTION_HEADER, UserIdentity,
};
pub use facts::{ArgumentPath, ConnectorFacts, Extractor, FactName, FactSpec, SqlDialect};
pub use limits::{CallAllowance, LimitPer, LimitRule, Period};
pub use payload::{
    Detect, PayloadAction, PayloadDirection, PayloadName, PayloadPattern, PayloadRule, PayloadSettings,
    PersonalData,
};
pub use rules::{
    AuditSettings, AuditSettingsFault, CollectorUrl, EnrolmentRules, InGrace, OfflineRules, OnAuditFailure,
    SignInSurface,
};
pub use updates::{MirrorUrl, UpdateMode, UpdateRules};

/// The newest format version of [`Content`] that this program writes. Which it reads says [`crate::READABLE_FORMATS`]; which keys
/// each format brought, `format.rs`.
pub const CONTENT_FORMAT: u32 = 2;

/// What stands for the chosen credential's secret in the environment of a brokered stdio connector, as in
/// `environment = { DSN = "${credential}" }`. A brokered HTTP connector gets the secret as its bearer token instead.
pub const CREDENTIAL_PLACEHOLDER: &str = "${credential}";

/// The content of a bundle.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// The format version, at most [`CONTENT_FORMAT`]. A content uses no key that came with a later one.
    pub format: u32,
    /// The organisation's settings.
    pub org: OrgSettings,
    /// Every connector by id.
    pub connectors: BTreeMap<ConnectorId, ConnectorSpec>,
    /// Every virtual server by id.
    pub servers: BTreeMap<ServerId, ServerSpec>,
    /// The Cedar policies, by the path of their file.
    pub policies: BTreeMap<String, String>,
    /// The connectors' tool lists as IT accepted them: what policies are typed against.
    pub tools: BTreeMap<ConnectorId, PinnedTools>,
    /// What else connectors say to models, as IT accepted it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub definitions: BTreeMap<ConnectorId, PinnedDefinitions>,
}

/// The organisation's settings.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrgSettings {
    /// The organisation's id, as in the root document.
    pub id: String,
    /// Its name, as people read it.
    pub name: String,
    /// Where people find help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support_url: Option<Url>,
    /// Who signs people in.
    pub identity_provider: IdentityProvider,
    /// Where sign-in opens.
    #[serde(default)]
    pub sign_in_surface: SignInSurface,
    /// The hosts whose pages sign-in windows may show; any with encryption where there are none. Federated sign-ins cross hosts that
    /// nobody has thought of, so this is for organisations that know theirs: identity providers and connectors' authorization servers
    /// all have to be there. Pages in the system browser are not narrowed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub sign_in_hosts: BTreeSet<SignInHost>,
    /// What works without the control plane, and for how long.
    #[serde(default)]
    pub offline: OfflineRules,
    /// Which devices are enrolled.
    #[serde(default, skip_serializing_if = "is_default")]
    pub enrolment: EnrolmentRules,
    /// What is recorded of payloads.
    #[serde(default)]
    pub audit: AuditSettings,
    /// What is looked for in what assistants send and connectors answer.
    #[serde(default, skip_serializing_if = "PayloadSettings::is_empty")]
    pub payload: PayloadSettings,
    /// How large what is sent and answered may be, and how often calls are made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitRule>,
    /// Where Deskgate's own Client ID Metadata Document is published: its client id at connectors that take one
    /// (draft-ietf-oauth-client-id-metadata-document). Connectors' authorization servers must be able to reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_metadata_url: Option<ClientMetadataUrl>,
    /// Assistants that need not register, by client id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub assistants: BTreeMap<String, AssistantSpec>,
    /// The groups whose members administer the control plane. Without any, its local socket alone serves administrators.
    #[serde(default, skip_serializing_if = "Administrators::is_empty")]
    pub administrators: Administrators,
    /// Where devices find later versions of the program, and which. Without it they look for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updates: Option<UpdateRules>,
}

/// An assistant that is known beforehand: a public client (RFC 6749, section 2.1). Its client id may be the URL of a Client
/// ID Metadata Document, which is then never fetched.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssistantSpec {
    /// Its name, as people read it.
    pub title: String,
    /// Where its authorization codes may go: loopback URIs, whose port is any, or known custom-scheme ones.
    pub redirect_uris: Vec<String>,
}

/// An OpenID provider (OpenID Connect Discovery 1.0).
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityProvider {
    /// The issuer identifier, compared exactly.
    pub issuer: Url,
    /// Whose product it is: what is peculiar to that is known here.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kind: ProviderKind,
    /// Deskgate's client id there; a public client with PKCE.
    pub client_id: String,
    /// What some providers insist on beside it. Every desktop reads it, so it is no secret and proves nothing (RFC 8252,
    /// section 8.5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// The domain whose people alone may sign in: the claim `hd` of Google's tokens must be exactly this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosted_domain: Option<String>,
    /// Scopes beside `openid`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub scopes: BTreeSet<String>,
    /// The claim that holds the groups.
    #[serde(default = "groups_claim")]
    pub groups_claim: String,
    /// Further claims that policies may read as `principal.<name>`, and their types. One that has another type in a token
    /// is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: ClaimTypes,
    /// Whether the provider sends people back to `http://127.0.0.1/callback` (with any port) after they have signed out: it
    /// is registered there as `post_logout_redirect_uri` (OpenID Connect RP-Initiated Logout 1.0, section 3.1).
    #[serde(default, skip_serializing_if = "is_false")]
    pub sign_out_returns: bool,
    /// Whether people may sign in on another device by a code, where nothing can be opened on this one (RFC 8628). Off unless IT
    /// says otherwise: a code proves nothing about who began the sign-in, so that whoever talks an employee into typing theirs
    /// is signed in as them (section 5.4), and most organisations have none but desktops with a browser. For the same reason the
    /// provider should not let this client use the grant where this is off: Deskgate cannot forbid it to others.
    #[serde(default, skip_serializing_if = "is_false")]
    pub device_code: bool,
    /// The SAML identity provider behind the issuer, which then is the control plane itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saml: Option<SamlProvider>,
}

/// Whether every device may read this URL: it comes over https, or from this machine, and carries nothing but a place.
fn is_plain_https(url: &Url) -> bool {
    let is_safe = url.scheme() == "https" || url.scheme() == "http" && model::is_on_this_machine(url);
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    is_safe && is_plain
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
fn is_false(value: &bool) -> bool {
    !*value
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn groups_claim() -> String {
    "groups".to_owned()
}

impl IdentityProvider {
    /// The first key that says something of an OpenID provider which is not the control plane.
    fn without_use_for_saml(&self) -> Option<&'static str> {
        let keys = [
            ("kind", self.kind != ProviderKind::Oidc),
            ("client_secret", self.client_secret.is_some()),
            ("hosted_domain", self.hosted_domain.is_some()),
            ("scopes", !self.scopes.is_empty()),
            ("groups_claim", self.groups_claim != groups_claim()),
            ("claims", !self.claims.is_empty()),
            ("sign_out_returns", self.sign_out_returns),
            ("device_code", self.device_code),
        ];
        keys.into_iter().find(|(_, given)| *given).map(|(key, _)| key)
    }
}

/// One upstream MCP server and how it is authenticated.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", schemars(extend("oneOf" = [{"required": ["url"]}, {"required": ["command"]}])))]
#[serde(deny_unknown_fields)]
pub struct ConnectorSpec {
    /// Its title, as people read it.
    pub title: String,
    /// The Streamable HTTP endpoint. Exactly one of `url` and `command` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Url>,
    /// The stdio server: the program and its arguments; no shell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Environment of the stdio server beside a minimal one.
    ///
    /// In a brokered connector's values, [`CREDENTIAL_PLACEHOLDER`] stands for the secret of the chosen credential; the
    /// control plane puts it in when it starts the program. Nowhere else is it replaced.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// How calls are authenticated.
    #[serde(default)]
    pub credential: CredentialSpec,
    /// Whether it is used while the policy has run out and is still obeyed (`offline.grace_hours`). Where this is not given,
    /// connectors with shared accounts rest then, and others are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_grace: Option<InGrace>,
    /// What is computed of its tools' arguments, by tool and by the name under which policies read it: `context.facts.<name>`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: ConnectorFacts,
    /// Who accepts it when the connector says something else of its tools, prompts and resource templates, or of itself, than
    /// was pinned. What a tool takes as arguments only the organisation accepts: policies are typed against that.
    #[serde(default, skip_serializing_if = "is_default")]
    pub changes_accepted_by: ChangesAcceptedBy,
}

/// Who accepts a connector's changed definitions.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangesAcceptedBy {
    /// Whoever signs the organisation's policy, by pinning them anew.
    #[default]
    Organisation,
    /// The person at the desktop, each for themselves.
    User,
}

/// The two ways to reach a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport<'a> {
    /// Streamable HTTP (MCP 2026-07-28, basic/transports).
    Http(&'a Url),
    /// A program on standard input and output.
    Stdio {
        /// The program.
        program: &'a str,
        /// Its arguments.
        arguments: &'a [String],
    },
}

impl ConnectorSpec {
    /// Whether its program runs on the employee's computer.
    pub fn runs_here(&self) -> bool {
        !self.command.is_empty() && !matches!(self.credential, CredentialSpec::Brokered { .. })
    }

    /// What becomes of it while the policy has run out and is still obeyed.
    pub fn in_grace(&self) -> InGrace {
        let usual = if self.credential.is_shared() { InGrace::Rest } else { InGrace::Use };
        self.in_grace.unwrap_or(usual)
    }

    /// The one transport.
    ///
    /// # Errors
    /// [`ContentFault::Transport`] unless exactly one of `url` and `command` is given.
    pub fn transport(&self) -> Result<Transport<'_>, ContentFault> {
        match (&self.url, self.command.split_first()) {
            (Some(url), None) => Ok(Transport::Http(url)),
            (None, Some((program, arguments))) => Ok(Transport::Stdio { program, arguments }),
            (Some(_), Some(_)) | (None, None) => Err(ContentFault::Transport),
        }
    }

    /// Checks that the credential fits together, and fits the transport.
    ///
    /// # Errors
    /// [`CredentialFault`].
    pub fn check_credential(&self) -> Result<(), CredentialFault> {
        self.credential.check()?;
        match &self.credential {
            CredentialSpec::UserToken { .. }
            | CredentialSpec::ClientCredentials { .. }
            | CredentialSpec::Enterprise { .. }
                if self.url.is_none() =>
            {
                Err(CredentialFault::NoUrl)
            }
            CredentialSpec::Leased { .. } if self.url.is_some() => Err(CredentialFault::NoCommand),
            CredentialSpec::Brokered { identity: Some(_), .. } if self.url.is_none() => {
                Err(CredentialFault::IdentityOfProgram)
            }
            CredentialSpec::None
            | CredentialSpec::UserOauth { .. }
            | CredentialSpec::UserToken { .. }
            | CredentialSpec::ClientCredentials { .. }
            | CredentialSpec::Enterprise { .. }
            | CredentialSpec::Brokered { .. }
            | CredentialSpec::Leased { .. } => Ok(()),
        }
    }
}

/// What an assistant connects to.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSpec {
    /// Its title, as people read it.
    pub title: String,
    /// The connectors that it exposes, in order.
    pub connectors: Vec<ConnectorId>,
    /// The tools that it offers of each connector; all where a connector is not named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<ConnectorId, BTreeSet<ToolName>>,
    /// How assistants get to know them.
    #[serde(default, skip_serializing_if = "ToolList::is_whole")]
    pub tool_list: ToolList,
    /// Which of the person's accounts it uses of each connector; `default` where a connector is not named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accounts: BTreeMap<ConnectorId, AccountName>,
}

/// How assistants get to know a virtual server's tools. It changes nothing in who may call what.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolList {
    /// All are listed.
    #[default]
    Whole,
    /// Three are listed, by which the others are searched for, described and called: for servers with so many tools that
    /// their list leaves an assistant little room for anything else.
    Search,
}

impl ToolList {
    fn is_whole(&self) -> bool {
        *self == Self::Whole
    }
}

impl ServerSpec {
    /// Whether the virtual server offers this tool at all, before any policy.
    pub fn offers(&self, connector: &ConnectorId, tool: &ToolName) -> bool {
        self.connectors.contains(connector)
            && self.tools.get(connector).is_none_or(|offered| offered.contains(tool))
    }

    /// The account that the virtual server uses of a connector.
    pub fn account(&self, connector: &ConnectorId) -> AccountId {
        let account = self.accounts.get(connector).cloned().unwrap_or_default();
        AccountId { connector: connector.clone(), account }
    }
}

/// A connector's tools as they were accepted, each kept as the very JSON text that the connector sent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PinnedTools(pub Vec<Box<RawValue>>);

/// What else a connector says to models, as it was accepted: each the very JSON text that the connector sent, under the names of
/// the specification (MCP 2026-07-28, server/prompts and server/resources). What is not here is not passed on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedDefinitions {
    /// How it is used, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<Box<RawValue>>,
    /// Its prompts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<Box<RawValue>>,
    /// Its resource templates.
    #[serde(default, rename = "resourceTemplates", skip_serializing_if = "Vec::is_empty")]
    pub resource_templates: Vec<Box<RawValue>>,
}

/// What is wrong with a content, beyond its JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentFault {
    /// A connector has both or neither of `url` and `command`.
    #[error("a connector has exactly one of url and command")]
    Transport,
    /// The content's format version is not known here.
    #[error("the content has format {0}, which this version cannot read")]
    Format(u32),
    /// A key that came with a later format: whoever wrote that knew another meaning of it, or none.
    #[error("the content has format {format}, which has no {at}")]
    LaterKey {
        /// The content's format.
        format: u32,
        /// Where the key stands.
        at: String,
    },
    /// A server names a connector that does not exist.
    #[error("server {server} names connector {connector}, which does not exist")]
    UnknownConnector {
        /// The server.
        server: ServerId,
        /// The missing connector.
        connector: ConnectorId,
    },
    /// A server names an account that there cannot be.
    #[error("server {0} {1}")]
    Account(ServerId, AccountFault),
    /// A connector with shared credentials has none.
    #[error("connector {0} is brokered or leased but names no credential")]
    NoCredential(ConnectorId),
    /// A connector with shared credentials is listed by whoever pins it, so that nobody else could accept a change.
    #[error("connector {0} is brokered or leased: only the organisation accepts what it changes")]
    ChangesOfShared(ConnectorId),
    /// The identity provider is not like that.
    #[error("identity provider: {0}")]
    Provider(#[from] ProviderFault),
    /// A SAML identity provider is described with a contradiction.
    #[error("identity_provider: {0}")]
    Saml(#[from] SamlProviderFault),
    /// Something of the identity provider that people who sign in by SAML have nothing of.
    #[error("identity_provider: {0} does nothing with saml; remove it")]
    SamlAnd(&'static str),
    /// Nobody could sign in in a window.
    #[error("sign_in_hosts lacks {0}, where people sign in: no window could show it")]
    SignInHost(String),
    /// A connector's credential does not fit together.
    #[error("connector {0} {1}")]
    Credential(ConnectorId, CredentialFault),
    /// The audit settings are out of bounds.
    #[error("audit: {0}")]
    Audit(#[from] AuditSettingsFault),
}

impl Content {
    /// Checks what types alone cannot: format, references, transports.
    ///
    /// # Errors
    /// The first [`ContentFault`] found.
    pub fn checked(self) -> Result<Self, ContentFault> {
        if !READABLE_FORMATS.contains(&self.format) {
            return Err(ContentFault::Format(self.format));
        }
        if self.format < CONTENT_FORMAT
            && let Some(later) = self.later_uses().iter().find(|found| found.key.format > self.format)
        {
            return Err(ContentFault::LaterKey { format: self.format, at: later.at.join(".") });
        }
        self.org.identity_provider.checked()?;
        if let Some(saml) = &self.org.identity_provider.saml {
            saml.check()?;
            if let Some(key) = self.org.identity_provider.without_use_for_saml() {
                return Err(ContentFault::SamlAnd(key));
            }
        }
        self.org.sign_in_hosts_checked()?;
        self.org.audit.check()?;
        for (id, connector) in &self.connectors {
            connector.transport()?;
            if connector.credential.is_shared() && connector.credential.shared().is_empty() {
                return Err(ContentFault::NoCredential(id.clone()));
            }
            if connector.credential.is_shared() && connector.changes_accepted_by == ChangesAcceptedBy::User {
                return Err(ContentFault::ChangesOfShared(id.clone()));
            }
            connector.check_credential().map_err(|fault| ContentFault::Credential(id.clone(), fault))?;
        }
        for (server, spec) in &self.servers {
            for connector in spec.connectors.iter().chain(spec.tools.keys()) {
                if !self.connectors.contains_key(connector) {
                    return Err(ContentFault::UnknownConnector {
                        server: server.clone(),
                        connector: connector.clone(),
                    });
                }
            }
            spec.check_accounts(&self.connectors)
                .map_err(|fault| ContentFault::Account(server.clone(), fault))?;
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
