//! Sessions as they begin, end, and do not come back.

use std::time::Duration;

use super::super::Database;
use super::super::tests::{enrolled, on_each};
use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const LATER: Timestamp = Timestamp::from_seconds(1_800_003_600);
const IDP: &str = "https://idp.example";

fn person(name: &str) -> Subject {
    Subject { issuer: IDP.to_owned(), ..Subject::local(name) }
}

fn sign_in(sid: Option<&str>, at: Timestamp, nonce: &str) -> SignIn {
    SignIn { sid: sid.map(str::to_owned), at, nonce: Some(Digest::of(nonce.as_bytes())) }
}

async fn device(store: &Store, thumbprint: &str) -> DeviceId {
    enrolled(store, thumbprint, &person("alice"), NOW).await
}

async fn open(store: &Store, token: &str, device: DeviceId, name: &str, sign_in: &SignIn) -> bool {
    let (token, subject) = (Digest::of(token.as_bytes()), person(name));
    let session = NewSession { token, device, subject: &subject, sign_in, now: NOW, expires: LATER };
    store.open_session(&session).await.expect("answers")
}

async fn is_live(store: &Store, token: &str) -> bool {
    store.session(Digest::of(token.as_bytes()), NOW).await.expect("reads").is_some()
}

fn everything_of(name: &str, before: Timestamp) -> Ending<'_> {
    Ending::Person { issuer: IDP, subject: name, before, all: false }
}

#[tokio::test]
async fn a_session_lives_until_its_end() {
    on_each(async |store: Store| {
        let device = device(&store, "a").await;
        let sign_in = sign_in(Some("s"), NOW, "n");
        assert!(open(&store, "token", device, "alice", &sign_in).await);
        let session = store.session(Digest::of(b"token"), NOW).await.expect("reads").expect("live");
        assert_eq!((session.device, session.thumbprint.as_str(), &session.sign_in), (device, "a", &sign_in));
        assert_eq!(store.session(Digest::of(b"token"), LATER).await.expect("reads"), None);
        assert!(!is_live(&store, "other").await);
    })
    .await;
}

#[tokio::test]
async fn a_person_s_sign_ins_end_on_every_device_and_nobody_else_s() {
    on_each(async |store: Store| {
        let (one, two) = (device(&store, "a").await, device(&store, "b").await);
        for (token, device, name) in [("a1", one, "alice"), ("a2", two, "alice"), ("b", two, "bob")] {
            assert!(open(&store, token, device, name, &sign_in(None, NOW, token)).await);
        }
        let ended = store.end_sign_ins(&everything_of("alice", NOW), NOW).await.expect("ends");
        assert_eq!(ended.len(), 2);
        assert!(!is_live(&store, "a1").await && !is_live(&store, "a2").await);
        assert!(is_live(&store, "b").await);
        assert!(
            !open(&store, "a3", one, "alice", &sign_in(None, NOW, "cached")).await,
            "an ID token from before"
        );
        let renewed = sign_in(None, NOW.plus(Duration::from_secs(60)), "a1");
        assert!(!open(&store, "a4", one, "alice", &renewed).await, "renewed by a provider that renews on");
        let anew = sign_in(None, NOW.plus(Duration::from_secs(1)), "new");
        assert!(open(&store, "a5", one, "alice", &anew).await, "who signs in again is in again");
    })
    .await;
}

/// A desktop that slept: its session has run out, and the provider renews the ID token without saying when the person signed
/// in.
#[tokio::test]
async fn a_sign_in_that_ends_while_no_session_is_open_opens_none_again() {
    on_each(async |store: Store| {
        let device = device(&store, "a").await;
        for (token, sid) in [("a", None), ("s", Some("s1"))] {
            assert!(open(&store, token, device, "alice", &sign_in(sid, NOW, token)).await);
        }
        let asleep = LATER.plus(Duration::from_secs(3600));
        let renewed = |nonce: &str| sign_in(None, asleep.plus(Duration::from_secs(3600)), nonce);
        let session = Ending::Session { issuer: IDP, sid: "s1", subject: None, before: asleep };
        assert!(store.end_sign_ins(&session, asleep).await.expect("ends").is_empty(), "none is open");
        assert!(!open(&store, "s2", device, "alice", &renewed("s")).await, "of the session that was ended");
        assert!(open(&store, "a2", device, "alice", &renewed("a")).await, "of another");
        assert!(store.end_sign_ins(&everything_of("alice", asleep), asleep).await.expect("ends").len() <= 1);
        assert!(!open(&store, "a3", device, "alice", &renewed("a")).await);
        let anew = sign_in(None, asleep.plus(Duration::from_secs(10)), "new");
        assert!(open(&store, "a4", device, "alice", &anew).await, "who signs in again is in again");
    })
    .await;
}

/// The provider's clock may be ahead: what an administrator ends, ends whatever it says.
#[tokio::test]
async fn an_administrator_ends_what_began_in_the_future_too() {
    on_each(async |store: Store| {
        let device = device(&store, "a").await;
        let ahead = NOW.plus(Duration::from_secs(250));
        assert!(open(&store, "a", device, "alice", &sign_in(None, ahead, "n")).await);
        let all = Ending::Person { issuer: IDP, subject: "alice", before: NOW, all: true };
        assert_eq!(store.end_sign_ins(&all, NOW).await.expect("ends").len(), 1);
        assert!(!open(&store, "b", device, "alice", &sign_in(None, ahead, "n")).await);
    })
    .await;
}

#[tokio::test]
async fn an_older_logout_takes_nothing_back_and_ends_nobody_who_came_later() {
    on_each(async |store: Store| {
        let device = device(&store, "a").await;
        let later = NOW.plus(Duration::from_secs(10));
        store.end_sign_ins(&everything_of("alice", later), NOW).await.expect("ends");
        store.end_sign_ins(&everything_of("alice", NOW), NOW).await.expect("ends");
        assert!(!open(&store, "1", device, "alice", &sign_in(None, later, "n")).await);
        let anew = sign_in(None, later.plus(Duration::from_secs(1)), "m");
        assert!(open(&store, "2", device, "alice", &anew).await);
        store.end_sign_ins(&everything_of("alice", later), NOW).await.expect("ends");
        assert!(is_live(&store, "2").await);
    })
    .await;
}

#[tokio::test]
async fn one_session_of_the_provider_ends_with_those_that_name_none() {
    on_each(async |store: Store| {
        let device = device(&store, "a").await;
        for (token, sid) in [("s1", Some("s1")), ("s2", Some("s2")), ("unnamed", None)] {
            assert!(open(&store, token, device, "alice", &sign_in(sid, NOW, token)).await);
        }
        assert!(open(&store, "bob", device, "bob", &sign_in(None, NOW, "bob")).await);
        let ending = Ending::Session { issuer: IDP, sid: "s1", subject: Some("alice"), before: NOW };
        assert_eq!(store.end_sign_ins(&ending, NOW).await.expect("ends").len(), 2);
        let live =
            [is_live(&store, "s1").await, is_live(&store, "s2").await, is_live(&store, "unnamed").await];
        assert_eq!(live, [false, true, false]);
        assert!(is_live(&store, "bob").await);
        let late = NOW.plus(Duration::from_secs(500));
        assert!(!open(&store, "x", device, "alice", &sign_in(Some("s1"), late, "x")).await, "dead for good");
        assert!(open(&store, "y", device, "alice", &sign_in(Some("s2"), NOW, "y")).await);
        let other =
            Ending::Session { issuer: "https://other.example", sid: "s2", subject: None, before: LATER };
        assert!(
            store.end_sign_ins(&other, NOW).await.expect("ends").is_empty(),
            "another provider's session"
        );
        let only = Ending::Session { issuer: IDP, sid: "s2", subject: None, before: NOW };
        assert_eq!(store.end_sign_ins(&only, NOW).await.expect("ends").len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_logout_token_is_good_once() {
    on_each(async |store: Store| {
        let device = device(&store, "a").await;
        let once = async || {
            let ending = everything_of("alice", NOW);
            store.end_sign_ins_once(Digest::of(b"jti"), LATER, &ending, NOW).await.expect("answers")
        };
        assert!(once().await.is_some());
        let anew = sign_in(None, NOW.plus(Duration::from_secs(1)), "new");
        assert!(open(&store, "t", device, "alice", &anew).await);
        store.forget_sign_ins(NOW).await.expect("forgets");
        assert!(once().await.is_none());
        assert!(is_live(&store, "t").await);
    })
    .await;
}

#[tokio::test]
async fn each_ended_session_is_told_and_no_later_one() {
    on_each(async |store: Store| {
        let device = device(&store, "a").await;
        assert!(open(&store, "old", device, "alice", &sign_in(None, NOW, "old")).await);
        store.end_sign_ins(&everything_of("alice", NOW), NOW).await.expect("ends");
        let told = async |token: &str| {
            let events = store
                .events_between(0, u64::MAX, device, Digest::of(token.as_bytes()), 10)
                .await
                .expect("reads");
            events.into_iter().map(|event| event.what).collect::<Vec<_>>()
        };
        assert_eq!(told("old").await, [EventKind::SignInEnded]);
        assert!(told("new").await.is_empty(), "who signs in again is not told of what was before");
    })
    .await;
}

#[tokio::test]
async fn who_signs_out_ends_this_sign_in_with_its_renewals_and_no_other() {
    on_each(async |store: Store| {
        let (one, two) = (device(&store, "a").await, device(&store, "b").await);
        let here = sign_in(Some("s"), NOW, "here");
        for (token, device, sign_in) in
            [("1", one, &here), ("renewed", one, &here), ("2", two, &sign_in(Some("s"), NOW, "there"))]
        {
            assert!(open(&store, token, device, "alice", sign_in).await);
        }
        store.sign_out(Digest::of(b"renewed"), NOW).await.expect("ends");
        assert!(!is_live(&store, "1").await && !is_live(&store, "renewed").await);
        assert!(is_live(&store, "2").await, "the other device is signed in by itself");
        assert!(!open(&store, "3", one, "alice", &here).await, "its ID token is of no use any more");
        assert!(open(&store, "4", one, "alice", &sign_in(Some("s"), NOW, "again")).await);
    })
    .await;
}

#[tokio::test]
async fn openings_and_a_logout_at_once_leave_no_session_behind() {
    on_each(async |store: Store| {
        let device = device(&store, "a").await;
        let sign_in = sign_in(None, NOW, "n");
        let openings = (0..40).map(|number| {
            let (store, sign_in) = (store.clone(), sign_in.clone());
            tokio::spawn(async move { open(&store, &number.to_string(), device, "alice", &sign_in).await })
        });
        let openings: Vec<_> = openings.collect();
        store.end_sign_ins(&everything_of("alice", NOW), NOW).await.expect("ends");
        for opening in openings {
            opening.await.expect("answers");
        }
        for number in 0..40 {
            assert!(!is_live(&store, &number.to_string()).await, "{number}");
        }
    })
    .await;
}

/// Sessions from before sign-ins were told apart end with their person, whenever they began.
#[tokio::test]
async fn sessions_from_before_the_migration_end_with_their_person() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("control.sqlite");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.expect("opens");
    let mut first = sqlx::migrate!("./migrations/sqlite");
    first.migrations = first.migrations.iter().take(1).cloned().collect::<Vec<_>>().into();
    first.run(&pool).await.expect("migrates");
    let device = DeviceId::new();
    sqlx::query(
        "INSERT INTO devices VALUES ($1, 'a', 'laptop', 'linux', '0.1.0', $2, 'alice', 'alice', 0, 0, NULL)",
    )
    .bind(device.to_string())
    .bind(IDP)
    .execute(&pool)
    .await
    .expect("inserts");
    sqlx::query("INSERT INTO sessions VALUES ($1, $2, $3, 0, $4, NULL)")
        .bind(Digest::of(b"t").to_string())
        .bind(device.to_string())
        .bind(serde_json::to_string(&person("alice")).expect("JSON"))
        .bind(LATER.micros())
        .execute(&pool)
        .await
        .expect("inserts");
    pool.close().await;

    let store = Store::open(&Database::Sqlite(path)).await.expect("migrates");
    assert!(is_live(&store, "t").await, "nobody is signed out by an update");
    let ending = Ending::Session { issuer: IDP, sid: "s", subject: Some("alice"), before: NOW };
    assert_eq!(store.end_sign_ins(&ending, NOW).await.expect("ends").len(), 1);
    assert!(!is_live(&store, "t").await);
}
