//! What the journal and whoever looks on are told of a call.

use std::time::Duration;

use audit::{Outcome, OutcomeStatus};
use connector::{AccountFault, CallFault};
use mcp::{InputRequired, RawObject};
use model::Advice;
use policy::{CredentialChoice, HALTED, Permit, RuleId};
use upstream::Answer;

use crate::effect::Caused;
use crate::observe::CallEnd;

/// How a call ended.
pub(crate) fn outcome(caused: &Caused, title: &str, took: Duration) -> (Outcome, CallEnd) {
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
        Caused::Stopped(words) => {
            let advice = broken_off(words);
            let end = CallEnd::Failed { reason: advice.to_string() };
            (Outcome::new(OutcomeStatus::Unknown).with_code(advice.code), end)
        }
    };
    outcome.duration_micros = u64::try_from(took.as_micros()).ok();
    outcome.response_bytes = match caused {
        Caused::Answered(Ok(Ok(value) | Err(value))) | Caused::Required(value) => {
            u64::try_from(value.get().len()).ok()
        }
        Caused::Answered(Err(_)) | Caused::Unasked(_) | Caused::Refused(_) | Caused::Stopped(_) => None,
    };
    (outcome, end)
}

fn answered(answer: &Result<Answer, CallFault>, title: &str) -> (Outcome, CallEnd) {
    match answer {
        Ok(Ok(result)) if InputRequired::read(result).is_some() => {
            (Outcome::new(OutcomeStatus::InputRequired), CallEnd::Done)
        }
        Ok(Ok(result)) => {
            let failed = mcp::is_tool_error(result);
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
pub(crate) fn unasked(title: &str, why: &str) -> Advice {
    Advice::new("connector-unanswered", format!("{title} needs an answer to go on: {why}."), "", "")
}

/// The words for a call that an administrator stopped while it was under way.
pub(crate) fn broken_off(words: &str) -> Advice {
    let todo = "Look whether it was done before it is made again.";
    Advice::new(HALTED, "The call was broken off.", words, todo)
}

pub(crate) fn rule_names(rules: &[RuleId]) -> Vec<String> {
    rules.iter().map(ToString::to_string).collect()
}

/// The credential's reference, never the secret.
pub(crate) fn credential(permit: &Permit) -> String {
    match permit.credential() {
        CredentialChoice::None => String::new(),
        CredentialChoice::Own(account) if account.is_default() => "user".to_owned(),
        CredentialChoice::Own(account) => format!("user:{account}"),
        CredentialChoice::Shared(credential) => format!("shared:{credential}"),
    }
}
