//! The authorization endpoint: a request is checked, a person is asked, a code goes to the redirect.
//!
//! Nothing is ever sent to a redirect URI that is not the client's own: until client and redirect are known, every fault
//! is a plain page (RFC 6749, section 4.1.2.1; RFC 9700, section 4.11).

use std::sync::Arc;
use std::time::Duration;

use model::{Consent, ConsentRequest, ListeningProcess, PersonFault, ServerId, Subject};

use crate::clients::Client;
use crate::codes::Binding;
use crate::consents::Consented;
use crate::documents::{self, DocumentFault, is_document, pinned};
use crate::grants::Agreement;
use crate::issuer::Core;
use crate::metadata::server_of_scope;
use crate::params::{Params, Repeated};
use crate::pkce::{Challenge, ChallengeFault};
use crate::redirect::RedirectUri;
use crate::secret::Secret;
use crate::{Event, IssuerRequest, IssuerResponse, Named, NamedClient};

/// A fault before client and redirect are known: shown to the person, never redirected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum PageFault {
    #[error(
        "The link that the assistant opened is not well formed. Start the sign-in again in the assistant."
    )]
    Parameters,
    #[error(
        "Deskgate does not know this assistant's registration. It may have expired. Remove the assistant's saved \
         sign-in for this server, then connect again."
    )]
    UnknownClient,
    #[error(
        "The document that this assistant names itself by {0}. Nothing was allowed. Set the assistant to register \
         dynamically, or ask whoever looks after Deskgate here to name its client id in the settings."
    )]
    Document(DocumentFault),
    #[error(
        "Too many assistants that nobody knows asked to be let in. Nothing was allowed; try again in a few minutes."
    )]
    Crowd,
    #[error(
        "No program of yours waits for the answer, so this assistant was not looked up. Nothing was allowed."
    )]
    NobodyListens,
    #[error("The assistant asked for an answer at an address that it did not register. Nothing was allowed.")]
    Redirect,
    #[error(
        "The program that waits for the answer belongs to another user of this computer. Nothing was allowed."
    )]
    ForeignListener,
    #[error("Another program took the place of the one that you were asked about. Nothing was allowed.")]
    ListenerChanged,
}

/// A fault that the client is told of at its redirect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum AuthorizeFault {
    #[error(transparent)]
    Repeated(#[from] Repeated),
    #[error("response_type is required")]
    NoResponseType,
    #[error("the only response_type is code")]
    ResponseType,
    #[error("the only response_mode is query")]
    ResponseMode,
    #[error("request objects are not supported")]
    RequestObject,
    #[error(transparent)]
    Challenge(#[from] ChallengeFault),
    #[error("prompt none goes with no other")]
    Prompt,
    #[error("resource is not one virtual server of this gateway")]
    Target,
    #[error("resource is required, for there is more than one virtual server")]
    NoTarget,
    #[error("too many requests wait for the person")]
    Busy,
    #[error("nobody is signed in")]
    SignedOut,
    #[error("the person may not use this virtual server")]
    NotVisible,
    #[error("the person must be asked")]
    PromptNeeded,
    #[error("the person refused")]
    Denied,
    #[error("{0}")]
    NoAnswer(#[from] PersonFault),
    #[error("somebody else signed in meanwhile")]
    PersonChanged,
    #[error("the request could not be completed")]
    Internal,
}

impl AuthorizeFault {
    /// RFC 6749, section 4.1.2.1; RFC 8707, section 2; OpenID Connect Core 1.0, section 3.1.2.6.
    fn code(&self) -> &'static str {
        match self {
            Self::Repeated(_)
            | Self::NoResponseType
            | Self::ResponseMode
            | Self::Challenge(_)
            | Self::Prompt => "invalid_request",
            Self::ResponseType => "unsupported_response_type",
            Self::RequestObject => "request_not_supported",
            Self::Target | Self::NoTarget => "invalid_target",
            Self::Busy => "temporarily_unavailable",
            Self::PromptNeeded => "consent_required",
            Self::SignedOut | Self::NotVisible | Self::Denied | Self::NoAnswer(_) | Self::PersonChanged => {
                "access_denied"
            }
            Self::Internal => "server_error",
        }
    }
}

/// How an accepted request can still fail.
enum Fault {
    Page(PageFault),
    Redirect(AuthorizeFault),
}

impl<T: Into<AuthorizeFault>> From<T> for Fault {
    fn from(fault: T) -> Self {
        Self::Redirect(fault.into())
    }
}

impl From<PageFault> for Fault {
    fn from(fault: PageFault) -> Self {
        Self::Page(fault)
    }
}

/// A checked request.
struct Ask {
    challenge: Challenge,
    target: Target,
    prompt: Prompt,
}

enum Target {
    Named(ServerId),
    /// Neither `resource` nor a scope names a virtual server.
    Open,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Prompt {
    /// Ask unless a consent is remembered.
    IfNeeded,
    /// Ask in any case.
    Always,
    /// Do not ask.
    Never,
}

/// What the person is asked about.
struct Question {
    client: Client,
    redirect: RedirectUri,
    server: ServerId,
    title: String,
    subject: Arc<Subject>,
    process: Option<ListeningProcess>,
}

impl Core {
    pub(crate) async fn authorize(&self, request: &IssuerRequest) -> IssuerResponse {
        let query = request.query.as_deref().unwrap_or_default();
        let Ok(params) = Params::parse(query.as_bytes()) else { return page(PageFault::Parameters) };
        let (client, redirect) = match self.identify(&params).await {
            Ok(identified) => identified,
            Err(fault) => return page(fault),
        };
        let answer = match params.one("state") {
            Ok(_) => self.decide(&params, client, redirect.clone()).await,
            Err(repeated) => Err(repeated.into()),
        };
        let state = params.one("state").ok().flatten();
        match answer {
            Ok(code) => self.send(&redirect, &[("code", code.reveal())], state),
            Err(Fault::Page(fault)) => page(fault),
            Err(Fault::Redirect(fault)) => {
                let description = fault.to_string();
                self.send(&redirect, &[("error", fault.code()), ("error_description", &description)], state)
            }
        }
    }

    /// The client and the redirect that it may name.
    async fn identify(&self, params: &Params) -> Result<(Client, RedirectUri), PageFault> {
        let id = params.one("client_id").map_err(|_| PageFault::Parameters)?.ok_or(PageFault::Parameters)?;
        let text = params.one("redirect_uri").map_err(|_| PageFault::Redirect)?.ok_or(PageFault::Redirect)?;
        let redirect: RedirectUri = text.parse().map_err(|_| PageFault::Redirect)?;
        let client = self.client(id, &redirect).await?;
        if !client.redirects_to(&redirect) {
            return Err(PageFault::Redirect);
        }
        Ok((client, redirect))
    }

    /// The client of an id. Whoever decides here has the first word; a document that nobody knows is fetched.
    async fn client(&self, id: &str, redirect: &RedirectUri) -> Result<Client, PageFault> {
        if let Named::Client(NamedClient(client)) = self.seams.resources.named(id) {
            return Ok(client);
        }
        if let Some(known) = self.clients.registered(id).or_else(|| pinned(id)) {
            return Ok(known);
        }
        if !is_document(id) {
            return Err(PageFault::UnknownClient);
        }
        let now = self.now();
        if let Some(client) = self.fetched.find(id, now) {
            return Ok(client);
        }
        let url = documents::address(id).map_err(PageFault::Document)?;
        // Any page that a browser shows can have this asked for, but no page has a program that listens here.
        if self.config.user_id.is_some() && self.listener(redirect)?.is_none() {
            return Err(PageFault::NobodyListens);
        }
        if !self.fetched.may_fetch(&self.config.limits, now) {
            return Err(PageFault::Crowd);
        }
        let body = self.seams.documents.fetch(url).await.map_err(|why| {
            // The words may repeat what a stranger wrote, so they do not go to the page.
            tracing::warn!(client = id, why, "the document of an assistant could not be fetched");
            DocumentFault::Unreachable
        });
        body.and_then(|body| self.fetched.keep(id, &body, now)).map_err(PageFault::Document)
    }

    /// From a request of a known client to a code.
    async fn decide(&self, params: &Params, client: Client, redirect: RedirectUri) -> Result<Secret, Fault> {
        let ask = self.check(params)?;
        let _waiting = self.waiting.try_acquire().map_err(|_| AuthorizeFault::Busy)?;
        let question = self.question(&ask, client, redirect).await?;
        let outcome = self.consent(&question, ask.prompt).await;
        if let Err(fault) = &outcome {
            self.ledger.report(Event::Refused {
                client_id: question.client.id.clone(),
                server: question.server.clone(),
                why: match fault {
                    Fault::Page(fault) => fault.to_string(),
                    Fault::Redirect(fault) => fault.to_string(),
                },
            });
        }
        outcome?;
        self.code(question, ask.challenge)
    }

    fn check(&self, params: &Params) -> Result<Ask, AuthorizeFault> {
        match params.one("response_type")? {
            Some("code") => {}
            Some(_) => return Err(AuthorizeFault::ResponseType),
            None => return Err(AuthorizeFault::NoResponseType),
        }
        if params.one("response_mode")?.is_some_and(|mode| mode != "query") {
            return Err(AuthorizeFault::ResponseMode);
        }
        if params.one("request")?.or(params.one("request_uri")?).is_some() {
            return Err(AuthorizeFault::RequestObject);
        }
        let challenge =
            Challenge::parse(params.one("code_challenge")?, params.one("code_challenge_method")?)?;
        Ok(Ask { challenge, target: self.target(params)?, prompt: prompt(params)? })
    }

    /// The virtual server that a request is for (RFC 8707). Where `resource` is absent, the scope of the challenge names
    /// it as well.
    fn target(&self, params: &Params) -> Result<Target, AuthorizeFault> {
        let mut named = Vec::new();
        for resource in params.all("resource") {
            named.push(self.origin.server_of(resource).ok_or(AuthorizeFault::Target)?);
        }
        let scopes = params.one("scope")?.unwrap_or_default();
        if named.is_empty() {
            named.extend(scopes.split(' ').filter_map(server_of_scope));
        }
        named.dedup();
        match <[ServerId; 1]>::try_from(named) {
            Ok([server]) => match self.seams.resources.server(&server) {
                Some(_) => Ok(Target::Named(server)),
                None => Err(AuthorizeFault::Target),
            },
            Err(none) if none.is_empty() => Ok(Target::Open),
            Err(_) => Err(AuthorizeFault::Target),
        }
    }

    async fn question(&self, ask: &Ask, client: Client, redirect: RedirectUri) -> Result<Question, Fault> {
        let subject = match ask.prompt {
            Prompt::Never => self.seams.resources.current_subject(),
            Prompt::IfNeeded | Prompt::Always => self.seams.resources.signed_in().await,
        };
        let subject = subject.ok_or(AuthorizeFault::SignedOut)?;
        let visible = self.seams.resources.servers();
        let server = match (&ask.target, visible.as_slice()) {
            (Target::Named(server), visible) if visible.contains(server) => server.clone(),
            (Target::Named(_), _) => return Err(AuthorizeFault::NotVisible.into()),
            (Target::Open, [only]) => only.clone(),
            (Target::Open, _) => return Err(AuthorizeFault::NoTarget.into()),
        };
        let title = self.seams.resources.server(&server).ok_or(AuthorizeFault::Target)?;
        let process = self.listener(&redirect)?;
        Ok(Question { client, redirect, server, title, subject, process })
    }

    /// Returns if the person agrees now, or agreed before; then the world is looked at once more.
    async fn consent(&self, question: &Question, prompt: Prompt) -> Result<(), Fault> {
        let consented = question.consented(self.now());
        let remembered = prompt != Prompt::Always
            && consented.as_ref().is_some_and(|consented| self.consents.holds(consented));
        if !remembered {
            if prompt == Prompt::Never {
                return Err(AuthorizeFault::PromptNeeded.into());
            }
            self.ask(question).await?;
        }
        if self.listener(&question.redirect)? != question.process {
            return Err(PageFault::ListenerChanged.into());
        }
        let present = self.seams.resources.current_subject();
        if !present.is_some_and(|present| present.is_same_person(&question.subject)) {
            return Err(AuthorizeFault::PersonChanged.into());
        }
        if !self.seams.resources.servers().contains(&question.server) {
            return Err(AuthorizeFault::NotVisible.into());
        }
        self.ledger.report(question.event(remembered));
        if let Some(consented) = consented.filter(|_| !remembered) {
            self.consents.remember(consented).await.map_err(|_| AuthorizeFault::Internal)?;
        }
        self.clients
            .consented(&question.client.id, self.now())
            .await
            .map_err(|_| AuthorizeFault::Internal)?;
        Ok(())
    }

    async fn ask(&self, question: &Question) -> Result<(), AuthorizeFault> {
        let request = ConsentRequest {
            through: None,
            server: question.server.clone(),
            server_title: question.title.clone(),
            client_name: question.client.name.as_str().to_owned(),
            client_id: question.client.id.clone(),
            redirect_uri: Some(question.redirect.url().ok_or(AuthorizeFault::Internal)?),
            process: question.process.clone(),
            subject: Subject::clone(&question.subject),
            deadline: self.config.limits.consent_deadline,
        };
        match self.answer(request).await? {
            Consent::Allow => Ok(()),
            Consent::Deny => Err(AuthorizeFault::Denied),
        }
    }

    /// What the person says to a request, within its deadline.
    pub(crate) async fn answer(&self, request: ConsentRequest) -> Result<Consent, PersonFault> {
        // The person's side keeps the deadline; this one is for a side that does not.
        let latest = request.deadline.saturating_add(Duration::from_secs(5));
        let answered = tokio::time::timeout(latest, self.seams.person.consent(request)).await;
        answered.unwrap_or(Err(PersonFault::Deadline))
    }

    fn code(&self, question: Question, challenge: Challenge) -> Result<Secret, Fault> {
        let code = Secret::code().map_err(|_| AuthorizeFault::Internal)?;
        let now = self.now();
        let agreement = Agreement {
            resource: self.origin.resource(&question.server),
            client_id: question.client.id,
            client_name: question.client.name.as_str().to_owned(),
            server: question.server,
            subject: question.subject,
            executable: question.process.as_ref().map(|process| process.executable.clone()),
        };
        let redirect_uri = question.redirect.to_string();
        let binding = Binding { agreement, redirect_uri, challenge, process: question.process };
        self.codes.keep(code.digest(), binding, now.plus(self.config.limits.code_life), now);
        Ok(code)
    }

    /// The program that waits for the answer, where it can be told. One of another user is refused.
    fn listener(&self, redirect: &RedirectUri) -> Result<Option<ListeningProcess>, PageFault> {
        let process = redirect.listening_port().and_then(|port| (self.seams.listener)(port));
        match (&process, self.config.user_id) {
            (Some(process), Some(user)) if process.user_id != user => Err(PageFault::ForeignListener),
            _ => Ok(process),
        }
    }

    /// The answer at the redirect, with the issuer (RFC 9207) and the client's state.
    fn send(&self, redirect: &RedirectUri, answer: &[(&str, &str)], state: Option<&str>) -> IssuerResponse {
        let mut parameters = answer.to_vec();
        parameters.push(("iss", self.origin.issuer()));
        parameters.extend(state.map(|state| ("state", state)));
        IssuerResponse::redirect(redirect.answer(&parameters))
    }
}

impl Question {
    fn consented(&self, now: model::Timestamp) -> Option<Consented> {
        let redirect = self.redirect.without_port();
        Consented::of(&self.client.id, &self.server, &self.subject, redirect, self.process.as_ref(), now)
    }

    fn event(&self, remembered: bool) -> Event {
        Event::Consented {
            client_id: self.client.id.clone(),
            client_name: self.client.name.as_str().to_owned(),
            server: self.server.clone(),
            subject: Arc::clone(&self.subject),
            process: self.process.clone(),
            remembered,
        }
    }
}

/// OpenID Connect Core 1.0, section 3.1.2.1, which MCP clients use without being asked to.
fn prompt(params: &Params) -> Result<Prompt, AuthorizeFault> {
    let mut prompts = params.one("prompt")?.unwrap_or_default().split(' ').filter(|word| !word.is_empty());
    match (prompts.next(), prompts.next()) {
        (None, _) => Ok(Prompt::IfNeeded),
        (Some("none"), None) => Ok(Prompt::Never),
        (Some(first), rest)
            if first == "none" || rest.into_iter().chain(prompts).any(|word| word == "none") =>
        {
            Err(AuthorizeFault::Prompt)
        }
        (Some(_), _) => Ok(Prompt::Always),
    }
}

fn page(fault: PageFault) -> IssuerResponse {
    IssuerResponse::page(400, &fault.to_string())
}
