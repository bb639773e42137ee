//! One MCP session with a connector, whatever the transport.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mcp::CallParams;
use mcp::connector;
use serde_json::value::RawValue;
use tokio::sync::watch;
use url::Url;

use crate::authority::Authority;
use crate::fault::UpstreamFault;
use crate::http::{Bearer, Http, shown};
use crate::links::HttpClient;
use crate::stdio::{Outcome, Program, Stdio};

/// A list has at most this many pages: a cursor that never ends is no list.
const PAGE_LIMIT: usize = 100;

/// A session: `initialize` has been answered.
#[derive(Debug)]
pub struct Session {
    transport: Transport,
    next_id: AtomicU64,
}

#[derive(Debug)]
enum Transport {
    Stdio(Stdio),
    Http(Box<Http>),
}

/// A connector's answer to a call: its result or its error object, as it wrote them.
pub type Answer = Result<Box<RawValue>, Box<RawValue>>;

/// A connector's tools.
#[derive(Debug, Clone, Default)]
pub struct ListedTools {
    /// Well-formed definitions with their names, in the connector's order.
    pub tools: Vec<(model::ToolName, Box<RawValue>)>,
    /// Descriptions of those left out, for the person in charge.
    pub left_out: Vec<String>,
}

impl Session {
    /// Starts a program and opens a session with it.
    ///
    /// # Errors
    /// An [`UpstreamFault`]; the program has been ended.
    pub async fn open_program(program: &Program, deadline: Duration) -> Result<Self, UpstreamFault> {
        let transport = Transport::Stdio(Stdio::start(program).await?);
        Self::initialize(transport, None, deadline).await
    }

    /// Opens a session with a server.
    ///
    /// # Errors
    /// An [`UpstreamFault`].
    pub async fn open_url(
        client: &HttpClient,
        url: &Url,
        bearer: Option<&Bearer>,
        deadline: Duration,
    ) -> Result<Self, UpstreamFault> {
        let transport = Transport::Http(Box::new(Http::new(client.clone(), url)?));
        Self::initialize(transport, bearer, deadline).await
    }

    async fn initialize(
        transport: Transport,
        bearer: Option<&Bearer>,
        deadline: Duration,
    ) -> Result<Self, UpstreamFault> {
        let session = Self { transport, next_id: AtomicU64::new(0) };
        let opened = async {
            let message = |id| connector::initialize(id, env!("CARGO_PKG_VERSION"));
            let result = session.ask("initialize", message, bearer).await?;
            let initialized = connector::read_initialized(&result)?;
            if let Transport::Http(http) = &session.transport {
                http.speak(initialized.revision.as_str());
            }
            session.notify(connector::initialized(), bearer).await
        };
        within(deadline, opened).await?;
        Ok(session)
    }

    /// Lists the connector's tools, all pages.
    ///
    /// # Errors
    /// An [`UpstreamFault`].
    pub async fn list_tools(
        &self,
        bearer: Option<&Bearer>,
        deadline: Duration,
    ) -> Result<ListedTools, UpstreamFault> {
        let listed = async {
            let mut listed = ListedTools::default();
            let mut cursor = None;
            for _ in 0..PAGE_LIMIT {
                let message = |id| connector::list_tools(id, cursor.as_deref());
                let page = connector::read_tools(&self.ask("tools/list", message, bearer).await?)?;
                page.tools.into_iter().for_each(|tool| listed.take(tool));
                cursor = page.next_cursor;
                if cursor.is_none() {
                    return Ok(listed);
                }
            }
            Err(UpstreamFault::Unusable("its tool list does not end".to_owned()))
        };
        within(deadline, listed).await
    }

    /// Calls the tool that the authority's permit names, with the parameters as they came.
    ///
    /// # Errors
    /// An [`UpstreamFault`]; after [`UpstreamFault::Deadline`], or when dropped, the connector has been told that nobody
    /// waits.
    pub async fn call_tool(
        &self,
        authority: Authority<'_>,
        params: &CallParams<'_>,
        bearer: Option<&Bearer>,
        deadline: Duration,
    ) -> Result<Answer, UpstreamFault> {
        if !authority.covers(params) {
            return Err(UpstreamFault::NotPermitted);
        }
        let id = self.number();
        let message = connector::call_tool(id, &params.for_connector(authority.permit().tool().as_str()));
        let mut unanswered = Unanswered { session: self, id, abandoned: true };
        let outcome = within(deadline, self.exchange(id, message, bearer)).await;
        unanswered.abandoned = matches!(outcome, Err(UpstreamFault::Deadline));
        outcome
    }

    /// Whether the transport still works, as far as is known.
    pub fn is_alive(&self) -> bool {
        match &self.transport {
            Transport::Stdio(stdio) => stdio.is_alive(),
            Transport::Http(_) => true,
        }
    }

    /// Counts the notices that the tool list changed, and the session's end. `None` where the transport has none.
    pub fn tools_changed(&self) -> Option<watch::Receiver<u64>> {
        match &self.transport {
            Transport::Stdio(stdio) => Some(stdio.tools_changed()),
            Transport::Http(_) => None,
        }
    }

    async fn ask(
        &self,
        method: &'static str,
        message: impl FnOnce(u64) -> String,
        bearer: Option<&Bearer>,
    ) -> Result<Box<RawValue>, UpstreamFault> {
        let id = self.number();
        let outcome = self.exchange(id, message(id), bearer).await?;
        outcome.map_err(|error| UpstreamFault::Refused { method, error: shown(&error) })
    }

    async fn exchange(
        &self,
        id: u64,
        message: String,
        bearer: Option<&Bearer>,
    ) -> Result<Outcome, UpstreamFault> {
        match &self.transport {
            Transport::Stdio(stdio) => stdio.request(id, message).await,
            Transport::Http(http) => http.request(id, message, bearer).await,
        }
    }

    async fn notify(&self, message: String, bearer: Option<&Bearer>) -> Result<(), UpstreamFault> {
        match &self.transport {
            Transport::Stdio(stdio) => stdio.send(message).await,
            Transport::Http(http) => http.notify(message, bearer).await,
        }
    }

    /// Over HTTP, closing the connection says as much.
    fn cancel(&self, id: u64) {
        match &self.transport {
            Transport::Stdio(stdio) => stdio.send_if_room(connector::cancelled(id)),
            Transport::Http(_) => {}
        }
    }

    fn number(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }
}

/// A call that nobody waits for any more is cancelled, be it late or the assistant gone.
struct Unanswered<'a> {
    session: &'a Session,
    id: u64,
    abandoned: bool,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if self.abandoned {
            self.session.cancel(self.id);
        }
    }
}

impl ListedTools {
    fn take(&mut self, definition: Box<RawValue>) {
        let name = connector::tool_name(&definition);
        match name.as_deref().map(str::parse::<model::ToolName>) {
            Some(Ok(name)) if self.tools.iter().any(|(known, _)| *known == name) => {
                self.left_out.push(format!("{name} is listed twice"));
            }
            Some(Ok(name)) => self.tools.push((name, definition)),
            Some(Err(fault)) => self.left_out.push(format!("{}: {fault}", shown(&definition))),
            None => self.left_out.push(format!("{}: no name", shown(&definition))),
        }
    }
}

async fn within<T>(
    deadline: Duration,
    work: impl Future<Output = Result<T, UpstreamFault>>,
) -> Result<T, UpstreamFault> {
    tokio::time::timeout(deadline, work).await.unwrap_or(Err(UpstreamFault::Deadline))
}
