//! Faults by name, between a desktop and the control plane: what is said, that nothing is believed or done by mistake, and that all goes
//! on by itself afterwards.

use std::sync::Arc;
use std::time::Duration;

use audit::{AuditEvent, EventRecord, Journal, JournalConfig};
use control::testing::{ANALYST_SECRET, FINANCE_SECRET, ServedOrg};
use model::{CallId, ConnectorId, Digest, ForPerson as _, Subject, Timestamp};
use org::{BrokeredCall, Delivery, Fetched, Loan, OrgFault};
use org_protocol::{BROKER_FORMAT, BrokerContext};
use os::{Clock as _, ManualClock, SystemClock};
use testkit::{Meddler, Meddling};

use crate::harness::{Desktop, id_token, person, until, whose};

/// Longer than any request may take.
const WHILE: Duration = Duration::from_secs(45);
/// How long a call may take.
const CALL: Duration = Duration::from_secs(20);

/// A desktop that works, and what lies between it and its control plane.
struct Desk {
    served: ServedOrg,
    between: Meddler,
    desktop: Desktop,
    in_force: Digest,
}

impl Desk {
    async fn new() -> Self {
        let mut served = ServedOrg::unpublished(None).await;
        let between = Meddler::before(served.running.address).await.expect("listens");
        served = served.restart_behind(between.url().clone()).await;
        served.publish(ServedOrg::with_ledger).await.expect("publishes");
        for (id, secret) in [("warehouse-analyst", ANALYST_SECRET), ("warehouse-finance", FINANCE_SECRET)] {
            served.put_credential(id, secret).await;
        }
        let desktop = Desktop::new(&served).await;
        let in_force = desktop.update().await.expect("fetches").expect("new").digest;
        desktop.sign_in(&served, "alice", &["analysts"]).await;
        Self { served, between, desktop, in_force }
    }

    async fn fetches(&self) -> Result<Fetched, OrgFault> {
        self.desktop.org.fetch().await
    }

    async fn opens_a_session(&self) -> Result<(), OrgFault> {
        let nonce = self.desktop.org.nonce().await.expect("a nonce");
        let token = id_token(&self.served, "alice", &["analysts"], Some(&nonce));
        let alice = person(&self.served, "alice");
        self.desktop.org.open_session(&whose(&alice, &token, Some(&nonce))).await.map(drop)
    }

    async fn calls(&self) -> Result<String, OrgFault> {
        let (connector, alice): (ConnectorId, Subject) =
            ("warehouse".parse().expect("an id"), person(&self.served, "alice"));
        let context = BrokerContext {
            format: BROKER_FORMAT,
            call: CallId::new(),
            server: "analyst".parse().expect("an id"),
            policy: self.in_force,
            client_id: "client".to_owned(),
            client_name: "An assistant".to_owned(),
            program: None,
            approval: None,
        };
        let params = serde_json::json!({
            "name": "query",
            "arguments": {"sql": "select 1"},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        });
        let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let headers = [
            ("mcp-protocol-version", "2026-07-28".to_owned()),
            ("mcp-method", "tools/call".to_owned()),
            ("mcp-name", "query".to_owned()),
        ];
        let call = BrokeredCall {
            connector: &connector,
            subject: &alice,
            context: &context,
            trace: model::TraceParent::of_call(context.call),
            headers: &headers,
            body: &body.to_string(),
            deadline: CALL,
            heard: None,
        };
        let answer = self.desktop.org.broker(call).await?;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        // As whoever asked does.
        if body.contains("\"jsonrpc\"") { Ok(body) } else { Err(OrgFault::Unusable("no answer".to_owned())) }
    }

    async fn borrows(&self) -> Result<(), OrgFault> {
        let loan = Loan {
            connector: &"ledger".parse().expect("an id"),
            credential: &"warehouse-analyst".parse().expect("an id"),
            server: &"analyst".parse().expect("an id"),
            subject: &person(&self.served, "alice"),
            client_id: "client",
            client_name: "An assistant",
            program: None,
        };
        self.desktop.org.lease(loan).await.map(drop)
    }
}

/// What somebody is told of a fault.
fn code<T>(outcome: Result<T, OrgFault>) -> String {
    match outcome {
        Ok(_) => "nothing".to_owned(),
        Err(fault) => fault.advice().code,
    }
}

/// Whatever lies between them does, `told` is what each attempt ends with, within what a call may take; then everything goes on.
async fn is_told_and_passes(meddling: Meddling, told: &str) {
    // A whole answer that is no signed document is told as that.
    let is_whole = matches!(meddling, Meddling::Portal | Meddling::HalfJson | Meddling::OtherJson);
    let of_policy = if is_whole { "bundle-envelope" } else { told };
    let desk = Desk::new().await;
    let journal = JournalConfig {
        org: Some("acme".to_owned()),
        ..JournalConfig::new(desk.desktop.home.path().join("journal"), desk.desktop.id, [7; 32])
    };
    let (journal, _) = Journal::open(journal, Arc::new(SystemClock)).expect("opens");
    let (deliverer, follower, lender) =
        (desk.desktop.org.clone(), desk.desktop.org.clone(), desk.desktop.org.clone());
    let delivered = journal.clone();
    let tasks = [
        tokio::spawn(async move { deliverer.deliver(delivered).await }),
        tokio::spawn(async move { follower.follow(|_| ()).await }),
        tokio::spawn(async move { lender.keep_leases().await }),
    ];
    desk.borrows().await.expect("lent");

    desk.between.does(meddling);
    journal.event(EventRecord::new(AuditEvent::SignedIn).of(Subject::local("alice"))).await.expect("records");
    // Where nobody answers, nothing moves but the clock until somebody has waited long enough.
    let is_slow = matches!(meddling, Meddling::Silence | Meddling::Drip);
    if is_slow {
        tokio::time::pause();
    }
    // What was said over connections from before is lost on its way, which is told as that.
    until("what is said of fetching", async || code(desk.fetches().await) == of_policy).await;
    until("what is said of the session", async || code(desk.opens_a_session().await) == told).await;
    let called = async || desk.calls().await.map_err(|fault| (fault.advice().code, fault.before_effect()));
    let unknown = Err((told.to_owned(), false));
    until("that it is not known whether the call was made", async || called().await == unknown).await;
    if is_slow {
        tokio::time::sleep(WHILE).await;
        tokio::time::resume();
    }
    until("what is said of records", async || {
        matches!(&*desk.desktop.org.delivery().borrow(), Delivery::Waiting(_))
    })
    .await;
    let held = desk.desktop.org.session().borrow().clone();
    assert!(held.is_some(), "the session is what it was");
    let resumed = desk.desktop.org.resume().await.expect("nothing is wrong").expect("in force");
    assert_eq!(resumed.digest, desk.in_force, "and so is the policy");

    desk.between.does(Meddling::Nothing);
    assert!(matches!(desk.fetches().await, Ok(Fetched::Unchanged)), "{:?}", desk.fetches().await);
    desk.opens_a_session().await.expect("opens");
    let called = desk.calls().await.expect("called");
    assert!(called.contains("select 1"), "{called}");
    until("the records", async || {
        matches!(&*desk.desktop.org.delivery().borrow(), Delivery::Delivered(_))
            && journal.acknowledged() == Some(journal.head())
    })
    .await;
    until("a lease", async || desk.borrows().await.is_ok()).await;
    tasks.iter().for_each(|task| task.abort());
}

const UNREACHABLE: &str = "org-unreachable";
const UNUSABLE: &str = "org-unusable";

#[tokio::test]
async fn a_control_plane_that_hangs_up_is_told_and_passes() {
    is_told_and_passes(Meddling::Hangup, UNREACHABLE).await;
}

#[tokio::test]
async fn a_control_plane_that_never_answers_is_told_and_passes() {
    is_told_and_passes(Meddling::Silence, UNREACHABLE).await;
}

#[tokio::test]
async fn a_control_plane_that_answers_byte_by_byte_is_told_and_passes() {
    is_told_and_passes(Meddling::Drip, UNREACHABLE).await;
}

#[tokio::test]
async fn a_page_in_the_place_of_every_answer_is_told_and_passes() {
    is_told_and_passes(Meddling::Portal, UNUSABLE).await;
}

#[tokio::test]
async fn half_a_document_is_told_and_passes() {
    is_told_and_passes(Meddling::HalfJson, UNUSABLE).await;
}

#[tokio::test]
async fn a_document_of_another_kind_is_told_and_passes() {
    is_told_and_passes(Meddling::OtherJson, UNUSABLE).await;
}

#[tokio::test]
async fn a_bad_gateway_is_told_and_passes() {
    is_told_and_passes(Meddling::BadGateway, UNUSABLE).await;
}

#[tokio::test]
async fn an_answer_without_end_is_told_and_passes() {
    is_told_and_passes(Meddling::Endless, UNUSABLE).await;
}

/// One clock or the other is wrong by hours: neither can know which, so both are named.
#[tokio::test]
async fn a_clock_that_is_wrong_by_hours_is_told_with_how_much() {
    let served = ServedOrg::new().await;
    let hours = Duration::from_secs(5 * 3600);
    let now = SystemClock.now();
    for (clock, words) in [
        (now.plus(hours), "This computer's clock is 5 hours ahead of that of the organisation's server."),
        (
            Timestamp::from_micros(now.micros() - 5 * 3_600_000_000),
            "This computer's clock is 5 hours behind that of the organisation's server.",
        ),
    ] {
        let clock = Arc::new(ManualClock::new(clock));
        let desktop = Desktop::with_clock(&served, Arc::clone(&clock) as _).await;
        let nonce = desktop.org.nonce().await.expect("a nonce");
        let token = id_token(&served, "alice", &["analysts"], Some(&nonce));
        let alice = person(&served, "alice");
        let open = async || desktop.org.open_session(&whose(&alice, &token, Some(&nonce))).await;
        let advice = open().await.expect_err("refused").advice();
        assert_eq!((advice.code.as_str(), advice.happened.as_str()), ("proof-time", words));
        assert!(advice.todo.contains("Set this computer's clock"), "{advice}");
        // Somebody sets it.
        clock.set(SystemClock.now());
        open().await.expect("opens");
    }
}
