//! Asks the person about calls that a policy leaves to them, and proves their answers with the device's key.
//!
//! An answer is for one call. Where policy lets it be for more, each further call gets a statement of its own; nothing here makes
//! one without a person's answer behind it.

mod flood;
mod standing;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use audit::{AuditEvent, EventRecord, Journal};
use gateway::{Approver, Unapproved, Wish};
use model::{
    Advice, Approval, ApprovalRequest, ApprovalScope, BoxFuture, CallId, ConnectorId, DeviceId, Digest,
    Person, PersonFault, ServerId, Subject, Timestamp,
};
use org_protocol::{
    APPROVAL_FORMAT, APPROVAL_LIFE, ApprovalProof, ApprovalStatement, Approved, ArgumentsKey, Factor,
    statement_rules, statement_target,
};
use os::Clock;
use policy::{Aim, ApprovalNeeded, Target};
use vault::{Kind, Vault};

use self::flood::{Admitted, Flood, REST};
use self::standing::{Found, Kept, Leaves, Standing};
use super::tell::Tell;
use crate::event::Event;
use crate::state::StandingApproval;

/// What a person proves who they are with.
const FACTOR: Factor = Factor::Polkit;
/// What they are told of that beforehand.
const TO_BE_PROVED: &str = "If you allow it, your computer asks you to prove that it is you.";
/// How long a person has to answer. Assistants do not wait much longer.
const DEADLINE: Duration = Duration::from_secs(3 * 60);
/// What the key is derived for that seals arguments.
const SEALS_ARGUMENTS: &str = "approved arguments";
/// The code of what a person is told of an assistant that asks for too much.
const SUSPENDED: &str = "assistant-suspended";
/// Of how many things the last approved arguments are kept, to show what differs.
const EARLIER_KEPT: usize = 64;
/// The longest arguments that are kept for that, in bytes.
const LONGEST_EARLIER: usize = 64 * 1024;

/// What approvals need from outside.
pub(crate) struct ApprovalParts {
    pub(crate) person: Arc<dyn Person>,
    pub(crate) vault: Vault,
    pub(crate) tell: Tell,
    pub(crate) journal: Journal,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) device: DeviceId,
    pub(crate) proof: Arc<dyn Proof>,
}

/// Has the person prove to the operating system who they are.
pub(crate) trait Proof: Send + Sync {
    /// Waits until they have, or have not. Dropping the future withdraws the question.
    fn prove(&self) -> BoxFuture<'_, Result<(), os::Unproved>>;
}

/// The operating system itself.
pub(crate) struct OfSystem;

impl Proof for OfSystem {
    fn prove(&self) -> BoxFuture<'_, Result<(), os::Unproved>> {
        Box::pin(os::prove_person())
    }
}

/// The approvals of whoever is present. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub(crate) struct Approvals(Arc<Inner>);

struct Inner {
    parts: ApprovalParts,
    book: Mutex<Book>,
    /// What is written to the vault is written in the order in which it was decided.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Book {
    leaves: Leaves,
    flood: Flood,
    /// The arguments that were approved last, by assistant and thing. In memory only.
    earlier: VecDeque<(String, String)>,
    present: Option<Subject>,
    /// Counts what ends leave that is being given: nothing stands that was answered before, and given after.
    ended: u64,
}

impl Approvals {
    /// With what the vault keeps.
    pub(crate) async fn load(parts: ApprovalParts) -> Self {
        let approvals =
            Self(Arc::new(Inner { parts, book: Mutex::default(), writing: tokio::sync::Mutex::default() }));
        approvals.read().await;
        approvals
    }

    /// Reads what the vault keeps, should it have been out of reach before.
    pub(crate) async fn read(&self) {
        let vault = &self.0.parts.vault;
        for id in vault.list(Kind::Approval).await.unwrap_or_default() {
            if let Ok(Some(bytes)) = vault.get(Kind::Approval, &id).await {
                self.book().leaves.read(&id, bytes.expose_secret());
            }
        }
        self.show();
    }

    /// Another person is present, or none: leave for a session has ended with it.
    pub(crate) fn belong_to(&self, person: Option<&Subject>) {
        let mut book = self.book();
        let same = match (&book.present, person) {
            (Some(before), Some(now)) => before.is_same_person(now),
            (before, now) => before.is_none() && now.is_none(),
        };
        if !same {
            book.leaves.end_sessions();
            book.earlier.clear();
            book.ended += 1;
        }
        book.present = person.cloned();
        drop(book);
        self.show();
    }

    /// An assistant may not use a virtual server any more.
    pub(crate) fn revoked(&self, client_id: &str, server: &ServerId) {
        let gone = |standing: &Standing| standing.client_id == client_id && standing.server == *server;
        let mut book = self.book();
        book.ended += 1;
        let kept = book.leaves.forget_all(gone);
        drop(book);
        self.keep(kept);
        self.show();
    }

    /// A connector is gone: another one of its name is another one.
    pub(crate) fn removed(&self, connector: &ConnectorId) {
        let mut book = self.book();
        book.ended += 1;
        let kept = book.leaves.forget_all(|standing| standing.connector == *connector);
        drop(book);
        self.keep(kept);
        self.show();
    }

    /// The person takes a leave back.
    pub(crate) fn forget(&self, id: &str) {
        let mut book = self.book();
        let theirs = book.present.as_ref().map(|person| book.leaves.of(person)).unwrap_or_default();
        let Some(standing) = theirs.into_iter().find(|standing| standing.id() == id) else { return };
        let kept = book.leaves.forget(id);
        let person = book.present.clone();
        drop(book);
        let record = EventRecord::new(AuditEvent::ApprovalRevoked)
            .with("client", &standing.client_id)
            .with("server", standing.server.as_str())
            .with("connector", standing.connector.as_str())
            .with(standing.target.kind(), statement_target(&standing.target).name());
        let record = person.into_iter().fold(record, EventRecord::of);
        self.0.parts.tell.note(&self.0.parts.journal, &record);
        self.keep(kept.into_iter().collect());
        self.show();
    }

    async fn answered(&self, wish: &Wish<'_>) -> Result<Approved, Unapproved> {
        let now = self.0.parts.clock.now();
        if let Some(call) = wish.continues {
            return self.prove(wish, ApprovalScope::Once, now, Some(call)).await;
        }
        let found = self.book().leaves.find(wish);
        match found {
            Found::Holds(scope, answered) => return self.prove(wish, scope, answered, None).await,
            Found::Void(kept) => {
                self.keep(kept.into_iter().collect());
                self.show();
            }
            Found::Nothing => {}
        }
        let _waits = self.admitted(wish)?;
        let ended = self.book().ended;
        let mut told = Told { approvals: self, record: Some(self.record(wish)) };
        let answer = self.0.parts.person.approve(self.request(wish)).await;
        let scope = match answer {
            Ok(Approval::Allow(scope)) => scope.min(wish.needed.most()),
            refused => {
                let why = refusal(refused);
                told.answer(why.kind().trim_start_matches("approval-"), None);
                return Err(why);
            }
        };
        if wish.needed.factor() {
            if let Err(why) = self.proved().await {
                told.answer("unproved", None);
                return Err(why);
            }
            told.proved(FACTOR);
        }
        let now = self.0.parts.clock.now();
        let approved = self.prove(wish, scope, now, None).await;
        told.answer(scope.as_str(), approved.as_ref().ok());
        let approved = approved?;
        let mut book = self.book();
        book.remember(earlier_key(wish), arguments(wish));
        let kept = (scope > ApprovalScope::Once && book.ended == ended)
            .then(|| book.leaves.give(Standing::given(wish, scope, now)))
            .flatten();
        drop(book);
        self.keep(kept.into_iter().collect());
        self.show();
        Ok(approved)
    }

    /// Whoever allowed it proves who they are, in time.
    async fn proved(&self) -> Result<(), Unapproved> {
        match tokio::time::timeout(DEADLINE, self.0.parts.proof.prove()).await {
            Ok(proved) => proved.map_err(|why| Unapproved::Unproved(why.to_string())),
            Err(_) => Err(Unapproved::Unproved("it took too long".to_owned())),
        }
    }

    /// Signs that this call was approved. Leave that stands, or goes on, was given on the same terms: whoever gave it has proved
    /// what they ask for.
    async fn prove(
        &self,
        wish: &Wish<'_>,
        scope: ApprovalScope,
        answered: Timestamp,
        continues: Option<CallId>,
    ) -> Result<Approved, Unapproved> {
        let unsigned = |fault: &dyn std::fmt::Display| {
            tracing::error!(%fault, "an approval could not be signed");
            Unapproved::Unsigned("its key is out of reach".to_owned())
        };
        let Wish { question, needed, policy, grant, .. } = *wish;
        let ApprovalParts { vault, clock, device, .. } = &self.0.parts;
        let key = vault.device_key().await.map_err(|fault| unsigned(&fault))?;
        let jwk = serde_json::from_value(key.public_jwk()).map_err(|fault| unsigned(&fault))?;
        let arguments_key = ArgumentsKey::of(&vault.mac_key(SEALS_ARGUMENTS), question.call);
        let issued = clock.now();
        let statement = ApprovalStatement {
            format: APPROVAL_FORMAT,
            call: question.call,
            device: *device,
            issuer: question.subject.issuer.clone(),
            subject: question.subject.subject.clone(),
            client_id: grant.client_id.clone(),
            server: question.server.clone(),
            connector: question.connector.clone(),
            target: statement_target(&Aim::of(&question.target).to_approve()),
            arguments: arguments_key.seal(&text(wish)),
            rules: statement_rules(needed.rules()),
            terms: needed.terms(),
            policy: policy.digest,
            scope,
            answered,
            factor: needed.factor().then_some(FACTOR),
            continues,
            issued,
            valid_until: issued.plus(APPROVAL_LIFE),
        };
        let signed = statement.signed(&jwk, |input| key.sign(input)).map_err(|fault| unsigned(&fault))?;
        let proof = ApprovalProof { signed, arguments_key };
        Approved::verified(&proof, &key.thumbprint(), issued).map_err(|fault| unsigned(&fault))
    }

    /// Whether the person is asked; an assistant that asks for too much is not asked about.
    fn admitted(&self, wish: &Wish<'_>) -> Result<Waits, Unapproved> {
        let client_id = wish.grant.client_id.clone();
        let question = Digest::of_parts(&[earlier_key(wish).as_bytes(), text(wish).as_bytes()]);
        let admitted = self.book().flood.ask(&client_id, question, self.0.parts.clock.boot_time());
        match admitted {
            Admitted::Asked => Ok(Waits { approvals: self.clone(), client_id, question }),
            Admitted::SuspendedNow => {
                self.suspended(wish);
                Err(Unapproved::Suspended)
            }
            Admitted::Suspended => Err(Unapproved::Suspended),
        }
    }

    fn suspended(&self, wish: &Wish<'_>) {
        let ApprovalParts { tell, journal, .. } = &self.0.parts;
        let name = crate::words::name(&wish.grant.client_name);
        let record = EventRecord::new(AuditEvent::AssistantSuspended)
            .of(wish.question.subject.clone())
            .with("client", &wish.grant.client_id)
            .with("name", &wish.grant.client_name)
            .with("server", wish.question.server.as_str())
            .with("seconds", REST.as_secs().to_string());
        tell.note(journal, &record);
        let code = format!("{SUSPENDED}-{}", Digest::of(wish.grant.client_id.as_bytes()).hex());
        tell.event(Event::FaultRaised(Advice::new(
            &code,
            format!("{name} asked for too many approvals at once."),
            "For five minutes its calls that need your approval are refused without asking you.",
            "If you do not know why it does that, take back what it is allowed under Assistants.",
        )));
        let tell = tell.clone();
        tokio::spawn(async move {
            tokio::time::sleep(REST).await;
            tell.event(Event::FaultCleared { code });
        });
    }

    fn request(&self, wish: &Wish<'_>) -> ApprovalRequest {
        let Wish { question, needed, grant, .. } = *wish;
        ApprovalRequest {
            call: question.call,
            server: question.server.clone(),
            connector: question.connector.clone(),
            target: Aim::of(&question.target).to_approve(),
            arguments: arguments(wish),
            earlier: self.book().earlier(&earlier_key(wish)),
            client_id: grant.client_id.clone(),
            client_name: grant.client_name.clone(),
            program: grant.program().map(ToOwned::to_owned).or_else(|| grant.executable.clone()),
            subject: question.subject.clone(),
            reason: reason(needed),
            most: needed.most(),
            deadline: DEADLINE,
        }
    }

    /// What is recorded of a question; how it was answered is added.
    fn record(&self, wish: &Wish<'_>) -> EventRecord {
        let Wish { question, needed, grant, .. } = *wish;
        let target = statement_target(&Aim::of(&question.target).to_approve());
        let rules: Vec<&str> = needed.rules().iter().map(policy::RuleId::as_str).collect();
        EventRecord::new(AuditEvent::ApprovalAnswered)
            .of(question.subject.clone())
            .with("call", question.call.to_string())
            .with("server", question.server.as_str())
            .with("connector", question.connector.as_str())
            .with(target.kind(), target.name())
            .with("client", &grant.client_id)
            .with("name", &grant.client_name)
            .with("rules", rules.join(", "))
            .with("most", needed.most().as_str())
    }

    /// Has the vault follow.
    fn keep(&self, kept: Vec<Kept>) {
        if kept.is_empty() {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            let _turn = this.0.writing.lock().await;
            let vault = &this.0.parts.vault;
            for one in kept {
                let done = match one {
                    Kept::Put(standing) => {
                        let bytes = serde_json::to_vec(&standing).unwrap_or_default();
                        vault.put(Kind::Approval, &standing.id(), &bytes).await
                    }
                    Kept::Delete(id) => vault.delete(Kind::Approval, &id).await,
                };
                if let Err(fault) = done {
                    tracing::error!(%fault, "what a person allowed, or took back, is not on disk");
                }
            }
        });
    }

    /// Shows the present person what they have allowed for more than one call.
    fn show(&self) {
        let book = self.book();
        let theirs = book.present.as_ref().map(|person| book.leaves.of(person)).unwrap_or_default();
        drop(book);
        let shown = theirs.iter().map(|standing| StandingApproval {
            id: standing.id(),
            client_id: standing.client_id.clone(),
            client_name: standing.client_name.clone(),
            server: standing.server.clone(),
            connector: standing.connector.clone(),
            target: standing.target.clone(),
            scope: standing.scope,
            answered: standing.answered,
        });
        self.0.parts.tell.event(Event::Approvals(shown.collect()));
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Approver for Approvals {
    fn approve<'a>(&'a self, wish: Wish<'a>) -> BoxFuture<'a, Result<Approved, Unapproved>> {
        Box::pin(async move { self.answered(&wish).await })
    }
}

impl Book {
    fn remember(&mut self, key: String, arguments: String) {
        self.earlier.retain(|(known, _)| *known != key);
        if arguments.len() <= LONGEST_EARLIER {
            self.earlier.push_back((key, arguments));
        }
        while self.earlier.len() > EARLIER_KEPT {
            self.earlier.pop_front();
        }
    }

    fn earlier(&self, key: &str) -> Option<String> {
        self.earlier.iter().find(|(known, _)| known == key).map(|(_, arguments)| arguments.clone())
    }
}

/// One call that waits for an answer, for as long as it does.
struct Waits {
    approvals: Approvals,
    client_id: String,
    question: Digest,
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.approvals.book().flood.ended(&self.client_id, self.question);
    }
}

/// What is recorded of a question, whatever becomes of it: who hangs up has withdrawn it.
struct Told<'a> {
    approvals: &'a Approvals,
    record: Option<EventRecord>,
}

impl Told<'_> {
    fn proved(&mut self, factor: Factor) {
        self.record = self.record.take().map(|record| record.with("factor", factor.as_str()));
    }

    fn answer(&mut self, answer: &str, approved: Option<&Approved>) {
        let Some(record) = self.record.take() else { return };
        let record = record.with("answer", answer);
        let record = match approved {
            Some(approved) => record
                .with("digest", approved.digest().to_string())
                .with("signed", serde_json::to_string(&approved.proof().signed).unwrap_or_default()),
            None => record,
        };
        self.approvals.0.parts.tell.note(&self.approvals.0.parts.journal, &record);
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.answer("withdrawn", None);
    }
}

/// Why they are asked, and what else they are asked for.
fn reason(needed: &ApprovalNeeded) -> String {
    let proof = needed.factor().then_some(TO_BE_PROVED);
    let reasons: Vec<&str> = needed.reasons().iter().map(String::as_str).chain(proof).collect();
    reasons.join(" ")
}

fn refusal(answer: Result<Approval, PersonFault>) -> Unapproved {
    match answer {
        Ok(Approval::Deny | Approval::Allow(_)) | Err(PersonFault::Cancelled | PersonFault::PortTaken) => {
            Unapproved::Denied
        }
        Err(PersonFault::Deadline) => Unapproved::Deadline,
        Err(PersonFault::Nobody(why)) => Unapproved::Nobody(why),
    }
}

/// What a statement is about, to the last byte.
fn text(wish: &Wish<'_>) -> String {
    match wish.question.target {
        Target::Tool { arguments, .. } | Target::Prompt { arguments, .. } => arguments.to_owned(),
        Target::Resource { uri } => uri.to_owned(),
    }
}

/// The arguments as a person is shown them.
fn arguments(wish: &Wish<'_>) -> String {
    match wish.question.target {
        Target::Tool { arguments, .. } | Target::Prompt { arguments, .. } => arguments.to_owned(),
        Target::Resource { .. } => "{}".to_owned(),
    }
}

/// Whose arguments may be compared.
fn earlier_key(wish: &Wish<'_>) -> String {
    Standing::given(wish, ApprovalScope::Once, Timestamp::from_micros(0)).id()
}
