//! Access tokens that need no person: for a client itself (RFC 6749, section 4.4), or for whom somebody else vouches (RFC
//! 7523, section 2.1).

use std::collections::BTreeSet;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::answer::error_code;
use crate::client_key::ASSERTION_TYPE;
use crate::prover::TokenRequests;
use crate::{ClientKey, FaultKind, Reach, RenewFault, TokenEndpoint, Tokens};

/// RFC 7523, section 2.1.
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// What a token is asked for with.
#[derive(Debug, Clone, Copy)]
pub enum Obtain<'a> {
    /// The client's own rights.
    Client,
    /// An assertion about somebody.
    Assertion(&'a SecretString),
}

impl TokenEndpoint {
    /// Obtains a token for `resource` (RFC 8707). With a key the client proves who it is by that instead of its secret.
    ///
    /// # Errors
    /// [`RenewFault::Ended`] with the server's error code if it refuses; [`RenewFault::NotDone`] else: nothing is used up by
    /// asking again, which is worth doing at once where [`RenewFault::wants_nonce`].
    pub async fn obtain(
        &self,
        reach: &Reach,
        with: Obtain<'_>,
        resource: &str,
        scopes: &BTreeSet<String>,
        key: Option<&ClientKey>,
    ) -> Result<Tokens, RenewFault> {
        let scope = spaced(scopes);
        let mut fields = match with {
            Obtain::Client => vec![("grant_type", "client_credentials")],
            Obtain::Assertion(assertion) => {
                vec![("grant_type", JWT_BEARER), ("assertion", assertion.expose_secret())]
            }
        };
        fields.push(("resource", resource));
        if !scope.is_empty() {
            fields.push(("scope", &scope));
        }
        let proof = key.map(|key| key.assertion(&self.client_id)).transpose().map_err(RenewFault::NotDone)?;
        let secret = match &proof {
            Some(proof) => {
                fields.push(("client_assertion_type", ASSERTION_TYPE));
                fields.push(("client_assertion", proof.expose_secret()));
                None
            }
            None => self.client_secret.as_ref(),
        };
        let request = self.form(&self.token, &fields, secret).map_err(RenewFault::NotDone)?;
        // An assertion may be good once only: whoever has to say it again makes another.
        let requests = TokenRequests { repeats: false, ..self.requests(reach) };
        let answer = requests.send(request).await;
        let answer = answer.map_err(|fault| RenewFault::NotDone(fault.into()))?;
        self.read(answer.status().is_success(), answer.body())
    }

    fn read(&self, granted: bool, body: &[u8]) -> Result<Tokens, RenewFault> {
        let unreadable = |what: String| RenewFault::NotDone(FaultKind::Unreadable(what));
        if granted {
            // The text may hold a token: only the place of the fault is said.
            let response = serde_json::from_slice(body)
                .map_err(|fault| unreadable(format!("a token, column {}", fault.column())))?;
            // Asking again needs no refresh token, and leaves none behind that somebody else could use.
            let tokens = self.tokens(response).map_err(RenewFault::NotDone)?;
            return Ok(Tokens { refresh: None, ..tokens });
        }
        match refusal(body).map_err(RenewFault::NotDone)? {
            code if is_passing(&code) => Err(RenewFault::NotDone(FaultKind::Unreachable(code))),
            code => Err(RenewFault::Ended(code)),
        }
    }
}

/// Scopes as they are sent (RFC 6749, section 3.3).
pub(crate) fn spaced(scopes: &BTreeSet<String>) -> String {
    scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// The error code of a refusal (RFC 6749, section 5.2).
pub(crate) fn refusal(body: &[u8]) -> Result<String, FaultKind> {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    let read: Result<Refusal, _> = serde_json::from_slice(body);
    read.map(|refusal| error_code(&refusal.error)).map_err(|_| FaultKind::Unreadable("a refusal".to_owned()))
}

/// Whether an error code says that the same may be granted a moment later: a proof that is no good was made with a clock or a
/// nonce that is.
pub(crate) fn is_passing(code: &str) -> bool {
    matches!(
        code,
        "temporarily_unavailable" | "server_error" | "slow_down" | "use_dpop_nonce" | "invalid_dpop_proof"
    )
}
