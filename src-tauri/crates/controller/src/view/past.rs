//! Calls that were made before, from their records, and which of all somebody wants to see.

use std::time::Duration;

use audit::{
    ArgumentSummary, AuditRecord, DenialRecord, IntentRecord, Outcome, OutcomeStatus, PastCall, RecordBody,
};
use model::{AccountId, ConnectorId, ServerId, Subject};

use super::{ActivityFilter, ActivityView, call, used_account};
use crate::state::{Activity, AppState, CallOutcome};

/// The code of an outcome that waited for somebody to sign in.
const SIGN_IN_NEEDED: &str = "sign-in-needed";

/// A call of `present`; none of anybody else's, which are not theirs to see, and none of a connector that nobody knows.
pub(crate) fn past(state: &AppState, present: &Subject, past: &PastCall) -> Option<ActivityView> {
    let body = past.begun.body();
    let (subject, activity) = if let RecordBody::Intent(intent) = body {
        (&intent.subject, begun(state, intent, past))
    } else if let RecordBody::Denial(denial) = body {
        (&denial.subject, denied(state, denial, past)?)
    } else {
        return None;
    };
    subject.is_same_person(present).then(|| call(state, &activity))
}

fn denied(state: &AppState, denial: &DenialRecord, past: &PastCall) -> Option<Activity> {
    Some(Activity {
        call: denial.call,
        at: past.begun.link().at,
        client_id: denial.client_id.clone(),
        client_name: denial.client_name.clone(),
        server: denial.server.clone(),
        account: account(state, &denial.server, denial.connector.as_ref()?),
        method: denial.effect.method().to_string(),
        target: denial.effect.target().name().to_owned(),
        rules: denial.rules.clone(),
        policy: denial.policy.label.clone(),
        credential: String::new(),
        arguments: denial.arguments.as_ref().map(ArgumentSummary::names).unwrap_or_default(),
        outcome: CallOutcome::Denied { reason: denial.reason.clone() },
        took: None,
    })
}

fn begun(state: &AppState, intent: &IntentRecord, past: &PastCall) -> Activity {
    let ended = past.ended.as_ref().map(AuditRecord::body);
    let ended = if let Some(RecordBody::Outcome(ended)) = ended { Some(&ended.outcome) } else { None };
    Activity {
        call: intent.call,
        at: past.begun.link().at,
        client_id: intent.client_id.clone(),
        client_name: intent.client_name.clone(),
        server: intent.server.clone(),
        account: account(state, &intent.server, &intent.connector),
        method: intent.effect.method().to_string(),
        target: intent.effect.target().name().to_owned(),
        rules: intent.rules.clone(),
        policy: intent.policy.label.clone(),
        credential: intent.credential.clone(),
        arguments: intent.arguments.names(),
        outcome: ended.map_or(CallOutcome::Running, outcome),
        took: ended.and_then(|ended| ended.duration_micros).map(Duration::from_micros),
    }
}

/// The account that the virtual server uses of the connector now, or else the connector's usual one.
fn account(state: &AppState, server: &ServerId, connector: &ConnectorId) -> AccountId {
    let used = used_account(state, server, connector);
    used.cloned().unwrap_or_else(|| AccountId::default_of(connector.clone()))
}

fn outcome(outcome: &Outcome) -> CallOutcome {
    let code = outcome.code.as_deref().unwrap_or_default();
    let failed = |reason: String| CallOutcome::Failed { reason };
    match outcome.status {
        OutcomeStatus::Ok | OutcomeStatus::InputRequired => CallOutcome::Done,
        OutcomeStatus::ToolError => CallOutcome::ToolError,
        OutcomeStatus::Failed if code == SIGN_IN_NEEDED => CallOutcome::SignInNeeded,
        OutcomeStatus::Failed if code.is_empty() => failed(say::call_not_done()),
        OutcomeStatus::Failed => failed(code.replace('-', " ")),
        OutcomeStatus::Cancelled => failed(say::call_given_up()),
        OutcomeStatus::Unknown => failed(say::call_unknown()),
    }
}

/// Whether a call is among those that somebody wants to see.
pub(crate) fn passes(call: &ActivityView, filter: &ActivityFilter) -> bool {
    if filter.outcome.is_some_and(|outcome| outcome != call.outcome) {
        return false;
    }
    let mut words = filter.text.split_whitespace().map(str::to_lowercase).peekable();
    if words.peek().is_none() {
        return true;
    }
    let ActivityView { assistant, server, connector, method, target, outcome_words, .. } = call;
    let said = [assistant, server, connector, method, target, outcome_words];
    let text =
        said.into_iter().chain(&call.rules).map(|said| said.to_lowercase()).collect::<Vec<_>>().join(" ");
    words.all(|word| text.contains(&word))
}
