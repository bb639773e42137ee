use std::time::Duration;

use serde_json::json;

use super::super::Ending;
use super::super::tests::on_each;
use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_000_000 + seconds)
}

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn authorization() -> serde_json::Value {
    json!({
        "client_id": "deskgate",
        "redirect_uri": "http://127.0.0.1:1/callback",
        "state": "s",
        "nonce": "n",
        "challenge": "c",
    })
}

fn granted() -> Granted {
    serde_json::from_value(json!({
        "format": 1,
        "subject": {"issuer": "https://control.acme.test", "subject": "alice"},
        "entity_id": "https://idp.acme.test/metadata",
        "sid": "_s",
        "authenticated": at(0),
        "authorization": authorization(),
    }))
    .expect("a grant")
}

fn question() -> Question {
    serde_json::from_value(json!({
        "format": 1, "request": "_r", "at": at(0), "anew": false, "authorization": authorization(),
    }))
    .expect("a question")
}

async fn begin(store: &Store, id: &str, once: &[&str]) -> bool {
    let granted = granted();
    let grant = NewGrant {
        id,
        granted: &granted,
        code: digest(&format!("code of {id}")),
        code_until: at(60),
        expires: at(3600),
    };
    let once: Vec<_> = once.iter().map(|key| (digest(key), at(600))).collect();
    store.begin_grant(&once, &grant).await.expect("stores")
}

async fn redeem(store: &Store, id: &str, refresh: &str, now: i64) -> bool {
    let code = digest(&format!("code of {id}"));
    store.redeem_code(code, digest(refresh), at(now)).await.expect("stores").is_some()
}

async fn renew(store: &Store, id: &str, presented: &str, next: &str, now: i64) -> bool {
    let renewed = store.renew_grant(id, digest(presented), digest(next), at(now)).await.expect("stores");
    renewed.is_some()
}

#[tokio::test]
async fn a_question_is_answered_once_and_in_time() {
    on_each(async |store: Store| {
        let relay = digest("relay");
        store.ask_by_saml(relay, &question(), at(60), at(0)).await.expect("stores");
        assert_eq!(store.take_question(digest("other"), at(1)).await.expect("reads"), None);
        assert_eq!(store.take_question(relay, at(1)).await.expect("reads"), Some(question()));
        assert_eq!(store.take_question(relay, at(1)).await.expect("reads"), None, "a second time");
        store.ask_by_saml(relay, &question(), at(60), at(0)).await.expect("stores");
        assert_eq!(store.take_question(relay, at(60)).await.expect("reads"), None, "too late");
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_questions_keeps_nobody_out_and_nobody_waiting() {
    on_each(async |store: Store| {
        let ask = async |name: &str| {
            store.ask_by_saml(digest(name), &question(), at(600), at(0)).await.expect("stores");
        };
        let flood = async |name: &str, many: i64| {
            sqlx::query(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
             INSERT INTO saml_questions (relay, question, expires_at) SELECT $2 || i, '{}', $3 FROM n",
            )
            .bind(many)
            .bind(name)
            .bind(at(600).micros())
            .execute(&store.quick)
            .await
            .expect("floods");
        };
        ask("early").await;
        flood("a", MOST_QUESTIONS - 2).await;
        ask("late").await;
        assert_eq!(store.take_question(digest("early"), at(1)).await.expect("reads"), Some(question()));

        ask("pushed out").await;
        flood("b", MOST_QUESTIONS).await;
        ask("whoever comes").await;
        let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM saml_questions")
            .fetch_one(&store.quick)
            .await
            .expect("counts");
        assert_eq!(waiting, MOST_QUESTIONS);
        assert_eq!(store.take_question(digest("pushed out"), at(1)).await.expect("reads"), None);
        assert_eq!(
            store.take_question(digest("whoever comes"), at(1)).await.expect("reads"),
            Some(question())
        );
    })
    .await;
}

/// The replay of a response, also after a restart of the server, and until it would be refused for its age.
#[tokio::test]
async fn what_was_believed_is_not_believed_again_after_a_restart() {
    on_each(async |store: Store| {
        assert!(begin(&store, "one", &["response", "assertion"]).await);
        assert!(!begin(&store, "two", &["response", "another"]).await, "the response again");
        assert!(!begin(&store, "two", &["another", "assertion"]).await, "the assertion in another response");
        store.close().await;
        let store = Store::open(&store.database).await.expect("opens again");
        assert!(!begin(&store, "two", &["response", "assertion"]).await, "after a restart");
        store.forget_grants(at(599)).await.expect("forgets");
        assert!(!begin(&store, "two", &["response", "assertion"]).await, "while it could be presented");
        store.forget_grants(at(600)).await.expect("forgets");
        assert!(begin(&store, "two", &["response", "assertion"]).await, "its age is for others to refuse");
        assert!(begin(&store, "three", &["another"]).await, "what was not believed left no trace");
    })
    .await;
}

#[tokio::test]
async fn a_code_that_comes_twice_ends_the_sign_in() {
    on_each(async |store: Store| {
        begin(&store, "one", &[]).await;
        assert!(redeem(&store, "one", "r1", 1).await);
        assert!(!redeem(&store, "one", "evil", 2).await, "a second time");
        assert!(!renew(&store, "one", "r1", "r2", 3).await, "nobody has it any more");
        begin(&store, "two", &[]).await;
        assert!(!redeem(&store, "two", "r1", 60).await, "too late");
    })
    .await;
}

#[tokio::test]
async fn refresh_tokens_take_turns_and_a_lost_answer_loses_nothing() {
    on_each(async |store: Store| {
        begin(&store, "one", &[]).await;
        assert!(redeem(&store, "one", "r1", 1).await);
        assert!(renew(&store, "one", "r1", "r2", 2).await);
        assert!(renew(&store, "one", "r1", "r3", 3).await, "the answer with r2 was lost");
        assert!(renew(&store, "one", "r3", "r4", 4).await);
        assert!(renew(&store, "one", "r4", "r5", 5).await);
        assert!(!renew(&store, "one", "r1", "evil", 6).await, "an old one: two have it");
        assert!(!renew(&store, "one", "r5", "r6", 7).await, "so nobody has it");
    })
    .await;
}

#[tokio::test]
async fn a_token_whose_successor_was_used_ends_the_sign_in() {
    on_each(async |store: Store| {
        begin(&store, "one", &[]).await;
        assert!(redeem(&store, "one", "r1", 1).await);
        assert!(renew(&store, "one", "r1", "r2", 2).await);
        assert!(renew(&store, "one", "r1", "stolen", 3).await, "a thief comes after the person");
        assert!(!renew(&store, "one", "r2", "r3", 4).await, "and is found out when the person comes back");
        assert!(!renew(&store, "one", "stolen", "s2", 5).await);
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_ends_with_its_time_and_with_its_end_elsewhere() {
    on_each(async |store: Store| {
        for id in ["one", "two"] {
            begin(&store, id, &[]).await;
            assert!(redeem(&store, id, id, 1).await);
        }
        assert!(!renew(&store, "one", "one", "r2", 3600).await, "its time is over");
        let ending = Ending::Person {
            issuer: "https://control.acme.test",
            subject: "alice",
            before: at(0).plus(MINUTE),
            all: true,
        };
        store.end_sign_ins(&ending, at(10)).await.expect("ends");
        assert!(!renew(&store, "two", "two", "r2", 11).await, "an administrator has ended it");
        begin(&store, "three", &[]).await;
        assert!(!redeem(&store, "three", "r1", 12).await, "nor does its code begin it again");
    })
    .await;
}
