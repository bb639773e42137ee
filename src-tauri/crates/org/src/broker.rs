//! Brokered calls: MCP 2026-07-28 requests, passed through as they are; the control plane decides again and makes them.

use std::time::Duration;

use bytes::Bytes;
use model::{ConnectorId, Subject};
use org_protocol::{BROKER_CONTEXT_HEADER, BrokerContext, broker_path};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use crate::wire::{read, refused};
use crate::{Org, OrgFault};

/// The largest answer, in bytes: the largest message of a connector, and its wrapping.
const ANSWER_LIMIT: usize = 17 * 1024 * 1024;

/// A call to be made by the control plane.
#[derive(Debug, Clone, Copy)]
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
    /// How long the answer may take.
    pub deadline: Duration,
}

/// The control plane's answer, as it came: one JSON-RPC response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
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
            .proved(Method::POST, &path, &key, Some(&session.token), now)?
            .header(CONTENT_TYPE, "application/json")
            .header("accept", "application/json, text/event-stream")
            .header(BROKER_CONTEXT_HEADER, call.context.to_header())
            .timeout(call.deadline);
        for (name, value) in call.headers {
            request = request.header(*name, value);
        }
        let answer = request.body(call.body.to_owned()).send().await?;
        let status = answer.status();
        let body = read(answer, ANSWER_LIMIT).await?;
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
