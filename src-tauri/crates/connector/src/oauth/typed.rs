//! A token that the person types, because the connector hands out access tokens or API keys instead of asking an
//! authorization server.

use model::SignInPurpose;
use org_protocol::TokenHeader;
use secrecy::SecretString;
use signin::entry::{self, Entry};
use signin::{FaultKind, Moment, Tokens};

use super::grant::{Bound, Grant, Source};
use super::place::GrantPlace;
use super::target::{Target, WayName};

impl GrantPlace {
    /// Has the person type a token. Whether the connector takes it is seen when it is used.
    pub(super) async fn typed(
        &self,
        target: &Target,
        header: &TokenHeader,
        hint: Option<&String>,
    ) -> Result<Grant, FaultKind> {
        let shared = self.shared();
        let secret = entry::typed(
            &*shared.person,
            &Entry {
                purpose: self.purpose(target),
                title: format!("Your token for {}", target.title),
                words: words(target, hint),
                label: "Access token or API key".to_owned(),
                fits: can_be_sent,
                deadline: shared.sign_in_deadline,
            },
        )
        .await?;
        let bound = Bound {
            server: target.url.clone(),
            way: WayName::Typed,
            header: header.clone(),
            scopes: target.scopes.clone(),
            wider: [].into(),
            registered_client: None,
            source: Source::Person,
        };
        Ok(Grant::new(bound, lasting(secret), Moment::of(&*shared.clock)))
    }

    /// Why the person is asked.
    pub(super) fn purpose(&self, target: &Target) -> SignInPurpose {
        SignInPurpose::Connector { account: self.account().clone(), title: target.title.clone() }
    }
}

/// What the person has to know before they type a secret.
pub(super) fn words(target: &Target, hint: Option<&String>) -> Vec<String> {
    let host = target.url.host_str().unwrap_or_default();
    let kept = format!(
        "Deskgate keeps it sealed on this computer and uses it for {host} only. No assistant sees it, and it is not shown again."
    );
    hint.cloned().into_iter().chain([kept]).collect()
}

/// Whether a text can go into a header (RFC 6750, section 2.1, and what API keys look like).
fn can_be_sent(text: &str) -> bool {
    text.len() <= 16 * 1024 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// How long it lasts nobody said.
pub(super) fn lasting(access: SecretString) -> Tokens {
    Tokens { access, refresh: None, id_token: None, lasts: None, scopes: None, bound: false }
}
