//! The story "last day": somebody is disabled, and their session, tokens and leases end within seconds on every device.

use super::leases::{borrower, borrowing, holders, leases};
use super::*;

/// How soon a sign-in that was ended is of no use on a desktop that hears of it: what is promised.
const ENDED: Duration = Duration::from_secs(2);

/// And what is left when somebody comes back.
#[tokio::test]
async fn on_the_last_day_every_virtual_server_refuses_within_seconds() {
    let acme = acme().await;
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let (analyst, notes) = (assistant(&gateway, "analyst").await, assistant(&gateway, "notes").await);
    let visits = analyst.run(None, &[sql(VISITS)]).await.expect("connected");
    assert!(visits.answers[0].to_string().contains("172"), "{visits:?}");
    let used = async || {
        let records = acme.organisation.records(&["--credential", "warehouse-analyst"]).await;
        let records = records.expect("records");
        let calls = records.iter().filter_map(|record| record["body"]["call"].as_str().map(str::to_owned));
        calls.collect::<BTreeSet<_>>()
    };
    let before = used().await;
    assert_eq!(before.len(), 1);
    let tokens = [("analyst", &analyst), ("notes", &notes)]
        .map(|(server, assistant)| (server, assistant.bearer().expect("it has one").to_owned()));

    // A call that is under way does not outlast her either.
    let slow = [sql("select pg_sleep(60)")];
    let call = analyst.run(None, &slow);
    let disable = async {
        until("the call under way", SOON, async || (used().await.len() == 2).then_some(()))
            .await
            .expect("begun");
        acme.idp.disable(&Employee::alice()).await.expect("the provider does it");
    };
    let (broken, ()) = tokio::join!(call, disable);
    let broken = refusal_text(&broken.expect("answered").answers[0]).to_owned();
    assert!(broken.contains("broken off"), "{broken}");
    let before = used().await;
    until("the end of all access", ENDED, async || {
        for (server, token) in &tokens {
            if answers(&gateway, server, token).await != 401 {
                return None;
            }
        }
        Some(())
    })
    .await
    .unwrap_or_else(|fault| panic!("{fault}\n{}\n{}", gateway.log(), acme.organisation.log()));
    let told = tells(&gateway, "Your organisation has ended your sign-in.").await;
    assert!(told.contains("Sign in again"), "what to do is said: {told}");
    assert!(analyst.run(None, &[sql(VISITS)]).await.is_err(), "her assistant gets nothing");
    assert_eq!(used().await, before, "the shared account is used no more");
    let recorded = gateway.deskgate(&["audit", "export"]).await.expect("it runs");
    let recorded = String::from_utf8_lossy(&recorded.stdout).into_owned();
    let ended = recorded.lines().find(|line| line.contains("session-ended")).expect("it is in the journal");
    assert!(ended.contains("sign-in-revoked") && ended.contains("alice"), "{ended}");
    let told = acme.organisation.records(&["--user", "alice@acme.test"]).await.expect("records");
    let causes: Vec<_> = told.iter().filter_map(|record| record["body"]["facts"]["cause"].as_str()).collect();
    assert!(causes.contains(&"provider-logout"), "IT reads it too: {told:#?}");

    gateway.deskgate(&["sign-in"]).await.expect("it runs");
    let page = opened.next(SOON).await.expect("a page is opened");
    let mut browser = Browser::new(Employee::alice()).expect("a browser");
    browser.sign_in(&page).await.expect_err("she is not known there any more");
    for (server, token) in &tokens {
        assert_eq!(answers(&gateway, server, token).await, 401, "{server}");
    }
}

/// IT ends the access where the provider tells nobody of it, and again on a device: each is said in its own words.
#[tokio::test]
async fn an_administrator_of_the_control_plane_ends_it_as_fast() {
    let acme = acme().await;
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let notes = assistant(&gateway, "notes").await;
    let token = notes.bearer().expect("it has one").to_owned();
    let ends = async || {
        let refused = async || (answers(&gateway, "notes", &token).await == 401).then_some(());
        until("the end of her access", ENDED, refused)
            .await
            .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    };

    let told = acme.organisation.control(&["person", "sign-out", "alice@acme.test"]).await.expect("it runs");
    let words = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.status.success() && words.contains("signed out of 1 device"), "{words}");
    ends().await;
    tells(&gateway, "Your organisation has ended your sign-in.").await;

    // Tokens count whole seconds: one of the same second could be from before.
    let clock = acme.idp.url("/.well-known/openid-configuration").expect("a URL");
    let second = async || {
        let answer = reqwest::get(clock.clone()).await.expect("the provider answers");
        answer.headers()["date"].clone()
    };
    let ended = second().await;
    let next = async || (second().await != ended).then_some(());
    until("the next second", SOON, next).await.expect("it comes");
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let asked = opened.all();
    assert!(asked.last().expect("a page").as_str().contains("prompt=login"), "with her password: {asked:?}");
    let (note, text) = acme.note();
    let read = [Step::call("read_text_file", json!({"path": note}))];
    let back = until("the virtual server", SOON, async || notes.run(None, &read).await.ok());
    let back =
        back.await.unwrap_or_else(|fault| panic!("let in as before, unasked: {fault}\n{}", gateway.log()));
    assert_eq!(back.text(0), Some(text), "{back:?}\n{}", gateway.log());

    let devices = acme.organisation.control_json(&["device", "list"]).await.expect("devices");
    let device = devices[0]["id"].as_str().expect("an id").to_owned();
    acme.organisation.control_json(&["device", "revoke", &device]).await.expect("revoked");
    ends().await;
    tells(&gateway, "Your organisation has revoked this device.").await;
    gateway.deskgate(&["sign-in"]).await.expect("it runs");
    let page = opened.next(SOON).await.expect("a page is opened");
    let mut browser = Browser::new(Employee::alice()).expect("a browser");
    browser.sign_in_and_return(&page).await.expect("the provider knows her");
    until("the refusal", SOON, async || {
        let status = gateway.deskgate_json(&["status"]).await.ok()?;
        // Signed in at the provider, until the control plane has its say.
        let out = status["session"]["state"] == "expired" && answers(&gateway, "notes", &token).await == 401;
        out.then_some(())
    })
    .await
    .expect("the device stays out");
}

#[tokio::test]
async fn a_desktop_that_was_away_learns_of_a_logout_when_it_comes_back() {
    let acme = acme().await;
    let mut opened = Opened::new().expect("a browser opener");
    let mut gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let token = assistant(&gateway, "notes").await.bearer().expect("it has one").to_owned();
    gateway.stop();
    // The provider goes on renewing, as some do; the control plane alone knows.
    acme.organisation.control(&["person", "sign-out", "alice"]).await.expect("it runs");
    gateway.restart().await.expect("it comes back");
    tells(&gateway, "Your organisation has ended your sign-in.").await;
    assert_eq!(answers(&gateway, "notes", &token).await, 401);
    gateway.restart().await.expect("it comes back");
    tells(&gateway, "Sign in to Acme").await;
    assert_eq!(answers(&gateway, "notes", &token).await, 401, "the sign-in is not kept");
}

#[tokio::test]
async fn what_is_lent_ends_with_the_session_on_each_of_two_devices() {
    let (acme, mut opened, first, analyst) = borrowing().await;
    let second = borrower(&acme, &opened).await;
    signs_in_to_acme(&second, &mut opened, Employee::alice()).await;
    let at_second = assistant(&second, "analyst").await;
    let secret = acme.warehouse.dsn(Role::Analyst);
    for assistant in [&analyst, &at_second] {
        let visits = assistant.run(None, &[sql(VISITS)]).await.expect("connected");
        assert!(visits.answers[0].to_string().contains("172"), "{visits:?}");
    }
    assert_eq!(leases(&acme).await.len(), 2, "one for each device");
    assert!(holders(&secret) >= 2);

    acme.idp.disable(&Employee::alice()).await.expect("the provider does it");
    let tokens = [(&first, &analyst), (&second, &at_second)];
    until("the end of all access", ENDED, async || {
        for (gateway, assistant) in tokens {
            let refused = answers(gateway, "analyst", assistant.bearer()?).await == 401;
            refused.then_some(())?;
        }
        Some(())
    })
    .await
    .unwrap_or_else(|fault| panic!("{fault}\n{}\n{}", first.log(), second.log()));
    assert!(leases(&acme).await.is_empty(), "nothing is lent any more");
    until("no program that holds the account", SOON, async || (holders(&secret) == 0).then_some(()))
        .await
        .unwrap_or_else(|fault| panic!("{fault}\n{}\n{}", first.log(), second.log()));
}

/// With an account of her own, the control plane has no part in it.
#[tokio::test]
async fn a_call_with_her_own_account_does_not_outlast_the_person() {
    let acme = acme().await;
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let analyst = assistant(&gateway, "analyst").await;
    let mail = [Step::call("list_messages", json!({}))];
    let (first, _) = tokio::join!(analyst.run(None, &mail), signs_in(&mut opened, Employee::alice()));
    assert_eq!(first.expect("connected").answers[0]["structuredContent"]["account"], "alice");

    let slow = [Step::call("list_messages", json!({"limit": 0}))];
    let leaves = async {
        until("the call under way", SOON, async || {
            let recorded = gateway.deskgate(&["audit", "export"]).await.ok()?.stdout;
            let recorded = String::from_utf8_lossy(&recorded).into_owned();
            let intents =
                recorded.lines().filter(|line| line.contains("\"intent\"") && line.contains("list_messages"));
            (intents.count() == 2).then_some(())
        })
        .await
        .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
        gateway.deskgate(&["sign-out"]).await.expect("it runs")
    };
    let (broken, asked) = tokio::join!(analyst.run(None, &slow), leaves);
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let broken = refusal_text(&broken.expect("answered").answers[0]).to_owned();
    assert!(broken.contains("is not signed in any more"), "{broken}");
}
