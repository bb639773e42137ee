//! A brokered call as spans (OpenTelemetry, "Semantic conventions for Model Context Protocol", client). Names of tools, connectors and
//! credentials are in them; arguments, answers and people are not.

use mcp::CallParams;
use model::{CredentialId, ForPerson as _};
use opentelemetry::trace::SpanKind;
use org_protocol::ConnectorSpec;
use policy::{Approved, Denial, Passed, Permit, Policy, Question};
use serde::Deserialize;
use upstream::{Answer, UpstreamFault};

use super::call::Asked;
use super::fault::BrokerFault;
use crate::trace::{Span, whose};

/// The whole of a call.
pub(super) fn call(asked: &Asked<'_>) -> Span {
    let span = part("brokered call");
    // By it the trace is found also where it is the assistant's own.
    span.set("deskgate.call.id", asked.context.call.to_string());
    span.set("deskgate.connector", asked.connector.to_string());
    span.set("deskgate.server", asked.context.server.to_string());
    span.set("deskgate.policy", asked.policy.version().digest.to_string());
    span
}

/// A part of it that happens here.
pub(super) fn part(name: &'static str) -> Span {
    Span::part(name, SpanKind::Internal)
}

/// Asks policy.
pub(super) fn decided(
    policy: &Policy,
    question: &Question<'_>,
    passed: &Passed,
    approved: Option<&Approved>,
) -> Result<Permit, Denial> {
    let span = part("decide");
    let decided = policy.decide_screened(question, passed, approved);
    let (decision, kind) = match &decided {
        Ok(_) => ("permit", None),
        Err(denial) => ("denial", Some(denial.kind().as_str())),
    };
    span.set("deskgate.decision", decision);
    if let Some(kind) = kind {
        span.set("deskgate.denial", kind);
    }
    decided
}

/// Opens or fetches the secret.
pub(super) fn credential(id: &CredentialId) -> Span {
    let span = part("credential");
    span.set("deskgate.credential", id.to_string());
    span
}

/// Asks the connector.
pub(super) fn connector(spec: &ConnectorSpec, params: &CallParams<'_>) -> Span {
    let (method, tool) = ("tools/call", params.name().to_owned());
    let span = Span::part(format!("{method} {tool}"), SpanKind::Client);
    span.set("mcp.method.name", method);
    span.set("gen_ai.operation.name", "execute_tool");
    span.set("gen_ai.tool.name", tool);
    match &spec.url {
        Some(url) => {
            span.set("network.transport", "tcp");
            whose(&span, url);
        }
        None => span.set("network.transport", "pipe"),
    }
    span
}

/// Says how the connector answered.
pub(super) fn answered(span: &Span, answer: &Result<Answer, UpstreamFault>) {
    match answer {
        Ok(Ok(result)) if mcp::is_tool_error(result) => span.fail("tool_error"),
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            // The code alone: its words are the connector's own.
            let code = serde_json::from_str(error.get()).map_or(0, |Coded { code }| code);
            span.set("rpc.response.status_code", code.to_string());
            span.fail(code.to_string());
        }
        Err(fault) => span.fail(kind(fault)),
    }
}

#[derive(Deserialize)]
struct Coded {
    code: i64,
}

fn kind(fault: &UpstreamFault) -> &'static str {
    match fault {
        UpstreamFault::Start { .. } | UpstreamFault::Sealed { .. } => "start",
        UpstreamFault::Ended => "ended",
        UpstreamFault::Deadline => "timeout",
        UpstreamFault::Unreachable(_) => "unreachable",
        UpstreamFault::Unauthorized { .. } => "unauthorized",
        UpstreamFault::SessionGone => "session_gone",
        UpstreamFault::InsufficientScope { .. } => "insufficient_scope",
        UpstreamFault::Status(_) => "status",
        UpstreamFault::Refused { .. } => "refused",
        UpstreamFault::TooLarge => "too_large",
        UpstreamFault::Unusable(_) => "unusable",
        UpstreamFault::NotPermitted => "not_permitted",
    }
}

/// Says why a call has no answer, by the code that its device is told.
pub(super) fn failed(span: &Span, answer: &Result<Answer, BrokerFault>) {
    if let Err(fault) = answer {
        span.fail(fault.advice().code);
    }
}
