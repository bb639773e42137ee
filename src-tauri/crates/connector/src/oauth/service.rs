//! Tokens for which no person signs in: a program's account whose secret the person typed once (RFC 6749, section 4.4; MCP
//! extension `io.modelcontextprotocol/oauth-client-credentials`), and an account for which the organisation's identity
//! provider vouches (`io.modelcontextprotocol/enterprise-managed-authorization`). Both are renewed by asking again.

use std::collections::BTreeSet;

use org_protocol::ClientAuthentication;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use signin::entry::{self, Entry};
use signin::{ClientKey, FaultKind, Moment, Obtain, Reach, RenewFault, Tokens, Vouch};

use super::GrantHappening;
use super::client::Client;
use super::discovery::{Found, Need};
use super::grant::{Bound, Grant, Server, Source, part};
use super::place::GrantPlace;
use super::target::{Registered, Service, Target, Way};
use super::typed::words;

/// RFC 7523, section 2.1.
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The `typ` of an identity assertion (draft-ietf-oauth-identity-assertion-authz-grant).
const ASSERTION_TYPE: &str = "oauth-id-jag+jwt";

impl GrantPlace {
    /// Has the person type the secret of a program's account, and obtains a token with it. What the server does not take is
    /// asked for once more.
    pub(super) async fn of_service(&self, target: &Target, service: &Service) -> Result<Grant, FaultKind> {
        let (reach, mut found) = self.found(target, Need::Grant("client_credentials")).await?;
        let (resource, asked) = found.without_person(&service.client_id, &target.scopes).await?;
        let mut entry = self.entry(target, service);
        for again in [false, true] {
            if again {
                let refused = format!("{} did not take what was typed.", target.title);
                entry.words.insert(0, refused);
            }
            let secret = entry::typed(&*self.shared().person, &entry).await?;
            let client =
                Client { id: service.client_id.clone(), secret: Some(secret), hopeful: false, path: None };
            let server = Server {
                issuer: found.issuer.clone(),
                resource: resource.clone(),
                endpoint: found.endpoint(&client),
                asked: asked.clone(),
            };
            match with_nonce(|| self.as_client(&reach, &server, service.authentication)).await {
                Ok(tokens) => {
                    found.fit(&tokens)?;
                    return Ok(self.grant(target, server, tokens));
                }
                Err(RenewFault::Ended(code)) if code == "invalid_client" && !again => {}
                Err(fault) => return Err(kind(fault)),
            }
        }
        Err(FaultKind::Refused("invalid_client".to_owned()))
    }

    /// Has the identity provider vouch for the person, and obtains a token with that. Nobody is asked.
    pub(super) async fn vouched(&self, target: &Target, registered: &Registered) -> Result<Grant, FaultKind> {
        let (reach, mut found) = self.found(target, Need::Grant(JWT_BEARER)).await?;
        let id = registered.client_id.clone().unwrap_or_default();
        let (resource, asked) = found.without_person(&id, &target.scopes).await?;
        let secret = registered.client_secret.clone().map(SecretString::from);
        let endpoint = found.endpoint(&Client { id, secret, hopeful: false, path: None });
        let server = Server { issuer: found.issuer.clone(), resource, endpoint, asked };
        let tokens = with_nonce(|| self.by_assertion(&reach, &server)).await.map_err(kind)?;
        found.fit(&tokens)?;
        Ok(self.grant(target, server, tokens))
    }

    /// A fresh token for a grant that has no refresh token.
    pub(super) async fn obtained_again(&self, grant: &Grant, server: &Server) -> Result<Grant, RenewFault> {
        let reach = self.reach(grant.bound());
        let server = Server { endpoint: self.endpoint(server), ..server.clone() };
        let obtained = match &self.target().way {
            Way::Client(service) => {
                with_nonce(|| self.as_client(&reach, &server, service.authentication)).await
            }
            Way::Enterprise { .. } => with_nonce(|| self.by_assertion(&reach, &server)).await,
            Way::Code(_) | Way::Typed { .. } => Err(RenewFault::Ended("no refresh token".to_owned())),
        };
        if let Err(RenewFault::Ended(_)) = &obtained {
            self.tell(GrantHappening::Ended);
        }
        self.renewed(grant, obtained?)
    }

    async fn found(&self, target: &Target, need: Need) -> Result<(Reach, Found), FaultKind> {
        let reach = self.shared().http.from(&target.url);
        reach.allows(&target.url)?;
        let challenge = self.challenge(target).await;
        let found =
            Found::discover(&reach, &target.url, challenge.as_deref(), need, &self.shared().clock).await?;
        Ok((reach, found))
    }

    async fn as_client(
        &self,
        reach: &Reach,
        server: &Server,
        authentication: ClientAuthentication,
    ) -> Result<Tokens, RenewFault> {
        let endpoint = &server.endpoint;
        let key = match (authentication, &endpoint.client_secret) {
            (ClientAuthentication::PrivateKeyJwt, Some(pem)) => {
                let now = self.shared().clock.now();
                let key = ClientKey::read(pem.expose_secret(), &server.issuer, now);
                Some(key.map_err(RenewFault::NotDone)?)
            }
            (ClientAuthentication::PrivateKeyJwt | ClientAuthentication::Secret, _) => None,
        };
        endpoint.obtain(reach, Obtain::Client, &server.resource, &server.asked, key.as_ref()).await
    }

    async fn by_assertion(&self, reach: &Reach, server: &Server) -> Result<Tokens, RenewFault> {
        let nobody = || FaultKind::NotOffered("an identity provider that vouches for you".to_owned());
        let voucher = self.shared().voucher.as_ref().ok_or_else(|| RenewFault::NotDone(nobody()))?;
        let wanted = Vouch { audience: &server.issuer, resource: &server.resource, scopes: &server.asked };
        let vouched = voucher.vouch(&self.shared().subject, wanted).await;
        let assertion = vouched.map_err(|fault| {
            if let FaultKind::Refused(code) = fault {
                RenewFault::Ended(code)
            } else {
                RenewFault::NotDone(fault)
            }
        })?;
        if !is_for(&assertion, &server.issuer) {
            return Err(RenewFault::NotDone(FaultKind::Mismatch(
                "an assertion for another server".to_owned(),
            )));
        }
        let with = Obtain::Assertion(&assertion);
        server.endpoint.obtain(reach, with, &server.resource, &server.asked, None).await
    }

    fn grant(&self, target: &Target, server: Server, tokens: Tokens) -> Grant {
        let bound = Bound {
            server: target.url.clone(),
            way: target.way.name(),
            header: target.way.header(),
            scopes: target.scopes.clone(),
            wider: BTreeSet::new(),
            registered_client: target.way.client_id().cloned(),
            source: Source::Server(Box::new(server)),
        };
        Grant::new(bound, tokens, Moment::of(&*self.shared().clock))
    }

    fn entry(&self, target: &Target, service: &Service) -> Entry {
        let (label, fits): (_, fn(&str) -> bool) = match service.authentication {
            ClientAuthentication::Secret => {
                ("Client secret", |text| text.len() <= 4096 && !text.contains(char::is_control))
            }
            ClientAuthentication::PrivateKeyJwt => ("Private key (PEM)", |text| {
                ClientKey::read(text, "", model::Timestamp::from_seconds(0)).is_ok()
            }),
        };
        Entry {
            purpose: self.purpose(target),
            title: format!("The secret of {} for {}", service.client_id, target.title),
            words: words(target, service.hint.as_ref()),
            label: label.to_owned(),
            fits,
            deadline: self.shared().sign_in_deadline,
        }
    }
}

/// Asks once more where the server only wanted its nonce, with an assertion of its own each time.
async fn with_nonce<F>(ask: impl Fn() -> F) -> Result<Tokens, RenewFault>
where
    F: Future<Output = Result<Tokens, RenewFault>>,
{
    match ask().await {
        Err(fault) if fault.wants_nonce() => ask().await,
        asked => asked,
    }
}

fn kind(fault: RenewFault) -> FaultKind {
    match fault {
        RenewFault::Ended(code) => FaultKind::Refused(code),
        RenewFault::NotDone(kind) | RenewFault::Unknown(kind) => kind,
    }
}

/// Whether an assertion says itself that it is one, and for this server alone. Its signature is the server's to verify; this
/// keeps what is good elsewhere, such as an ID token, from ever being sent.
fn is_for(assertion: &SecretString, issuer: &str) -> bool {
    #[derive(Deserialize)]
    struct Header {
        typ: String,
    }
    #[derive(Deserialize)]
    struct Claims {
        aud: String,
    }
    part(assertion, 0).is_some_and(|header: Header| header.typ == ASSERTION_TYPE)
        && part(assertion, 1).is_some_and(|claims: Claims| claims.aud == issuer)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    #[test]
    fn only_an_assertion_for_this_server_is_sent_there() {
        let issuer = "https://as.example";
        let encoded = |part: serde_json::Value| {
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(part.to_string())
        };
        let assertion = |typ: &str, aud: serde_json::Value| {
            let header = encoded(serde_json::json!({ "typ": typ, "alg": "ES256" }));
            SecretString::from(format!("{header}.{}.c2ln", encoded(serde_json::json!({ "aud": aud }))))
        };
        assert!(is_for(&assertion(ASSERTION_TYPE, issuer.into()), issuer));
        for wrong in [
            assertion("JWT", issuer.into()),
            assertion(ASSERTION_TYPE, "https://as.example/".into()),
            assertion(ASSERTION_TYPE, "https://other.example".into()),
            assertion(ASSERTION_TYPE, serde_json::json!([issuer, "https://other.example"])),
            SecretString::from("opaque"),
        ] {
            assert!(!is_for(&wrong, issuer));
        }
    }
}
