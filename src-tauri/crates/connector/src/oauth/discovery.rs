//! From a connector's URL to its authorization server, and the request that a person is shown. The order of discovery, the
//! resource indicator and the choice of scopes are rmcp's; what its leniency would let pass is refused here.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use os::Clock;
use rmcp::transport::auth::{
    AuthError, AuthorizationManager, AuthorizationMetadata, InMemoryStateStore, OAuthClientConfig,
    OAuthHttpClient, OAuthHttpClientFuture, OAuthHttpRequest, StateStore as _, WWWAuthenticateParams,
};
use secrecy::SecretString;
use serde::Deserialize;
use signin::{FaultKind, HttpFault, Prover, Reach, TokenEndpoint, Tokens, presentable};
use url::Url;

use super::client::Client;

/// The one algorithm of proofs (RFC 9449): what every server that takes proofs knows.
const PROOF_ALGORITHM: &str = "ES256";
const BOUND_TOKENS: &str = "tokens that are bound to a key";
const OFFLINE_ACCESS: &str = "offline_access";

/// How many scopes of a challenge are read, and asked for beside those of the first sign-in.
pub(super) const MOST_SCOPES: usize = 64;
/// The longest of them, in bytes.
const LONGEST_SCOPE: usize = 128;

/// What an authorization server is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// A person signs in there.
    Person,
    /// It gives tokens for this kind of grant.
    Grant(&'static str),
}

/// What a connector says of tokens that are bound to a key (RFC 9449).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Binding {
    /// Nothing: it may know nothing but bearer tokens, whatever its authorization server can do.
    #[default]
    Unknown,
    /// It takes them.
    Taken,
    /// It takes no others.
    Demanded,
}

/// A connector's authorization server.
pub(super) struct Found {
    manager: AuthorizationManager,
    states: InMemoryStateStore,
    /// The issuer, as its metadata says and as it was named.
    pub(super) issuer: String,
    /// Whether it announces `iss` in its answers (RFC 9207).
    pub(super) announces_issuer: bool,
    /// Whether a client may name itself by a metadata document.
    pub(super) takes_documents: bool,
    /// Whether a client may register (RFC 7591).
    pub(super) registers: bool,
    token: Url,
    revocation: Option<Url>,
    secret_in_body: bool,
    knows_offline_access: bool,
    /// Whether a person can be asked which of their accounts they mean (OpenID Connect Core 1.0, section 3.1.2.1).
    lets_choose: bool,
    binding: Binding,
    /// Made where connector and authorization server both know bound tokens.
    prover: Option<Prover>,
}

/// An authorization request.
pub(super) struct Request {
    /// Where the person goes.
    pub(super) url: Url,
    /// Its `state`.
    pub(super) state: String,
    /// Its PKCE verifier.
    pub(super) verifier: SecretString,
    /// The resource indicator (RFC 8707).
    pub(super) resource: String,
}

impl Found {
    /// Discovers, from the `WWW-Authenticate` header of a refused call where there is one.
    pub(super) async fn discover(
        reach: &Reach,
        server: &Url,
        challenge: Option<&str>,
        need: Need,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, FaultKind> {
        reach.allows(server)?;
        let said = Arc::new(Mutex::new(challenge.map_or(Binding::Unknown, binding_in)));
        let http = Arc::new(RmcpHttp { reach: reach.clone(), binding: Arc::clone(&said) });
        let mut manager =
            AuthorizationManager::new_with_oauth_http_client(server.clone(), http).await.map_err(fault)?;
        let states = InMemoryStateStore::new();
        manager.set_state_store(states.clone());
        let resolved = manager.resolve_metadata_from_challenge(challenge).await.map_err(fault)?;
        if !resolved.source.is_discovered() {
            return Err(FaultKind::NotOffered("it names no authorization server".to_owned()));
        }
        let mut metadata = resolved.metadata;
        let revocation = metadata
            .additional_fields
            .get("revocation_endpoint")
            .and_then(|url| url.as_str())
            .map(str::to_owned);
        let revocation = revocation.as_deref();
        let binding = *said.lock().unwrap_or_else(PoisonError::into_inner);
        let can_bind = lists(&metadata, "dpop_signing_alg_values_supported", PROOF_ALGORITHM);
        if binding == Binding::Demanded && !can_bind {
            return Err(missing(BOUND_TOKENS));
        }
        let found = Self {
            states,
            issuer: metadata.issuer.clone().ok_or_else(|| missing("an issuer"))?,
            announces_issuer: says(&metadata, "authorization_response_iss_parameter_supported"),
            takes_documents: says(&metadata, "client_id_metadata_document_supported"),
            registers: metadata.registration_endpoint.is_some(),
            token: endpoint(&metadata.token_endpoint)?,
            revocation: revocation.map(endpoint).transpose()?,
            secret_in_body: !lists(&metadata, "token_endpoint_auth_methods_supported", "client_secret_basic")
                && lists(&metadata, "token_endpoint_auth_methods_supported", "client_secret_post"),
            lets_choose: lists(&metadata, "prompt_values_supported", "select_account"),
            knows_offline_access: metadata
                .scopes_supported
                .as_ref()
                .is_some_and(|scopes| scopes.iter().any(|scope| scope == OFFLINE_ACCESS)),
            binding,
            prover: (binding != Binding::Unknown && can_bind).then(|| Prover::fresh(Arc::clone(clock))),
            manager: {
                check(reach, &metadata, revocation, need)?;
                if need != Need::Person {
                    // rmcp says the resource in an authorization request only; the one for that is shown to nobody.
                    metadata.response_types_supported = Some(vec!["code".to_owned()]);
                    metadata.code_challenge_methods_supported = Some(vec!["S256".to_owned()]);
                }
                manager.set_metadata(metadata);
                manager
            },
        };
        Ok(found)
    }

    /// Registers a public native client (RFC 7591; OpenID Connect Dynamic Client Registration 1.0, `application_type`).
    pub(super) async fn register(
        &mut self,
        redirect_uri: &str,
    ) -> Result<(String, Option<SecretString>), FaultKind> {
        let client = self.manager.register_client("Deskgate", redirect_uri, &[]).await.map_err(fault)?;
        Ok((client.client_id, client.client_secret.map(SecretString::from)))
    }

    /// Builds the request: PKCE with S256, the resource, and the scopes — those of IT, else those that the server asks for,
    /// and in any case those that it wanted more. With `asks_who` the server is not to take whoever it knows already.
    pub(super) async fn request(
        &mut self,
        client: &Client,
        redirect_uri: &Url,
        scopes: &BTreeSet<String>,
        wider: &BTreeSet<String>,
        asks_who: bool,
    ) -> Result<Request, FaultKind> {
        self.manager
            .configure_client(OAuthClientConfig::new(&client.id, redirect_uri.as_str()))
            .map_err(fault)?;
        let mut scopes = self.scopes(scopes).await;
        scopes.extend(wider.iter().filter(|scope| !scopes.contains(scope)).cloned().collect::<Vec<_>>());
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        let url = self.manager.get_authorization_url(&scopes).await.map_err(fault)?;
        let mut url = Url::parse(&url).map_err(|_| FaultKind::Internal("an authorization URL".to_owned()))?;
        let who = asks_who.then_some(if self.lets_choose { "select_account" } else { "login" });
        // OpenID Connect Core 1.0, section 11.
        let consent = scopes.contains(&OFFLINE_ACCESS).then_some("consent");
        let prompts: Vec<&str> = who.into_iter().chain(consent).collect();
        if !prompts.is_empty() {
            // Servers that know nothing of OpenID ignore it (RFC 6749, section 3.1).
            url.query_pairs_mut().append_pair("prompt", &prompts.join(" "));
        }
        if let Some(prover) = &self.prover {
            // The code is good for this key only (RFC 9449, section 10).
            url.query_pairs_mut().append_pair("dpop_jkt", &prover.thumbprint());
        }
        presentable(&url)?;
        let state = parameter(&url, "state")?;
        let resource = parameter(&url, "resource")?;
        let stored = self.states.load(&state).await.map_err(fault)?;
        let stored =
            stored.ok_or_else(|| FaultKind::Internal("an authorization without state".to_owned()))?;
        self.states.delete(&state).await.map_err(fault)?;
        Ok(Request { url, state, verifier: stored.pkce_verifier.into(), resource })
    }

    /// The resource indicator (RFC 8707), and the scopes for which nobody is asked: those of IT, else those that the server
    /// names.
    pub(super) async fn without_person(
        &mut self,
        client_id: &str,
        scopes: &BTreeSet<String>,
    ) -> Result<(String, BTreeSet<String>), FaultKind> {
        self.manager
            .configure_client(OAuthClientConfig::new(client_id, "http://127.0.0.1/callback"))
            .map_err(fault)?;
        let url = self.manager.get_authorization_url(&[]).await.map_err(fault)?;
        let url = Url::parse(&url).map_err(|_| FaultKind::Internal("an authorization URL".to_owned()))?;
        let scopes = if scopes.is_empty() {
            let named = self.manager.select_initial_scopes(&[]).await;
            named.into_iter().filter(|scope| scope != OFFLINE_ACCESS).collect()
        } else {
            scopes.clone()
        };
        Ok((parameter(&url, "resource")?, scopes))
    }

    /// The token endpoint for `client`.
    pub(super) fn endpoint(&self, client: &Client) -> TokenEndpoint {
        TokenEndpoint {
            token: self.token.clone(),
            revocation: self.revocation.clone(),
            client_id: client.id.clone(),
            client_secret: client.secret.clone(),
            secret_in_body: self.secret_in_body,
            prover: self.prover.clone(),
        }
    }

    /// Refuses bearer tokens for a connector that demands bound ones.
    pub(super) fn fit(&self, tokens: &Tokens) -> Result<(), FaultKind> {
        if self.binding == Binding::Demanded && !tokens.bound { Err(missing(BOUND_TOKENS)) } else { Ok(()) }
    }

    async fn scopes(&self, wanted: &BTreeSet<String>) -> Vec<String> {
        if wanted.is_empty() {
            return self.manager.select_initial_scopes(&[]).await;
        }
        let mut scopes: Vec<String> = wanted.iter().cloned().collect();
        if self.knows_offline_access && !wanted.contains(OFFLINE_ACCESS) {
            scopes.push(OFFLINE_ACCESS.to_owned());
        }
        scopes
    }
}

/// The scopes that a challenge names, as far as they are scopes (RFC 6749, section 3.3).
pub(super) fn scopes_in(challenge: &str, server: &Url) -> BTreeSet<String> {
    let is_scope = |scope: &&str| {
        scope.len() <= LONGEST_SCOPE
            && scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
    };
    let named = WWWAuthenticateParams::parse(challenge, server).scope.unwrap_or_default();
    named.split_whitespace().filter(is_scope).take(MOST_SCOPES).map(str::to_owned).collect()
}

/// Scopes as a person may read them. They are a stranger's words: what does not look like a scope is not repeated.
pub(super) fn shown(scopes: &BTreeSet<String>) -> String {
    let plain = |scope: &&String| {
        scope.len() <= 80 && scope.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/-".contains(&b))
    };
    let named: Vec<_> = scopes.iter().filter(plain).take(5).map(|scope| format!("\"{scope}\"")).collect();
    if named.is_empty() { "more scopes".to_owned() } else { named.join(", ") }
}

/// What the metadata of a protected resource say of bound tokens (RFC 9728, section 2).
fn binding_of(body: &[u8]) -> Binding {
    #[derive(Deserialize)]
    struct Resource {
        #[serde(rename = "resource")]
        _resource: String,
        #[serde(default)]
        dpop_signing_alg_values_supported: Vec<String>,
        #[serde(default)]
        dpop_bound_access_tokens_required: bool,
    }
    match serde_json::from_slice::<Resource>(body) {
        Ok(Resource { dpop_bound_access_tokens_required: true, .. }) => Binding::Demanded,
        Ok(resource) if resource.dpop_signing_alg_values_supported.iter().any(|it| it == PROOF_ALGORITHM) => {
            Binding::Taken
        }
        Ok(_) | Err(_) => Binding::Unknown,
    }
}

/// What a challenge says of bound tokens: one of the scheme `DPoP` asks for them (RFC 9449, section 7.1).
fn binding_in(challenge: &str) -> Binding {
    let mut in_dpop = false;
    let mut found = Binding::Unknown;
    for part in parts(challenge) {
        let (first, parameter) = part.split_once(' ').unwrap_or((part, ""));
        // A part that does not begin with a parameter begins another challenge (RFC 9110, section 11.6.1).
        let begins = !first.contains('=');
        let parameter = if begins { parameter.trim_start() } else { part };
        if begins {
            in_dpop = first.eq_ignore_ascii_case("dpop");
            found = if in_dpop { Binding::Taken } else { found };
        }
        let algorithms = parameter.strip_prefix("algs=").filter(|_| in_dpop);
        if algorithms.is_some_and(|list| list.trim_matches('"').split(' ').all(|it| it != PROOF_ALGORITHM)) {
            return Binding::Unknown;
        }
    }
    found
}

/// What is between the commas of a header, but for those in quoted strings.
fn parts(header: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    header
        .split(move |character| {
            quoted ^= character == '"';
            character == ',' && !quoted
        })
        .map(str::trim)
}

/// What the specification demands of a server beyond having metadata.
fn check(
    reach: &Reach,
    metadata: &AuthorizationMetadata,
    revocation: Option<&str>,
    need: Need,
) -> Result<(), FaultKind> {
    let asked =
        [Some(metadata.token_endpoint.as_str()), metadata.registration_endpoint.as_deref(), revocation];
    for url in asked.into_iter().flatten() {
        reach.allows(&endpoint(url)?)?;
    }
    match need {
        Need::Person => fit_for_a_person(metadata),
        // A server that says nothing of grants is asked (RFC 8414, section 2).
        Need::Grant(grant) => {
            let silent = !metadata.additional_fields.contains_key("grant_types_supported");
            if silent || lists(metadata, "grant_types_supported", grant) {
                Ok(())
            } else {
                Err(missing(&format!("the grant {grant}")))
            }
        }
    }
}

fn fit_for_a_person(metadata: &AuthorizationMetadata) -> Result<(), FaultKind> {
    // "If code_challenge_methods_supported is absent, the authorization server does not support PKCE and MCP clients MUST
    // refuse to proceed" (MCP 2026-07-28, authorization, "Authorization Code Protection").
    let methods = metadata.code_challenge_methods_supported.as_deref().unwrap_or_default();
    if !methods.iter().any(|method| method == "S256") {
        return Err(missing("PKCE with S256"));
    }
    presentable(&endpoint(&metadata.authorization_endpoint)?)
}

fn endpoint(text: &str) -> Result<Url, FaultKind> {
    Url::parse(text).map_err(|_| FaultKind::Unreadable("an endpoint of the authorization server".to_owned()))
}

fn parameter(url: &Url, name: &str) -> Result<String, FaultKind> {
    let value = url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    value.ok_or_else(|| FaultKind::Internal(format!("an authorization URL without {name}")))
}

fn says(metadata: &AuthorizationMetadata, field: &str) -> bool {
    metadata.additional_fields.get(field).and_then(serde_json::Value::as_bool).unwrap_or(false)
}

fn lists(metadata: &AuthorizationMetadata, field: &str, value: &str) -> bool {
    let list = metadata.additional_fields.get(field).and_then(serde_json::Value::as_array);
    list.is_some_and(|list| list.iter().any(|entry| entry.as_str() == Some(value)))
}

fn missing(what: &str) -> FaultKind {
    FaultKind::NotOffered(what.to_owned())
}

/// rmcp's errors may repeat what a server answered; of those texts nothing is kept.
fn fault(error: AuthError) -> FaultKind {
    if let AuthError::DiscoveryRequestFailed { source, .. } = &error {
        return source
            .downcast_ref::<HttpFault>()
            .map_or_else(|| FaultKind::Unreachable(source.to_string()), |fault| fault.clone().into());
    }
    if let AuthError::RegistrationFailed(_) = error {
        return missing("a way to register as a client");
    }
    if matches!(error, AuthError::PkceUnsupported) {
        return missing("PKCE with S256");
    }
    if matches!(
        error,
        AuthError::AuthorizationServerMismatch { .. }
            | AuthError::AuthorizationServerMissingIssuer { .. }
            | AuthError::ProtectedResourceMetadataInvalid { .. }
    ) {
        return FaultKind::Mismatch(error.to_string());
    }
    if matches!(error, AuthError::AuthorizationServersUnavailable { .. } | AuthError::NoAuthorizationSupport)
    {
        return missing("an authorization server that can be used");
    }
    FaultKind::Unreadable("its description".to_owned())
}

/// Our client as rmcp sees it. Redirects are never followed, whatever it asks for.
struct RmcpHttp {
    reach: Reach,
    /// What the connector said of bound tokens, in its challenge or its metadata.
    binding: Arc<Mutex<Binding>>,
}

impl OAuthHttpClient for RmcpHttp {
    fn execute(&self, request: OAuthHttpRequest) -> OAuthHttpClientFuture<'_> {
        Box::pin(async move {
            let answer = self.reach.send(request.request).await?;
            // rmcp reads nothing else of the resource's metadata than where to go.
            let said = binding_of(answer.body());
            let mut binding = self.binding.lock().unwrap_or_else(PoisonError::into_inner);
            *binding = said.max(*binding);
            drop(binding);
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_tokens_are_taken_where_the_connector_says_so() {
        for (challenge, binding) in [
            (r#"DPoP algs="ES256 RS256", resource_metadata="https://mail.example/""#, Binding::Taken),
            (r#"Bearer realm="mail", DPoP error="invalid_token""#, Binding::Taken),
            (r#"dpop"#, Binding::Taken),
            (r#"DPoP algs="PS512""#, Binding::Unknown),
            (r#"Bearer resource_metadata="https://dpop.example/", scope="dpop""#, Binding::Unknown),
            (r#"Bearer error_description="no token, dpop is not taken""#, Binding::Unknown),
            (r#"Bearer algs="PS512", DPoP error="invalid_token", algs="ES256""#, Binding::Taken),
            ("", Binding::Unknown),
        ] {
            assert_eq!(binding_in(challenge), binding, "{challenge}");
        }
        for (metadata, binding) in [
            (r#"{"resource":"r","dpop_signing_alg_values_supported":["ES256"]}"#, Binding::Taken),
            (r#"{"resource":"r","dpop_signing_alg_values_supported":["PS512"]}"#, Binding::Unknown),
            (r#"{"resource":"r","dpop_bound_access_tokens_required":true}"#, Binding::Demanded),
            (
                r#"{"issuer":"an authorization server","dpop_signing_alg_values_supported":["ES256"]}"#,
                Binding::Unknown,
            ),
            ("no JSON", Binding::Unknown),
        ] {
            assert_eq!(binding_of(metadata.as_bytes()), binding, "{metadata}");
        }
    }
}
