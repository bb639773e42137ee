//! One call, from the checked request to the reply. The steps are those of ARCHITECTURE.md.

use std::sync::Arc;
use std::time::Duration;

use audit::{
    ArgumentSummary, DenialRecord, IntentRecord, JournalFault, Outcome, OutcomeStatus, PolicyReference,
};
use axum::http::HeaderMap;
use connector::{AccountFault, CallFault};
use issuer::AccessGrant;
use mcp::assistant::Dialect;
use mcp::{CallParams, RawObject, RpcError};
use model::{Advice, CallId, ForPerson as _, Timestamp, ToolName};
use policy::{
    Circumstance, CredentialChoice, Denial, DenialKind, Permit, Policy, PolicyVersion, Question, Target,
};
use serde_json::value::RawValue;
use upstream::Answer;

use crate::effect::{Caused, Effect, is_error};
use crate::gate::Gate;
use crate::observe::{CallEnd, Observation};
use crate::snapshot::{Offered, Snapshot};
use crate::voice::Voice;

/// How a call is answered.
pub(crate) enum Reply {
    /// The connector's result, or one of the gateway's that says why there is none.
    Result(Box<RawValue>),
    /// The connector's error object.
    ConnectorError(Box<RawValue>),
    /// The request contradicts itself, or more is under way than is taken.
    Refused(RpcError),
    /// There is no result; why, in words.
    Failed(String),
    /// No tool of this name is offered to this person; a forbidden one looks the same.
    UnknownTool,
}

/// One call under way.
struct Call<'a> {
    id: CallId,
    grant: &'a AccessGrant,
    snapshot: &'a Snapshot,
    params: &'a CallParams<'a>,
    circumstance: Circumstance,
}

/// Looks up, decides, records, calls and records again.
pub(crate) async fn call_tool(
    gate: &Arc<Gate>,
    grant: &Arc<AccessGrant>,
    params: &CallParams<'_>,
    voice: &Voice,
    headers: Option<&HeaderMap>,
) -> Reply {
    let dialect = voice.dialect;
    let snapshot = match known(gate, grant, params).await {
        Ok(snapshot) => snapshot,
        Err(advice) => {
            let snapshot = gate.snapshots.current();
            return Call::new(gate, grant, params, &snapshot).undiscovered(gate, &advice).await;
        }
    };
    let call = Call::new(gate, grant, params, &snapshot);
    let offered = snapshot.servers.get(&grant.server).and_then(|view| view.tool(params.name()));
    let Some(offered) = offered.filter(|offered| offered.entry.fits(dialect)) else {
        return call.unknown(gate).await;
    };
    if gate.switch.is_paused() {
        return call.paused(gate, offered).await;
    }
    let permit = match call.policy().decide(&call.question(offered)) {
        Ok(permit) => permit,
        Err(denial) => return call.denied(gate, offered, &denial).await,
    };
    // Only whoever may call the tool learns what its headers have to say.
    if let (true, Some(headers), Ok(mirrored)) = (dialect.is_stateless(), headers, &offered.entry.mirrored)
        && let Err(error) = mirrored.check(headers, params.arguments())
    {
        return call.refused(gate, offered, "headers", error).await;
    }
    let waiting = match gate.parked.take(grant, params).transpose() {
        Ok(waiting) => waiting,
        Err(error) => return call.refused(gate, offered, "request-state", error).await,
    };
    let arguments = gate.journal.summary(params.arguments(), snapshot.capture_arguments);
    let names = argument_names(&arguments);
    let intent = match gate.journal.intent(call.intent(&permit, arguments)).await {
        Ok(intent) => intent,
        Err(fault) => return unrecorded(&fault),
    };
    call.tell_decided(gate, Some(offered), &permit_rules(&permit), credential(&permit), names, None);

    let begun = gate.clock.boot_time();
    let effect = Effect { gate, grant, params, voice };
    let caused = effect.cause(permit, &intent, waiting).await;
    let took = gate.clock.boot_time().saturating_sub(begun);

    let (outcome, end) = outcome(&caused, &offered.connector_title, took);
    if let Err(fault) = gate.journal.outcome(intent, outcome) {
        tracing::error!(%fault, call = %call.id, "the outcome of a call could not be recorded");
    }
    gate.observer.observe(Observation::Ended { call: call.id, end, took });
    match caused {
        Caused::Answered(Ok(Ok(result))) | Caused::Required(result) => Reply::Result(result),
        Caused::Answered(Ok(Err(error))) => Reply::ConnectorError(error),
        Caused::Answered(Err(fault)) => failed(&fault.advice(&offered.connector_title)),
        Caused::Unasked(why) => failed(&unasked(&offered.connector_title, &why)),
        Caused::Refused(error) => Reply::Refused(error),
    }
}

/// The tools that this person may use, at least with some arguments.
pub(crate) fn listed<'s>(
    gate: &Gate,
    snapshot: &'s Snapshot,
    grant: &AccessGrant,
    dialect: Dialect,
) -> Vec<&'s Offered> {
    let Some(view) = snapshot.servers.get(&grant.server) else { return Vec::new() };
    let circumstance = circumstance(gate, grant);
    let policy = snapshot.policy_at(circumstance.now);
    let listed = policy.listed(&grant.subject, &grant.server, &circumstance);
    let listed: std::collections::HashSet<_> = listed.into_iter().collect();
    view.tools()
        .iter()
        .filter(|offered| offered.entry.fits(dialect))
        .filter(|offered| listed.contains(&(offered.connector.clone(), offered.tool.clone())))
        .collect()
}

fn circumstance(gate: &Gate, grant: &AccessGrant) -> Circumstance {
    Circumstance {
        now: gate.clock.now(),
        client_id: grant.client_id.clone(),
        client_name: grant.client_name.clone(),
        device: Some(gate.config.device),
    }
}

/// The snapshot in force, after asking for the sign-in that would make the tool known.
async fn known(gate: &Gate, grant: &AccessGrant, params: &CallParams<'_>) -> Result<Arc<Snapshot>, Advice> {
    let snapshot = gate.snapshots.current();
    let is_known = |snapshot: &Snapshot| {
        snapshot.servers.get(&grant.server).is_some_and(|view| view.tool(params.name()).is_some())
    };
    if is_known(&snapshot) || gate.switch.is_paused() || !gate.discovery.discover(&grant.server).await? {
        return Ok(snapshot);
    }
    Ok(gate.snapshots.current())
}

impl<'a> Call<'a> {
    fn new(gate: &Gate, grant: &'a AccessGrant, params: &'a CallParams<'a>, snapshot: &'a Snapshot) -> Self {
        Self { id: CallId::new(), grant, snapshot, params, circumstance: circumstance(gate, grant) }
    }

    fn question(&'a self, offered: &'a Offered) -> Question<'a> {
        Question {
            call: self.id,
            subject: &self.grant.subject,
            server: &self.grant.server,
            connector: &offered.connector,
            target: Target::Tool { name: &offered.tool, arguments: self.params.arguments() },
            circumstance: &self.circumstance,
        }
    }

    fn intent(&self, permit: &Permit, arguments: ArgumentSummary) -> IntentRecord {
        IntentRecord {
            call: self.id,
            subject: self.grant.subject.as_ref().clone(),
            server: self.grant.server.clone(),
            connector: permit.connector().clone(),
            effect: audit::Effect::tool_call(
                permit.tool().map_or_else(|| self.params.name(), ToolName::as_str),
            ),
            client_id: self.grant.client_id.clone(),
            client_name: self.grant.client_name.clone(),
            process: None,
            policy: reference(permit.version()),
            rules: permit_rules(permit),
            credential: credential(permit),
            arguments,
        }
    }

    /// A tool that does not exist, or not for this person: both answer alike.
    async fn unknown(&self, gate: &Gate) -> Reply {
        let record =
            self.denial(None, Vec::new(), "not-listed", "No tool of this name is offered.".to_owned());
        match self.record_denial(gate, None, record).await {
            Ok(()) => Reply::UnknownTool,
            Err(fault) => unrecorded(&fault),
        }
    }

    /// The tool may exist behind a sign-in that did not happen.
    async fn undiscovered(&self, gate: &Gate, advice: &Advice) -> Reply {
        let record = self.denial(None, Vec::new(), "sign-in-needed", advice.happened.clone());
        match self.record_denial(gate, None, record).await {
            Ok(()) => failed(advice),
            Err(fault) => unrecorded(&fault),
        }
    }

    /// Somebody on the way may have let the request pass for what its headers say; or it goes on with what is not its own.
    async fn refused(&self, gate: &Gate, offered: &Offered, kind: &str, error: RpcError) -> Reply {
        let record = self.denial(Some(offered), Vec::new(), kind, error.message.clone());
        match self.record_denial(gate, Some(offered), record).await {
            Ok(()) => Reply::Refused(error),
            Err(fault) => unrecorded(&fault),
        }
    }

    async fn paused(&self, gate: &Gate, offered: &Offered) -> Reply {
        let advice = Advice::new(
            "paused",
            "Deskgate is paused.",
            "No call is made until the person at this computer resumes it.",
            "",
        );
        let record = self.denial(Some(offered), Vec::new(), "paused", advice.happened.clone());
        match self.record_denial(gate, Some(offered), record).await {
            Ok(()) => failed(&advice),
            Err(fault) => unrecorded(&fault),
        }
    }

    /// A denial that hangs on the arguments says so; one that does not looks like a tool that does not exist.
    async fn denied(&self, gate: &Gate, offered: &Offered, denial: &Denial) -> Reply {
        let rules = denial.rules().iter().map(ToString::to_string).collect();
        let record = self.denial(Some(offered), rules, kind(denial.kind()), denial.advice().to_string());
        if let Err(fault) = self.record_denial(gate, Some(offered), record).await {
            return unrecorded(&fault);
        }
        if denial.is_hidden() { Reply::UnknownTool } else { Reply::Failed(denial.outside_text()) }
    }

    fn denial(
        &self,
        offered: Option<&Offered>,
        rules: Vec<String>,
        kind: &str,
        reason: String,
    ) -> DenialRecord {
        DenialRecord {
            call: self.id,
            subject: self.grant.subject.as_ref().clone(),
            server: self.grant.server.clone(),
            connector: offered.map(|offered| offered.connector.clone()),
            effect: audit::Effect::tool_call(self.params.name()),
            client_id: self.grant.client_id.clone(),
            client_name: self.grant.client_name.clone(),
            process: None,
            policy: reference(self.policy().version()),
            rules,
            kind: kind.to_owned(),
            reason,
            arguments: None,
        }
    }

    async fn record_denial(
        &self,
        gate: &Gate,
        offered: Option<&Offered>,
        mut record: DenialRecord,
    ) -> Result<(), JournalFault> {
        let arguments = gate.journal.summary(self.params.arguments(), self.snapshot.capture_arguments);
        let names = argument_names(&arguments);
        let (rules, reason) = (record.rules.clone(), record.reason.clone());
        record.arguments = Some(arguments);
        gate.journal.denial(record).await?;
        self.tell_decided(gate, offered, &rules, String::new(), names, Some(reason));
        Ok(())
    }

    fn tell_decided(
        &self,
        gate: &Gate,
        offered: Option<&Offered>,
        rules: &[String],
        credential: String,
        arguments: Vec<String>,
        denied: Option<String>,
    ) {
        gate.observer.observe(Observation::Decided {
            call: self.id,
            at: self.at(),
            client_id: self.grant.client_id.clone(),
            client_name: self.grant.client_name.clone(),
            server: self.grant.server.clone(),
            connector: offered.map(|offered| offered.connector.clone()),
            effect: Box::new(audit::Effect::tool_call(self.params.name())),
            rules: rules.to_vec(),
            policy: self.policy().version().label.clone(),
            credential,
            arguments,
            denied,
        });
    }

    fn at(&self) -> Timestamp {
        self.circumstance.now
    }

    fn policy(&self) -> &Arc<Policy> {
        self.snapshot.policy_at(self.circumstance.now)
    }
}

fn outcome(caused: &Caused, title: &str, took: Duration) -> (Outcome, CallEnd) {
    let (mut outcome, end) = match caused {
        Caused::Answered(answer) => answered(answer, title),
        Caused::Required(_) => (Outcome::new(OutcomeStatus::InputRequired), CallEnd::Done),
        Caused::Unasked(why) => {
            let advice = unasked(title, why);
            let end = CallEnd::Failed { reason: advice.to_string() };
            (Outcome::new(OutcomeStatus::Failed).with_code(advice.code), end)
        }
        Caused::Refused(error) => {
            let end = CallEnd::Failed { reason: error.message.clone() };
            (Outcome::new(OutcomeStatus::Failed).with_code(format!("rpc-error {}", error.code)), end)
        }
    };
    outcome.duration_micros = u64::try_from(took.as_micros()).ok();
    outcome.response_bytes = match caused {
        Caused::Answered(Ok(Ok(value) | Err(value))) | Caused::Required(value) => {
            u64::try_from(value.get().len()).ok()
        }
        Caused::Answered(Err(_)) | Caused::Unasked(_) | Caused::Refused(_) => None,
    };
    (outcome, end)
}

fn answered(answer: &Result<Answer, CallFault>, title: &str) -> (Outcome, CallEnd) {
    match answer {
        Ok(Ok(result)) => {
            let failed = is_error(result);
            let status = if failed { OutcomeStatus::ToolError } else { OutcomeStatus::Ok };
            (Outcome::new(status), if failed { CallEnd::ToolError } else { CallEnd::Done })
        }
        Ok(Err(error)) => {
            let code = RawObject::parse(error).and_then(|object| object.read::<i64>("code"));
            let text = code.map_or_else(|| "rpc-error".to_owned(), |code| format!("rpc-error {code}"));
            (Outcome::new(OutcomeStatus::Failed).with_code(text), CallEnd::ToolError)
        }
        Err(fault) => {
            let advice = fault.advice(title);
            let status = if fault.before_effect() { OutcomeStatus::Failed } else { OutcomeStatus::Unknown };
            let end = match fault {
                CallFault::Account(AccountFault::SignInNeeded(_)) => CallEnd::SignInNeeded,
                CallFault::Unknown(_)
                | CallFault::Account(AccountFault::Failed(_))
                | CallFault::Upstream(_)
                | CallFault::Resting { .. }
                | CallFault::Broker(_)
                | CallFault::Credential => CallEnd::Failed { reason: advice.to_string() },
            };
            (Outcome::new(status).with_code(advice.code), end)
        }
    }
}

/// The words for a connector that cannot go on without the assistant's answers.
fn unasked(title: &str, why: &str) -> Advice {
    Advice::new("connector-unanswered", format!("{title} needs an answer to go on: {why}."), "", "")
}

fn permit_rules(permit: &Permit) -> Vec<String> {
    permit.rules().iter().map(ToString::to_string).collect()
}

/// The credential's reference, never the secret.
fn credential(permit: &Permit) -> String {
    match permit.credential() {
        CredentialChoice::None => String::new(),
        CredentialChoice::UserOauth => "user".to_owned(),
        CredentialChoice::Shared(credential) => format!("shared:{credential}"),
    }
}

/// The kind of denial, as the journal has it.
fn kind(kind: DenialKind) -> &'static str {
    match kind {
        DenialKind::NotListed => "not-listed",
        DenialKind::NoPermit => "no-permit",
        DenialKind::Forbidden => "forbidden",
        DenialKind::Error => "evaluation-error",
        DenialKind::DenyAll => "deny-all",
        DenialKind::Arguments => "arguments",
    }
}

fn reference(version: &PolicyVersion) -> PolicyReference {
    PolicyReference { label: version.label.clone(), digest: version.digest }
}

fn argument_names(summary: &ArgumentSummary) -> Vec<String> {
    summary.arguments.iter().map(|argument| format!("{}: {}", argument.path, argument.kind.name())).collect()
}

fn unrecorded(fault: &JournalFault) -> Reply {
    tracing::error!(%fault, "a call was refused because it could not be recorded");
    failed(&fault.advice())
}

fn failed(advice: &Advice) -> Reply {
    Reply::Failed(advice.to_string())
}
