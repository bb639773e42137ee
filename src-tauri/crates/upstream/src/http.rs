//! A connector behind a URL: Streamable HTTP (MCP 2025-11-25, basic/transports).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use mcp::connector::{self, FromConnector, Notice, Outgoing, Question};
use mcp::sse::Decoder;
use mcp::{Dialect, Filter};
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, watch};
use url::Url;

use crate::MESSAGE_LIMIT;
use crate::bearer::Bearer;
use crate::calls::{Calls, Replier, answered};
use crate::ear::Ear;
use crate::fault::UpstreamFault;
use crate::links::{Exchange, HttpClient, Links};
use crate::session::{VERSION, within};
use crate::stdio::Outcome;

/// The most that is read of a stream of events before the answer has come, in bytes.
const STREAM_LIMIT: usize = 4 * MESSAGE_LIMIT;
/// The most replies that are on their way to one server: each takes a connection.
const MOST_REPLIES: usize = 16;
/// How long a server may take to take an answer to a question of its own.
const REPLIED_WITHIN: Duration = Duration::from_secs(30);
/// A stream that broke off is taken up again after this time, where the server names no other.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// How often one answer's stream is taken up again.
const MOST_RESUMED: usize = 100;
const SESSION: &str = "mcp-session-id";
const EVENT_STREAM: &str = "text/event-stream";

/// What is said to one server.
#[derive(Debug)]
pub(crate) struct Http {
    links: Arc<Links>,
    url: Url,
    /// Set by the answer to `initialize`, where the server keeps sessions.
    session: OnceLock<HeaderValue>,
    /// Set as soon as it is known.
    dialect: OnceLock<Dialect>,
    /// Who hears what is said on no call's own stream.
    pub(crate) calls: Arc<Calls>,
    /// Replies that are on their way to the server.
    replies: Arc<Semaphore>,
    /// Whether that stream is open, or is known not to be had.
    pub(crate) listens: watch::Sender<bool>,
}

impl Http {
    pub(crate) fn new(client: HttpClient, url: &Url, calls: Arc<Calls>) -> Result<Self, UpstreamFault> {
        let links = Links::new(client, url)?;
        Ok(Self {
            links,
            url: url.clone(),
            session: OnceLock::new(),
            dialect: OnceLock::new(),
            calls,
            replies: Arc::new(Semaphore::new(MOST_REPLIES)),
            listens: watch::Sender::new(false),
        })
    }

    pub(crate) fn speak(&self, dialect: Dialect) {
        let _first_stays = self.dialect.set(dialect);
    }

    /// Sends `initialize` and remembers the session that the server may open with its answer.
    pub(crate) async fn open_session(
        self: &Arc<Self>,
        id: u64,
        message: Outgoing,
        bearer: Option<&Bearer>,
    ) -> Result<Outcome, UpstreamFault> {
        let exchange = self.post(message, bearer).await?;
        if let Some(session) = exchange.response().headers().get(SESSION) {
            let _first_stays = self.session.set(session.clone());
        }
        self.answer(id, exchange, bearer, None).await
    }

    /// Sends a request. What the server says until its answer comes, `ear` hears.
    pub(crate) async fn request(
        self: &Arc<Self>,
        id: u64,
        message: Outgoing,
        bearer: Option<&Bearer>,
        ear: Option<&Ear>,
    ) -> Result<Outcome, UpstreamFault> {
        let exchange = self.post(message, bearer).await?;
        self.answer(id, exchange, bearer, ear).await
    }

    /// What sends replies to the server.
    pub(crate) fn replier(self: &Arc<Self>, bearer: Option<&Bearer>) -> Replier {
        let (http, bearer) = (Arc::clone(self), bearer.cloned());
        Arc::new(move |reply| {
            let Ok(turn) = Arc::clone(&http.replies).try_acquire_owned() else {
                return tracing::debug!("a server asks faster than it takes answers");
            };
            let (http, bearer) = (Arc::clone(&http), bearer.clone());
            tokio::spawn(async move {
                http.reply_in_time(reply, bearer.as_ref()).await;
                drop(turn);
            });
        })
    }

    async fn reply_in_time(&self, reply: String, bearer: Option<&Bearer>) {
        if let Err(fault) = within(REPLIED_WITHIN, self.reply(reply, bearer)).await {
            tracing::debug!(%fault, "a server does not take an answer");
        }
    }

    pub(crate) async fn notify(
        &self,
        message: Outgoing,
        bearer: Option<&Bearer>,
    ) -> Result<(), UpstreamFault> {
        let exchange = self.post(message, bearer).await?;
        match self.refusal(exchange.response()) {
            Some(fault) => Err(fault),
            None => {
                // Nothing is said in it, and some servers never end it.
                exchange.let_go();
                Ok(())
            }
        }
    }

    /// Whether requests stand alone, as far as is known.
    pub(crate) fn is_stateless(&self) -> bool {
        self.dialect.get().is_some_and(|dialect| dialect.is_stateless())
    }

    /// Opens a stream of news, with a request of this number for what is wanted where requests open it; `None` where the
    /// server has none.
    pub(crate) async fn news(
        &self,
        id: u64,
        wanted: &Filter,
        bearer: Option<&Bearer>,
    ) -> Result<Option<Exchange>, UpstreamFault> {
        let Some(dialect) = self.dialect.get() else { return Ok(None) };
        let exchange = if dialect.is_stateless() {
            self.post(connector::listen(id, wanted, VERSION), bearer).await?
        } else {
            self.get_stream(connector::stream_headers(*dialect), bearer).await?
        };
        let stream = self.stream_of(exchange);
        self.listens.send_replace(true);
        stream
    }

    /// The stream that broke off after the event `last`.
    async fn resumed(&self, last: &str, bearer: Option<&Bearer>) -> Result<Option<Exchange>, UpstreamFault> {
        let Some(dialect) = self.dialect.get().filter(|dialect| !dialect.is_stateless()) else {
            return Ok(None);
        };
        let mut headers = connector::stream_headers(*dialect);
        headers.push(("last-event-id", last.to_owned()));
        self.stream_of(self.get_stream(headers, bearer).await?)
    }

    async fn get_stream(
        &self,
        headers: Vec<(&'static str, String)>,
        bearer: Option<&Bearer>,
    ) -> Result<Exchange, UpstreamFault> {
        let mut request = self.request_with(Bytes::new(), headers);
        *request.method_mut() = Method::GET;
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(EVENT_STREAM));
        request.headers_mut().remove(header::CONTENT_TYPE);
        self.send(request, bearer).await
    }

    fn stream_of(&self, exchange: Exchange) -> Result<Option<Exchange>, UpstreamFault> {
        match self.refusal(exchange.response()) {
            // 405 is what the specification names; the others are how servers say that they know no such thing.
            Some(UpstreamFault::Status(404 | 405 | 501)) => Ok(None),
            Some(fault) => Err(fault),
            None => Ok(is_event_stream(exchange.response().headers()).then_some(exchange)),
        }
    }

    /// Answers a question of the server.
    pub(crate) async fn reply(&self, text: String, bearer: Option<&Bearer>) -> Result<(), UpstreamFault> {
        match self.dialect.get() {
            Some(dialect) => self.notify(connector::reply(*dialect, text), bearer).await,
            // A request before anything was agreed on has no right to an answer.
            None => Ok(()),
        }
    }

    async fn post(&self, message: Outgoing, bearer: Option<&Bearer>) -> Result<Exchange, UpstreamFault> {
        let mut request = self.request_with(Bytes::from(message.body), message.headers);
        for (name, value) in message.repeated {
            if let Ok(value) = HeaderValue::from_str(&value) {
                request.headers_mut().insert(name, value);
            }
        }
        self.send(request, bearer).await
    }

    /// Sends a request with the token.
    async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        bearer: Option<&Bearer>,
    ) -> Result<Exchange, UpstreamFault> {
        if let Some(bearer) = bearer {
            if bearer.is_bound() {
                return Box::pin(self.prove(request, bearer)).await;
            }
            bearer.put_on(&mut request, &self.url);
        }
        self.links.send(request).await
    }

    /// Sends a request with a proof. A server that wants its nonce in it has done nothing yet, and gets the request again
    /// with it, once (RFC 9449, section 9).
    async fn prove(&self, request: Request<Full<Bytes>>, bearer: &Bearer) -> Result<Exchange, UpstreamFault> {
        let (mut first, mut again) = (request.clone(), request);
        bearer.put_on(&mut first, &self.url);
        let exchange = self.links.send(first).await?;
        // Another request may have learnt the nonce meanwhile, so it need not be news.
        let is_heard = bearer.hear(&self.url, exchange.response().headers());
        if !is_heard || !wants_nonce(exchange.response()) {
            return Ok(exchange);
        }
        exchange.let_go();
        bearer.put_on(&mut again, &self.url);
        let exchange = self.links.send(again).await?;
        bearer.hear(&self.url, exchange.response().headers());
        Ok(exchange)
    }

    fn request_with(&self, body: Bytes, extra: Vec<(&'static str, String)>) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        // Without it a server may choose any encoding (RFC 9110, section 12.5.3), and none is undone here.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for (name, value) in extra {
            // What is no header value could not be sent by anybody.
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        if let Some(session) = self.session.get() {
            headers.insert(SESSION, session.clone());
        }
        request
    }

    /// What makes an answer none by itself: a status of failure, or an encoding that is not undone here.
    fn refusal(&self, response: &Response<Incoming>) -> Option<UpstreamFault> {
        match response.status() {
            status if status.is_success() => {
                let encoding = encoding(response.headers())?;
                Some(UpstreamFault::Unusable(format!("it is encoded: {encoding}")))
            }
            StatusCode::UNAUTHORIZED => Some(UpstreamFault::Unauthorized { challenge: challenge(response) }),
            StatusCode::FORBIDDEN if let Some(challenge) = wants_scopes(response) => {
                Some(UpstreamFault::InsufficientScope { challenge })
            }
            StatusCode::NOT_FOUND if self.session.get().is_some() => Some(UpstreamFault::SessionGone),
            status => Some(UpstreamFault::Status(status.as_u16())),
        }
    }

    async fn answer(
        self: &Arc<Self>,
        id: u64,
        exchange: Exchange,
        bearer: Option<&Bearer>,
        ear: Option<&Ear>,
    ) -> Result<Outcome, UpstreamFault> {
        match self.refusal(exchange.response()) {
            // The error object says more than the status.
            Some(UpstreamFault::Status(status)) if (400..500).contains(&status) => {
                let body = exchange.body(MESSAGE_LIMIT).await?;
                return connector::error_of(&body).map(Err).ok_or(UpstreamFault::Status(status));
            }
            Some(fault) => return Err(fault),
            None => {}
        }
        if is_event_stream(exchange.response().headers()) {
            return Stream::new(self, id, bearer, ear).answer(exchange).await;
        }
        let bytes = exchange.body(MESSAGE_LIMIT).await?;
        match FromConnector::parse(&bytes).map_err(|fault| UpstreamFault::Unusable(fault.to_string()))? {
            FromConnector::Answer { id: answered, outcome } if answered == id => Ok(outcome),
            FromConnector::Answer { .. }
            | FromConnector::Question(_)
            | FromConnector::Reply(_)
            | FromConnector::Notice(_)
            | FromConnector::Other => Err(UpstreamFault::Unusable("it answers another request".to_owned())),
        }
    }
}

/// The stream of events that a request is answered with.
struct Stream<'a> {
    http: &'a Arc<Http>,
    id: u64,
    bearer: Option<&'a Bearer>,
    ear: Option<&'a Ear>,
    received: usize,
    /// The event after which the stream goes on elsewhere, where the server lets it.
    last: Option<String>,
    retry: Duration,
}

impl<'a> Stream<'a> {
    fn new(http: &'a Arc<Http>, id: u64, bearer: Option<&'a Bearer>, ear: Option<&'a Ear>) -> Self {
        Self { http, id, bearer, ear, received: 0, last: None, retry: RETRY }
    }

    /// Reads until the answer comes. A stream that broke off is taken up again after its last event, in revisions with
    /// sessions (MCP 2025-11-25, basic/transports, "Resumability and Redelivery").
    async fn answer(mut self, exchange: Exchange) -> Result<Outcome, UpstreamFault> {
        let mut exchange = exchange;
        for _ in 0..MOST_RESUMED {
            let before = self.last.clone();
            let broke = match self.read(exchange).await {
                Ok(Some(outcome)) => return Ok(outcome),
                Ok(None) => UpstreamFault::Unusable("the stream ended without the answer".to_owned()),
                Err(fault @ UpstreamFault::Unreachable(_)) => fault,
                Err(fault) => return Err(fault),
            };
            let Some(last) = self.last.clone().filter(|last| before.as_ref() != Some(last)) else {
                return Err(broke);
            };
            tokio::time::sleep(self.retry).await;
            // Whatever comes of it, the request was taken before: it must not be made again.
            exchange = match Box::pin(self.http.resumed(&last, self.bearer)).await {
                Ok(resumed) => resumed.ok_or(broke)?,
                Err(fault) => return Err(fault.after_effect()),
            };
        }
        Err(UpstreamFault::Unusable("the stream breaks off again and again".to_owned()))
    }

    async fn read(&mut self, mut exchange: Exchange) -> Result<Option<Outcome>, UpstreamFault> {
        let mut decoder = Decoder::new(MESSAGE_LIMIT);
        while let Some(chunk) = exchange.chunk().await? {
            self.received += chunk.len();
            if self.received > STREAM_LIMIT {
                return Err(UpstreamFault::TooLarge);
            }
            for event in decoder.push(&chunk).map_err(|_| UpstreamFault::TooLarge)? {
                self.last = event.id.or(self.last.take());
                self.retry = event.retry.map_or(self.retry, |retry| retry.min(LONGEST_RETRY));
                if let Some(outcome) = self.event(&event.data) {
                    exchange.let_go();
                    return Ok(Some(outcome));
                }
            }
        }
        Ok(None)
    }

    fn event(&self, data: &str) -> Option<Outcome> {
        if data.is_empty() {
            return None;
        }
        match FromConnector::parse(data.as_bytes()) {
            Ok(FromConnector::Answer { id, outcome }) if id == self.id => return Some(outcome),
            Ok(FromConnector::Question(question)) => self.ask(question),
            Ok(FromConnector::Reply(reply)) => self.http.replier(self.bearer)(reply),
            Ok(FromConnector::Notice(notice @ Notice::Updated { .. })) => self.http.calls.tell(notice),
            Ok(FromConnector::Notice(notice)) => {
                if let Some(ear) = self.ear {
                    ear.tell(notice);
                }
            }
            Ok(FromConnector::Answer { .. } | FromConnector::Other) => {}
            Err(fault) => tracing::debug!(%fault, "an event of a connector is no message"),
        }
        None
    }

    /// The answer goes by a way of its own, so that the stream is read on meanwhile.
    fn ask(&self, question: Question) {
        let replier = self.http.replier(self.bearer);
        match self.ear.cloned() {
            Some(ear) => {
                tokio::spawn(async move { replier(answered(&ear, question).await) });
            }
            None => replier(question.refusal("nobody can be asked")),
        }
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with(EVENT_STREAM))
}

/// The encoding of an answer that is not plain.
fn encoding(headers: &HeaderMap) -> Option<String> {
    let encoding = headers.get(header::CONTENT_ENCODING)?;
    let plain = encoding.as_bytes().eq_ignore_ascii_case(b"identity");
    (!plain).then(|| String::from_utf8_lossy(encoding.as_bytes()).chars().take(40).collect())
}

/// All challenges, as one list (RFC 9110, section 11.6.1).
fn challenge(response: &Response<Incoming>) -> Option<String> {
    let values = response.headers().get_all(header::WWW_AUTHENTICATE).iter();
    let all: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// Whether a server wants its nonce in the proof.
fn wants_nonce(response: &Response<Incoming>) -> bool {
    response.status() == StatusCode::UNAUTHORIZED
        && challenge(response).is_some_and(|challenge| challenge.contains("use_dpop_nonce"))
}

/// The challenge of a server that wants a token with more scopes.
fn wants_scopes(response: &Response<Incoming>) -> Option<String> {
    let says = ["error=\"insufficient_scope\"", "error=insufficient_scope"];
    challenge(response).filter(|challenge| says.iter().any(|says| challenge.contains(says)))
}

/// A raw value as text, for faults.
pub(crate) fn shown(value: &RawValue) -> String {
    value.get().chars().take(300).collect()
}
