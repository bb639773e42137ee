//! Tokens that are bound to a key: whoever steals one can do nothing with it (RFC 9449).

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use org_protocol::dpop::{self, Fresh, Jwk, ProofFor};
use os::Clock;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use url::{Origin, Url};
use vault::{ProofKey, SecretBytes};

use crate::obtain::refusal;
use crate::{FaultKind, HttpFault, HttpRequest, HttpResponse, Reach};

/// The header of proofs.
const PROOF: &str = "dpop";
/// The header of nonces.
const NONCE: &str = "dpop-nonce";
/// The longest nonce that is repeated, in characters.
const LONGEST_NONCE: usize = 1024;

/// Proves possession of the key that the tokens of one grant are bound to. Clones share the key and the servers' nonces.
#[derive(Clone)]
pub struct Prover(Arc<Inner>);

struct Inner {
    key: ProofKey,
    clock: Arc<dyn Clock>,
    /// The newest nonce of each server (RFC 9449, sections 8 and 9). They are not remembered over restarts.
    nonces: Mutex<HashMap<Origin, String>>,
}

impl Prover {
    /// With a fresh key.
    pub fn fresh(clock: Arc<dyn Clock>) -> Self {
        Self::with(ProofKey::generate(), clock)
    }

    /// With the key that [`Self::secret`] gave; `None` if it is none.
    pub fn remembered(secret: &SecretBytes, clock: Arc<dyn Clock>) -> Option<Self> {
        ProofKey::from_secret(secret).map(|key| Self::with(key, clock))
    }

    fn with(key: ProofKey, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { key, clock, nonces: Mutex::default() }))
    }

    /// The private key, to be sealed.
    pub fn secret(&self) -> SecretBytes {
        self.0.key.to_secret()
    }

    /// The key's thumbprint (RFC 7638), to which a code is bound by `dpop_jkt` (RFC 9449, section 10).
    pub fn thumbprint(&self) -> String {
        self.0.key.thumbprint()
    }

    /// A proof for one request, never given twice; with the access token that it carries, where it does.
    ///
    /// # Errors
    /// [`FaultKind::Internal`] if the key has no public form.
    pub fn proof(&self, method: &str, url: &Url, token: Option<&SecretString>) -> Result<String, FaultKind> {
        let Inner { key, clock, nonces } = &*self.0;
        let jwk: Jwk = serde_json::from_value(key.public_jwk())
            .map_err(|_| FaultKind::Internal("a key of another form".to_owned()))?;
        let nonce = nonces.lock().unwrap_or_else(PoisonError::into_inner).get(&url.origin()).cloned();
        let proof_for = ProofFor { method, url, access_token: token.map(ExposeSecret::expose_secret) };
        let jti = oauth2::CsrfToken::new_random_len(16);
        let fresh = Fresh { jti: jti.secret(), now: clock.now(), nonce: nonce.as_deref() };
        dpop::prove(&jwk, proof_for, fresh, |input| Ok(key.sign(input)))
    }

    /// Takes the nonce that a server answered with; whether it is one. Servers change them as they like.
    pub fn hear(&self, url: &Url, nonce: &str) -> bool {
        // NQCHAR (RFC 9449, section 8.1; RFC 6749, appendix A).
        let sound = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if nonce.is_empty() || nonce.len() > LONGEST_NONCE || !nonce.bytes().all(sound) {
            return false;
        }
        let mut nonces = self.0.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        nonces.insert(url.origin(), nonce.to_owned());
        true
    }
}

impl std::fmt::Debug for Prover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prover({})", self.thumbprint())
    }
}

/// Requests to a token endpoint, each with a proof where tokens are to be bound.
pub(crate) struct TokenRequests<'a> {
    pub(crate) reach: &'a Reach,
    pub(crate) prover: Option<&'a Prover>,
    /// Whether a request may be sent again as it is: what it holds is not used up by a server that wants its nonce first.
    pub(crate) repeats: bool,
}

impl TokenRequests<'_> {
    /// Sends one. A server that wants its nonce in the proof has done nothing yet, and gets the request again with it, once
    /// (RFC 9449, section 8).
    pub(crate) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpFault> {
        let Some(prover) = self.prover else { return self.reach.send(request).await };
        let url =
            Url::parse(&request.uri().to_string()).map_err(|fault| HttpFault::NotSent(fault.to_string()))?;
        let answer = self.reach.send(proved(prover, &url, request.clone())?).await?;
        // Another request may have learnt the nonce meanwhile, so it need not be news.
        let is_heard = hear(prover, &url, &answer);
        if is_heard && self.repeats && wants_nonce(&answer) {
            let answer = self.reach.send(proved(prover, &url, request)?).await?;
            hear(prover, &url, &answer);
            return Ok(answer);
        }
        Ok(answer)
    }
}

impl<'c> oauth2::AsyncHttpClient<'c> for TokenRequests<'_> {
    type Error = HttpFault;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpFault>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

fn proved(prover: &Prover, url: &Url, mut request: HttpRequest) -> Result<HttpRequest, HttpFault> {
    let not_sent = |fault: String| HttpFault::NotSent(fault);
    let proof =
        prover.proof(request.method().as_str(), url, None).map_err(|fault| not_sent(fault.to_string()))?;
    let proof = HeaderValue::from_str(&proof).map_err(|fault| not_sent(fault.to_string()))?;
    request.headers_mut().insert(PROOF, proof);
    Ok(request)
}

fn hear(prover: &Prover, url: &Url, answer: &HttpResponse) -> bool {
    let nonce = answer.headers().get(NONCE).and_then(|nonce| nonce.to_str().ok());
    nonce.is_some_and(|nonce| prover.hear(url, nonce))
}

fn wants_nonce(answer: &HttpResponse) -> bool {
    !answer.status().is_success() && refusal(answer.body()).is_ok_and(|code| code == "use_dpop_nonce")
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use org_protocol::dpop::check;
    use os::SystemClock;

    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn each_proof_is_good_for_one_request_of_one_key() {
        let clock = Arc::new(SystemClock);
        let prover = Prover::fresh(clock.clone());
        let (server, token) = (url("https://mail.example/mcp?x=1"), SecretString::from("token"));
        let for_this = ProofFor { method: "POST", url: &server, access_token: Some("token") };
        let again = Prover::remembered(&prover.secret(), clock.clone()).unwrap();
        let [first, second] = [&prover, &again].map(|prover| {
            check(&prover.proof("POST", &server, Some(&token)).unwrap(), for_this, clock.now()).unwrap()
        });
        assert_ne!(first.jti, second.jti);
        assert_eq!(first.thumbprint, prover.thumbprint());
        assert_eq!(first.thumbprint, second.thumbprint, "the same key after a restart");
        assert_ne!(Prover::fresh(clock.clone()).thumbprint(), prover.thumbprint());
        let elsewhere = prover.proof("POST", &url("https://other.example/mcp"), Some(&token)).unwrap();
        assert!(check(&elsewhere, for_this, clock.now()).is_err());
    }

    #[test]
    fn a_nonce_is_for_its_own_server_and_is_repeated_only_if_it_is_one() {
        let prover = Prover::fresh(Arc::new(SystemClock));
        let (mine, other) = (url("https://mail.example/mcp"), url("https://as.example/token"));
        assert!(prover.hear(&mine, "n-1") && prover.hear(&mine, "n-2"));
        for strange in ["", "two words", "a\"quote", "line\nbreak", &"n".repeat(LONGEST_NONCE + 1)] {
            assert!(!prover.hear(&mine, strange), "{strange:?}");
        }
        let nonce = |url: &Url| {
            let proof = prover.proof("POST", url, None).unwrap();
            let claims = URL_SAFE_NO_PAD.decode(proof.split('.').nth(1).unwrap()).unwrap();
            serde_json::from_slice::<serde_json::Value>(&claims).unwrap()["nonce"].clone()
        };
        assert_eq!(nonce(&mine), "n-2");
        assert_eq!(nonce(&other), serde_json::Value::Null);
    }
}
