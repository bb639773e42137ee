//! Brokered calls: MCP 2026-07-28 requests, passed through as they are; the control plane decides again and makes them.

use std::time::Duration;

use bytes::Bytes;
use model::{ConnectorId, Subject, TraceParent};
use org_protocol::{
    BROKER_ANSWER_EVENT, BROKER_CONTEXT_HEADER, BROKER_FAULT_EVENT, BrokerContext, TRACE_PARENT_HEADER,
    broker_path,
};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::sse::{Reader, TooLong};
use crate::wire::{read, refused};
use crate::{Org, OrgFault};

/// The largest answer, in bytes: the largest message of a connector, and its wrapping.
const ANSWER_LIMIT: usize = 17 * 1024 * 1024;

/// Hears a message of a connector, as it came.
pub type Hears<'a> = &'a (dyn Fn(&[u8]) + Send + Sync);

/// A call to be made by the control plane.
#[derive(Clone, Copy)]
pub struct BrokeredCall<'a> {
    /// The connector.
    pub connector: &'a ConnectorId,
    /// In whose name the call was decided.
    pub subject: &'a Subject,
    /// What the device says about the call.
    pub context: &'a BrokerContext,
    /// The headers that MCP asks for, such as `mcp-protocol-version`, `mcp-method` and `mcp-name`.
    pub headers: &'a [(&'a str, String)],
    /// The JSON-RPC request.
    pub body: &'a str,
    /// The trace that it is a part of.
    pub trace: TraceParent,
    /// How long the answer may take; what is told before it begins the time anew.
    pub deadline: Duration,
    /// Hears what the connector tells before its answer, message by message.
    pub heard: Option<Hears<'a>>,
}

impl std::fmt::Debug for BrokeredCall<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BrokeredCall({}, {})", self.connector, self.context.call)
    }
}

/// The control plane's answer, as it came: one JSON-RPC response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// The longest that a call may take which shows signs of life, in multiples of its deadline.
const LONGEST_CALL: u32 = 15;

/// How a call failed whose stream had begun.
#[derive(Deserialize)]
struct Failed {
    status: u16,
    body: Box<RawValue>,
}

/// Hears a stream until the answer: it is the last event.
async fn told(
    mut answer: Response,
    deadline: Duration,
    heard: Hears<'_>,
) -> Result<(StatusCode, Bytes), OrgFault> {
    let unusable = |what: &str| OrgFault::Unusable(what.to_owned());
    let mut reader = Reader::up_to(ANSWER_LIMIT);
    loop {
        let piece = tokio::time::timeout(deadline, answer.chunk()).await.map_err(|_| late())??;
        let piece = piece.ok_or_else(|| OrgFault::Unreachable("the answer broke off".to_owned()))?;
        for message in reader.push(&piece).map_err(|TooLong| unusable("an event without end"))? {
            match message.event.as_deref() {
                Some(BROKER_ANSWER_EVENT) => return Ok((StatusCode::OK, message.data.into())),
                Some(BROKER_FAULT_EVENT) => {
                    let failed: Failed = serde_json::from_str(&message.data)
                        .map_err(|_| unusable("a fault of another form"))?;
                    let status = StatusCode::from_u16(failed.status)
                        .map_err(|_| unusable("a fault without status"))?;
                    return Ok((status, failed.body.get().to_owned().into()));
                }
                Some(_) | None => heard(message.data.as_bytes()),
            }
        }
    }
}

fn late() -> OrgFault {
    OrgFault::Unreachable("it takes too long".to_owned())
}

impl Org {
    /// Has a call made with a shared credential.
    ///
    /// # Errors
    /// An [`OrgFault`]; [`OrgFault::before_effect`] says whether anything may have happened. A session that the server
    /// has ended is forgotten, so that [`Org::keep_session`] opens another.
    pub async fn broker(&self, call: BrokeredCall<'_>) -> Result<BrokerAnswer, OrgFault> {
        let session = self.0.live_session()?;
        // Between the decision and now somebody else may have signed in: their session is not for this call.
        if !session.subject.is_same_person(call.subject) {
            return Err(OrgFault::OtherPerson);
        }
        let key = self.0.vault.device_key().await?;
        let path = broker_path(call.connector);
        let now = self.0.clock.now();
        let mut request = self
            .0
            .wire
            .proved(Method::POST, &path, &*key, Some(&session.token), now)?
            .header(CONTENT_TYPE, "application/json")
            .header("accept", "application/json, text/event-stream")
            .header(BROKER_CONTEXT_HEADER, call.context.to_header())
            .header(TRACE_PARENT_HEADER, call.trace.to_string())
            .timeout(if call.heard.is_some() { call.deadline * LONGEST_CALL } else { call.deadline });
        for (name, value) in call.headers {
            request = request.header(*name, value);
        }
        let sent = self.0.wire.send(request.body(call.body.to_owned()));
        let answer = tokio::time::timeout(call.deadline, sent).await.map_err(|_| late())??;
        let status = answer.status();
        let is_stream = answer
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.starts_with("text/event-stream"));
        let (status, body) = match call.heard {
            Some(heard) if is_stream => told(answer, call.deadline, heard).await?,
            Some(_) | None => (status, read(answer, ANSWER_LIMIT).await?),
        };
        // Errors of MCP itself have a JSON-RPC body; what the control plane refuses before MCP has one of its own.
        if !status.is_success()
            && let fault @ OrgFault::Refused { .. } = refused(status, &body)
        {
            if fault.ends_session() {
                self.0.lost(&session);
            }
            return Err(fault);
        }
        Ok(BrokerAnswer { status: status.as_u16(), body })
    }
}
