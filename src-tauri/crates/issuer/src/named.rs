//! Assistants that somebody named beforehand: the organisation, or the person in their settings. They need not register,
//! and no document about them is fetched.

use crate::clients::Client;
use crate::name::NameFault;
use crate::redirect::{RedirectFault, RedirectUri};

/// A public client (RFC 6749, section 2.1) with the redirects that its code may go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedClient(pub(crate) Client);

/// Why an assistant cannot be named so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamedFault {
    /// Its id is empty, too long, or has a character that is not printable ASCII (RFC 6749, appendix A.1).
    #[error("its client id must be 1 to {LONGEST_ID} printable ASCII characters")]
    Id,
    /// Its name.
    #[error("its title cannot be shown: {0}")]
    Name(String),
    /// It has no redirect.
    #[error("it has no redirect URI")]
    NoRedirect,
    /// A redirect.
    #[error("the redirect URI {uri} is refused: {why}")]
    Redirect {
        /// As written.
        uri: String,
        /// The reason.
        why: String,
    },
}

const LONGEST_ID: usize = 512;

impl NamedClient {
    /// Checks and takes in what somebody wrote. Redirects are on loopback, where the port is any, or one of the known
    /// custom-scheme URIs.
    ///
    /// # Errors
    /// [`NamedFault`].
    pub fn new(client_id: &str, title: &str, redirect_uris: &[String]) -> Result<Self, NamedFault> {
        if client_id.is_empty()
            || client_id.len() > LONGEST_ID
            || !client_id.bytes().all(|b| (0x20..0x7f).contains(&b))
        {
            return Err(NamedFault::Id);
        }
        let name = title.parse().map_err(|fault: NameFault| NamedFault::Name(fault.to_string()))?;
        let read = |uri: &String| {
            let refused =
                |fault: RedirectFault| NamedFault::Redirect { uri: uri.clone(), why: fault.to_string() };
            uri.parse::<RedirectUri>().map_err(refused)
        };
        let redirects = redirect_uris.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if redirects.is_empty() {
            return Err(NamedFault::NoRedirect);
        }
        let id = client_id.to_owned();
        Ok(Self(Client { id, name, redirects, registered: None, last_used: None }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(id: &str, title: &str, uris: &[&str]) -> Result<NamedClient, NamedFault> {
        NamedClient::new(id, title, &uris.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_well_written_is_taken() {
        let client = named("acme-agent", "Acme agent", &["http://127.0.0.1/callback"]).unwrap().0;
        assert_eq!((client.id.as_str(), client.name.as_str()), ("acme-agent", "Acme agent"));
        assert!(client.redirects_to(&"http://127.0.0.1:8123/callback".parse().unwrap()));
    }

    #[test]
    fn each_mistake_is_named() {
        let uri = "http://127.0.0.1/callback";
        assert_eq!(named("", "Agent", &[uri]), Err(NamedFault::Id));
        assert_eq!(named("a\nb", "Agent", &[uri]), Err(NamedFault::Id));
        assert!(matches!(named("a", "Cl\u{430}ude", &[uri]), Err(NamedFault::Name(_))));
        assert_eq!(named("a", "Agent", &[]), Err(NamedFault::NoRedirect));
        let fault = named("a", "Agent", &[uri, "https://a.example/callback"]).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "the redirect URI https://a.example/callback is refused: only http on loopback and the known custom schemes are accepted"
        );
    }
}
