//! From a permit and a durable intent to what came of the effect: with the connector's questions on the way, in whichever
//! form its revision and the assistant's put them (MCP 2026-07-28, basic/patterns/mrtr).

use std::pin::pin;
use std::sync::Arc;

use audit::Intent;
use connector::{Asking, CallFault, Caller};
use futures_util::future::join_all;
use issuer::AccessGrant;
use mcp::assistant::refusal_text;
use mcp::{AskKind, CallParams, InputRequired, Method, Revision, RpcError};
use policy::Permit;
use serde_json::value::RawValue;
use upstream::{Answer, Ear, Hearing, Standing, UpstreamFault, Wants, ear};

use crate::followed::Following;
use crate::gate::Gate;
use crate::parked::{Right, Running, Step, Waiting};
use crate::voice::Voice;

/// How often a connector may ask for more before it answers.
const MOST_ROUNDS: usize = 16;

/// What came of an effect.
pub(crate) enum Caused {
    /// The connector answered, or there is no answer.
    Answered(Result<Answer, CallFault>),
    /// The assistant has to come back with answers.
    Required(Box<RawValue>),
    /// The assistant did not give the answers that the connector needs; why not, in words.
    Unasked(String),
    /// More is under way than is taken.
    Refused(RpcError),
    /// An administrator stopped it while it was under way; in words.
    Stopped(String),
}

/// One permitted and recorded effect.
pub(crate) struct Causing<'a> {
    pub(crate) gate: &'a Arc<Gate>,
    pub(crate) grant: &'a Arc<AccessGrant>,
    pub(crate) params: &'a CallParams<'a>,
    pub(crate) voice: &'a Voice,
}

impl Causing<'_> {
    /// Causes it, or takes up the call that waits for the answers in this request.
    pub(crate) async fn cause(&self, permit: Permit, intent: &Intent, waiting: Option<Waiting>) -> Caused {
        let Ok(standing) = Standing::new(permit, intent) else {
            return Caused::Answered(Err(UpstreamFault::NotPermitted.into()));
        };
        if self.params.method() == Method::Subscribe {
            return Box::pin(self.subscribe(standing)).await;
        }
        let wants = self.voice.wants(self.grant);
        match (waiting, wants) {
            (Some(waiting), _) => Box::pin(self.resume(&standing, waiting)).await,
            (None, None) => self.in_rounds(&standing, None).await,
            (None, Some(wants)) if self.is_parkable() => Box::pin(self.begin(standing, wants)).await,
            (None, Some(wants)) => {
                let (ear, hearing) = ear(wants);
                self.in_rounds(&standing, Some((ear, hearing))).await
            }
        }
    }

    /// Follows a resource, for as long as the assistant's end or stream is there.
    async fn subscribe(&self, standing: Standing) -> Caused {
        let Some(followed) = self.voice.followed().filter(|followed| followed.has_room()) else {
            return Caused::Unasked("a subscription needs a session, and room in it".to_owned());
        };
        let following = Following {
            gate: Arc::clone(self.gate),
            grant: Arc::clone(self.grant),
            params: self.params.clone().into_owned(),
            dialect: self.voice.dialect,
            standing,
        };
        let asking = if self.voice.is_waited_for { Asking::Allowed } else { Asking::Never };
        match following.subscribe(asking).await {
            Ok(Ok(subscription)) => {
                followed.follow(following, subscription);
                Caused::Answered(Ok(Ok(mcp::raw(&serde_json::json!({})))))
            }
            Ok(Err(error)) => Caused::Answered(Ok(Err(error))),
            Err(fault) => Caused::Answered(Err(fault)),
        }
    }

    fn is_parkable(&self) -> bool {
        self.voice.is_asked_in_rounds() && self.params.method().may_require_input()
    }

    async fn resume(&self, standing: &Standing, waiting: Waiting) -> Caused {
        match waiting.answer(standing.authority(), self.params) {
            Ok(Ok(running)) => self.run(running).await,
            Ok(Err(still_open)) => self.park(still_open),
            Err(fault) => Caused::Answered(Err(fault)),
        }
    }

    /// Begins a call that may have to wait for the assistant's next request.
    async fn begin(&self, standing: Standing, wants: Wants) -> Caused {
        let (ear, hearing) = ear(wants);
        let (gate, grant) = (Arc::clone(self.gate), Arc::clone(self.grant));
        let params = self.params.clone().into_owned();
        let right = Right::of(standing.authority().permit());
        let work = async move {
            let deadline = gate.config.call_deadline;
            gate.connectors.call(standing.authority(), &params, caller(&grant), deadline, Some(&ear)).await
        };
        self.run(Running::new(work, hearing, right)).await
    }

    async fn run(&self, running: Running) -> Caused {
        match running.go_on(self.voice, self.params).await {
            Step::Done(answer, undeclared) => self.relayed(answer, undeclared),
            Step::Asks(waiting) => self.park(waiting),
        }
    }

    fn park(&self, waiting: Waiting) -> Caused {
        match self.gate.parked.park(self.grant, self.params, waiting) {
            Ok(required) => Caused::Required(required),
            Err(error) => Caused::Refused(error),
        }
    }

    /// Makes the call, for an assistant with sessions again with its answers as often as the connector asks in results.
    async fn in_rounds(&self, standing: &Standing, mut heard: Option<(Ear, Hearing)>) -> Caused {
        let mut answer = self.call(standing, self.params, heard.as_mut()).await;
        if self.voice.dialect.is_stateless() {
            return self.relayed(answer, heard.and_then(|(_, hearing)| hearing.undeclared()));
        }
        for _ in 0..MOST_ROUNDS {
            let Ok(Ok(result)) = &answer else { return self.known_error(answer) };
            let Some(required) = InputRequired::read(result) else { return Caused::Answered(answer) };
            let asked = match required {
                Ok(required) => self.ask(&required).await.map(|answers| (answers, required.state)),
                Err(fault) => Err(fault.to_string()),
            };
            match asked {
                Ok((answers, state)) => {
                    let again = self.params.again(&answers, state.as_deref());
                    answer = self.call(standing, &again, heard.as_mut()).await;
                }
                Err(why) => return Caused::Unasked(why),
            }
        }
        Caused::Unasked("it asks for more again and again".to_owned())
    }

    /// An answer for an assistant that is asked in rounds: it must be asked nothing but what it declared, and it is told
    /// when a connector failed because it was asked in vain.
    fn relayed(&self, answer: Result<Answer, CallFault>, undeclared: Option<AskKind>) -> Caused {
        let required = match (&answer, undeclared) {
            (Ok(Err(error)), Some(kind)) => {
                let mut refused = RpcError::missing_capability(kind);
                refused.message = format!("{} It said: {}", refused.message, refusal_text(error));
                return Caused::Refused(refused);
            }
            (Ok(Ok(result)), Some(kind)) if mcp::is_tool_error(result) => {
                return Caused::Refused(RpcError::missing_capability(kind));
            }
            (Ok(Ok(result)), _) => InputRequired::read(result),
            (Ok(Err(_)), None) => return self.to_be_visited(answer),
            (Err(_), _) => None,
        };
        let fault = match required {
            None => return Caused::Answered(answer),
            Some(Ok(required)) if required.asks.iter().all(|(_, ask)| self.voice.allows(ask)) => {
                return Caused::Answered(answer);
            }
            Some(Ok(_)) => "it asks for something that was not offered to it".to_owned(),
            Some(Err(fault)) => fault.to_string(),
        };
        Caused::Answered(Err(UpstreamFault::Unusable(fault).into()))
    }

    /// An error that says that the person has to visit URLs first, for an assistant that does not know such errors.
    fn to_be_visited(&self, answer: Result<Answer, CallFault>) -> Caused {
        let required = match &answer {
            Ok(Err(error)) => InputRequired::of_error(error),
            Ok(Ok(_)) | Err(_) => None,
        };
        match required {
            Some(required) if required.asks.iter().all(|(_, ask)| self.voice.allows(ask)) => {
                Caused::Required(required.to_raw())
            }
            Some(required) => Caused::Unasked(visit(&required)),
            None => Caused::Answered(answer),
        }
    }

    async fn call(
        &self,
        standing: &Standing,
        params: &CallParams<'_>,
        heard: Option<&mut (Ear, Hearing)>,
    ) -> Result<Answer, CallFault> {
        let Self { gate, grant, voice, .. } = self;
        let deadline = gate.config.call_deadline;
        let authority = standing.authority();
        match heard {
            None => gate.connectors.call(authority, params, caller(grant), deadline, None).await,
            Some((ear, hearing)) => {
                let work = pin!(gate.connectors.call(authority, params, caller(grant), deadline, Some(ear)));
                voice.carry(work, hearing).await
            }
        }
    }

    /// The assistant's answers by key; why there are not all, in words.
    async fn ask(&self, required: &InputRequired) -> Result<Vec<(String, Box<RawValue>)>, String> {
        let asks = required.asks.iter().map(|(_, ask)| self.voice.ask(ask));
        let answers = join_all(asks).await;
        let keys = required.asks.iter().map(|(key, _)| key.clone());
        keys.zip(answers)
            .map(|(key, answer)| match answer {
                Some(Ok(answer)) => Ok((key, answer)),
                Some(Err(error)) => Err(format!("the assistant refused: {}", refusal_text(&error))),
                None if required.urls().is_empty() => {
                    Err("the assistant cannot be asked, or did not answer".to_owned())
                }
                None => Err(visit(required)),
            })
            .collect()
    }

    /// An error for an assistant with a session: what its revision does not know is said in words.
    fn known_error(&self, answer: Result<Answer, CallFault>) -> Caused {
        if self.voice.dialect.is_before(Revision::V2025_11_25) {
            return self.to_be_visited(answer);
        }
        Caused::Answered(answer)
    }
}

/// What a person does for whom nobody else opens the URL.
fn visit(required: &InputRequired) -> String {
    format!("open {} in a browser, then ask again", required.urls().join(" and "))
}

/// On whose behalf the assistant's calls are made.
pub(crate) fn caller(grant: &AccessGrant) -> Caller<'_> {
    let AccessGrant { subject, client_id, client_name, .. } = grant;
    Caller { subject, client_id, client_name, program: grant.program() }
}
