//! Hands calls with shared accounts over to the control plane, which decides again and makes them.

use std::time::Duration;

use connector::{Broker, BrokerFault, Caller};
use mcp::connector::{FromConnector, Outgoing, call_tool_alone, read_alone};
use mcp::{CallParams, LogLevel};
use model::{Advice, BoxFuture, CallId, CredentialId, ForPerson as _, ToolName, TraceParent};
use org::{BrokeredCall, Org, OrgFault};
use org_protocol::{BROKER_FORMAT, BrokerContext};
use policy::Permit;
use upstream::{Answer, Authority, Ear, LogWish};

pub(crate) struct OrgBroker(pub(crate) Org);

impl Broker for OrgBroker {
    fn call<'a>(
        &'a self,
        authority: Authority<'a>,
        credential: &'a CredentialId,
        params: &'a CallParams<'a>,
        caller: Caller<'a>,
        deadline: Duration,
        ear: Option<&'a Ear>,
    ) -> BoxFuture<'a, Result<Answer, BrokerFault>> {
        Box::pin(async move {
            let permit = authority.permit();
            let tool = permitted(authority, params)?;
            let context = BrokerContext {
                format: BROKER_FORMAT,
                call: permit.call(),
                server: permit.server().clone(),
                policy: permit.version().digest,
                client_id: caller.client_id.to_owned(),
                client_name: caller.client_name.to_owned(),
                program: caller.program.map(ToOwned::to_owned),
                approval: permit.approval().map(|approved| approved.proof().clone()),
            };
            let (progress, log) =
                ear.map_or((false, None), |ear| (ear.wants().progress, level(&ear.wants().log)));
            let Outgoing { headers, body, .. } =
                call_tool_alone(params, tool.as_str(), env!("CARGO_PKG_VERSION"), progress, log);
            let heard = |message: &[u8]| hear(ear, message);
            let call = BrokeredCall {
                connector: permit.connector(),
                subject: caller.subject,
                context: &context,
                headers: &headers,
                body: &body,
                trace: trace(params, permit.call()),
                deadline,
                heard: (progress || log.is_some()).then_some(&heard),
            };
            let answer = self.0.broker(call).await.map_err(|fault| refused(&fault))?;
            tracing::debug!(call = %permit.call(), %credential, status = answer.status, "the control plane answered");
            read_alone(&answer.body).map_err(|fault| refused(&OrgFault::Unusable(fault.to_string())))
        })
    }
}

/// The assistant's own trace where it says one, else the call's, which whoever has its records finds. Whether it is told is
/// decided where the organisation tells traces.
fn trace(params: &CallParams<'_>, call: CallId) -> TraceParent {
    params.trace_parent().map_or_else(|| TraceParent::of_call(call), TraceParent::sampled)
}

/// From which level on log messages are asked for.
fn level(wish: &LogWish) -> Option<LogLevel> {
    match wish {
        LogWish::Nothing => None,
        LogWish::Whatever => Some(LogLevel::Debug),
        LogWish::From(level) => Some(*level),
    }
}

/// Passes on what the connector tells while the call is under way.
fn hear(ear: Option<&Ear>, message: &[u8]) {
    if let (Some(ear), Ok(FromConnector::Notice(notice))) = (ear, FromConnector::parse(message)) {
        ear.tell(notice);
    }
}

pub(super) fn refused(fault: &OrgFault) -> BrokerFault {
    let advice = fault.advice();
    let away = matches!(fault, OrgFault::NoSession | OrgFault::NotReached(_) | OrgFault::Certificate(_))
        || fault.ends_session();
    if away {
        BrokerFault::Unavailable(advice)
    } else if fault.before_effect() {
        BrokerFault::Refused(advice)
    } else {
        BrokerFault::Failed(advice)
    }
}

/// The tool, if it is a tool's call that was permitted, and this one.
fn permitted<'a>(authority: Authority<'a>, params: &CallParams<'_>) -> Result<&'a ToolName, BrokerFault> {
    let permit = authority.permit();
    let tool = permit.tool().ok_or_else(|| BrokerFault::Refused(tools_only(permit)))?;
    if authority.covers(params) { Ok(tool) } else { Err(BrokerFault::Refused(not_permitted())) }
}

/// The control plane makes calls of tools and nothing else.
fn tools_only(permit: &Permit) -> Advice {
    Advice::new(
        "tools-only",
        format!("{} was not asked for a {}.", permit.connector(), permit.aim().kind()),
        "Shared accounts of the organisation are used for tools only.",
        "",
    )
}

fn not_permitted() -> Advice {
    Advice::new("not-permitted", "The call is not the one that was permitted.", "", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a shared account was permitted for, with the intent of it on disk.
    async fn decided(journal: &audit::Journal, target: policy::Target<'_>) -> (Permit, audit::Intent) {
        let connectors = serde_json::from_str(
            r#"{"warehouse": {"title": "W", "url": "https://w.example/mcp",
                "credential": {"kind": "brokered", "credentials": ["analyst"]}}}"#,
        );
        let policy = policy::Policy::compile(policy::PolicyInput {
            version: policy::PolicyVersion { label: "1".to_owned(), digest: model::Digest::of(b"1") },
            connectors: &connectors.unwrap(),
            servers: &serde_json::from_str(r#"{"desk": {"title": "D", "connectors": ["warehouse"]}}"#)
                .unwrap(),
            tools: &serde_json::from_str(r#"{"warehouse": [{"name": "query"}]}"#).unwrap(),
            claims: &std::collections::BTreeMap::new(),
            payload: &org_protocol::PayloadSettings::default(),
            limits: &[],
            policies: &[("p".to_owned(), policy::PERSONAL.to_owned())].into(),
        });
        let subject = model::Subject::local("ann");
        let (server, connector) = ("desk".parse().unwrap(), "warehouse".parse().unwrap());
        let permit = policy.unwrap().decide(&policy::Question {
            call: CallId::new(),
            subject: &subject,
            server: &server,
            connector: &connector,
            target,
            circumstance: &policy::Circumstance::of_nobody(model::Timestamp::from_seconds(0)),
        });
        let permit = permit.unwrap();
        let intent = audit::IntentRecord {
            call: permit.call(),
            subject,
            server: permit.server().clone(),
            connector: permit.connector().clone(),
            effect: audit::Effect::tool_call("query"),
            client_id: String::new(),
            client_name: String::new(),
            process: None,
            policy: audit::PolicyReference { label: "1".to_owned(), digest: permit.version().digest },
            rules: Vec::new(),
            observed: Vec::new(),
            approval: None,
            credential: "shared:analyst".to_owned(),
            arguments: journal.summary("{}", false),
            payload: Vec::new(),
        };
        (permit, journal.intent(intent).await.unwrap())
    }

    #[tokio::test]
    async fn only_calls_of_tools_are_handed_over() {
        let folder = tempfile::tempdir().unwrap();
        let config =
            audit::JournalConfig::new(folder.path().join("journal"), model::DeviceId::new(), [7; 32]);
        let (journal, _) = audit::Journal::open(config, std::sync::Arc::new(os::SystemClock)).unwrap();
        let raw = mcp::raw(&serde_json::json!({"name": "query", "arguments": {}}));
        let params = CallParams::read(mcp::Method::CallTool, mcp::RawObject::parse(&raw).unwrap()).unwrap();
        let name = "query".parse().unwrap();
        for (target, expected) in [
            (policy::Target::Tool { name: &name, arguments: "{}" }, None),
            (policy::Target::Tool { name: &name, arguments: "[]" }, Some("not-permitted")),
            (policy::Target::Resource { uri: "{}" }, Some("tools-only")),
            (policy::Target::Prompt { name: "query", arguments: "{}" }, Some("tools-only")),
        ] {
            let (permit, intent) = decided(&journal, target).await;
            let authority = Authority::new(&permit, &intent).unwrap();
            let code = match permitted(authority, &params) {
                Ok(tool) => {
                    assert_eq!(tool, &name);
                    None
                }
                Err(BrokerFault::Refused(advice)) => Some(advice.code),
                Err(fault) => panic!("{fault:?}"),
            };
            assert_eq!(code.as_deref(), expected, "{target:?}");
        }
    }

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
