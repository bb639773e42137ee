//! One call, from the checked request to the reply. The steps are those of ARCHITECTURE.md.

use std::collections::HashSet;
use std::sync::Arc;

use audit::{ApprovalRecord, ArgumentSummary, DenialRecord, IntentRecord, JournalFault};
use axum::http::HeaderMap;
use issuer::AccessGrant;
use mcp::assistant::Dialect;
use mcp::{CallParams, Method, RpcError, Target};
use model::{AccountId, Advice, CallId, ForPerson as _, Timestamp};
use org_protocol::{PayloadDirection, PayloadFinding};
use policy::{
    Circumstance, Denial, LIMIT_EXCEEDED, PAYLOAD_BLOCKED, Passed, Permit, Policy, Question, Reach, RuleId,
    recorded as recorded_findings,
};
use serde_json::value::RawValue;

use crate::approval::Leave;
use crate::effect::{Caused, Causing};
use crate::gate::Gate;
use crate::limits::too_large;
use crate::observe::Observation;
use crate::parked::Waiting;
use crate::payload::{Censor, Heard, heard, look, withheld};
use crate::record::{broken_off, credential, outcome, rule_names, unasked};
use crate::snapshot::{Offered, Snapshot};
use crate::tasks::Task;
use crate::voice::Voice;
use crate::wanted::{Wanted, recorded};

/// What assistants that hear of progress are told while a sign-in is waited for.
const SIGN_IN: &str = "Waiting for you to sign in.";
/// Why a call is broken off whose person has left.
const SIGNED_OUT: &str = "The person for whom it was made is not signed in any more.";

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
    /// No such thing is offered to this person; what is forbidden looks the same.
    Unknown,
}

/// One call under way.
pub(crate) struct Call<'a> {
    pub(crate) id: CallId,
    pub(crate) grant: &'a AccessGrant,
    snapshot: &'a Snapshot,
    pub(crate) params: &'a CallParams<'a>,
    circumstance: Circumstance,
    /// What payload rules found in what the assistant sent.
    found: Vec<PayloadFinding>,
}

/// Looks up, decides, records, calls and records again.
pub(crate) async fn call(
    gate: &Arc<Gate>,
    grant: &Arc<AccessGrant>,
    params: &CallParams<'_>,
    voice: &Voice,
    headers: Option<&HeaderMap>,
) -> Reply {
    if params.method().is_of_tasks() && !voice.knows_tasks() {
        return Reply::Refused(RpcError::missing_tasks());
    }
    let task = match params.target() {
        Target::Task(id) => gate.tasks.find(grant, id),
        Target::Tool(_) | Target::Resource(_) | Target::Prompt(_) => None,
    };
    match &task {
        Some(task) => {
            let params = params.clone().begun_with(Arc::clone(&task.arguments));
            called(gate, grant, &params, voice, headers, Some(task)).await
        }
        None => called(gate, grant, params, voice, headers, None).await,
    }
}

async fn called(
    gate: &Arc<Gate>,
    grant: &Arc<AccessGrant>,
    params: &CallParams<'_>,
    voice: &Voice,
    headers: Option<&HeaderMap>,
    task: Option<&Task>,
) -> Reply {
    let dialect = voice.dialect;
    let snapshot = match voice.patiently(SIGN_IN, known(gate, grant, params, dialect, task)).await {
        Ok(snapshot) => snapshot,
        Err(advice) => {
            let snapshot = gate.snapshots.current();
            return Call::new(gate, grant, params, &snapshot).undiscovered(gate, &advice).await;
        }
    };
    let call = Call::new(gate, grant, params, &snapshot);
    let view = snapshot.servers.get(&grant.server);
    let Some(wanted) = view.and_then(|view| Wanted::find(view, params, dialect, task)) else {
        return call.unknown(gate).await;
    };
    let wanted = &wanted;
    if gate.switch.is_paused() {
        return call.paused(gate, wanted).await;
    }
    let decided = match call.policy().decide(&call.question(wanted)) {
        Err(denial) if denial.approval().is_none() => return call.denied(gate, wanted, &denial).await,
        decided => decided,
    };
    // Only whoever may call the tool learns what its headers have to say.
    if let (true, Some(headers), Some(mirrored)) = (dialect.is_stateless(), headers, wanted.mirrored())
        && let Err(error) = mirrored.check(headers, params)
    {
        return call.refused(gate, wanted, "headers", error).await;
    }
    if let Some(why) = view.and_then(|view| view.withdrawn(wanted.connector)) {
        return call.withdrawn(gate, wanted, why).await;
    }
    let looked = look(call.policy(), wanted, params).await;
    let call = call.with(recorded_findings(&looked.findings));
    let (params, passed) = (looked.params.as_ref().unwrap_or(params), &looked.passed);
    // Policy is asked of what the assistant sent, and again of what is sent on.
    let call = Call { params, ..call };
    let decided = match (decided, passed, &looked.params) {
        (decided, Passed::Freely, None) => decided,
        (Ok(_) | Err(_), _, _) => call.policy().decide_screened(&call.question(wanted), passed, None),
    };
    let decided = match decided {
        Err(denial) if denial.approval().is_none() => return call.denied(gate, wanted, &denial).await,
        decided => decided,
    };
    let waiting = match gate.parked.take(grant, params).transpose() {
        Ok(waiting) => waiting,
        Err(error) => return call.refused(gate, wanted, "request-state", error).await,
    };
    let causing = Causing { gate, grant, params, voice };
    let denial = match decided {
        Ok(permit) => return call.made(&causing, wanted, permit, waiting).await,
        Err(denial) => match call.over_before_asking(gate, wanted, denial, waiting.is_some()) {
            Ok(denial) => denial,
            Err(over) => return call.denied(gate, wanted, &over).await,
        },
    };
    let leave = waiting.as_ref().map_or(task.and_then(|task| task.leave), Waiting::leave);
    let approved = match call.asked(gate, wanted, voice, &denial, leave).await {
        Ok(approved) => approved,
        Err(reply) => return reply,
    };
    // While the person thought, what is offered and permitted may have become something else.
    let snapshot = gate.snapshots.current();
    let call = call.later(gate, &snapshot);
    let view = snapshot.servers.get(&grant.server);
    let again = view.and_then(|view| Wanted::find(view, params, dialect, task));
    let again = again.filter(|_| gate.welcomes(grant));
    let Some(wanted) = &again else { return call.unknown(gate).await };
    if gate.switch.is_paused() {
        return call.paused(gate, wanted).await;
    }
    if let Some(why) = view.and_then(|view| view.withdrawn(wanted.connector)) {
        return call.withdrawn(gate, wanted, why).await;
    }
    // So may the rules: what is in force by now is looked for again.
    let looked = look(call.policy(), wanted, params).await;
    if looked.params.is_some() {
        return call.changed(gate, wanted).await;
    }
    match call.policy().decide_screened(&call.question(wanted), &looked.passed, Some(&approved)) {
        Ok(permit) => call.made(&causing, wanted, permit, waiting).await,
        Err(denial) => call.denied(gate, wanted, &denial).await,
    }
}

/// Whether policy lets this call be made at once, with nobody being asked.
pub(crate) fn passes(gate: &Gate, grant: &AccessGrant, params: &CallParams<'_>, dialect: Dialect) -> bool {
    let snapshot = gate.snapshots.current();
    let call = Call::new(gate, grant, params, &snapshot);
    let view = snapshot.servers.get(&grant.server);
    let wanted = view.and_then(|view| Wanted::find(view, params, dialect, None));
    wanted.is_some_and(|wanted| call.policy().decide(&call.question(&wanted)).is_ok())
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
    let listed: HashSet<_> = listed.iter().map(|(connector, tool)| (connector, tool)).collect();
    view.tools()
        .iter()
        .filter(|offered| view.withdrawn(&offered.connector).is_none())
        .filter(|offered| offered.entry.fits(dialect))
        .filter(|offered| listed.contains(&(&offered.connector, &offered.tool)))
        .collect()
}

/// What is true of a request beside who asks and for what.
pub(crate) fn circumstance(gate: &Gate, grant: &AccessGrant) -> Circumstance {
    Circumstance {
        now: gate.clock.now(),
        client_id: grant.client_id.clone(),
        client_name: grant.client_name.clone(),
        device: Some(gate.config.device),
        program: grant.program().map(ToOwned::to_owned),
        address: gate.whereabouts.address(gate.clock.boot_time()),
    }
}

/// The snapshot in force, after asking for the sign-in that would make known what is wanted.
async fn known(
    gate: &Gate,
    grant: &AccessGrant,
    params: &CallParams<'_>,
    dialect: Dialect,
    task: Option<&Task>,
) -> Result<Arc<Snapshot>, Advice> {
    let snapshot = gate.snapshots.current();
    let is_known = |snapshot: &Snapshot| {
        let view = snapshot.servers.get(&grant.server);
        view.is_some_and(|view| Wanted::find(view, params, dialect, task).is_some())
    };
    if is_known(&snapshot) || gate.switch.is_paused() || !gate.discovery.discover(&grant.server).await? {
        return Ok(snapshot);
    }
    Ok(gate.snapshots.current())
}

impl<'a> Call<'a> {
    fn new(gate: &Gate, grant: &'a AccessGrant, params: &'a CallParams<'a>, snapshot: &'a Snapshot) -> Self {
        Self {
            id: CallId::new(),
            grant,
            snapshot,
            params,
            circumstance: circumstance(gate, grant),
            found: Vec::new(),
        }
    }

    /// Records and causes what is permitted, and records again.
    async fn made(
        &self,
        causing: &Causing<'_>,
        wanted: &Wanted<'_>,
        permit: Permit,
        waiting: Option<Waiting>,
    ) -> Reply {
        let Causing { gate, grant, params, voice } = *causing;
        let permit = match self.within_limits(gate, wanted, permit, waiting.is_some()).await {
            Ok(permit) => permit,
            Err(reply) => return reply,
        };
        let arguments = gate.journal.summary(params.arguments(), self.captures());
        let names = arguments.names();
        let intent = match gate.journal.intent(self.intent(gate, wanted, &permit, arguments)).await {
            Ok(intent) => intent,
            Err(fault) => return unrecorded(&fault),
        };
        self.tell_decided(gate, Some(wanted), &rule_names(permit.rules()), credential(&permit), names, None);

        let begun = gate.clock.boot_time();
        let (reach, leave, version) = (permit.reach(), Leave::of(&permit), permit.version().clone());
        voice.is_heard_by(Censor::of(self.policy(), wanted));
        // A call under way does not outlast what stops it.
        let caused = tokio::select! {
            caused = causing.cause(permit, &intent, waiting) => caused,
            words = self.stopped(gate, &reach) => Caused::Stopped(words),
            () = gate.issuer.left(&grant.subject) => Caused::Stopped(SIGNED_OUT.to_owned()),
        };
        let took = gate.clock.boot_time().saturating_sub(begun);

        let sieve = self.policy().sieve(wanted.connector, wanted.tool(), PayloadDirection::Response);
        let Heard { caused, findings, held, blocked } = heard(sieve.as_ref(), caused).await;
        let (mut outcome, end) = outcome(&caused, wanted.title, took);
        outcome.payload = recorded_findings(&[voice.found(), findings].concat());
        let large = self.answer_too_large(wanted, &outcome);
        if let Some(over) = &large {
            outcome = outcome.with_code(LIMIT_EXCEEDED);
            outcome.limit = Some(over.limit().to_owned());
        }
        if blocked.is_some() {
            outcome = outcome.with_code(PAYLOAD_BLOCKED);
        }
        if let Err(fault) = gate.journal.outcome(intent, outcome) {
            tracing::error!(%fault, call = %self.id, "the outcome of a call could not be recorded");
        }
        gate.observer.observe(Observation::Ended { call: self.id, end, took });
        if let (None, Some(over)) = (&blocked, &large) {
            return failed(&too_large(wanted.title, over));
        }
        let blocked = match (blocked, held) {
            (None, Some(asking)) => {
                self.released(gate, wanted, voice, (&reach, &version), &asking).await.err()
            }
            (blocked, _) => blocked,
        };
        if let Some(words) = blocked {
            return failed(&withheld(wanted.title, &words));
        }
        match caused {
            Caused::Answered(Ok(Ok(result))) => {
                if let Some(task) = mcp::begun_task(&result) {
                    wanted.note_task(gate, grant, params, &self.account(wanted), leave, task);
                }
                Reply::Result(result)
            }
            Caused::Required(result) => Reply::Result(result),
            Caused::Answered(Ok(Err(error))) => Reply::ConnectorError(error),
            Caused::Answered(Err(fault)) => failed(&fault.advice(wanted.title)),
            Caused::Unasked(why) => failed(&unasked(wanted.title, &why)),
            Caused::Refused(error) => Reply::Refused(error),
            Caused::Stopped(words) => failed(&broken_off(&words)),
        }
    }

    /// The same call, with what payload rules found in it.
    fn with(self, found: Vec<PayloadFinding>) -> Self {
        Self { found, ..self }
    }

    /// The same call, some time after.
    fn later(self, gate: &Gate, snapshot: &'a Snapshot) -> Call<'a> {
        Call { snapshot, circumstance: circumstance(gate, self.grant), ..self }
    }

    /// Whether people are asked about it: not about what is only looked up, or given up.
    pub(crate) fn is_put_to_people(&self) -> bool {
        match self.params.method() {
            Method::CallTool | Method::ReadResource | Method::GetPrompt | Method::Subscribe => true,
            Method::Unsubscribe
            | Method::Complete
            | Method::GetTask
            | Method::UpdateTask
            | Method::CancelTask => false,
        }
    }

    pub(crate) fn question(&'a self, wanted: &'a Wanted<'_>) -> Question<'a> {
        Question {
            call: self.id,
            subject: &self.grant.subject,
            server: &self.grant.server,
            connector: wanted.connector,
            target: wanted.target(self.params),
            circumstance: &self.circumstance,
        }
    }

    /// Waits until an administrator stops something that the call reaches; gives the words for it.
    pub(crate) async fn stopped(&self, gate: &Gate, reach: &Reach) -> String {
        let mut changes = gate.snapshots.changes();
        loop {
            changes.mark_unchanged();
            let snapshot = gate.snapshots.current();
            if let Some(halt) = snapshot.policy.stops(reach, &self.grant.subject, &self.circumstance) {
                return halt.words();
            }
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    fn intent(
        &self,
        gate: &Gate,
        wanted: &Wanted<'_>,
        permit: &Permit,
        arguments: ArgumentSummary,
    ) -> IntentRecord {
        IntentRecord {
            call: self.id,
            subject: self.grant.subject.as_ref().clone(),
            server: self.grant.server.clone(),
            connector: permit.connector().clone(),
            effect: wanted.recorded(gate, self.params, self.captures()),
            client_id: self.grant.client_id.clone(),
            client_name: self.grant.client_name.clone(),
            process: self.grant.process.clone(),
            policy: permit.version().into(),
            rules: rule_names(permit.rules()),
            observed: rule_names(permit.observed()),
            approval: permit.approval().map(ApprovalRecord::from),
            credential: credential(permit),
            arguments,
            payload: self.found.clone(),
        }
    }

    /// Something that does not exist, or not for this person: both answer alike.
    async fn unknown(&self, gate: &Gate) -> Reply {
        let record =
            self.denial(gate, None, Vec::new(), "not-listed", "Nothing of this name is offered.".to_owned());
        match self.record_denial(gate, None, record).await {
            Ok(()) => Reply::Unknown,
            Err(fault) => unrecorded(&fault),
        }
    }

    /// It may exist behind a sign-in that did not happen.
    async fn undiscovered(&self, gate: &Gate, advice: &Advice) -> Reply {
        let record = self.denial(gate, None, Vec::new(), "sign-in-needed", advice.happened.clone());
        match self.record_denial(gate, None, record).await {
            Ok(()) => failed(advice),
            Err(fault) => unrecorded(&fault),
        }
    }

    /// Somebody on the way may have let the request pass for what its headers say; or it goes on with what is not its own.
    async fn refused(&self, gate: &Gate, wanted: &Wanted<'_>, kind: &str, error: RpcError) -> Reply {
        let record = self.denial(gate, Some(wanted), Vec::new(), kind, error.message.clone());
        match self.record_denial(gate, Some(wanted), record).await {
            Ok(()) => Reply::Refused(error),
            Err(fault) => unrecorded(&fault),
        }
    }

    /// Nothing of its connector is listed, because it does not answer.
    async fn withdrawn(&self, gate: &Gate, wanted: &Wanted<'_>, why: &Advice) -> Reply {
        gate.discovery.missed(&self.account(wanted));
        self.unmade(gate, wanted, "withdrawn", why).await
    }

    /// It is not made, for a reason that is no policy's.
    pub(crate) async fn unmade(&self, gate: &Gate, wanted: &Wanted<'_>, kind: &str, why: &Advice) -> Reply {
        let record = self.denial(gate, Some(wanted), Vec::new(), kind, why.happened.clone());
        match self.record_denial(gate, Some(wanted), record).await {
            Ok(()) => failed(why),
            Err(fault) => unrecorded(&fault),
        }
    }

    /// What is taken out of a payload changed while a person thought about it without that.
    async fn changed(&self, gate: &Gate, wanted: &Wanted<'_>) -> Reply {
        let advice = Advice::new(
            "payload-rules-changed",
            "The payload rules changed while the call waited for its approval.",
            "The call was not made.",
            "Make it again.",
        );
        self.unmade(gate, wanted, "payload-rules-changed", &advice).await
    }

    async fn paused(&self, gate: &Gate, wanted: &Wanted<'_>) -> Reply {
        let advice = Advice::new(
            "paused",
            "Deskgate is paused.",
            "No call is made until the person at this computer resumes it.",
            "",
        );
        self.unmade(gate, wanted, "paused", &advice).await
    }

    /// A denial that hangs on the arguments says so; one that does not looks like something that does not exist.
    pub(crate) async fn denied(&self, gate: &Gate, wanted: &Wanted<'_>, denial: &Denial) -> Reply {
        let rules = rule_names(denial.rules());
        let record =
            self.denial(gate, Some(wanted), rules, denial.kind().as_str(), denial.advice().to_string());
        if let Err(fault) = self.record_denial(gate, Some(wanted), record).await {
            return unrecorded(&fault);
        }
        if denial.is_hidden() { Reply::Unknown } else { Reply::Failed(denial.outside_text()) }
    }

    /// A denial by whom policy has asked.
    pub(crate) async fn denied_as(
        &self,
        gate: &Gate,
        wanted: &Wanted<'_>,
        rules: &[RuleId],
        kind: &str,
        words: &str,
    ) -> Reply {
        let record = self.denial(gate, Some(wanted), rule_names(rules), kind, words.to_owned());
        match self.record_denial(gate, Some(wanted), record).await {
            Ok(()) => Reply::Failed(words.to_owned()),
            Err(fault) => unrecorded(&fault),
        }
    }

    fn denial(
        &self,
        gate: &Gate,
        wanted: Option<&Wanted<'_>>,
        rules: Vec<String>,
        kind: &str,
        reason: String,
    ) -> DenialRecord {
        DenialRecord {
            call: self.id,
            subject: self.grant.subject.as_ref().clone(),
            server: self.grant.server.clone(),
            connector: wanted.map(|wanted| wanted.connector.clone()),
            effect: recorded(gate, self.params, self.captures_refused(wanted)),
            client_id: self.grant.client_id.clone(),
            client_name: self.grant.client_name.clone(),
            process: self.grant.process.clone(),
            policy: self.policy().version().into(),
            rules,
            kind: kind.to_owned(),
            reason,
            arguments: None,
            payload: self.found.clone(),
        }
    }

    async fn record_denial(
        &self,
        gate: &Gate,
        wanted: Option<&Wanted<'_>>,
        mut record: DenialRecord,
    ) -> Result<(), JournalFault> {
        let arguments = gate.journal.summary(self.params.arguments(), self.captures_refused(wanted));
        let names = arguments.names();
        let (rules, reason) = (record.rules.clone(), record.reason.clone());
        record.arguments = Some(arguments);
        gate.journal.denial(record).await?;
        self.tell_decided(gate, wanted, &rules, String::new(), names, Some(reason));
        Ok(())
    }

    fn tell_decided(
        &self,
        gate: &Gate,
        wanted: Option<&Wanted<'_>>,
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
            account: wanted.map(|wanted| self.account(wanted)),
            effect: Box::new(recorded(gate, self.params, self.captures_refused(wanted))),
            rules: rules.to_vec(),
            policy: self.policy().version().label.clone(),
            credential,
            arguments,
            denied,
        });
    }

    /// Whether values are recorded of a call that was looked through: not of one in which something was found.
    fn captures(&self) -> bool {
        self.snapshot.capture_arguments && self.found.is_empty()
    }

    /// Whether values are recorded of a call that was perhaps refused before it was looked through: not where there is something to
    /// look for.
    fn captures_refused(&self, wanted: Option<&Wanted<'_>>) -> bool {
        let looks = |wanted: &Wanted<'_>| {
            self.policy().sieve(wanted.connector, wanted.tool(), PayloadDirection::Request).is_some()
        };
        self.captures() && wanted.is_some_and(|wanted| !looks(wanted))
    }

    /// The account that the virtual server uses.
    fn account(&self, wanted: &Wanted<'_>) -> AccountId {
        let view = self.snapshot.servers.get(&self.grant.server);
        let account = view.and_then(|view| view.account(wanted.connector));
        account.cloned().unwrap_or_else(|| AccountId::default_of(wanted.connector.clone()))
    }

    fn at(&self) -> Timestamp {
        self.circumstance.now
    }

    pub(crate) fn policy(&self) -> &Arc<Policy> {
        self.snapshot.policy_at(self.circumstance.now)
    }
}

fn unrecorded(fault: &JournalFault) -> Reply {
    tracing::error!(%fault, "a call was refused because it could not be recorded");
    failed(&fault.advice())
}

pub(crate) fn failed(advice: &Advice) -> Reply {
    Reply::Failed(advice.to_string())
}
