//! A SAML 2.0 identity provider as IT names it. The control plane is its service provider and speaks OpenID Connect to
//! desktops, so that [`IdentityProvider::issuer`](crate::IdentityProvider::issuer) is the control plane's own public URL.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use url::Url;

/// The longest entity ID (SAML Core 2.0, section 8.3.6), in characters.
const ENTITY_ID_LIMIT: usize = 1024;
/// The longest name of an attribute, in bytes.
const ATTRIBUTE_LIMIT: usize = 256;
/// The longest certificate, in bytes.
const CERTIFICATE_LIMIT: usize = 16 * 1024;
/// How many certificates are good at a time: the current one, and the next or the last.
const MOST_CERTIFICATES: usize = 2;
/// The longest that people stay signed in: thirty days.
const MOST_HOURS: u32 = 720;

/// A SAML 2.0 identity provider (SAML Profiles 2.0, section 4.1: Web Browser SSO).
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamlProvider {
    /// Its entity ID, compared exactly.
    pub entity_id: String,
    /// Where people are sent to sign in: its SingleSignOnService with the binding HTTP-Redirect.
    pub sso_url: Url,
    /// What it signs with: one certificate, or two while it changes from one to the other.
    pub certificates: Vec<SamlCertificate>,
    /// The attribute that holds the groups; nobody is in a group where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_attribute: Option<String>,
    /// The attribute that holds the e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_attribute: Option<String>,
    /// The attribute that holds the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_attribute: Option<String>,
    /// How long people stay signed in, in hours, unless the provider says less. What it says of them is not read again
    /// before, because SAML knows no renewal.
    #[serde(default = "day", skip_serializing_if = "is_day")]
    pub session_hours: u32,
}

/// What is wrong with a SAML identity provider's description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SamlProviderFault {
    /// The entity ID is none.
    #[error("saml.entity_id is empty, too long, or has spaces around it")]
    EntityId,
    /// The single sign-on URL cannot be opened.
    #[error("saml.sso_url {0} is neither https nor http on this machine, or has a fragment")]
    SsoUrl(Url),
    /// There are not one or two different certificates.
    #[error(
        "saml.certificates has {0} certificates; one is needed, and two different ones while they change"
    )]
    Certificates(usize),
    /// An attribute's name is none.
    #[error("saml.{0} is empty or too long")]
    Attribute(&'static str),
    /// The session's length is out of range.
    #[error("saml.session_hours is {0}; it is from 1 to {MOST_HOURS}")]
    SessionHours(u32),
}

impl SamlProvider {
    /// Checks what types alone cannot.
    ///
    /// # Errors
    /// The first [`SamlProviderFault`] found.
    pub fn check(&self) -> Result<(), SamlProviderFault> {
        let id = &self.entity_id;
        if id.is_empty() || id.trim() != id || id.chars().count() > ENTITY_ID_LIMIT {
            return Err(SamlProviderFault::EntityId);
        }
        if !is_presentable(&self.sso_url) {
            return Err(SamlProviderFault::SsoUrl(self.sso_url.clone()));
        }
        let count = self.certificates.len();
        let twice = matches!(self.certificates.as_slice(), [one, other] if one == other);
        if count == 0 || count > MOST_CERTIFICATES || twice {
            return Err(SamlProviderFault::Certificates(count));
        }
        for (what, name) in [
            ("groups_attribute", &self.groups_attribute),
            ("email_attribute", &self.email_attribute),
            ("name_attribute", &self.name_attribute),
        ] {
            if name.as_ref().is_some_and(|name| name.is_empty() || name.len() > ATTRIBUTE_LIMIT) {
                return Err(SamlProviderFault::Attribute(what));
            }
        }
        if self.session_hours == 0 || self.session_hours > MOST_HOURS {
            return Err(SamlProviderFault::SessionHours(self.session_hours));
        }
        Ok(())
    }
}

fn is_presentable(url: &Url) -> bool {
    // With either scheme there is a host.
    (url.scheme() == "https" || (url.scheme() == "http" && model::is_on_this_machine(url)))
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

fn day() -> u32 {
    24
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
fn is_day(hours: &u32) -> bool {
    *hours == day()
}

/// An X.509 certificate in base64, with or without the lines of a PEM file around it (RFC 7468). What it certifies is not
/// looked at here.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SamlCertificate(Vec<u8>);

impl SamlCertificate {
    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    /// The certificate in base64, in one line.
    pub fn base64(&self) -> String {
        STANDARD.encode(&self.0)
    }
}

impl TryFrom<String> for SamlCertificate {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
        let base64: String = lines.flat_map(str::split_whitespace).collect();
        match STANDARD.decode(base64) {
            // A second certificate in one text would make base64 that ends in the middle.
            Ok(der) if !der.is_empty() && der.len() <= CERTIFICATE_LIMIT => Ok(Self(der)),
            Ok(_) | Err(_) => Err("a certificate is one X.509 certificate in base64, as in a PEM file"),
        }
    }
}

impl From<SamlCertificate> for String {
    fn from(certificate: SamlCertificate) -> Self {
        certificate.base64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider() -> SamlProvider {
        serde_json::from_str(
            r#"{"entity_id":"https://idp.acme.test/m","sso_url":"https://idp.acme.test/sso","certificates":["AAEC"]}"#,
        )
        .expect("a provider")
    }

    #[test]
    fn what_is_left_out_stays_out_and_what_is_unknown_is_refused() {
        let written = serde_json::to_string(&provider()).expect("writes");
        assert!(!written.contains("attribute") && !written.contains("session_hours"), "{written}");
        let more = written.replace("{\"entity_id\"", "{\"encrypted\":true,\"entity_id\"");
        assert!(serde_json::from_str::<SamlProvider>(&more).is_err());
    }

    #[test]
    fn a_certificate_is_the_same_with_and_without_its_pem_lines() {
        let pem = "-----BEGIN CERTIFICATE-----\nAA\n EC\n-----END CERTIFICATE-----\n";
        let read = |text: &str| SamlCertificate::try_from(text.to_owned());
        assert_eq!(read(pem), read("AAEC"));
        assert_eq!(read(pem).expect("good").base64(), "AAEC");
        for wrong in ["", "AAEC=", "-----BEGIN CERTIFICATE-----", "zażółć"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn contradictions_are_named() {
        assert_eq!(provider().check(), Ok(()));
        let faulty = |change: fn(&mut SamlProvider)| {
            let mut provider = provider();
            change(&mut provider);
            provider.check().expect_err("refused")
        };
        assert_eq!(faulty(|p| p.entity_id = " x".to_owned()), SamlProviderFault::EntityId);
        assert!(matches!(
            faulty(|p| p.sso_url = "http://idp.acme.test/".parse().expect("a URL")),
            SamlProviderFault::SsoUrl(_)
        ));
        assert_eq!(faulty(|p| p.certificates.clear()), SamlProviderFault::Certificates(0));
        let twice = |p: &mut SamlProvider| p.certificates = vec![p.certificates[0].clone(); 2];
        assert_eq!(faulty(twice), SamlProviderFault::Certificates(2));
        assert_eq!(
            faulty(|p| p.groups_attribute = Some(String::new())),
            SamlProviderFault::Attribute("groups_attribute")
        );
        assert_eq!(faulty(|p| p.session_hours = 0), SamlProviderFault::SessionHours(0));
    }
}
