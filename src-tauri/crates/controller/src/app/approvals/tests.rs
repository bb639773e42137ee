use std::collections::BTreeMap;

use audit::{JournalConfig, RecordBody};
use issuer::AccessGrant;
use model::{CodeRequest, Consent, ConsentRequest, SignInOutcome, SignInRequest};
use policy::{Circumstance, Policy, PolicyInput, PolicyVersion, Question};
use tokio::sync::{Notify, mpsc};

use super::*;

/// A person who says what they are told to say, and is asked so many times.
struct Scripted {
    answer: Mutex<Result<Approval, PersonFault>>,
    asked: Mutex<Vec<ApprovalRequest>>,
    /// What the operating system says of who they are, and how often it was asked.
    proof: Mutex<(Result<(), os::Unproved>, usize)>,
    /// While they think, nothing comes.
    thinking: Mutex<Option<Arc<Notify>>>,
}

impl Person for Scripted {
    fn sign_in(&self, _: SignInRequest) -> BoxFuture<'_, Result<SignInOutcome, PersonFault>> {
        Box::pin(async { Err(PersonFault::Cancelled) })
    }

    fn show_code(&self, _: CodeRequest) -> BoxFuture<'_, PersonFault> {
        Box::pin(async { PersonFault::Cancelled })
    }

    fn consent(&self, _: ConsentRequest) -> BoxFuture<'_, Result<Consent, PersonFault>> {
        Box::pin(async { Err(PersonFault::Cancelled) })
    }

    fn approve(&self, request: ApprovalRequest) -> BoxFuture<'_, Result<Approval, PersonFault>> {
        self.asked.lock().unwrap().push(request);
        let thinking = self.thinking.lock().unwrap().clone();
        Box::pin(async move {
            if let Some(thinking) = thinking {
                thinking.notified().await;
            }
            self.answer.lock().unwrap().clone()
        })
    }
}

impl Proof for Scripted {
    fn prove(&self) -> BoxFuture<'_, Result<(), os::Unproved>> {
        let mut proof = self.proof.lock().unwrap();
        proof.1 += 1;
        let said = proof.0.clone();
        Box::pin(async { said })
    }
}

struct Stage {
    dir: tempfile::TempDir,
    keychain: Arc<vault::testing::MemoryKeychain>,
    person: Arc<Scripted>,
    journal: Journal,
    approvals: Approvals,
    device: DeviceId,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Stage {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let device = DeviceId::new();
        let config = JournalConfig::new(dir.path().join("journal"), device, [7; 32]);
        let (journal, _) = Journal::open(config, Arc::new(os::SystemClock)).unwrap();
        let person = Arc::new(Scripted {
            answer: Mutex::new(Ok(Approval::Allow(ApprovalScope::Once))),
            asked: Mutex::default(),
            proof: Mutex::new((Ok(()), 0)),
            thinking: Mutex::default(),
        });
        let keychain = Arc::new(vault::testing::MemoryKeychain::default());
        let (approvals, events) = begun(&dir, &keychain, &person, &journal, device).await;
        Self { dir, keychain, person, journal, approvals, device, events }
    }

    /// The program ends and begins again.
    async fn restart(&mut self) {
        let (approvals, events) =
            begun(&self.dir, &self.keychain, &self.person, &self.journal, self.device).await;
        (self.approvals, self.events) = (approvals, events);
    }

    fn says(&self, answer: Result<Approval, PersonFault>) {
        *self.person.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.person.asked.lock().unwrap().len()
    }

    async fn ask(&self, client: &str, arguments: &str) -> Result<Approved, Unapproved> {
        self.ask_on(ASKED, b"the tool", client, arguments).await
    }

    async fn ask_on(
        &self,
        policies: &str,
        definition: &[u8],
        client: &str,
        arguments: &str,
    ) -> Result<Approved, Unapproved> {
        let policy = compiled(policies);
        let (grant, moment) = (grant(client), moment(client, self.device));
        let (server, connector, name) =
            ("desk".parse().unwrap(), "mail".parse().unwrap(), "send".parse().unwrap());
        let question = Question {
            call: CallId::new(),
            subject: &grant.subject,
            server: &server,
            connector: &connector,
            target: Target::Tool { name: &name, arguments },
            circumstance: &moment,
        };
        let denial = policy.decide(&question).expect_err("a person is asked");
        let wish = Wish {
            question,
            needed: denial.approval().expect("a person is asked"),
            policy: denial.version(),
            grant: &grant,
            definition: Digest::of(definition),
            continues: None,
        };
        let approved = self.approvals.approve(wish).await?;
        policy.decide_approved(&question, &approved).expect("it is good for this call");
        Ok(approved)
    }

    /// What was recorded of questions, by how they were answered.
    async fn answers(&self) -> Vec<String> {
        self.journal.event(EventRecord::new(AuditEvent::Stop)).await.unwrap();
        let records = self.journal.latest(1_000).unwrap();
        let answer = |record: &audit::AuditRecord| {
            let RecordBody::Event(event) = record.body() else { return None };
            let told = event.event == AuditEvent::ApprovalAnswered;
            event.facts.get("answer").filter(|_| told).cloned()
        };
        let mut answers: Vec<String> = records.iter().filter_map(answer).collect();
        answers.sort();
        answers
    }
}

async fn begun(
    dir: &tempfile::TempDir,
    keychain: &Arc<vault::testing::MemoryKeychain>,
    person: &Arc<Scripted>,
    journal: &Journal,
    device: DeviceId,
) -> (Approvals, mpsc::UnboundedReceiver<Event>) {
    let clock: Arc<dyn Clock> = Arc::new(os::SystemClock);
    let vault = Vault::open(&dir.path().join("vault"), keychain.clone(), Arc::clone(&clock)).await;
    let (send, events) = mpsc::unbounded_channel();
    let tell = Tell::new(send, Arc::clone(&clock), dir.path().join("deskgate.toml"), "");
    let proof: Arc<dyn Proof> = person.clone();
    let person: Arc<dyn Person> = person.clone();
    let parts = ApprovalParts { person, vault, tell, journal: journal.clone(), clock, device, proof };
    let approvals = Approvals::load(parts).await;
    approvals.belong_to(Some(&Subject::local("ann")));
    (approvals, events)
}

const ASKED: &str = "@id(\"asked\") @reason(\"Mail needs a person.\") @approval(\"always\") forbid (principal, action == Action::\"mail/send\", resource);";

fn compiled(policies: &str) -> Policy {
    Policy::compile(PolicyInput {
        version: PolicyVersion { label: "1".to_owned(), digest: Digest::of(b"1") },
        connectors: &serde_json::from_str(r#"{"mail": {"title": "M", "command": ["m"]}}"#).unwrap(),
        servers: &serde_json::from_str(r#"{"desk": {"title": "D", "connectors": ["mail"]}}"#).unwrap(),
        tools: &serde_json::from_str(r#"{"mail": [{"name": "send"}]}"#).unwrap(),
        claims: &BTreeMap::new(),
        payload: &org_protocol::PayloadSettings::default(),
        limits: &[],
        policies: &[("p".to_owned(), policy::PERSONAL.to_owned()), ("q".to_owned(), policies.to_owned())]
            .into(),
    })
    .unwrap()
}

fn grant(client: &str) -> AccessGrant {
    AccessGrant {
        client_id: client.to_owned(),
        client_name: client.to_owned(),
        subject: Arc::new(Subject::local("ann")),
        server: "desk".parse().unwrap(),
        expires: Timestamp::from_seconds(i64::from(i32::MAX)),
        executable: None,
        process: None,
    }
}

fn moment(client: &str, device: DeviceId) -> Circumstance {
    let now = os::SystemClock.now();
    Circumstance {
        client_id: client.to_owned(),
        client_name: client.to_owned(),
        device: Some(device),
        ..Circumstance::of_nobody(now)
    }
}

const SESSION: Result<Approval, PersonFault> = Ok(Approval::Allow(ApprovalScope::Session));
const ALWAYS: Result<Approval, PersonFault> = Ok(Approval::Allow(ApprovalScope::Always));

#[tokio::test]
async fn leave_for_one_call_is_asked_for_with_the_next_and_shows_what_differs() {
    let stage = Stage::new().await;
    let approved = stage.ask("a", r#"{"to":"x"}"#).await.unwrap();
    assert_eq!(approved.statement().scope, ApprovalScope::Once);
    stage.ask("a", r#"{"to":"y"}"#).await.unwrap();
    stage.ask("b", r#"{"to":"y"}"#).await.unwrap();
    let asked = stage.person.asked.lock().unwrap().clone();
    let earlier: Vec<_> = asked.iter().map(|request| request.earlier.as_deref()).collect();
    assert_eq!(earlier, [None, Some(r#"{"to":"x"}"#), None], "another assistant's are none of its business");
    assert_eq!(asked[0].reason, "Mail needs a person.");
    assert_eq!(stage.answers().await, ["once", "once", "once"]);
}

#[tokio::test]
async fn leave_for_the_session_ends_with_it_and_is_the_assistant_s_own() {
    let mut stage = Stage::new().await;
    stage.says(SESSION);
    let first = stage.ask("a", "{}").await.unwrap();
    let second = stage.ask("a", r#"{"to":"all"}"#).await.unwrap();
    assert_eq!(stage.asked(), 1);
    assert_ne!(first.statement().call, second.statement().call, "each call has a statement of its own");
    assert_eq!(second.statement().answered, first.statement().answered);
    stage.ask("b", "{}").await.unwrap();
    assert_eq!(stage.asked(), 2);
    stage.approvals.belong_to(Some(&Subject::local("ann")));
    stage.ask("a", "{}").await.unwrap();
    assert_eq!(stage.asked(), 2, "the same person with other groups");
    stage.approvals.belong_to(None);
    stage.approvals.belong_to(Some(&Subject::local("ann")));
    stage.ask("a", "{}").await.unwrap();
    assert_eq!(stage.asked(), 3);
    stage.restart().await;
    stage.ask("a", "{}").await.unwrap();
    assert_eq!(stage.asked(), 4);
}

#[tokio::test]
async fn leave_for_good_outlasts_a_restart_until_it_is_taken_back_or_its_terms_change() {
    let mut stage = Stage::new().await;
    stage.says(ALWAYS);
    stage.ask("a", "{}").await.unwrap();
    kept(&stage, 1).await;
    stage.restart().await;
    stage.ask("a", "{}").await.unwrap();
    assert_eq!(stage.asked(), 1);
    let shown = shown(&mut stage).await;
    assert_eq!((shown.len(), shown[0].scope), (1, ApprovalScope::Always));

    stage.says(Ok(Approval::Allow(ApprovalScope::Once)));
    stage.ask_on(&ASKED.replace("Mail", "Post"), b"the tool", "a", "{}").await.unwrap();
    assert_eq!(stage.asked(), 2, "other terms");
    stage.ask("a", "{}").await.unwrap();
    assert_eq!(stage.asked(), 3, "what was void stays so");
    kept(&stage, 0).await;

    stage.says(ALWAYS);
    stage.ask("a", "{}").await.unwrap();
    stage.says(Ok(Approval::Allow(ApprovalScope::Once)));
    stage.ask_on(ASKED, b"another tool", "a", "{}").await.unwrap();
    assert_eq!(stage.asked(), 5, "another definition");

    stage.says(ALWAYS);
    stage.ask("a", "{}").await.unwrap();
    kept(&stage, 1).await;
    let id = self::shown(&mut stage).await[0].id.clone();
    stage.approvals.forget(&id);
    kept(&stage, 0).await;
    stage.ask("a", "{}").await.unwrap();
    assert_eq!(stage.asked(), 7);
}

/// Waits until the vault keeps so many.
async fn kept(stage: &Stage, count: usize) {
    loop {
        let _turn = stage.approvals.0.writing.lock().await;
        let found = stage.approvals.0.parts.vault.list(Kind::Approval).await.unwrap().len();
        if found == count {
            return;
        }
        drop(_turn);
        tokio::task::yield_now().await;
    }
}

/// What the person was shown last.
async fn shown(stage: &mut Stage) -> Vec<StandingApproval> {
    let mut last = Vec::new();
    while let Ok(event) = stage.events.try_recv() {
        if let Event::Approvals(approvals) = event {
            last = approvals;
        }
    }
    last
}

#[tokio::test]
async fn leave_ends_with_the_assistant_s_even_while_it_is_given() {
    let stage = Stage::new().await;
    stage.says(SESSION);
    stage.ask("a", "{}").await.unwrap();
    stage.approvals.revoked("a", &"desk".parse().unwrap());
    stage.ask("a", "{}").await.unwrap();
    assert_eq!(stage.asked(), 2);

    let thinking = Arc::new(Notify::new());
    *stage.person.thinking.lock().unwrap() = Some(Arc::clone(&thinking));
    let answering = async {
        while stage.asked() < 3 {
            tokio::task::yield_now().await;
        }
        stage.approvals.revoked("b", &"desk".parse().unwrap());
        thinking.notify_one();
    };
    let (answer, ()) = tokio::join!(stage.ask("b", "{}"), answering);
    answer.unwrap();
    *stage.person.thinking.lock().unwrap() = None;
    stage.ask("b", "{}").await.unwrap();
    assert_eq!(stage.asked(), 4);
}

#[tokio::test]
async fn who_refuses_is_late_or_hangs_up_approves_nothing_and_it_is_recorded() {
    let stage = Stage::new().await;
    for (answer, why) in [
        (Ok(Approval::Deny), Unapproved::Denied),
        (Err(PersonFault::Cancelled), Unapproved::Denied),
        (Err(PersonFault::Deadline), Unapproved::Deadline),
        (Err(PersonFault::Nobody("x".to_owned())), Unapproved::Nobody("x".to_owned())),
    ] {
        stage.says(answer);
        assert_eq!(stage.ask("a", "{}").await, Err(why));
    }
    *stage.person.thinking.lock().unwrap() = Some(Arc::default());
    let asked = async {
        while stage.asked() < 5 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = stage.ask("a", "{}") => panic!("nobody answered, but: {answer:?}"),
        () = asked => {}
    }
    assert_eq!(stage.answers().await, ["deadline", "denied", "denied", "nobody", "withdrawn"]);
}

#[tokio::test]
async fn an_assistant_that_asks_for_too_much_is_not_asked_about_and_the_person_is_told_once() {
    let mut stage = Stage::new().await;
    stage.says(Ok(Approval::Deny));
    let mut suspended = 0;
    for number in 0..30 {
        let answer = stage.ask("a", &format!("{{\"n\":{number}}}")).await;
        suspended += usize::from(answer == Err(Unapproved::Suspended));
    }
    assert_eq!((stage.asked(), suspended), (20, 10));
    assert_eq!(stage.ask("b", "{}").await, Err(Unapproved::Denied), "others are");
    let mut told = 0;
    while let Ok(event) = stage.events.try_recv() {
        told += usize::from(matches!(event, Event::FaultRaised(_)));
    }
    assert_eq!(told, 1);
}

const PROVED: &str = "@id(\"asked\") @approval(\"session\") @factor(\"system\") forbid (principal, action == Action::\"mail/send\", resource);";

#[tokio::test]
async fn whoever_allows_what_has_to_be_proved_proves_it_once_and_nothing_is_let_through_without() {
    let stage = Stage::new().await;
    let allow = Ok(Approval::Allow(ApprovalScope::Session));
    stage.says(allow.clone());
    for why in [os::Unproved::Refused, os::Unproved::Unasked("no polkit".to_owned())] {
        stage.person.proof.lock().unwrap().0 = Err(why.clone());
        let refused = stage.ask_on(PROVED, b"the tool", "a", "{}").await;
        assert_eq!(refused.unwrap_err(), Unapproved::Unproved(why.to_string()));
    }
    stage.person.proof.lock().unwrap().0 = Ok(());
    for _ in 0..2 {
        let approved = stage.ask_on(PROVED, b"the tool", "a", "{}").await.unwrap();
        assert_eq!(approved.statement().factor, Some(Factor::Polkit), "also where leave stands");
    }
    assert_eq!((stage.asked(), stage.person.proof.lock().unwrap().1), (3, 3), "leave stands after the third");
    assert!(stage.person.asked.lock().unwrap()[0].reason.contains("prove that it is you"));
    assert_eq!(stage.answers().await, ["session", "unproved", "unproved"]);

    // Who refuses is asked for nothing more, and who need not prove anything neither.
    stage.says(Ok(Approval::Deny));
    assert_eq!(stage.ask_on(PROVED, b"the tool", "b", "{}").await.unwrap_err(), Unapproved::Denied);
    stage.says(allow);
    assert_eq!(stage.ask("c", "{}").await.unwrap().statement().factor, None);
    assert_eq!(stage.person.proof.lock().unwrap().1, 3);
}
