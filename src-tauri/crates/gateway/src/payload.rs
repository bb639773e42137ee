//! Payload rules on the way of a call: what the assistant sends is looked through before it is decided on for good, what the connector says
//! before anybody hears it.

use std::sync::{Mutex, PoisonError};

use connector::CallFault;
use mcp::{Ask, CallParams, RpcError};
use model::Advice;
use org_protocol::PayloadDirection;
use policy::{
    ApprovalNeeded, Asking, Finding, PAYLOAD_BLOCKED, Passed, Policy, PolicyVersion, Reach, Screened, Sieve,
};
use serde_json::value::RawValue;
use upstream::{Answer, Event};

use crate::approval::Wish;
use crate::call::Call;
use crate::effect::Caused;
use crate::gate::Gate;
use crate::voice::Voice;
use crate::wanted::Wanted;

/// What is longer is looked through beside everything else, in bytes.
const LONG: usize = 16 * 1024;
/// What assistants that hear of progress are told while a person looks at an answer.
const HELD: &str = "Waiting for a person to release the answer.";

/// A request through which the rules were looked.
pub(crate) struct Looked {
    pub(crate) passed: Passed,
    pub(crate) findings: Vec<Finding>,
    /// The request as it is sent on, where something was taken out.
    pub(crate) params: Option<CallParams<'static>>,
}

impl Looked {
    /// A request that no rule is about.
    fn unseen() -> Self {
        Self { passed: Passed::Freely, findings: Vec::new(), params: None }
    }
}

/// Looks through what a request carries, and through the URI that it names.
pub(crate) async fn look(policy: &Policy, wanted: &Wanted<'_>, params: &CallParams<'_>) -> Looked {
    let sieve = policy.sieve(wanted.connector, wanted.tool(), PayloadDirection::Request);
    let Some(sieve) = sieve else { return Looked::unseen() };
    let mut screened = screened(&sieve, params.carried().get()).await;
    if let mcp::Target::Resource(uri) = params.target() {
        screened.join(sieve.whole(uri, "/uri"));
    }
    let params = screened.rewritten(|carried| params.carrying(&carried));
    Looked { passed: screened.passed(), findings: screened.findings, params }
}

/// Looks through a JSON text; a long one beside everything else.
async fn screened(sieve: &Sieve, json: &str) -> Screened {
    if json.len() <= LONG {
        return sieve.json(json);
    }
    let (again, text) = (sieve.clone(), json.to_owned());
    let looked = tokio::task::spawn_blocking(move || again.json(&text)).await;
    looked.unwrap_or_else(|_| sieve.unseen())
}

/// What is said between assistant and connector while a call is under way has to pass the rules as well. There is nobody to be asked
/// about it: what would be asked about does not pass.
#[derive(Debug)]
pub(crate) struct Censor {
    heard: Option<Sieve>,
    said: Option<Sieve>,
    found: Mutex<Vec<Finding>>,
}

impl Censor {
    /// `None` where no rule is about the call.
    pub(crate) fn of(policy: &Policy, wanted: &Wanted<'_>) -> Option<Self> {
        let sieve = |way| policy.sieve(wanted.connector, wanted.tool(), way);
        let (heard, said) = (sieve(PayloadDirection::Response), sieve(PayloadDirection::Request));
        (heard.is_some() || said.is_some()).then(|| Self { heard, said, found: Mutex::default() })
    }

    /// What was found so far.
    pub(crate) fn found(&self) -> Vec<Finding> {
        std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A notice as it may be told; `None` where it may not.
    pub(crate) fn notice(&self, event: Event) -> Option<Event> {
        match event {
            Event::Progress(params) => self.pass(self.heard.as_ref(), params).map(Event::Progress),
            Event::Log(params) => self.pass(self.heard.as_ref(), params).map(Event::Log),
            own @ (Event::Waiting(_) | Event::Asked(_)) => Some(own),
        }
    }

    /// A question of the connector as it may be asked.
    pub(crate) fn question(&self, ask: &Ask) -> Option<Ask> {
        self.pass(self.heard.as_ref(), ask.written().to_owned()).map(|params| ask.rewritten(params))
    }

    /// The assistant's answer to it as the connector may have it.
    pub(crate) fn answer(&self, answer: Box<RawValue>) -> Option<Box<RawValue>> {
        self.pass(self.said.as_ref(), answer)
    }

    fn pass(&self, sieve: Option<&Sieve>, json: Box<RawValue>) -> Option<Box<RawValue>> {
        let Some(sieve) = sieve else { return Some(json) };
        let screened = sieve.json(json.get());
        let passed = screened.passed();
        self.found.lock().unwrap_or_else(PoisonError::into_inner).extend(screened.findings);
        match (passed, screened.redacted) {
            (Passed::Freely, None) => Some(json),
            (Passed::Freely, Some(clean)) => RawValue::from_string(clean).ok(),
            (Passed::IfApproved(_) | Passed::Not { .. }, _) => None,
        }
    }
}

/// What came of an effect, as far as the rules let it pass.
pub(crate) struct Heard {
    pub(crate) caused: Caused,
    pub(crate) findings: Vec<Finding>,
    pub(crate) held: Option<Vec<Asking>>,
    /// Why nothing of it passes, in words.
    pub(crate) blocked: Option<String>,
}

/// Looks through what the connector said.
pub(crate) async fn heard(sieve: Option<&Sieve>, caused: Caused) -> Heard {
    let nothing = |caused| Heard { caused, findings: Vec::new(), held: None, blocked: None };
    let Some(sieve) = sieve else { return nothing(caused) };
    let text = match &caused {
        Caused::Answered(Ok(Ok(value) | Err(value))) | Caused::Required(value) => value.get().to_owned(),
        // A connector's words within ours.
        Caused::Refused(RpcError { message: words, .. }) | Caused::Unasked(words) => {
            mcp::raw(words).get().to_owned()
        }
        Caused::Answered(Err(_)) | Caused::Stopped(_) => return nothing(caused),
    };
    let mut screened = screened(sieve, &text).await;
    let caused = match screened.rewritten(Some) {
        Some(clean) => rewritten(caused, clean),
        None => caused,
    };
    let (held, blocked) = match screened.passed() {
        Passed::Freely => (None, None),
        Passed::IfApproved(asking) => (Some(asking), None),
        Passed::Not { words, .. } => (None, Some(words)),
    };
    Heard { caused, findings: screened.findings, held, blocked }
}

fn rewritten(caused: Caused, clean: Box<RawValue>) -> Caused {
    let words = |clean: &RawValue| serde_json::from_str::<String>(clean.get()).unwrap_or_default();
    match caused {
        Caused::Answered(answer) => Caused::Answered(answer_of(answer, clean)),
        Caused::Required(_) => Caused::Required(clean),
        Caused::Refused(error) => Caused::Refused(RpcError { message: words(&clean), ..error }),
        Caused::Unasked(_) => Caused::Unasked(words(&clean)),
        stopped @ Caused::Stopped(_) => stopped,
    }
}

fn answer_of(answer: Result<Answer, CallFault>, clean: Box<RawValue>) -> Result<Answer, CallFault> {
    answer.map(|answer| match answer {
        Ok(_) => Ok(clean),
        Err(_) => Err(clean),
    })
}

/// The words for an answer that does not pass.
pub(crate) fn withheld(title: &str, words: &str) -> Advice {
    Advice::new(
        PAYLOAD_BLOCKED,
        format!("{title} answered, and its answer is withheld."),
        format!("A payload rule blocks it: {words} The call was made."),
        "Do not make it again for the same answer.",
    )
}

impl Call<'_> {
    /// Has a person asked whether an answer may be handed on; in words why it may not.
    pub(crate) async fn released(
        &self,
        gate: &Gate,
        wanted: &Wanted<'_>,
        voice: &Voice,
        (reach, policy): (&Reach, &PolicyVersion),
        asking: &[Asking],
    ) -> Result<(), String> {
        if !(voice.is_waited_for && self.is_put_to_people()) {
            return Err("There is nobody who could release it.".to_owned());
        }
        let needed = ApprovalNeeded::of_answer(reach.clone(), asking);
        let wish = Wish {
            question: self.question(wanted),
            needed: &needed,
            policy,
            grant: self.grant,
            definition: wanted.definition(),
            continues: None,
        };
        tokio::select! {
            answer = voice.patiently(HELD, gate.approver.approve(wish)) => {
                answer.map(|_| ()).map_err(|why| why.to_string())
            }
            words = self.stopped(gate, reach) => Err(words),
            () = gate.issuer.left(&self.grant.subject) => Err("The person is not signed in any more.".to_owned()),
        }
    }
}
