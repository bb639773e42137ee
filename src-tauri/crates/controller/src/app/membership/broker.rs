//! Hands calls with shared accounts over to the control plane, which decides again and makes them.

use std::time::Duration;

use connector::{Broker, BrokerFault, Caller};
use mcp::CallParams;
use mcp::connector::{Outgoing, call_tool_alone, read_alone};
use model::{Advice, BoxFuture, CredentialId, ForPerson as _};
use org::{BrokeredCall, Org, OrgFault};
use org_protocol::{BROKER_FORMAT, BrokerContext};
use policy::Permit;
use upstream::{Answer, Authority};

pub(crate) struct OrgBroker(pub(crate) Org);

impl Broker for OrgBroker {
    fn call<'a>(
        &'a self,
        authority: Authority<'a>,
        credential: &'a CredentialId,
        params: &'a CallParams<'a>,
        caller: Caller<'a>,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Answer, BrokerFault>> {
        Box::pin(async move {
            let permit = authority.permit();
            let Some(tool) = permit.tool() else { return Err(BrokerFault::Refused(tools_only(permit))) };
            if !authority.covers(params) {
                return Err(BrokerFault::Refused(not_permitted()));
            }
            let context = BrokerContext {
                format: BROKER_FORMAT,
                call: permit.call(),
                server: permit.server().clone(),
                policy: permit.version().digest,
                client_id: caller.client_id.to_owned(),
                client_name: caller.client_name.to_owned(),
            };
            let Outgoing { headers, body, .. } =
                call_tool_alone(params, tool.as_str(), env!("CARGO_PKG_VERSION"));
            let call = BrokeredCall {
                connector: permit.connector(),
                subject: caller.subject,
                context: &context,
                headers: &headers,
                body: &body,
                deadline,
            };
            let answer = self.0.broker(call).await.map_err(|fault| refused(&fault))?;
            tracing::debug!(call = %permit.call(), %credential, status = answer.status, "the control plane answered");
            read_alone(&answer.body).map_err(|fault| refused(&OrgFault::Unusable(fault.to_string())))
        })
    }
}

fn refused(fault: &OrgFault) -> BrokerFault {
    let advice = fault.advice();
    let away = matches!(fault, OrgFault::NoSession | OrgFault::NotReached(_)) || fault.ends_session();
    if away {
        BrokerFault::Unavailable(advice)
    } else if fault.before_effect() {
        BrokerFault::Refused(advice)
    } else {
        BrokerFault::Failed(advice)
    }
}

/// The control plane makes calls of tools and nothing else.
fn tools_only(permit: &Permit) -> Advice {
    Advice::new(
        "tools-only",
        format!("A {} of {} was not asked for.", permit.aim().kind(), permit.connector()),
        "The organisation makes calls with shared accounts, and only of tools.",
        "",
    )
}

fn not_permitted() -> Advice {
    Advice::new("not-permitted", "The call is not the one that was permitted.", "", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_happened_is_never_called_a_refusal() {
        let refusal = |status| OrgFault::Refused {
            status,
            advice: Advice::new("policy-forbids", "Policy forbids this.", "", ""),
        };
        assert!(matches!(refused(&OrgFault::NoSession), BrokerFault::Unavailable(_)));
        assert!(matches!(refused(&OrgFault::NotReached(String::new())), BrokerFault::Unavailable(_)));
        assert!(matches!(refused(&refusal(403)), BrokerFault::Refused(_)));
        assert!(matches!(refused(&refusal(502)), BrokerFault::Failed(_)));
        assert!(matches!(refused(&OrgFault::Unreachable(String::new())), BrokerFault::Failed(_)));
    }
}
