//! The token and revocation endpoints (RFC 6749, section 3.2; RFC 7009).

use model::{Digest, ListeningProcess, ServerId};
use serde_json::json;

use crate::codes::{Binding, Presented};
use crate::documents::is_document;
use crate::grants::{GrantFault, Renewal, Tokens};
use crate::issuer::Core;
use crate::metadata::scope_of;
use crate::params::{Params, Repeated};
use crate::secret::FamilyId;
use crate::{Event, IssuerRequest, IssuerResponse, Named, RevocationCause};

/// Why no token is issued or revoked.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the body must be application/x-www-form-urlencoded")]
    Form,
    #[error(transparent)]
    Repeated(#[from] Repeated),
    #[error("{0} is required")]
    Missing(&'static str),
    #[error("the only grant types are authorization_code and refresh_token")]
    GrantType,
    #[error("clients here have no secret: send client_id in the body and no Authorization header")]
    Authenticated,
    #[error("the client is not known")]
    Client,
    #[error("it is not known yet which clients there are; try again later")]
    NotKnown,
    #[error("the code is not known or expired")]
    Code,
    #[error("the code was used before; what was issued from it has ended")]
    CodeReused,
    #[error("the code was issued to another client")]
    CodeClient,
    #[error("redirect_uri is not the one that the code went to")]
    CodeRedirect,
    #[error("code_verifier does not fit the challenge")]
    Verifier,
    #[error("the code went to another program than the one that redeems it")]
    OtherProgram,
    #[error("the code stands for another person than the one signed in")]
    OtherPerson,
    #[error("resource is not the one that the code was issued for")]
    Target,
    #[error("the token was issued to another client")]
    TokenClient,
    #[error(transparent)]
    Grant(#[from] GrantFault),
}

impl Fault {
    /// Status and code (RFC 6749, section 5.2; RFC 7009, section 2.2.1; RFC 8707, section 2).
    fn code(&self) -> (u16, &'static str) {
        match self {
            Self::Form | Self::Repeated(_) | Self::Missing(_) => (400, "invalid_request"),
            Self::GrantType => (400, "unsupported_grant_type"),
            Self::Authenticated => (401, "invalid_client"),
            Self::Client => (400, "invalid_client"),
            Self::NotKnown => (503, "temporarily_unavailable"),
            Self::TokenClient => (400, "unauthorized_client"),
            Self::Target | Self::Grant(GrantFault::OtherResource) => (400, "invalid_target"),
            Self::Grant(GrantFault::Random(_) | GrantFault::Store(_)) => (500, "server_error"),
            Self::Code
            | Self::CodeReused
            | Self::CodeClient
            | Self::CodeRedirect
            | Self::Verifier
            | Self::OtherProgram
            | Self::OtherPerson
            | Self::Grant(
                GrantFault::Unknown
                | GrantFault::Reused
                | GrantFault::Expired
                | GrantFault::OtherClient
                | GrantFault::OtherPerson,
            ) => (400, "invalid_grant"),
        }
    }

    fn answer(&self) -> IssuerResponse {
        let (status, code) = self.code();
        // The store's own words stay in the log.
        let description =
            if status == 500 { "the request could not be completed".to_owned() } else { self.to_string() };
        let response = IssuerResponse::error(status, code, &description);
        if status == 401 { response.with("www-authenticate", "Basic realm=\"deskgate\"") } else { response }
    }
}

impl Core {
    pub(crate) async fn token(&self, request: &IssuerRequest) -> IssuerResponse {
        let _writing = self.writing.lock().await;
        let issued = match form(request) {
            Ok(params) => self.issue(&params, request.peer.as_ref()).await,
            Err(fault) => Err(fault),
        };
        match issued {
            Ok(tokens) => IssuerResponse::json(200, &body(&tokens)),
            Err(fault) => fault.answer(),
        }
    }

    /// RFC 7009: a token that is not known is no fault, for the client has what it wants.
    pub(crate) async fn revoke(&self, request: &IssuerRequest) -> IssuerResponse {
        let _writing = self.writing.lock().await;
        let revoked = match form(request) {
            Ok(params) => self.revoke_token(&params).await,
            Err(fault) => Err(fault),
        };
        match revoked {
            Ok(()) => IssuerResponse::json(200, &json!({})),
            Err(fault) => fault.answer(),
        }
    }

    async fn issue(&self, params: &Params, peer: Option<&ListeningProcess>) -> Result<Tokens, Fault> {
        let now = self.now();
        self.grants.sweep(now).await;
        let client_id = required(params, "client_id")?;
        // A client that did not register has no record; its codes and grants bear its id.
        if !is_document(client_id) && self.clients.registered(client_id).is_none() {
            match self.seams.resources.named(client_id) {
                Named::Client(_) => {}
                Named::Nobody => return Err(Fault::Client),
                Named::NotKnown => return Err(Fault::NotKnown),
            }
        }
        match required(params, "grant_type")? {
            "authorization_code" => self.redeem(params, client_id, peer).await,
            "refresh_token" => {
                let mut resources = params.all("resource");
                let resource = resources.next();
                if resources.any(|other| Some(other) != resource) {
                    return Err(Fault::Target);
                }
                let present = self.seams.resources.current_subject();
                let renewal = Renewal {
                    token: required(params, "refresh_token")?,
                    client_id,
                    resource,
                    present: present.as_deref(),
                };
                let renewed = self.grants.renew(&renewal, now).await;
                if matches!(renewed, Err(GrantFault::Reused)) {
                    self.forget_consents(client_id).await;
                }
                let tokens = renewed?;
                self.issued(client_id, &tokens.server, true);
                Ok(tokens)
            }
            _ => Err(Fault::GrantType),
        }
    }

    /// Redeems a code. From here on it is spent, whatever is wrong with the request: whoever holds it gets one try.
    async fn redeem(
        &self,
        params: &Params,
        client_id: &str,
        peer: Option<&ListeningProcess>,
    ) -> Result<Tokens, Fault> {
        let now = self.now();
        let verifier = required(params, "code_verifier")?;
        let code = Digest::of(required(params, "code")?.as_bytes());
        let binding = match self.codes.present(code, now) {
            Presented::Fresh(binding) => binding,
            Presented::Unknown => return Err(Fault::Code),
            Presented::Again(family) => return Err(self.reused(family).await),
        };
        self.check_binding(&binding, params, client_id, verifier)?;
        if !is_same_program(binding.process.as_ref(), peer) {
            return Err(Fault::OtherProgram);
        }
        let tokens = self.grants.issue(&binding.agreement, now).await?;
        self.codes.redeemed(code, tokens.family);
        self.issued(client_id, &tokens.server, false);
        Ok(tokens)
    }

    fn issued(&self, client_id: &str, server: &ServerId, renewed: bool) {
        let (client_id, server) = (client_id.to_owned(), server.clone());
        self.ledger.report(Event::Issued { client_id, server, renewed });
    }

    fn check_binding(
        &self,
        binding: &Binding,
        params: &Params,
        client_id: &str,
        verifier: &str,
    ) -> Result<(), Fault> {
        let agreement = &binding.agreement;
        if agreement.client_id != client_id {
            return Err(Fault::CodeClient);
        }
        // OAuth 2.1, section 10.1: with PKCE the client need not repeat it, but if it does it must be the same.
        if params.one("redirect_uri")?.is_some_and(|uri| uri != binding.redirect_uri) {
            return Err(Fault::CodeRedirect);
        }
        if !binding.challenge.is_met_by(verifier) {
            return Err(Fault::Verifier);
        }
        if params.all("resource").any(|resource| resource != agreement.resource) {
            return Err(Fault::Target);
        }
        let present = self.seams.resources.current_subject();
        if present.is_some_and(|present| !present.is_same_person(&agreement.subject)) {
            return Err(Fault::OtherPerson);
        }
        Ok(())
    }

    async fn reused(&self, family: Option<FamilyId>) -> Fault {
        let Some(family) = family else { return Fault::CodeReused };
        match self.grants.end(&family, RevocationCause::CodeReuse).await {
            Ok(()) => Fault::CodeReused,
            Err(fault) => GrantFault::Store(fault).into(),
        }
    }

    /// After a refresh token was seen in two hands, the client asks the person again.
    async fn forget_consents(&self, client_id: &str) {
        // A failure is reported by the ledger; in memory the consents are forgotten.
        let _ = self.consents.forget(|consented| consented.is_of_client(client_id)).await;
    }

    async fn revoke_token(&self, params: &Params) -> Result<(), Fault> {
        let token = required(params, "token")?;
        let client_id = params.one("client_id")?;
        let Some((family, record, is_access)) = self.grants.of_token(token) else { return Ok(()) };
        if client_id.is_some_and(|client_id| client_id != record.client_id) {
            return Err(Fault::TokenClient);
        }
        let ended = if is_access {
            self.grants.end_access(family, token).await
        } else {
            self.grants.end(&family, RevocationCause::Client).await
        };
        ended.map_err(|fault| GrantFault::Store(fault).into())
    }
}

fn form(request: &IssuerRequest) -> Result<Params, Fault> {
    if request.authorization.is_some() {
        return Err(Fault::Authenticated);
    }
    if !request.is_of_type("application/x-www-form-urlencoded") {
        return Err(Fault::Form);
    }
    Params::parse(&request.body).map_err(|_| Fault::Form)
}

fn required<'a>(params: &'a Params, name: &'static str) -> Result<&'a str, Fault> {
    params.one(name)?.ok_or(Fault::Missing(name))
}

/// Whether the program that redeems a code may be the one that it went to. Only what is known is compared.
fn is_same_program(went_to: Option<&ListeningProcess>, redeems: Option<&ListeningProcess>) -> bool {
    match (went_to, redeems) {
        (Some(one), Some(other)) => one.executable == other.executable && one.user_id == other.user_id,
        (None, _) | (_, None) => true,
    }
}

/// RFC 6749, section 5.1.
fn body(tokens: &Tokens) -> serde_json::Value {
    json!({
        "access_token": tokens.access.reveal(),
        "token_type": "Bearer",
        "expires_in": tokens.lasts.as_secs(),
        "refresh_token": tokens.refresh.reveal(),
        "scope": scope_of(&tokens.server),
    })
}
