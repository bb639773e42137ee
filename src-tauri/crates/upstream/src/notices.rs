//! News that a connector tells without being asked (MCP 2025-11-25, basic/transports, "Listening for Messages from the
//! Server"; 2026-07-28, basic/patterns/subscriptions).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use mcp::connector::{self, FromConnector};
use mcp::sse::Decoder;
use mcp::{Filter, Topic};
use tokio::sync::watch;

use crate::MESSAGE_LIMIT;
use crate::bearer::Bearer;
use crate::calls::Calls;
use crate::fault::UpstreamFault;
use crate::http::Http;
use crate::links::Exchange;

/// How news of changes of a connector's lists come.
#[derive(Debug)]
pub enum Changes {
    /// They are counted here; also the end of the session.
    Told(watch::Receiver<u64>),
    /// Over a stream that has to be opened. The receiver ends with the session.
    Streamed(News, watch::Receiver<()>),
}

/// Where a stream of news is opened. Does not keep the session alive, whatever the server does.
#[derive(Debug)]
pub struct News {
    pub(crate) http: Arc<Http>,
    /// The number of the request that opens a stream; there is one at a time.
    pub(crate) id: u64,
    /// The lists whose changes it is asked for, where a request opens it.
    pub(crate) lists: Filter,
    /// The resources likewise.
    pub(crate) resources: watch::Receiver<BTreeMap<String, usize>>,
    /// Those that the last stream was asked for.
    pub(crate) asked: Vec<String>,
}

impl News {
    /// Opens the stream; `None` if the server has none after all.
    ///
    /// # Errors
    /// An [`UpstreamFault`].
    pub async fn open(&mut self, bearer: Option<&Bearer>) -> Result<Option<Notices>, UpstreamFault> {
        let mut wanted = self.lists.clone();
        self.asked = self.resources.borrow_and_update().keys().cloned().collect();
        wanted.resources.clone_from(&self.asked);
        let exchange = self.http.news(self.id, &wanted, bearer).await?;
        Ok(exchange.map(|exchange| Notices::new(exchange, Arc::clone(&self.http.calls))))
    }

    /// Returns when a stream has to be opened anew, because it was asked for too little or too much.
    pub async fn outdated(&mut self) {
        if !self.http.is_stateless() {
            // Sessions are told by requests.
            return std::future::pending().await;
        }
        while self.resources.borrow_and_update().keys().eq(&self.asked) {
            if self.resources.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Answers a question that came over the stream.
    ///
    /// # Errors
    /// An [`UpstreamFault`].
    pub async fn reply(&self, reply: String, bearer: Option<&Bearer>) -> Result<(), UpstreamFault> {
        self.http.reply(reply, bearer).await
    }
}

/// An open stream of news.
#[derive(Debug)]
pub struct Notices {
    exchange: Exchange,
    decoder: Decoder,
    waiting: VecDeque<Notice>,
    calls: Arc<Calls>,
}

/// One piece of news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A list changed.
    Changed(Topic),
    /// The connector asked something; this is the reply to be sent.
    Reply(String),
}

impl Notices {
    pub(crate) fn new(exchange: Exchange, calls: Arc<Calls>) -> Self {
        Self { exchange, decoder: Decoder::new(MESSAGE_LIMIT), waiting: VecDeque::new(), calls }
    }

    /// Waits for the next one; `None` when the server ends the stream.
    ///
    /// # Errors
    /// An [`UpstreamFault`].
    pub async fn next(&mut self) -> Result<Option<Notice>, UpstreamFault> {
        loop {
            if let Some(notice) = self.waiting.pop_front() {
                return Ok(Some(notice));
            }
            let Some(chunk) = self.exchange.chunk().await? else { return Ok(None) };
            for event in self.decoder.push(&chunk).map_err(|_| UpstreamFault::TooLarge)? {
                if !event.data.is_empty() {
                    self.hear(&event.data);
                }
            }
        }
    }

    fn hear(&mut self, data: &str) {
        match FromConnector::parse(data.as_bytes()) {
            Ok(FromConnector::Notice(connector::Notice::Changed(topic))) => {
                self.waiting.push_back(Notice::Changed(topic));
            }
            Ok(FromConnector::Notice(notice)) => self.calls.tell(notice),
            Ok(FromConnector::Question(question)) => {
                self.waiting.extend(self.calls.ask(question).map(Notice::Reply));
            }
            Ok(FromConnector::Reply(reply)) => self.waiting.push_back(Notice::Reply(reply)),
            Ok(FromConnector::Answer { .. } | FromConnector::Other) => {}
            Err(fault) => tracing::debug!(%fault, "an event of a connector is no message"),
        }
    }
}
