//! One brokered call, from the decision to the answer.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ::audit::{ApprovalRecord, DenialRecord, Effect, IntentRecord, Outcome, OutcomeStatus};
use mcp::assistant::ToolEntry;
use mcp::{CallParams, RawObject};
use model::{
    Advice, ConnectorId, CredentialId, DeviceId, Digest, ForPerson as _, Subject, Timestamp, ToolName,
};
use org_protocol::{
    BrokerContext, ConnectorSpec, Content, CredentialSpec, PayloadDirection, PayloadFinding,
    USER_ASSERTION_HEADER, UserIdentity,
};
use os::Clock;
use policy::{
    Circumstance, CredentialChoice, Denial, Permit, Policy, PolicyVersion, Question, RuleId, Target,
};
use secrecy::SecretString;
use upstream::{Answer, Authority, Bearer, Ear, HttpClient, UpstreamFault};

use super::approval::ApprovalRefusal;
use super::dialects::Dialects;
use super::fault::BrokerFault;
use super::limits::withheld;
use super::payload::{Heard, look};
use super::pool::{Draining, Full, Key, Pool};
use super::redact::Redactor;
use super::told::Told;
use super::traced;
use crate::assertion::Assertion;
use crate::credential::Current;
use crate::launch::RunAs;
use crate::publication::Live;
use crate::server::Plane;
use crate::store::StoredCredential;

/// How long after a look at whose session has ended there is no other.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);
/// How long a connector may take to answer a call.
const DEADLINE: Duration = Duration::from_secs(100);

/// Makes calls with shared credentials.
pub(crate) struct Broker {
    pool: Pool,
    clock: Arc<dyn Clock>,
}

/// What a device asks for, and in whose name.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The policy that decides from beginning to end.
    pub(crate) live: &'a Live,
    /// Its policy, and what is stopped beside it.
    pub(crate) policy: &'a Policy,
    /// The connector.
    pub(crate) connector: &'a ConnectorId,
    /// What the device says.
    pub(crate) context: &'a BrokerContext,
    /// Whose session it is, with the claims that this server verified.
    pub(crate) subject: &'a Subject,
    /// Whose session it is.
    pub(crate) device: DeviceId,
    /// The session, by the digest of its token.
    pub(crate) session: Digest,
    /// The thumbprint of the device's key.
    pub(crate) thumbprint: &'a str,
    /// The address that the request came from.
    pub(crate) address: Option<IpAddr>,
}

impl Broker {
    /// A broker that has started nothing yet.
    pub(crate) fn new(http: HttpClient, run_as: RunAs, dialects: Dialects, clock: Arc<dyn Clock>) -> Self {
        Self { pool: Pool::new(http, run_as, dialects, Arc::clone(&clock)), clock }
    }

    /// Ends every connector that holds a secret of the credential.
    pub(crate) fn end_credential(&self, credential: &CredentialId) {
        self.pool.end_credential(credential);
    }

    /// Ends every connector that holds a secret which is not stored any more.
    pub(crate) fn keep_only(&self, stored: &[StoredCredential]) {
        self.pool.keep_only(stored);
    }

    /// Sessions that hold a secret of the credential before this version take no further calls.
    pub(crate) fn retire(&self, credential: &CredentialId, first: u64) -> Draining {
        self.pool.retire(credential, first)
    }

    /// Asks a connector for its tools with a secret: whether it takes it. The words of a failure are without the secret.
    pub(crate) async fn test(&self, spec: &ConnectorSpec, secret: &SecretString) -> Result<(), String> {
        let tested = self.pool.test(spec, secret).await;
        tested.map_err(|fault| Redactor::new(secret).text(&fault.to_string()).into_owned())
    }

    /// Ends connectors that nobody uses.
    pub(crate) fn end_idle(&self) {
        self.pool.end_idle();
    }

    /// The connector's tools that policy lets the person see.
    pub(crate) fn listed(&self, asked: &Asked<'_>, now: Timestamp) -> Vec<ToolEntry> {
        let content = asked.live.content();
        if brokered(content, asked.connector).is_none() {
            return Vec::new();
        }
        let listed = asked.policy.listed(asked.subject, &asked.context.server, &asked.circumstance(now));
        let pinned = content.tools.get(asked.connector);
        pinned
            .into_iter()
            .flat_map(|tools| &tools.0)
            .filter_map(|definition| {
                let name: String = RawObject::parse(definition)?.read("name")?;
                let is_it = |(connector, tool): &(ConnectorId, ToolName)| {
                    connector == asked.connector && tool.as_str() == name
                };
                listed.iter().any(is_it).then(|| ToolEntry::new(name.clone(), definition))?
            })
            .collect()
    }

    /// Decides, records, calls, redacts and records again.
    pub(crate) async fn call(
        &self,
        plane: &Plane,
        asked: &Asked<'_>,
        params: &CallParams<'_>,
        told: Option<&Told>,
    ) -> Result<Answer, BrokerFault> {
        let span = traced::call(asked);
        let answer = span.around(self.called(plane, asked, params, told)).await;
        traced::failed(&span, &answer);
        answer
    }

    async fn called(
        &self,
        plane: &Plane,
        asked: &Asked<'_>,
        params: &CallParams<'_>,
        told: Option<&Told>,
    ) -> Result<Answer, BrokerFault> {
        let now = self.clock.now();
        if !asked.live.serves(asked.connector, now) {
            return Err(BrokerFault::PolicyExpired);
        }
        let decided = asked.policy.version();
        if asked.context.policy != decided.digest {
            tracing::info!(call = %asked.context.call, device = %asked.context.policy, here = %decided, "the device decided by another policy");
        }
        let content = asked.live.content();
        let not_brokered = || BrokerFault::NotBrokered(asked.connector.clone());
        let spec = brokered(content, asked.connector).ok_or_else(not_brokered)?;
        let tool: ToolName = params.name().parse().map_err(|_| not_brokered())?;
        let circumstance = asked.circumstance(now);
        let looked = look(asked, &tool, params).await;
        // Policy is asked of what the device sent, and again of what is sent on.
        if looked.params.is_some()
            && let Err(denial) =
                asked.policy.decide(&asked.question(&tool, params.arguments(), &circumstance))
            && denial.approval().is_none()
        {
            plane.journal.denial(asked.denial(plane, params, &denial)).await?;
            return Err(BrokerFault::Denied(denial));
        }
        let params = looked.params.as_ref().unwrap_or(params);
        let question = asked.question(&tool, params.arguments(), &circumstance);
        let decided = match asked.approved(now) {
            Ok(approved) => traced::decided(asked.policy, &question, &looked.passed, approved.as_ref()),
            Err(fault) => return Err(asked.not_approved(plane, params, fault).await?),
        };
        let permit = match decided.and_then(|permit| asked.not_too_large(&tool, params, permit)) {
            Ok(permit) => permit,
            Err(denial) => return Err(asked.refused(plane, params, looked.found, denial).await?),
        };
        if let Some(approved) = permit.approval()
            && !plane.store.use_approval(approved).await?
        {
            return Err(asked.not_approved(plane, params, ApprovalRefusal::Used).await?);
        }
        let CredentialChoice::Shared(credential) = permit.credential().clone() else {
            return Err(not_brokered());
        };
        let permit = match asked.counted(plane, permit, now).await? {
            Ok(permit) => permit,
            Err(denial) => return Err(asked.refused(plane, params, looked.found, denial).await?),
        };
        let intent = asked.intent(plane, &tool, params, &permit, &credential);
        let captured = asked.captures() && looked.found.is_empty();
        let arguments = plane.journal.summary(params.arguments(), captured);
        let intent = IntentRecord { payload: looked.found, arguments, ..intent };
        let intent = plane.journal.intent(intent);
        let intent = traced::part("record the intent").around(intent).await?;

        let begun = self.clock.boot_time();
        let heard = Heard::of(asked.policy, asked, &tool);
        let answer = match Authority::new(&permit, &intent) {
            Ok(authority) => {
                // A call under way does not outlast what stops it.
                tokio::select! {
                    answer = self.effect(plane, asked, spec, &credential, authority, params, (told, &heard)) => answer,
                    words = stopped(plane, asked, &permit, &circumstance) => Err(BrokerFault::Stopped(words)),
                    () = signed_out(plane, asked) => Err(BrokerFault::SignedOut),
                }
            }
            Err(mismatch) => {
                Err(BrokerFault::upstream(&spec.title, &UpstreamFault::NotPermitted, mismatch.to_string()))
            }
        };
        let took = self.clock.boot_time().saturating_sub(begun);
        let answer = heard.answer(&spec.title, answer).await;
        let mut outcome = Outcome { payload: heard.found(), ..outcome(&answer, took) };
        let large = asked.answer_too_large(&tool, &answer);
        if let Some(over) = &large {
            outcome = withheld(outcome, over);
        }
        if let Err(fault) = plane.journal.outcome(intent, outcome) {
            tracing::error!(%fault, call = %asked.context.call, "the outcome of a call could not be recorded");
        }
        match large {
            Some(over) => Err(BrokerFault::TooLarge { title: spec.title.clone(), over }),
            None => answer,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "they are those of a call")]
    async fn effect(
        &self,
        plane: &Plane,
        asked: &Asked<'_>,
        spec: &ConnectorSpec,
        credential: &CredentialId,
        authority: Authority<'_>,
        params: &CallParams<'_>,
        (told, heard): (Option<&Told>, &Heard),
    ) -> Result<Answer, BrokerFault> {
        let unusable = |reason| BrokerFault::Credential { id: credential.clone(), reason };
        let sealed = plane.store.credential(credential).await?.ok_or_else(|| unusable(None))?;
        let whose = Assertion { subject: asked.subject, by: &plane.asserter, now: self.clock.now() };
        let current = plane.credentials.current(credential, &sealed, &whose);
        let current = traced::credential(credential).around(current).await;
        let Current { secret, parts, generation } = current.map_err(|fault| unusable(Some(fault)))?;
        let assertion = assertion(spec, &whose);
        let redactor = Redactor::of(std::iter::once(&secret).chain(&parts).chain(&assertion));
        let key = Key::new(asked.connector, spec, credential, (sealed.version, generation), asked.subject);
        let bearer = spec.url.as_ref().map(|_| match assertion {
            Some(assertion) => Bearer::new(secret.clone()).beside(USER_ASSERTION_HEADER, assertion),
            None => Bearer::new(secret.clone()),
        });
        let means = (&secret, bearer.as_ref());
        let outcome = match told {
            None => self.exchange(&key, spec, means, authority, params, None).await?,
            Some(told) => {
                let (ear, mut hearing) = upstream::ear(told.wants(asked));
                let call = self.exchange(&key, spec, means, authority, params, Some(&ear));
                told.carry(call, &mut hearing, (&redactor, heard)).await?
            }
        };
        match outcome {
            Ok(Ok(result)) => Ok(Ok(redactor.json(result))),
            Ok(Err(error)) => Ok(Err(redactor.json(error))),
            Err(fault) => {
                if matches!(fault, UpstreamFault::SessionGone | UpstreamFault::Ended) {
                    self.pool.forget(&key);
                }
                if matches!(fault, UpstreamFault::Unauthorized { .. }) {
                    // What was fetched may have ended at its source: the next call fetches it anew.
                    plane.credentials.forget(credential);
                }
                let told = redactor.text(&fault.to_string()).into_owned();
                Err(BrokerFault::upstream(&spec.title, &fault, told))
            }
        }
    }

    async fn exchange(
        &self,
        key: &Key,
        spec: &ConnectorSpec,
        (secret, bearer): (&SecretString, Option<&Bearer>),
        authority: Authority<'_>,
        params: &CallParams<'_>,
        ear: Option<&Ear>,
    ) -> Result<Result<Answer, UpstreamFault>, BrokerFault> {
        let opened = self.pool.session(key, spec, secret, bearer).await.map_err(|Full| BrokerFault::Busy)?;
        let session = match opened {
            Ok(session) => session,
            Err(fault) => return Ok(Err(fault)),
        };
        let span = traced::connector(spec, params);
        // A connector elsewhere may tell the same trace; a program here has nobody to tell.
        let parent = spec.url.as_ref().and_then(|_| span.parent());
        let params = parent.map_or_else(|| Cow::Borrowed(params), |parent| Cow::Owned(params.traced(parent)));
        let answer = span.around(session.call(authority, &params, bearer, DEADLINE, ear)).await;
        traced::answered(&span, &answer);
        Ok(answer)
    }
}

impl<'a> Asked<'a> {
    fn circumstance(&self, now: Timestamp) -> Circumstance {
        Circumstance {
            now,
            client_id: self.context.client_id.clone(),
            client_name: self.context.client_name.clone(),
            device: Some(self.device),
            program: self.context.program.clone(),
            address: self.address,
        }
    }

    fn question(
        &'a self,
        tool: &'a ToolName,
        arguments: &'a str,
        circumstance: &'a Circumstance,
    ) -> Question<'a> {
        Question {
            call: self.context.call,
            subject: self.subject,
            server: &self.context.server,
            connector: self.connector,
            target: Target::Tool { name: tool, arguments },
            circumstance,
        }
    }

    fn intent(
        &self,
        plane: &Plane,
        tool: &ToolName,
        params: &CallParams<'_>,
        permit: &Permit,
        credential: &CredentialId,
    ) -> IntentRecord {
        IntentRecord {
            call: self.context.call,
            subject: self.subject.clone(),
            server: permit.server().clone(),
            connector: permit.connector().clone(),
            effect: Effect::tool_call(tool.as_str()),
            client_id: self.context.client_id.clone(),
            client_name: self.context.client_name.clone(),
            process: None,
            policy: permit.version().into(),
            rules: names(permit.rules()),
            observed: names(permit.observed()),
            approval: permit.approval().map(ApprovalRecord::from),
            credential: format!("shared:{credential}"),
            arguments: plane.journal.summary(params.arguments(), false),
            payload: Vec::new(),
        }
    }

    /// Records what is refused after it was looked through.
    async fn refused(
        &self,
        plane: &Plane,
        params: &CallParams<'_>,
        found: Vec<PayloadFinding>,
        denial: Denial,
    ) -> Result<BrokerFault, BrokerFault> {
        let record = DenialRecord { payload: found, ..self.denial(plane, params, &denial) };
        plane.journal.denial(record).await?;
        Ok(BrokerFault::Denied(denial))
    }

    pub(super) fn denial(&self, plane: &Plane, params: &CallParams<'_>, denial: &Denial) -> DenialRecord {
        self.refusal(
            plane,
            params,
            denial.version(),
            names(denial.rules()),
            denial.kind().as_str(),
            &denial.advice(),
        )
    }

    /// The record of a call that is refused before any effect.
    pub(super) fn refusal(
        &self,
        plane: &Plane,
        params: &CallParams<'_>,
        policy: &PolicyVersion,
        rules: Vec<String>,
        kind: &str,
        why: &Advice,
    ) -> DenialRecord {
        DenialRecord {
            call: self.context.call,
            subject: self.subject.clone(),
            server: self.context.server.clone(),
            connector: Some(self.connector.clone()),
            effect: Effect::tool_call(params.name()),
            client_id: self.context.client_id.clone(),
            client_name: self.context.client_name.clone(),
            process: None,
            policy: policy.into(),
            rules,
            kind: kind.to_owned(),
            reason: why.to_string(),
            arguments: Some(plane.journal.summary(params.arguments(), self.captures_refused(params))),
            payload: Vec::new(),
        }
    }

    /// Whether values are recorded of calls in which nothing is found.
    fn captures(&self) -> bool {
        self.live.content().org.audit.capture_arguments
    }

    /// Whether values are recorded of a call that was perhaps refused before it was looked through: not where there is something to
    /// look for.
    fn captures_refused(&self, params: &CallParams<'_>) -> bool {
        let tool = params.name().parse::<ToolName>();
        let looks = |tool: &ToolName| {
            self.policy.sieve(self.connector, Some(tool), PayloadDirection::Request).is_some()
        };
        self.captures() && tool.is_ok_and(|tool| !looks(&tool))
    }
}

/// Waits until something that the call reaches is stopped; gives the words for it.
async fn stopped(plane: &Plane, asked: &Asked<'_>, permit: &Permit, circumstance: &Circumstance) -> String {
    let (reach, mut changes) = (permit.reach(), plane.stopped.changes());
    loop {
        let policy = asked.policy.halted_by(Arc::clone(&changes.borrow_and_update()));
        if let Some(halt) = policy.stops(&reach, asked.subject, circumstance) {
            return halt.words();
        }
        if changes.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Waits until the session is ended with which the call was made: by whoever signs out, or for them. That it runs out meanwhile ends no call.
async fn signed_out(plane: &Plane, asked: &Asked<'_>) {
    let mut changes = plane.store.changes();
    loop {
        match plane.store.is_session_ended(asked.session).await {
            Ok(true) => return,
            Ok(false) => {
                if changes.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
            // What is not known is asked again, whether or not anything changes.
            Err(fault) => tracing::error!(%fault, "whether a session was ended is not known"),
        }
        // Much may change at once that is not about this session.
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// What the server says to a connector of the person whom a call is for, where IT has it do so.
fn assertion(spec: &ConnectorSpec, whose: &Assertion<'_>) -> Option<SecretString> {
    let CredentialSpec::Brokered { identity: Some(UserIdentity::SignedAssertion), .. } = &spec.credential
    else {
        return None;
    };
    // A connector that relies on it refuses the call if it is missing.
    whose.to(spec.url.as_ref()?.as_str())
}

fn brokered<'c>(content: &'c Content, connector: &ConnectorId) -> Option<&'c ConnectorSpec> {
    let spec = content.connectors.get(connector)?;
    matches!(spec.credential, CredentialSpec::Brokered { .. }).then_some(spec)
}

fn names(rules: &[RuleId]) -> Vec<String> {
    rules.iter().map(ToString::to_string).collect()
}

fn outcome(answer: &Result<Answer, BrokerFault>, took: Duration) -> Outcome {
    let mut outcome = match answer {
        Ok(Ok(result)) => {
            let failed = mcp::is_tool_error(result);
            Outcome::new(if failed { OutcomeStatus::ToolError } else { OutcomeStatus::Ok })
        }
        Ok(Err(_)) => Outcome::new(OutcomeStatus::Failed).with_code("rpc-error"),
        Err(fault) => {
            let status = if fault.before_effect() { OutcomeStatus::Failed } else { OutcomeStatus::Unknown };
            Outcome::new(status).with_code(fault.advice().code)
        }
    };
    outcome.duration_micros = u64::try_from(took.as_micros()).ok();
    outcome.response_bytes = match answer {
        Ok(Ok(value) | Err(value)) => u64::try_from(value.get().len()).ok(),
        Err(_) => None,
    };
    outcome
}
