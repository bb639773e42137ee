//! Hosts whose pages sign-in windows may show.

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::content::{ContentFault, OrgSettings};

/// A host and everything below it: `acme.example` means `login.acme.example` too.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SignInHost(String);

impl SignInHost {
    /// Whether a page is at this host. One without a name, such as an address, is at none.
    pub fn covers(&self, page: &Url) -> bool {
        let Some(Host::Domain(host)) = page.host() else { return false };
        host.strip_suffix(self.0.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl TryFrom<String> for SignInHost {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // As a parsed URL has it: lower case, and in ASCII whatever its letters are.
        let plain = matches!(Host::parse(&text), Ok(Host::Domain(host)) if host == text);
        if plain && text.contains('.') && !text.contains('*') && !text.starts_with('.') {
            Ok(Self(text))
        } else {
            Err("a sign-in host is a name such as login.acme.example, in lower case and without * or port")
        }
    }
}

impl From<SignInHost> for String {
    fn from(SignInHost(host): SignInHost) -> Self {
        host
    }
}

impl OrgSettings {
    /// Refuses a list that lacks where people sign in.
    pub(crate) fn sign_in_hosts_checked(&self) -> Result<(), ContentFault> {
        let provider = &self.identity_provider;
        let pages = [Some(&provider.issuer), provider.saml.as_ref().map(|saml| &saml.sso_url)];
        let here = |page: &Url| !matches!(page.host(), Some(Host::Domain(name)) if name != "localhost");
        let known = |page: &Url| here(page) || self.sign_in_hosts.iter().any(|host| host.covers(page));
        match pages.into_iter().flatten().find(|page| !known(page)) {
            Some(page) if !self.sign_in_hosts.is_empty() => {
                Err(ContentFault::SignInHost(page.host_str().unwrap_or_default().to_owned()))
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Result<SignInHost, &'static str> {
        SignInHost::try_from(text.to_owned())
    }

    #[test]
    fn a_host_covers_itself_and_what_is_below_it_and_nothing_that_looks_like_it() {
        let acme = host("acme.example").expect("a host");
        let covers = |page: &str| acme.covers(&page.parse().expect("a URL"));
        assert!(covers("https://acme.example/login") && covers("https://login.eu.ACME.example:8443/"));
        for other in [
            "https://notacme.example/",
            "https://acme.example.evil.test/",
            "https://evil.test/acme.example",
            "https://acme.example@evil.test/",
            "https://192.0.2.1/",
            "about:blank",
        ] {
            assert!(!covers(other), "{other}");
        }
    }

    #[test]
    fn what_is_no_name_of_a_host_is_refused() {
        for wrong in [
            "",
            "*",
            "*.acme.example",
            ".acme.example",
            "example",
            "Acme.example",
            "acme.example:443",
            "192.0.2.1",
            "https://acme.example",
        ] {
            assert!(host(wrong).is_err(), "{wrong}");
        }
    }
}
