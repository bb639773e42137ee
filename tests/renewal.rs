//! What becomes of an account when Deskgate dies in the middle of renewing it, wherever that is.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Assistant, Employee, Gateway, Idp, IdpSettings, Mail, Opened, Step, full_size, until};
use tokio::task::{JoinSet, LocalSet};

use crate::common::{SOON, at_mail, let_in, signs_in};

/// Where it dies, and what that costs the person.
///
/// A renewal writes down that the refresh token is about to be used, uses it, and writes down what it got for it; the vault
/// replaces a file and then its index each time. Only from the moment in which the provider has taken the old token until the new one
/// has its name on disk can nobody know the new one: then the provider is asked once more, and then the person, once.
const CRASHES: [(&str, Cost); 20] = [
    // Before the mark has its name: as if nothing had happened.
    ("begun 1 vault/grant", Cost::Nothing),
    ("written 1 vault/grant", Cost::Nothing),
    ("synced 1 vault/grant", Cost::Nothing),
    // Marked, not sent.
    ("renamed 1 vault/grant", Cost::Nothing),
    ("durable 1 vault/grant", Cost::Nothing),
    ("begun 1 vault/index", Cost::Nothing),
    ("written 1 vault/index", Cost::Nothing),
    ("synced 1 vault/index", Cost::Nothing),
    ("renamed 1 vault/index", Cost::Nothing),
    ("durable 1 vault/index", Cost::Nothing),
    // Sent and taken, the new token not on disk.
    ("begun 2 vault/grant", Cost::OneSignIn),
    ("written 2 vault/grant", Cost::OneSignIn),
    ("synced 2 vault/grant", Cost::OneSignIn),
    // The new token is there.
    ("renamed 2 vault/grant", Cost::Nothing),
    ("durable 2 vault/grant", Cost::Nothing),
    ("begun 2 vault/index", Cost::Nothing),
    ("written 2 vault/index", Cost::Nothing),
    ("synced 2 vault/index", Cost::Nothing),
    ("renamed 2 vault/index", Cost::Nothing),
    ("durable 2 vault/index", Cost::Nothing),
];

/// How many of them are tried at once.
const AT_ONCE: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cost {
    /// The account is renewed and nobody notices.
    Nothing,
    /// The provider is asked once in vain, and the person once.
    OneSignIn,
}

/// What was seen from the crash on.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    sign_ins: usize,
    refused: usize,
}

impl Cost {
    fn seen(self) -> Seen {
        match self {
            Self::Nothing => Seen { sign_ins: 0, refused: 0 },
            Self::OneSignIn => Seen { sign_ins: 1, refused: 1 },
        }
    }
}

/// What the provider has seen of somebody.
#[derive(PartialEq, Eq)]
struct Counts {
    sign_ins: usize,
    refused: usize,
    renewals: usize,
}

struct Counterparts {
    idp: Idp,
    mail: Mail,
}

impl Counterparts {
    async fn start(people: &[Employee]) -> Self {
        let access_token = Duration::from_secs(6);
        let settings = IdpSettings { people: people.to_vec(), access_token, ..IdpSettings::default() };
        let idp = Idp::start(&settings).await.expect("the identity provider starts");
        let mail = Mail::start(&idp).await.expect("the mail starts");
        Self { idp, mail }
    }
}

/// Somebody whose assistant reads their mail.
struct Desk {
    with: Rc<Counterparts>,
    person: Employee,
    gateway: Gateway,
    opened: Opened,
    assistant: Assistant,
}

impl Desk {
    async fn signed_in(with: Rc<Counterparts>, person: Employee) -> Self {
        let (gateway, opened) = at_mail(&with.mail).await;
        let assistant = let_in(&gateway).await;
        let mut desk = Self { with, person, gateway, opened, assistant };
        desk.reads().await;
        desk
    }

    /// One call in the person's name; they sign in if they are asked.
    async fn reads(&mut self) {
        let call = [Step::call("list_messages", json!({}))];
        let signing_in = async {
            signs_in(&mut self.opened, self.person.clone()).await;
            std::future::pending::<()>().await;
        };
        let answer = tokio::select! {
            transcript = self.assistant.run(None, &call) => transcript.expect("connected").answers.remove(0),
            () = signing_in => Value::Null,
        };
        let account = &answer["structuredContent"]["account"];
        assert_eq!(*account, *self.person.login, "{answer}\n{}", self.gateway.log());
    }

    /// Runs until the next renewal, and dies there.
    async fn dies(&mut self, at: &str) {
        self.gateway.stop();
        self.gateway.environment().push(("DESKGATE_CRASH_AT".to_owned(), at.to_owned()));
        self.gateway.spawn().expect("started");
        let process = self.gateway.process().expect("it was started");
        until(at, SOON, async || process.ended().expect("it can be looked at"))
            .await
            .unwrap_or_else(|fault| panic!("{fault}\n{}", self.gateway.log()));
    }

    /// Comes back and works, until the account was renewed or could not be, and on.
    async fn recovers(&mut self) -> Seen {
        let before = self.counts();
        self.gateway.environment().clear();
        self.gateway.restart().await.expect("it comes back");
        self.reads().await;
        until("a renewal, or an end of the account", SOON, async || (self.counts() != before).then_some(()))
            .await
            .unwrap_or_else(|fault| panic!("{fault}\n{}", self.gateway.log()));
        self.reads().await;
        let now = self.counts();
        Seen { sign_ins: now.sign_ins - before.sign_ins, refused: now.refused - before.refused }
    }

    fn counts(&self) -> Counts {
        let (idp, person) = (&self.with.idp, &self.person);
        let sign_ins = idp.sign_ins().iter().filter(|login| **login == person.login).count();
        Counts { sign_ins, refused: idp.refused_renewals(person), renewals: idp.renewals(person) }
    }
}

/// Each crash with its own person, some of them at once.
async fn crashes(with: &Rc<Counterparts>, people: Vec<Employee>) -> Vec<(&'static str, Cost, Seen)> {
    let mut rounds = JoinSet::new();
    let mut table = Vec::new();
    // The index follows the record: in the landing tier the record's steps stand for both.
    let tried = CRASHES.into_iter().filter(|(at, _)| full_size() || at.ends_with("grant"));
    for ((at, cost), person) in tried.zip(people) {
        if rounds.len() == AT_ONCE {
            let done = rounds.join_next().await.expect("one runs");
            table.push(done.unwrap_or_else(|fault| panic!("{fault}")));
        }
        let with = Rc::clone(with);
        rounds.spawn_local(async move {
            let mut desk = Desk::signed_in(with, person).await;
            desk.dies(at).await;
            (at, cost, desk.recovers().await)
        });
    }
    table.extend(rounds.join_all().await);
    table
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_renewal_costs_a_sign_in_at_most_where_the_new_token_is_lost() {
    let people: Vec<Employee> =
        (1..=CRASHES.len()).map(|n| Employee::new(&format!("person-{n}"), "Somebody", "employees")).collect();
    let with = Rc::new(Counterparts::start(&people).await);
    let table = LocalSet::new().run_until(crashes(&with, people)).await;
    let wrong: Vec<_> = table.into_iter().filter(|(_, cost, seen)| *seen != cost.seen()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_crash_before_the_answer_costs_one_sign_in() {
    let person = Employee::alice();
    let with = Rc::new(Counterparts::start(std::slice::from_ref(&person)).await);
    let mut desk = Desk::signed_in(Rc::clone(&with), person).await;
    with.idp.hold_answers(true).await.expect("held");
    until("an answer held back", SOON, async || (with.idp.held_answers() > 0).then_some(()))
        .await
        .unwrap_or_else(|fault| panic!("{fault}\n{}", desk.gateway.log()));
    desk.gateway.stop();
    with.idp.hold_answers(false).await.expect("given");
    assert_eq!(desk.recovers().await, Cost::OneSignIn.seen());
}
