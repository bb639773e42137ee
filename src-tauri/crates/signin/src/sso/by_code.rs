//! Signing in where nothing can be opened: by a code that the person types on another device (RFC 8628).
//!
//! What comes back is an ID token like any other and is verified like any other. There is no redirect, so `state`, PKCE and the
//! issuer of the answer have no place: the tokens come from the token endpoint, to whoever has the device code.

use claims::{NonceRule, Verified};
use model::{CodeRequest, SignInPurpose};
use secrecy::SecretString;
use url::Url;

use super::Wish;
use super::place::SsoPlace;
use super::provider::Found;
use crate::{FaultKind, Tokens};

impl SsoPlace {
    /// Where a code is asked for, if that is the way: because the person wants it, or because nothing can be opened here.
    ///
    /// # Errors
    /// [`FaultKind::CodesForbidden`] or [`FaultKind::NotOffered`], where the person wants it. Who did not ask for it gets the
    /// other way then.
    pub(super) fn code_endpoint<'f>(
        &self,
        found: &'f Found,
        wish: &Wish,
    ) -> Result<Option<&'f Url>, FaultKind> {
        let endpoint = found.device_authorization.as_ref();
        match (wish.by_code, self.provider.settings.device_code) {
            (true, false) => Err(FaultKind::CodesForbidden),
            (true, true) => {
                endpoint.map(Some).ok_or_else(|| FaultKind::NotOffered("a sign-in by code".to_owned()))
            }
            (false, true) => Ok(endpoint.filter(|_| !self.person.opens_pages())),
            (false, false) => Ok(None),
        }
    }

    pub(super) async fn by_code(
        &self,
        found: &Found,
        endpoint: &Url,
        wish: &Wish,
    ) -> Result<(Verified, SecretString, Tokens), FaultKind> {
        let scopes = self.scopes(found);
        // RFC 8628 knows no nonce; providers that take it put it into the ID token, as OpenID Connect Core 1.0 has it.
        let more = [("nonce", wish.nonce.as_str())];
        let started = found.tokens.begin_by_code(&self.reach, endpoint, &scopes, &more).await?;
        let request = CodeRequest {
            purpose: SignInPurpose::Organisation { name: self.provider.organisation.clone() },
            verification_uri: started.verification_uri.clone(),
            user_code: started.user_code.clone(),
            deadline: started.lasts,
        };
        let tokens = tokio::select! {
            tokens = found.tokens.finish_by_code(&self.reach, &started) => tokens?,
            fault = self.person.show_code(request) => return Err(fault.into()),
        };
        let id_token = tokens.id_token.clone().ok_or(FaultKind::NotOffered("an ID token".to_owned()))?;
        let verified =
            self.verify(found, &id_token, &tokens.access, NonceRule::AbsentOr(Some(&wish.nonce)))?;
        if verified.nonce.is_some() {
            return Ok((verified, id_token, tokens));
        }
        // Without it nothing shows the control plane whose device this sign-in belongs to.
        if let Err(fault) = found.tokens.revoke(&self.reach, &tokens).await {
            tracing::info!(%fault, "the provider could not be told that its tokens are not used");
        }
        Err(FaultKind::CodesUnbound)
    }
}
