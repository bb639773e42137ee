//! What accompanies a brokered call: an MCP 2026-07-28 request to the control plane, which decides again and makes it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{CallId, ConnectorId, Digest, ServerId};
use serde::{Deserialize, Serialize};

use crate::approval::ApprovalProof;

/// The format version of [`BrokerContext`].
pub const BROKER_FORMAT: u32 = 1;
/// The header that carries a [`BrokerContext`].
pub const BROKER_CONTEXT_HEADER: &str = "deskgate-context";
/// The header that says which trace the call is a part of (W3C Trace Context, section 3.2): the assistant's own, or the call's.
pub const TRACE_PARENT_HEADER: &str = "traceparent";
/// The last event of an answer that is told of beforehand (`text/event-stream`): the JSON-RPC response. Events without a name before
/// it are JSON-RPC notifications.
pub const BROKER_ANSWER_EVENT: &str = "answer";
/// The last event where the call failed after something was told: `status`, and as `body` what the answer would have been.
pub const BROKER_FAULT_EVENT: &str = "fault";
/// The longest header, in characters.
const CONTEXT_LIMIT: usize = 8192;

/// What the device says about a call. None of it is taken for identity: who calls follows from the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerContext {
    /// The format version: [`BROKER_FORMAT`].
    pub format: u32,
    /// The call, as in the device's own audit record: both records carry it.
    pub call: CallId,
    /// The virtual server that the assistant used.
    pub server: ServerId,
    /// The digest of the bundle by which the device decided.
    pub policy: Digest,
    /// The assistant's client identifier, as the device knows it.
    pub client_id: String,
    /// The assistant's name, as it claims.
    pub client_name: String,
    /// The full path of the assistant's program, where the device could tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// The person's leave, where the device's policy asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalProof>,
}

/// Why a header is no context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContextFault {
    /// Not base64url, not JSON, too long, or with a key that is not understood.
    #[error("the call's context cannot be read")]
    Unreadable,
    /// A format version that is not known here.
    #[error("the call's context has format {0}")]
    Format(u32),
}

impl BrokerContext {
    /// The header's value: JSON in base64url, since names have characters that headers have not.
    pub fn to_header(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads the header's value.
    ///
    /// # Errors
    /// [`ContextFault`].
    pub fn from_header(value: &str) -> Result<Self, ContextFault> {
        if value.len() > CONTEXT_LIMIT {
            return Err(ContextFault::Unreadable);
        }
        let json = URL_SAFE_NO_PAD.decode(value).map_err(|_| ContextFault::Unreadable)?;
        let context: Self = serde_json::from_slice(&json).map_err(|_| ContextFault::Unreadable)?;
        if context.format == BROKER_FORMAT { Ok(context) } else { Err(ContextFault::Format(context.format)) }
    }
}

/// Where calls to a connector go, relative to the configuration URL.
pub fn broker_path(connector: &ConnectorId) -> String {
    format!("v1/broker/{connector}/mcp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_read_back_and_its_format_is_checked() {
        let context = BrokerContext {
            format: BROKER_FORMAT,
            call: CallId::new(),
            server: "analyst".parse().expect("an id"),
            policy: Digest::of(b"bundle"),
            client_id: "c".to_owned(),
            client_name: "Zoë’s assistant".to_owned(),
            program: Some("/usr/bin/assistant".to_owned()),
            approval: None,
        };
        assert_eq!(BrokerContext::from_header(&context.to_header()), Ok(context.clone()));
        let newer = BrokerContext { format: 2, ..context };
        assert_eq!(BrokerContext::from_header(&newer.to_header()), Err(ContextFault::Format(2)));
        assert_eq!(BrokerContext::from_header("e30"), Err(ContextFault::Unreadable));
        assert_eq!(BrokerContext::from_header(&"A".repeat(9000)), Err(ContextFault::Unreadable));
    }
}
