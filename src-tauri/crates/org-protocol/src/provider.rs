//! Identity providers as they are: what each wants otherwise than OpenID Connect has it, in one table.

use std::collections::BTreeMap;

use model::AttributeValue;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::IdentityProvider;

/// Whose product an identity provider is.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// One that keeps to OpenID Connect.
    #[default]
    Oidc,
    /// Okta, with its own or the organisation's domain.
    Okta,
    /// Microsoft Entra: one tenant of it.
    Entra,
    /// Google Workspace.
    Google,
}

/// The type of a claim, in Cedar's words: what policies read it as.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClaimType {
    /// A truth value.
    Bool,
    /// A whole number.
    Long,
    /// A text.
    String,
    /// A set of texts; a single text is a set of one.
    #[serde(rename = "Set<String>")]
    Texts,
}

/// What is peculiar to the providers of one kind.
#[derive(Debug, PartialEq, Eq)]
pub struct Quirks {
    /// As people know it.
    pub name: &'static str,
    /// Where the provider says so.
    pub source: &'static str,
    /// What there is to a native client's secret.
    pub secret: ClientSecretRule,
    /// How a refresh token is asked for.
    pub offline: OfflineAccess,
    /// The `prompt` of every sign-in, and of one in which the person has to prove anew who they are.
    pub prompt: (Option<&'static str>, &'static str),
    /// Scopes that are asked for beside those that IT names.
    pub scopes: &'static [&'static str],
    /// Where it says which groups somebody is in.
    pub groups: GroupSource,
    /// Whether its tokens name the organisation's domain (`hd`).
    pub hosted_domain: bool,
    /// How it says that somebody signed out or was disabled.
    pub sign_outs: SignOuts,
    /// The hosts of its pages that do not work within an embedded view.
    pub pages: &'static [&'static str],
}

/// What there is to the secret of a native client (RFC 8252, section 8.5: it proves nothing).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientSecretRule {
    /// Some insist on one.
    Optional,
    /// It insists on one.
    Needed,
    /// It refuses a native client that sends one.
    Refused,
}

/// How a refresh token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfflineAccess {
    /// By the scope `offline_access` (OpenID Connect Core 1.0, section 11).
    Scope,
    /// By a parameter, `access_type=offline`.
    Parameter,
}

/// Where a provider says which groups somebody is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupSource {
    /// In a claim.
    Claim,
    /// In a claim; where they are too many for a token, in its directory.
    ClaimOrDirectory,
    /// Nowhere.
    Nowhere,
}

/// How a provider says that somebody signed out or was disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignOuts {
    /// To the control plane (OpenID Connect Back-Channel Logout 1.0), where it is told to.
    BackChannel,
    /// To pages in the person's browser only, which a desktop application has none of.
    FrontChannel,
    /// Not at all.
    Never,
}

/// Microsoft's clouds: where people sign in, and the directory behind it. The DoD's directory is behind the same address
/// as the US government's, so it cannot be told from it and is not served.
const ENTRA_CLOUDS: [(&str, &str); 3] = [
    ("login.microsoftonline.com", "https://graph.microsoft.com/v1.0/"),
    ("login.microsoftonline.us", "https://graph.microsoft.us/v1.0/"),
    ("login.partner.microsoftonline.cn", "https://microsoftgraph.chinacloudapi.cn/v1.0/"),
];
/// Entra's names for "any tenant": tokens from there could be anybody's.
const ANY_TENANT: [&str; 3] = ["common", "organizations", "consumers"];
/// Google's issuer identifier.
const GOOGLE_ISSUER: &str = "https://accounts.google.com/";
/// What every user has in policies beside the claims.
const ALWAYS_THERE: [&str; 4] = ["issuer", "subject", "email", "name"];

static OIDC: Quirks = Quirks {
    name: "OpenID Connect",
    source: "OpenID Connect Core 1.0; Discovery 1.0; Back-Channel Logout 1.0",
    secret: ClientSecretRule::Optional,
    offline: OfflineAccess::Scope,
    prompt: (None, "login"),
    scopes: &[],
    groups: GroupSource::Claim,
    hosted_domain: false,
    sign_outs: SignOuts::BackChannel,
    pages: &[],
};

static OKTA: Quirks = Quirks {
    name: "Okta",
    source: "developer.okta.com: OpenID Connect & OAuth 2.0 API; Customize tokens with a groups claim",
    secret: ClientSecretRule::Refused,
    scopes: &["profile", "email", "groups"],
    ..OIDC
};

static ENTRA: Quirks = Quirks {
    name: "Microsoft Entra",
    source: "learn.microsoft.com: ID token claims reference (hasgroups, _claim_names); Configure group claims; \
             directoryObject: getMemberObjects; Using MSAL with WebView2",
    secret: ClientSecretRule::Refused,
    scopes: &["profile", "email", "User.Read"],
    groups: GroupSource::ClaimOrDirectory,
    sign_outs: SignOuts::FrontChannel,
    pages: &[
        "login.microsoftonline.com",
        "login.microsoft.com",
        "login.live.com",
        "login.microsoftonline.us",
        "login.partner.microsoftonline.cn",
    ],
    ..OIDC
};

static GOOGLE: Quirks = Quirks {
    name: "Google",
    source: "developers.google.com: OpenID Connect (prompt, access_type, hd); OAuth 2.0 for Mobile & Desktop Apps \
             (client_secret, disallowed_useragent)",
    secret: ClientSecretRule::Needed,
    offline: OfflineAccess::Parameter,
    // Without consent it gives no second refresh token, and it never asks for a password again.
    prompt: (Some("consent"), "select_account consent"),
    scopes: &["profile", "email"],
    groups: GroupSource::Nowhere,
    hosted_domain: true,
    sign_outs: SignOuts::Never,
    pages: &["accounts.google.com"],
};

const KINDS: [ProviderKind; 4] =
    [ProviderKind::Oidc, ProviderKind::Okta, ProviderKind::Entra, ProviderKind::Google];

impl ProviderKind {
    /// The row of the table.
    pub fn quirks(self) -> &'static Quirks {
        match self {
            Self::Oidc => &OIDC,
            Self::Okta => &OKTA,
            Self::Entra => &ENTRA,
            Self::Google => &GOOGLE,
        }
    }
}

/// Whether a page belongs to a provider that refuses to sign people in within an embedded view; there the system browser
/// is the only way.
pub fn refuses_embedded_views(page: &Url) -> bool {
    let within =
        |host: &str, of: &str| host == of || host.strip_suffix(of).is_some_and(|rest| rest.ends_with('.'));
    let pages = KINDS.iter().flat_map(|kind| kind.quirks().pages);
    page.host_str().is_some_and(|host| pages.into_iter().any(|of| within(host, of)))
}

impl ClaimType {
    /// As Cedar and whoever writes policies call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "Bool",
            Self::Long => "Long",
            Self::String => "String",
            Self::Texts => "Set<String>",
        }
    }

    /// Whether a value is of this type.
    pub fn fits(self, value: &AttributeValue) -> bool {
        match (self, value) {
            (Self::Bool, AttributeValue::Bool(_))
            | (Self::Long, AttributeValue::Long(_))
            | (Self::String, AttributeValue::Text(_))
            | (Self::Texts, AttributeValue::Set(_)) => true,
            (
                Self::Bool | Self::Long | Self::String | Self::Texts,
                AttributeValue::Bool(_)
                | AttributeValue::Long(_)
                | AttributeValue::Text(_)
                | AttributeValue::Set(_),
            ) => false,
        }
    }
}

/// The types of the claims that policies may read, by name.
pub type ClaimTypes = BTreeMap<String, ClaimType>;

/// What IT says of an identity provider contradicts what that provider is like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderFault {
    /// The issuer is another kind's.
    #[error("the issuer {issuer} is {}'s: write kind = {:?}", kind.quirks().name, key(*kind))]
    OtherKind {
        /// The issuer.
        issuer: Url,
        /// Whose it is.
        kind: ProviderKind,
    },
    /// The issuer is not one of this kind.
    #[error("the issuer {issuer} is not {}'s, which is {}", kind.quirks().name, form(*kind))]
    Issuer {
        /// The issuer.
        issuer: Url,
        /// The kind that was named.
        kind: ProviderKind,
    },
    /// The issuer is of no tenant.
    #[error(
        "the issuer names the tenant {0:?}, which stands for any: everybody with a Microsoft account could sign in. \
         Write the tenant's id"
    )]
    AnyTenant(String),
    /// A native client needs its secret there.
    #[error(
        "{0} gives native clients a client_secret and insists on it: name it. It is no secret, every desktop has it"
    )]
    SecretMissing(&'static str),
    /// A native client must have no secret there.
    #[error(
        "{0} refuses a native client's client_secret: register Deskgate as a native application and leave it out"
    )]
    SecretRefused(&'static str),
    /// Its tokens name no domain.
    #[error("hosted_domain is Google's: the tokens of {0} have no hd claim, so that nobody could sign in")]
    HostedDomain(&'static str),
    /// It cannot be a domain.
    #[error("hosted_domain is {0:?}, which is no domain")]
    NoDomain(String),
    /// It never sends anybody back.
    #[error("{0} has no page on which people sign out, so that it cannot return: leave sign_out_returns out")]
    NoSignOut(&'static str),
    /// The name is taken, or none.
    #[error("the claim {0:?} cannot be declared: policies know it already, or it has no name")]
    Claim(String),
}

fn key(kind: ProviderKind) -> &'static str {
    match kind {
        ProviderKind::Oidc => "oidc",
        ProviderKind::Okta => "okta",
        ProviderKind::Entra => "entra",
        ProviderKind::Google => "google",
    }
}

fn form(kind: ProviderKind) -> &'static str {
    match kind {
        ProviderKind::Oidc | ProviderKind::Okta => "an https address",
        ProviderKind::Entra => "https://login.microsoftonline.com/<tenant id>/v2.0",
        ProviderKind::Google => "https://accounts.google.com",
    }
}

impl IdentityProvider {
    /// What is peculiar to it.
    pub fn quirks(&self) -> &'static Quirks {
        self.kind.quirks()
    }

    /// The directory behind it, where groups that are too many for a token are looked up. What a token says about where
    /// they are is never followed.
    pub fn directory(&self) -> Option<Url> {
        let host = self.issuer.host_str().filter(|_| self.kind == ProviderKind::Entra)?;
        let (_, directory) = ENTRA_CLOUDS.iter().find(|(login, _)| *login == host)?;
        Url::parse(directory).ok()
    }

    /// Refuses what contradicts what the provider is like.
    ///
    /// # Errors
    /// The first [`ProviderFault`] found.
    pub fn checked(&self) -> Result<(), ProviderFault> {
        let quirks = self.quirks();
        self.issuer_checked()?;
        match (quirks.secret, &self.client_secret) {
            (ClientSecretRule::Needed, None) => return Err(ProviderFault::SecretMissing(quirks.name)),
            (ClientSecretRule::Refused, Some(_)) => return Err(ProviderFault::SecretRefused(quirks.name)),
            (ClientSecretRule::Needed | ClientSecretRule::Optional, Some(_))
            | (ClientSecretRule::Refused | ClientSecretRule::Optional, None) => {}
        }
        if let Some(domain) = &self.hosted_domain {
            if !quirks.hosted_domain {
                return Err(ProviderFault::HostedDomain(quirks.name));
            }
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
            if !domain.contains('.') || !domain.chars().all(plain) {
                return Err(ProviderFault::NoDomain(domain.clone()));
            }
        }
        if self.sign_out_returns && quirks.sign_outs == SignOuts::Never {
            return Err(ProviderFault::NoSignOut(quirks.name));
        }
        let taken = |name: &&String| name.is_empty() || ALWAYS_THERE.contains(&name.as_str());
        match self.claims.keys().find(taken) {
            Some(name) => Err(ProviderFault::Claim(name.clone())),
            None => Ok(()),
        }
    }

    fn issuer_checked(&self) -> Result<(), ProviderFault> {
        let issuer = &self.issuer;
        let of_entra = ENTRA_CLOUDS.iter().any(|(login, _)| issuer.host_str() == Some(*login));
        let of_google = issuer.as_str() == GOOGLE_ISSUER;
        let wrong = || ProviderFault::Issuer { issuer: issuer.clone(), kind: self.kind };
        match self.kind {
            ProviderKind::Oidc | ProviderKind::Okta => {
                let owner = match (of_entra, of_google) {
                    (true, _) => ProviderKind::Entra,
                    (false, true) => ProviderKind::Google,
                    (false, false) => return Ok(()),
                };
                Err(ProviderFault::OtherKind { issuer: issuer.clone(), kind: owner })
            }
            ProviderKind::Google => {
                if of_google {
                    Ok(())
                } else {
                    Err(wrong())
                }
            }
            ProviderKind::Entra => {
                let mut path = issuer.path_segments().into_iter().flatten();
                let (tenant, version, rest) = (path.next(), path.next(), path.next());
                let tenant = tenant.filter(|_| of_entra && issuer.scheme() == "https").ok_or_else(wrong)?;
                if ANY_TENANT.contains(&tenant) {
                    return Err(ProviderFault::AnyTenant(tenant.to_owned()));
                }
                let good = is_uuid(tenant) && version == Some("v2.0") && rest.is_none();
                if good { Ok(()) } else { Err(wrong()) }
            }
        }
    }

    /// What whoever writes the organisation's settings should know of this provider, one sentence each.
    pub fn notes(&self) -> Vec<String> {
        let Quirks { name, groups, sign_outs, .. } = self.quirks();
        let groups = match groups {
            GroupSource::Claim | GroupSource::ClaimOrDirectory => None,
            GroupSource::Nowhere => {
                Some(format!("{name} puts no groups into its tokens: policies about groups match nobody."))
            }
        };
        let sign_outs = match sign_outs {
            SignOuts::BackChannel => None,
            SignOuts::FrontChannel | SignOuts::Never => Some(format!(
                "{name} tells no control plane of sign-outs: who leaves keeps what they have until their session is \
                 renewed, or until you end it here."
            )),
        };
        let anybody = (self.kind == ProviderKind::Google && self.hosted_domain.is_none()).then(|| {
            format!(
                "Without hosted_domain, everybody with a {name} account can sign in; policies alone decide."
            )
        });
        let codes = self.device_code.then(|| {
            format!(
                "With device_code, whoever talks an employee into typing a code is signed in as them, for as long as {name} \
                 lets this client use the grant."
            )
        });
        [groups, sign_outs, anybody, codes].into_iter().flatten().collect()
    }
}

/// 8-4-4-4-12 hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0";

    fn provider(text: &str) -> IdentityProvider {
        serde_json::from_str(&format!(r#"{{"client_id":"deskgate",{text}}}"#)).expect("an identity provider")
    }

    fn checked(text: &str) -> Result<(), ProviderFault> {
        provider(text).checked()
    }

    #[test]
    fn providers_as_they_are_are_accepted() {
        for good in [
            r#""issuer":"https://idp.acme.test""#.to_owned(),
            r#""issuer":"https://acme.okta.com","kind":"okta""#.to_owned(),
            format!(r#""issuer":"{TENANT}","kind":"entra""#),
            r#""issuer":"https://accounts.google.com","kind":"google","client_secret":"s","hosted_domain":"acme.test""#
                .to_owned(),
        ] {
            assert_eq!(checked(&good), Ok(()), "{good}");
        }
    }

    #[test]
    fn contradictions_are_named() {
        let said = |text: &str| checked(text).expect_err(text).to_string();
        let google = r#""issuer":"https://accounts.google.com","kind":"google""#;
        assert!(said(google).contains("client_secret"));
        assert!(
            said(r#""issuer":"https://a.okta.com","kind":"okta","client_secret":"s""#).contains("refuses")
        );
        assert!(
            said(r#""issuer":"https://a.okta.com","kind":"okta","hosted_domain":"a.test""#)
                .contains("hd claim")
        );
        assert!(said(r#""issuer":"https://accounts.google.com""#).contains(r#"kind = "google""#));
        assert!(said(&format!(r#""issuer":"{TENANT}""#)).contains(r#"kind = "entra""#));
        let secret = r#","client_secret":"s""#;
        assert!(said(&format!(r#"{google}{secret},"hosted_domain":"Acme""#)).contains("no domain"));
        assert!(said(&format!(r#"{google}{secret},"sign_out_returns":true"#)).contains("sign_out_returns"));
        for claim in ["", "email", "subject"] {
            let text = format!(r#""issuer":"https://idp.acme.test","claims":{{"{claim}":"String"}}"#);
            assert_eq!(checked(&text), Err(ProviderFault::Claim(claim.to_owned())));
        }
    }

    #[test]
    fn an_entra_issuer_is_of_one_tenant() {
        for any in ANY_TENANT {
            let text = format!(r#""issuer":"https://login.microsoftonline.com/{any}/v2.0","kind":"entra""#);
            assert_eq!(checked(&text), Err(ProviderFault::AnyTenant(any.to_owned())));
        }
        for wrong in [
            "https://login.microsoftonline.com/acme.test/v2.0",
            "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47",
            "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0/x",
            "https://login.microsoftonline.com.evil.test/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0",
            "https://idp.acme.test/",
        ] {
            let text = format!(r#""issuer":"{wrong}","kind":"entra""#);
            assert!(matches!(checked(&text), Err(ProviderFault::Issuer { .. })), "{wrong}");
        }
        let directory =
            |issuer: &str| provider(&format!(r#""issuer":"{issuer}","kind":"entra""#)).directory();
        assert_eq!(directory(TENANT).expect("known").host_str(), Some("graph.microsoft.com"));
        assert_eq!(directory("https://idp.acme.test/"), None);
        assert_eq!(provider(&format!(r#""issuer":"{TENANT}""#)).directory(), None, "only Entra has one");
    }

    #[test]
    fn embedded_views_are_refused_by_host_and_not_by_what_looks_like_it() {
        let refused = |url: &str| refuses_embedded_views(&url.parse().expect("a URL"));
        assert!(refused("https://accounts.google.com/o/oauth2/v2/auth"));
        assert!(refused("https://eu.login.microsoftonline.com/x"));
        assert!(!refused("https://accounts.google.com.evil.test/"));
        assert!(!refused("https://notaccounts.google.com/"));
        assert!(!refused("https://acme.okta.com/"));
    }

    #[test]
    fn what_is_not_said_is_not_written_and_older_readers_know_nothing_of_it() {
        let plain = provider(r#""issuer":"https://idp.acme.test""#);
        let text = serde_json::to_string(&plain).expect("JSON");
        for name in ["kind", "client_secret", "hosted_domain", "claims"] {
            assert!(!text.contains(name), "{text}");
        }
        let typed =
            provider(r#""issuer":"https://idp.acme.test","claims":{"roles":"Set<String>","level":"Long"}"#);
        assert_eq!(typed.claims["roles"], ClaimType::Texts);
        let again: IdentityProvider =
            serde_json::from_str(&serde_json::to_string(&typed).expect("JSON")).expect("read back");
        assert_eq!(again, typed);
        let unknown = r#"{"client_id":"c","issuer":"https://idp.acme.test","claims":{"roles":"set"}}"#;
        assert!(serde_json::from_str::<IdentityProvider>(unknown).is_err());
    }
}
