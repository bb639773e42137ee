//! The odd server behind a URL.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::lists::{OddList, notices};
use super::server::{Message, OddEra, Reply, Server};
use crate::PeerFault;
use crate::http_loop::serve_all;

/// The one session that it opens.
const SESSION: &str = "odd-session";

/// A running odd server. Ends when dropped.
#[derive(Debug)]
pub struct OddHttp {
    address: SocketAddr,
    server: Arc<Server>,
    task: JoinHandle<()>,
}

impl OddHttp {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start(era: OddEra) -> Result<Self, PeerFault> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let server = Arc::new(Server::new(era, true));
        let served = Arc::clone(&server);
        let task = tokio::spawn(serve_all(listener, move |request| answer(request, Arc::clone(&served))));
        Ok(Self { address, server, task })
    }

    /// Adds the tool `late`, and tells whoever listens.
    pub fn change(&self) {
        self.change_of(OddList::Tools);
    }

    /// Adds a late entry to this list, and tells whoever listens.
    pub fn change_of(&self, list: OddList) {
        self.server.lists.change(list);
    }

    /// What was last asked for with `subscriptions/listen`, as JSON text.
    pub fn wanted(&self) -> String {
        self.server.lists.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many listen for changes.
    pub fn listeners(&self) -> usize {
        self.server.lists.changes.as_ref().map_or(0, watch::Sender::receiver_count)
    }

    /// Its MCP endpoint.
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }
}

impl Drop for OddHttp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

async fn answer(request: Request<Incoming>, server: Arc<Server>) -> Result<Answer, hyper::Error> {
    if request.method() == Method::GET && server.era == OddEra::Legacy {
        let fits = value(request.headers(), "mcp-session-id") == SESSION;
        return Ok(if fits { stream(&server, None) } else { empty(StatusCode::BAD_REQUEST) });
    }
    if request.method() != Method::POST {
        return Ok(empty(StatusCode::METHOD_NOT_ALLOWED));
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let Ok(message) = serde_json::from_slice::<Message<'_>>(&body) else {
        return Ok(empty(StatusCode::BAD_REQUEST));
    };
    let fits = match server.era {
        OddEra::Legacy => message.method == "initialize" || value(&head.headers, "mcp-session-id") == SESSION,
        OddEra::Modern => headers_fit(&head.headers, &message),
    };
    let Some(id) = message.id else {
        return Ok(empty(if fits { StatusCode::ACCEPTED } else { StatusCode::BAD_REQUEST }));
    };
    if fits && message.method == "subscriptions/listen" && server.era == OddEra::Modern {
        let granted = server.lists.grant(message.params);
        return Ok(stream(&server, Some(Subscription { id: id.to_string(), granted })));
    }
    let reply = match (fits, server.era) {
        (true, _) => server.reply(&message),
        // Not even JSON, as many old servers have it.
        (false, OddEra::Legacy) => return Ok(empty(StatusCode::BAD_REQUEST)),
        (false, OddEra::Modern) => Reply::Error(-32020, "Headers and body differ"),
    };
    let status = match (&reply, server.era) {
        (Reply::Error(-32601, _), OddEra::Modern) => StatusCode::NOT_FOUND,
        (Reply::Error(..), OddEra::Modern) => StatusCode::BAD_REQUEST,
        (Reply::Error(..) | Reply::Result(_) | Reply::OddError(_), _) => StatusCode::OK,
    };
    let mut answer = Response::new(Full::new(Bytes::from(reply.framed(id))).boxed_unsync());
    *answer.status_mut() = status;
    answer.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    if message.method == "initialize" && server.era == OddEra::Legacy {
        answer.headers_mut().insert("mcp-session-id", http::HeaderValue::from_static(SESSION));
    }
    Ok(answer)
}

/// A request for notices, and what of it is granted.
struct Subscription {
    id: String,
    granted: String,
}

/// A stream that tells of each change; a subscription's begins with its acknowledgement.
fn stream(server: &Server, subscription: Option<Subscription>) -> Answer {
    let Some(mut changes) = server.lists.changes.as_ref().map(watch::Sender::subscribe) else {
        return empty(StatusCode::METHOD_NOT_ALLOWED);
    };
    let seen = *changes.borrow_and_update();
    let first = subscription.as_ref().map_or(": hello\n\n".to_owned(), |subscription| {
        let tagged = format!(r#"{},"notifications":{}"#, subscription.tag(), subscription.granted);
        event("notifications/subscriptions/acknowledged", &tagged)
    });
    let events = futures_util::stream::unfold(
        (Some(first), changes, seen, subscription),
        |(first, mut changes, seen, subscription)| async move {
            if let Some(first) = first {
                return Some((Ok(Frame::data(Bytes::from(first))), (None, changes, seen, subscription)));
            }
            changes.changed().await.ok()?;
            let now = *changes.borrow_and_update();
            let wanted = subscription.as_ref().map(|subscription| subscription.granted.as_str());
            let tag = subscription.as_ref().map(Subscription::tag).unwrap_or_default();
            let told: String = notices(seen, now, wanted).iter().map(|notice| event(notice, &tag)).collect();
            Some((Ok(Frame::data(Bytes::from(told))), (None, changes, now, subscription)))
        },
    );
    let mut answer = Response::new(StreamBody::new(events).boxed_unsync());
    answer.headers_mut().insert("content-type", http::HeaderValue::from_static("text/event-stream"));
    answer
}

impl Subscription {
    fn tag(&self) -> String {
        format!(r#""_meta":{{"io.modelcontextprotocol/subscriptionId":{}}}"#, self.id)
    }
}

fn event(method: &str, params: &str) -> String {
    format!("data: {{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":{{{params}}}}}\n\n")
}

fn headers_fit(headers: &HeaderMap, message: &Message<'_>) -> bool {
    value(headers, "mcp-protocol-version") == "2026-07-28"
        && value(headers, "mcp-method") == message.method
        && !headers.contains_key("mcp-session-id")
        && message.subject().is_none_or(|subject| value(headers, "mcp-name") == subject)
        && (message.name() != "headed"
            || value(headers, "mcp-param-region") == message.region().unwrap_or_default())
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default().boxed_unsync());
    *answer.status_mut() = status;
    answer
}
