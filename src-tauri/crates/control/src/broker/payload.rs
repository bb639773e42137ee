//! Payload rules at the organisation: whatever a device says that it looked for is looked for here once more, in what it sends and in what
//! the connector answers.

use std::sync::{Mutex, PoisonError};

use mcp::CallParams;
use model::ToolName;
use org_protocol::{PayloadDirection, PayloadFinding};
use policy::{Finding, Passed, Policy, Screened, Sieve, recorded};
use serde_json::value::RawValue;
use upstream::Answer;

use super::call::Asked;
use super::fault::BrokerFault;

/// What is longer is looked through beside everything else, in bytes.
const LONG: usize = 16 * 1024;

/// A call through which the rules were looked.
pub(super) struct Looked {
    pub(super) passed: Passed,
    pub(super) found: Vec<PayloadFinding>,
    /// The call as it is made, where something was taken out.
    pub(super) params: Option<CallParams<'static>>,
}

/// Looks through what a device sends.
pub(super) async fn look(asked: &Asked<'_>, tool: &ToolName, params: &CallParams<'_>) -> Looked {
    let Some(sieve) = asked.policy.sieve(asked.connector, Some(tool), PayloadDirection::Request) else {
        return Looked { passed: Passed::Freely, found: Vec::new(), params: None };
    };
    let mut screened = screened(&sieve, params.carried().get()).await;
    let params = screened.rewritten(|carried| params.carrying(&carried));
    Looked { passed: screened.passed(), found: recorded(&screened.findings), params }
}

async fn screened(sieve: &Sieve, json: &str) -> Screened {
    if json.len() <= LONG {
        return sieve.json(json);
    }
    let (again, text) = (sieve.clone(), json.to_owned());
    let looked = tokio::task::spawn_blocking(move || again.json(&text)).await;
    looked.unwrap_or_else(|_| sieve.unseen())
}

/// Looks through what a connector says. Nobody can be asked here: what a rule asks about does not pass.
pub(super) struct Heard {
    sieve: Option<Sieve>,
    found: Mutex<Vec<Finding>>,
}

impl Heard {
    pub(super) fn of(policy: &Policy, asked: &Asked<'_>, tool: &ToolName) -> Self {
        let sieve = policy.sieve(asked.connector, Some(tool), PayloadDirection::Response);
        Self { sieve, found: Mutex::default() }
    }

    /// Something that is told before the answer; `None` where it may not be.
    pub(super) fn notice(&self, json: Box<RawValue>) -> Option<Box<RawValue>> {
        let Some(sieve) = &self.sieve else { return Some(json) };
        let screened = sieve.json(json.get());
        self.pass(screened, json).ok()
    }

    /// The answer, as far as it passes.
    pub(super) async fn answer(
        &self,
        title: &str,
        answer: Result<Answer, BrokerFault>,
    ) -> Result<Answer, BrokerFault> {
        let (Some(sieve), Ok(Ok(json) | Err(json))) = (&self.sieve, &answer) else { return answer };
        let screened = screened(sieve, json.get()).await;
        let withheld = |words| BrokerFault::Withheld { title: title.to_owned(), words };
        match answer? {
            Ok(json) => self.pass(screened, json).map(Ok).map_err(withheld),
            Err(json) => self.pass(screened, json).map(Err).map_err(withheld),
        }
    }

    /// What was found.
    pub(super) fn found(&self) -> Vec<PayloadFinding> {
        recorded(&self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn pass(&self, mut screened: Screened, json: Box<RawValue>) -> Result<Box<RawValue>, String> {
        let clean = screened.rewritten(Some).unwrap_or(json);
        let passed = screened.passed();
        self.found.lock().unwrap_or_else(PoisonError::into_inner).extend(screened.findings);
        match passed {
            Passed::Freely => Ok(clean),
            Passed::Not { words, .. } => Err(words),
            Passed::IfApproved(asking) => {
                let reasons: Vec<String> = asking.into_iter().map(|one| one.reason).collect();
                Err(format!("{} Nobody can be asked about it here.", reasons.join(" ")))
            }
        }
    }
}
