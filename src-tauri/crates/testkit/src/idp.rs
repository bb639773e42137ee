//! The organisation's identity provider: npm `oidc-provider`, with people who have passwords.

use std::time::Duration;

use serde_json::json;
use url::Url;

use crate::place::{node, npm_file, npm_folder, script};
use crate::{PeerFault, Process, Spec, canary, free_port};

/// Somebody who can sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Employee {
    /// The `sub` claim, and what is typed as the name.
    pub login: String,
    /// The password. ASCII, so that every way to type it works.
    pub password: String,
    /// The `name` claim.
    pub name: String,
    /// The `email` claim.
    pub email: String,
    /// The `groups` claim.
    pub groups: Vec<String>,
    /// The `clearance` claim.
    pub clearance: i64,
}

impl Employee {
    /// Alice, an analyst.
    pub fn alice() -> Self {
        Self::new("alice", "Alice Analyst", "analysts")
    }

    /// Bob, of finance.
    pub fn bob() -> Self {
        Self { clearance: 2, ..Self::new("bob", "Bob Budget", "finance") }
    }

    /// Ivy, of IT: she administers, and uses no gateway.
    pub fn ivy() -> Self {
        Self::new("ivy", "Ivy Infrastructure", "it")
    }

    /// Somebody in this group.
    pub fn new(login: &str, name: &str, group: &str) -> Self {
        Self {
            login: login.to_owned(),
            password: format!("{login}-Pa$$w0rd"),
            name: name.to_owned(),
            email: format!("{login}@acme.test"),
            groups: vec![group.to_owned(), "employees".to_owned()],
            clearance: 1,
        }
    }
}

/// A client that was registered beforehand: public, native, PKCE, `http://127.0.0.1/callback` with any port
/// (RFC 8252, section 7.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The client id.
    pub id: String,
    /// The name that consent shows.
    pub name: String,
}

/// A client for a program rather than a person (RFC 6749, section 4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceClient {
    /// The client id.
    pub id: String,
    /// How it proves who it is.
    pub by: ServiceProof,
}

/// How a program's client proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceProof {
    /// `client_secret_basic`, with this secret.
    Basic(String),
    /// `private_key_jwt`, with this public key (RFC 7517).
    Key(serde_json::Value),
}

/// How the identity provider is set up.
#[derive(Debug, Clone)]
pub struct IdpSettings {
    /// The port, or zero for any. Give one to start it again under the same issuer.
    pub port: u16,
    /// Who can sign in.
    pub people: Vec<Employee>,
    /// Who was registered beforehand. Others register themselves (RFC 7591).
    pub clients: Vec<Client>,
    /// The clients of programs.
    pub services: Vec<ServiceClient>,
    /// How long an access token lives.
    pub access_token: Duration,
    /// How long an ID token lives.
    pub id_token: Duration,
    /// How long a refresh token, a grant and the provider's own session live.
    pub refresh_token: Duration,
    /// The scopes of every resource (RFC 8707) that tokens can be asked for.
    pub resource_scopes: Vec<String>,
}

impl Default for IdpSettings {
    fn default() -> Self {
        Self {
            port: 0,
            people: vec![Employee::alice(), Employee::bob(), Employee::ivy()],
            clients: vec![Client { id: "deskgate".to_owned(), name: "Deskgate".to_owned() }],
            services: Vec::new(),
            access_token: Duration::from_secs(300),
            id_token: Duration::from_secs(600),
            refresh_token: Duration::from_secs(86_400),
            resource_scopes: vec!["mail.read".to_owned(), "mail.send".to_owned()],
        }
    }
}

/// A running identity provider. Also the authorization server of connectors: tokens for a resource are JWTs whose
/// audience is that resource.
#[derive(Debug)]
pub struct Idp {
    process: Process,
    issuer: String,
}

impl Idp {
    /// Starts one and waits until it can be asked.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn start(settings: &IdpSettings) -> Result<Self, PeerFault> {
        npm_file("oidc-provider/package.json")?;
        for person in &settings.people {
            canary::plant("a password", &person.password);
        }
        for service in &settings.services {
            if let ServiceProof::Basic(secret) = &service.by {
                canary::plant("a program's secret", secret);
            }
        }
        let port = if settings.port == 0 { free_port()? } else { settings.port };
        let mut process = Spec::new("identity provider", node()?)
            .arg(script("npm/idp.mjs"))
            .arg(npm_folder())
            .arg(encode(settings, port).to_string())
            .start()?;
        canary::plant_from(process.log_file().to_owned());
        let issuer = process.ready_line("ready ", Duration::from_secs(60)).await?;
        Ok(Self { process, issuer })
    }

    /// The issuer identifier, exactly as in its tokens: without a slash at the end.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// A URL of the provider.
    ///
    /// # Errors
    /// If `path` makes none.
    pub fn url(&self, path: &str) -> Result<Url, PeerFault> {
        Ok(Url::parse(&self.issuer)?.join(path)?)
    }

    /// Who has signed in with a password so far, in order.
    pub fn sign_ins(&self) -> Vec<String> {
        self.lines("signed-in ")
    }

    /// How often somebody's refresh tokens were exchanged for new ones.
    pub fn renewals(&self, person: &Employee) -> usize {
        self.lines(&format!("renewed {} ", person.login)).len()
    }

    /// How often a refresh token of a client that somebody let in was refused.
    pub fn refused_renewals(&self, person: &Employee) -> usize {
        let clients = self.lines(&format!("consented {} ", person.login));
        let refused = self.lines("not-renewed ");
        refused.iter().filter(|line| clients.iter().any(|client| line.ends_with(client))).count()
    }

    /// Has the token endpoint do what it is asked for and never answer, or answer again.
    ///
    /// # Errors
    /// If the provider fails.
    pub async fn hold_answers(&self, hold: bool) -> Result<(), PeerFault> {
        self.administer(if hold { "answers/hold" } else { "answers/give" }, &json!({})).await
    }

    /// Whether the nonce of a sign-in is in the ID tokens of renewals and of sign-ins by code (RFC 8628) too. Providers differ;
    /// at first it is.
    ///
    /// # Errors
    /// If the provider fails.
    pub async fn keep_nonces(&self, keep: bool) -> Result<(), PeerFault> {
        self.administer(if keep { "nonces/keep" } else { "nonces/lose" }, &json!({})).await
    }

    /// Gives somebody another value of a claim, which the next token has.
    ///
    /// # Errors
    /// If the provider fails.
    pub async fn change_claim(
        &self,
        person: &Employee,
        claim: &str,
        value: serde_json::Value,
    ) -> Result<(), PeerFault> {
        self.administer(&format!("claims/{}/{claim}", person.login), &json!({ "value": value })).await
    }

    /// How often somebody who waits for a sign-in by code asked in vain, and was told this error (RFC 8628, section 3.5).
    pub fn not_by_code(&self, error: &str) -> usize {
        self.lines("not-by-code ").iter().filter(|told| *told == error).count()
    }

    /// How many answers of the token endpoint were held back.
    pub fn held_answers(&self) -> usize {
        self.lines("held").len()
    }

    fn lines(&self, beginning: &str) -> Vec<String> {
        let log = self.process.log();
        log.lines().filter_map(|line| line.strip_prefix(beginning)).map(str::to_owned).collect()
    }

    /// How many sessions were ended from a browser (OpenID Connect RP-Initiated Logout 1.0).
    pub fn sign_outs(&self) -> usize {
        self.lines("signed-out").len()
    }

    /// Registers where a client is told of logouts (OpenID Connect Back-Channel Logout 1.0), and whether it is told which
    /// session has ended or only whose.
    ///
    /// # Errors
    /// If the provider does not take it.
    pub async fn tell_logouts(
        &self,
        client_id: &str,
        at: &Url,
        names_sessions: bool,
    ) -> Result<(), PeerFault> {
        let metadata = json!({
            "backchannel_logout_uri": at,
            "backchannel_logout_session_required": names_sessions,
        });
        self.administer(&format!("clients/{client_id}"), &metadata).await
    }

    /// Has a client's redirect URIs compared exactly, port included, as servers do that know of no native clients.
    ///
    /// # Errors
    /// If the provider does not take it.
    pub async fn compare_redirects(&self, client_id: &str, registered: &[String]) -> Result<(), PeerFault> {
        let metadata = json!({ "application_type": "web", "redirect_uris": registered });
        self.administer(&format!("clients/{client_id}"), &metadata).await
    }

    /// Changes a client's secret.
    ///
    /// # Errors
    /// If the provider does not take it.
    pub async fn change_secret(&self, client_id: &str, secret: &str) -> Result<(), PeerFault> {
        self.administer(&format!("clients/{client_id}"), &json!({ "client_secret": secret })).await
    }

    /// Has the provider vouch for people at these authorization servers (Identity Assertion JWT Authorization Grant), where its
    /// client is called so, and nowhere else.
    ///
    /// # Errors
    /// If the provider does not take it.
    pub async fn vouch_at(&self, client_id: &str, servers: &[(&str, &str)]) -> Result<(), PeerFault> {
        let servers: Vec<_> = servers
            .iter()
            .map(|(issuer, client_id)| json!({ "audience": issuer, "client_id": client_id }))
            .collect();
        self.administer("vouching", &json!({ "client": client_id, "vouch": servers })).await
    }

    /// Has the provider believe for whom another vouches, if this client says so.
    ///
    /// # Errors
    /// If the provider does not take it.
    pub async fn believe(&self, other: &Self, client_id: &str) -> Result<(), PeerFault> {
        self.administer("vouching", &json!({ "client": client_id, "believe": other.issuer })).await
    }

    /// Has the provider give this client tokens for people about whom this issuer signs, with the keys that are there (RFC 8693).
    ///
    /// # Errors
    /// If the provider does not take it.
    pub async fn trust(&self, client_id: &str, issuer: &Url, keys: &Url) -> Result<(), PeerFault> {
        let trust = json!({ "issuer": issuer, "keys": keys });
        self.administer("vouching", &json!({ "client": client_id, "trust": trust })).await
    }

    /// For whom it has given tokens to others so far, in order.
    pub fn exchanged(&self) -> Vec<String> {
        self.lines("exchanged ")
    }

    /// For whom it has vouched so far, in order.
    pub fn vouched(&self) -> Vec<String> {
        let log = self.process.log();
        log.lines().filter_map(|line| line.strip_prefix("vouched ")).map(str::to_owned).collect()
    }

    /// Ends all sessions of somebody, as an administrator does; clients are told before this returns.
    ///
    /// # Errors
    /// If the provider fails.
    pub async fn sign_out(&self, person: &Employee) -> Result<(), PeerFault> {
        self.administer(&format!("people/{}/sign-out", person.login), &json!({})).await
    }

    /// As [`Idp::sign_out`], and lets them sign in no more.
    ///
    /// # Errors
    /// If the provider fails.
    pub async fn disable(&self, person: &Employee) -> Result<(), PeerFault> {
        self.administer(&format!("people/{}/disable", person.login), &json!({})).await
    }

    async fn administer(&self, what: &str, body: &serde_json::Value) -> Result<(), PeerFault> {
        let sent =
            reqwest::Client::new().post(self.url(&format!("/admin/{what}"))?).json(body).send().await?;
        if sent.status().is_success() {
            return Ok(());
        }
        Err(PeerFault::answer("identity provider", format!("{}: {}", what, sent.text().await?)))
    }

    /// Its process, to kill or to look into.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn service(ServiceClient { id, by }: &ServiceClient) -> serde_json::Value {
    let mut metadata = json!({
        "client_id": id,
        "grant_types": ["client_credentials"],
        "redirect_uris": [],
        "response_types": [],
    });
    match by {
        ServiceProof::Basic(secret) => {
            metadata["client_secret"] = json!(secret);
            metadata["token_endpoint_auth_method"] = json!("client_secret_basic");
        }
        ServiceProof::Key(key) => {
            metadata["jwks"] = json!({ "keys": [key] });
            metadata["token_endpoint_auth_method"] = json!("private_key_jwt");
            metadata["token_endpoint_auth_signing_alg"] = json!("ES256");
        }
    }
    metadata
}

fn encode(settings: &IdpSettings, port: u16) -> serde_json::Value {
    let people: Vec<_> = settings
        .people
        .iter()
        .map(|person| {
            json!({
                "login": person.login,
                "password": person.password,
                "name": person.name,
                "email": person.email,
                "groups": person.groups,
                "clearance": person.clearance,
            })
        })
        .collect();
    let services = settings.services.iter().map(service);
    let clients: Vec<_> = settings
        .clients
        .iter()
        .map(|client| {
            json!({
                "client_id": client.id,
                "client_name": client.name,
                "application_type": "native",
                "redirect_uris": ["http://127.0.0.1/callback"],
                "post_logout_redirect_uris": ["http://127.0.0.1/callback"],
                "token_endpoint_auth_method": "none",
                "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
                "response_types": ["code"],
            })
        })
        .chain(services)
        .collect();
    json!({
        "port": port,
        "people": people,
        "clients": clients,
        "accessTokenSeconds": settings.access_token.as_secs(),
        "idTokenSeconds": settings.id_token.as_secs(),
        "refreshTokenSeconds": settings.refresh_token.as_secs(),
        "resourceScopes": settings.resource_scopes,
    })
}
