//! A world around the issuer: a person who answers as the test says, servers, a clock, a process table.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use issuer::testing::MemoryStore;
use issuer::{
    AccessGrant, Documents, Event, Issuer, IssuerConfig, IssuerRequest, IssuerResponse, Limits, NamedClient,
    Resources, Route, Seams, TokenFault,
};
use model::{
    Approval, ApprovalRequest, BoxFuture, Consent, ConsentRequest, Digest, ListeningProcess, Person,
    PersonFault, ServerId, SignInOutcome, SignInRequest, Subject, Timestamp,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use url::{Url, form_urlencoded};

pub(crate) const PORT: u16 = 7717;
pub(crate) const ISSUER: &str = "http://127.0.0.1:7717";
pub(crate) const REDIRECT: &str = "http://127.0.0.1:40000/callback";
pub(crate) const VERIFIER: &str = "a-verifier-that-is-long-enough-for-RFC-7636-section-4";
pub(crate) const START: Timestamp = Timestamp::from_seconds(1_795_000_000);

/// Answers in order, then allows. May be held back.
pub(crate) struct ScriptedPerson {
    pub(crate) asked: Mutex<Vec<ConsentRequest>>,
    pub(crate) answers: Mutex<VecDeque<Result<Consent, PersonFault>>>,
    /// One permit lets one answer out.
    pub(crate) gate: Semaphore,
    /// What happens while the person thinks.
    pub(crate) meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Person for ScriptedPerson {
    fn sign_in(&self, _request: SignInRequest) -> BoxFuture<'_, Result<SignInOutcome, PersonFault>> {
        Box::pin(async { Err(PersonFault::Nobody("the issuer never asks for a sign-in itself".to_owned())) })
    }

    fn consent(&self, request: ConsentRequest) -> BoxFuture<'_, Result<Consent, PersonFault>> {
        self.asked.lock().unwrap().push(request);
        Box::pin(async {
            let permit = self.gate.acquire().await.unwrap();
            permit.forget();
            if let Some(meanwhile) = self.meanwhile.lock().unwrap().take() {
                meanwhile();
            }
            self.answers.lock().unwrap().pop_front().unwrap_or(Ok(Consent::Allow))
        })
    }

    fn approve(&self, _request: ApprovalRequest) -> BoxFuture<'_, Result<Approval, PersonFault>> {
        Box::pin(async { Err(PersonFault::Nobody("the issuer never asks for an approval".to_owned())) })
    }
}

pub(crate) struct Servers {
    pub(crate) titles: Mutex<BTreeMap<ServerId, String>>,
    pub(crate) hidden: Mutex<BTreeSet<ServerId>>,
    pub(crate) present: Mutex<Option<Arc<Subject>>>,
    pub(crate) named: Mutex<BTreeMap<String, NamedClient>>,
}

impl Resources for Servers {
    fn server(&self, server: &ServerId) -> Option<String> {
        self.titles.lock().unwrap().get(server).cloned()
    }

    fn servers(&self) -> Vec<ServerId> {
        let hidden = self.hidden.lock().unwrap();
        self.titles.lock().unwrap().keys().filter(|id| !hidden.contains(*id)).cloned().collect()
    }

    fn current_subject(&self) -> Option<Arc<Subject>> {
        self.present.lock().unwrap().clone()
    }

    fn named(&self, client_id: &str) -> Option<NamedClient> {
        self.named.lock().unwrap().get(client_id).cloned()
    }
}

/// What lies on the network, and what was asked of it.
#[derive(Default)]
pub(crate) struct Network {
    pub(crate) documents: Mutex<BTreeMap<String, String>>,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Documents for Network {
    fn fetch(&self, url: Url) -> BoxFuture<'_, Result<Vec<u8>, String>> {
        self.asked.lock().unwrap().push(url.to_string());
        let found = self.documents.lock().unwrap().get(url.as_str()).cloned();
        Box::pin(async move { found.map(String::into_bytes).ok_or_else(|| "nobody answers".to_owned()) })
    }
}

pub(crate) struct World {
    pub(crate) issuer: Issuer,
    pub(crate) person: Arc<ScriptedPerson>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) servers: Arc<Servers>,
    pub(crate) network: Arc<Network>,
    pub(crate) processes: Arc<Mutex<BTreeMap<u16, ListeningProcess>>>,
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
    pub(crate) clock: Arc<AtomicI64>,
    pub(crate) config: IssuerConfig,
    seams: Seams,
}

#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

pub(crate) fn id(text: &str) -> ServerId {
    text.parse().unwrap()
}

pub(crate) fn resource(server: &str) -> String {
    format!("{ISSUER}/s/{server}/mcp")
}

pub(crate) fn program(executable: &str) -> ListeningProcess {
    ListeningProcess { pid: 42, executable: executable.to_owned(), user_id: 1000 }
}

pub(crate) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Digest::of(verifier.as_bytes()).as_bytes())
}

pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The pairs with `name` set to `value`, or left out where it is `None`.
pub(crate) fn with<'a>(
    pairs: &[(&'a str, &'a str)],
    name: &'a str,
    value: Option<&'a str>,
) -> Vec<(&'a str, &'a str)> {
    let mut changed: Vec<_> = pairs.iter().filter(|(known, _)| *known != name).copied().collect();
    changed.extend(value.map(|value| (name, value)));
    changed
}

pub(crate) async fn world() -> World {
    world_with(Limits::default(), &["analyst"]).await
}

pub(crate) async fn world_with(limits: Limits, servers: &[&str]) -> World {
    let config = IssuerConfig { port: PORT, user_id: Some(1000), limits };
    let person = Arc::new(ScriptedPerson {
        asked: Mutex::default(),
        answers: Mutex::default(),
        gate: Semaphore::new(100_000),
        meanwhile: Mutex::default(),
    });
    let titles = servers.iter().map(|server| (id(server), format!("The {server}"))).collect();
    let servers = Arc::new(Servers {
        titles: Mutex::new(titles),
        hidden: Mutex::default(),
        present: Mutex::new(Some(Arc::new(Subject::local("ada")))),
        named: Mutex::default(),
    });
    let processes: Arc<Mutex<BTreeMap<u16, ListeningProcess>>> = Arc::default();
    let events: Arc<Mutex<Vec<Event>>> = Arc::default();
    let clock = Arc::new(AtomicI64::new(START.micros()));
    let store = Arc::new(MemoryStore::default());
    let network = Arc::new(Network::default());
    let seams = Seams {
        person: Arc::clone(&person) as Arc<dyn Person>,
        store: Arc::clone(&store) as Arc<dyn issuer::Store>,
        resources: Arc::clone(&servers) as Arc<dyn Resources>,
        listener: {
            let processes = Arc::clone(&processes);
            Arc::new(move |port| processes.lock().unwrap().get(&port).cloned())
        },
        documents: Arc::clone(&network) as Arc<dyn Documents>,
        now: {
            let clock = Arc::clone(&clock);
            Arc::new(move || Timestamp::from_micros(clock.load(Ordering::SeqCst)))
        },
        events: {
            let events = Arc::clone(&events);
            Arc::new(move |event| events.lock().unwrap().push(event))
        },
    };
    let issuer = Issuer::open(config.clone(), seams.clone()).await;
    World { issuer, person, store, servers, network, processes, events, clock, config, seams }
}

impl World {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.clock.load(Ordering::SeqCst))
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.fetch_add(i64::try_from(time.as_micros()).unwrap(), Ordering::SeqCst);
    }

    /// The issuer anew, from what is stored.
    pub(crate) async fn restart(&mut self) {
        self.issuer = Issuer::open(self.config.clone(), self.seams.clone()).await;
    }

    pub(crate) fn listen(&self, port: u16, process: ListeningProcess) {
        self.processes.lock().unwrap().insert(port, process);
    }

    pub(crate) fn present(&self, subject: Option<Subject>) {
        *self.servers.present.lock().unwrap() = subject.map(Arc::new);
    }

    pub(crate) fn answer(&self, answer: Result<Consent, PersonFault>) {
        self.person.answers.lock().unwrap().push_back(answer);
    }

    pub(crate) fn times_asked(&self) -> usize {
        self.person.asked.lock().unwrap().len()
    }

    pub(crate) fn seen(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.lock().unwrap().iter().any(wanted)
    }

    pub(crate) async fn get(&self, route: Route, query: &str) -> IssuerResponse {
        self.issuer.handle(request(route, "GET", Some(query), None, "")).await
    }

    pub(crate) async fn post_form(&self, route: Route, pairs: &[(&str, &str)]) -> IssuerResponse {
        let body = form(pairs);
        self.issuer
            .handle(request(route, "POST", None, Some("application/x-www-form-urlencoded"), &body))
            .await
    }

    pub(crate) async fn post_json(&self, body: &Value) -> IssuerResponse {
        let body = body.to_string();
        self.issuer.handle(request(Route::Register, "POST", None, Some("application/json"), &body)).await
    }

    pub(crate) async fn register(&self) -> String {
        self.register_as("Claude Code").await
    }

    pub(crate) async fn register_as(&self, name: &str) -> String {
        let body = json!({ "client_name": name, "redirect_uris": ["http://127.0.0.1/callback"] });
        let response = self.post_json(&body).await;
        assert_eq!(response.status, 201, "{}", text(&response));
        document(&response)["client_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn authorize(&self, pairs: &[(&str, &str)]) -> IssuerResponse {
        self.get(Route::Authorize, &form(pairs)).await
    }

    /// An authorization request that is allowed; its code.
    pub(crate) async fn code(&self, client: &str, server: &str) -> String {
        let resource = resource(server);
        let challenge = challenge(VERIFIER);
        let response = self.authorize(&ask(client, &challenge, &resource)).await;
        answer(&response, "code")
            .unwrap_or_else(|| panic!("no code: {:?} {}", response.header("location"), text(&response)))
    }

    pub(crate) async fn redeem(&self, client: &str, code: &str) -> IssuerResponse {
        self.post_form(Route::Token, &redemption(client, code)).await
    }

    /// The whole way to tokens.
    pub(crate) async fn sign_in(&self, client: &str, server: &str) -> Tokens {
        let code = self.code(client, server).await;
        tokens(&self.redeem(client, &code).await)
    }

    pub(crate) async fn refresh(&self, client: &str, token: &str) -> IssuerResponse {
        self.post_form(
            Route::Token,
            &[("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", token)],
        )
        .await
    }

    pub(crate) fn check(&self, token: &str, server: &str) -> Result<Arc<AccessGrant>, TokenFault> {
        self.issuer.introspect(token, &resource(server), self.now())
    }
}

pub(crate) fn request(
    route: Route,
    method: &str,
    query: Option<&str>,
    content_type: Option<&str>,
    body: &str,
) -> IssuerRequest {
    IssuerRequest {
        route,
        method: method.to_owned(),
        query: query.map(str::to_owned),
        content_type: content_type.map(str::to_owned),
        authorization: None,
        body: body.as_bytes().to_vec(),
        peer: None,
    }
}

pub(crate) fn ask<'a>(client: &'a str, challenge: &'a str, resource: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", REDIRECT),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
        ("resource", resource),
        ("state", "st&te"),
    ]
}

pub(crate) fn redemption<'a>(client: &'a str, code: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ]
}

pub(crate) fn text(response: &IssuerResponse) -> String {
    String::from_utf8(response.body.clone()).unwrap()
}

pub(crate) fn document(response: &IssuerResponse) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|_| panic!("not JSON: {}", text(response)))
}

pub(crate) fn error(response: &IssuerResponse) -> String {
    document(response)["error"].as_str().unwrap_or("none").to_owned()
}

pub(crate) fn tokens(response: &IssuerResponse) -> Tokens {
    let body = document(response);
    assert_eq!(response.status, 200, "{body}");
    Tokens {
        access: body["access_token"].as_str().unwrap().to_owned(),
        refresh: body["refresh_token"].as_str().unwrap().to_owned(),
    }
}

/// A parameter of the answer at the redirect.
pub(crate) fn answer(response: &IssuerResponse, name: &str) -> Option<String> {
    let (_, query) = response.header("location")?.split_once('?')?;
    form_urlencoded::parse(query.as_bytes())
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
}

/// A plain page and no redirect.
pub(crate) fn assert_page(response: &IssuerResponse, why: &str) {
    assert_eq!(response.status, 400, "{why}");
    assert_eq!(response.header("location"), None, "{why}");
    assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"), "{why}");
}

/// An error at the client's own redirect, with issuer and state.
pub(crate) fn assert_redirected(response: &IssuerResponse, error: &str, why: &str) {
    assert_eq!(response.status, 302, "{why}: {}", text(response));
    let location = response.header("location").unwrap();
    assert!(location.starts_with(&format!("{REDIRECT}?error={error}&")), "{why}: {location}");
    assert_eq!(answer(response, "iss").as_deref(), Some(ISSUER), "{why}");
    assert_eq!(answer(response, "code"), None, "{why}");
}
