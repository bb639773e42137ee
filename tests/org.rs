//! An organisation's desktop without a display: the story "analyst" on real counterparts.

mod accounts;
mod administrators;
mod approvals;
mod audit;
mod by_code;
mod claims;
mod diagnostics;
mod faults;
mod first_day;
mod halts;
mod intercepted;
mod last_day;
mod leases;
mod nonsense;
mod observed;
mod offline;
mod payloads;
mod push;
mod rollout;
mod rotation;
mod saml;
mod sent;
mod shared_streams;
mod static_host;
mod stranger;
mod traces;
mod updates;
mod vouching;
mod warehouse;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use testkit::{
    Access, Acme, Assistant, Browser, Employee, Gateway, Mail, Opened, Program, Role, Setup, StaticHost,
    Step, free_port, program, until,
};

use crate::common::{SOON, is_refused, no_secret_lies_in, programs_with, refusal_text, signs_in, tells};

/// The organisation with everything that it consists of.
pub(crate) async fn acme() -> Acme {
    Acme::start(&program(Program::Control).expect("built")).await.expect("the organisation starts")
}

/// A desktop without a display that belongs to it.
pub(crate) async fn desktop(acme: &Acme, opened: &Opened) -> Gateway {
    let settings = format!("answer_in_terminal = true\n\n{}", acme.organisation.settings());
    let setup = Setup { settings, path: vec![opened.folder().to_owned()], ..Setup::default() };
    Gateway::start(&program(Program::Deskgate).expect("built"), setup).await.expect("the gateway starts")
}

/// Signs in to the organisation, as the person in front of the browser, which is theirs.
pub(crate) async fn signs_in_to_acme(gateway: &Gateway, opened: &mut Opened, employee: Employee) -> Browser {
    let mut browser = Browser::new(employee.clone()).expect("a browser");
    signs_in_again(gateway, opened, &mut browser, &employee).await;
    browser
}

/// As [`signs_in_to_acme`], in a browser that may still know the person.
async fn signs_in_again(gateway: &Gateway, opened: &mut Opened, browser: &mut Browser, employee: &Employee) {
    let label = employee.email.clone();
    let asked = gateway.deskgate(&["sign-in"]).await.expect("it runs");
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let page = opened.next(SOON).await.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    browser.sign_in_and_return(&page).await.expect("signed in");
    until("somebody who is signed in", SOON, async || {
        let status = gateway.deskgate_json(&["status"]).await.ok()?;
        status.to_string().contains(&label).then_some(())
    })
    .await
    .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
}

/// An assistant that a person let in to a virtual server.
pub(crate) async fn assistant(gateway: &Gateway, server: &str) -> Assistant {
    let token = gateway.connect(server, "Test").await.expect("let in").tokens.access_token;
    Assistant::new(gateway.url(server).expect("a URL"), Access::Bearer(token)).expect("an assistant")
}

fn sql(statement: &str) -> Step {
    Step::call("execute_sql", json!({"sql": statement}))
}

const VISITS: &str = "select sum(visits) as all_visits from analytics.visits";
const SALARIES: &str = "select sum(euros) as all_euros from finance.salaries";

/// The story "analyst".
#[tokio::test]
async fn the_analyst_works_through_one_virtual_server() {
    let mut acme = acme().await;
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let assistant = assistant(&gateway, "analyst").await;

    let (note, text) = acme.note();
    let steps = [
        Step::ListTools,
        Step::call("read_text_file", json!({"path": note})),
        Step::call("write_file", json!({"path": note, "content": "x"})),
        sql(VISITS),
        sql(SALARIES),
        sql("drop table analytics.visits"),
    ];
    let transcript = assistant.run(None, &steps).await.expect("connected");
    let names = transcript.tool_names(0);
    for name in ["read_text_file", "list_messages", "execute_sql"] {
        assert!(names.contains(&name.to_owned()), "{name}: {names:?}\n{}", gateway.log());
    }
    assert!(!names.contains(&"write_file".to_owned()), "hidden from analysts: {names:?}");
    assert_eq!(transcript.text(1), Some(text));
    assert!(is_refused(&transcript.answers[2]), "what is hidden cannot be called");
    let [_, _, _, visits, salaries, drop] = transcript.answers.as_slice() else { panic!("{transcript:?}") };
    assert!(visits.to_string().contains("172"), "{visits}\n{}", gateway.log());
    assert!(
        refusal_text(salaries).contains("schemas-of-the-warehouse"),
        "what is finance's is not hers: {salaries}"
    );
    assert!(is_refused(drop) && refusal_text(drop).contains("Policy forbids"), "{drop}");
    let explained =
        gateway.deskgate(&["explain", "analyst", "execute_sql", "--args", r#"{"sql": "drop table a.b"}"#]);
    let explained = String::from_utf8_lossy(&explained.await.expect("it runs").stdout).into_owned();
    assert!(explained.contains("warehouse-is-only-read"), "the deciding policy is named: {explained}");

    let call = [Step::call("list_messages", json!({}))];
    let (first, _) = tokio::join!(assistant.run(None, &call), signs_in(&mut opened, Employee::alice()));
    let first = first.expect("connected");
    assert_eq!(first.answers[0]["structuredContent"]["account"], "alice", "{first:?}\n{}", gateway.log());
    let second = assistant.run(None, &call).await.expect("connected");
    assert_eq!(second.answers[0]["structuredContent"]["account"], "alice", "silent from now on");

    no_secret_lies_in(gateway.home());
    until("everything is acknowledged", SOON, async || {
        let status = gateway.deskgate_json(&["status"]).await.ok()?;
        status["audit"]["receipted"].as_u64().filter(|all| status["audit"]["records"] == *all)
    })
    .await
    .expect("the receipts reach the device");
    acme.collector.receives("warehouse-analyst", SOON).await.expect("relayed to the collector");
    let records = acme.organisation.records(&["--credential", "warehouse-analyst"]).await.expect("records");
    let intents = records.iter().filter(|record| record["kind"] == "intent");
    let mut devices: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for record in intents {
        let call = record["body"]["call"].as_str().expect("a call");
        devices.entry(call).or_default().insert(record["device"].as_str().expect("a device"));
    }
    assert_eq!(devices.len(), 1, "one call was made with it: {records:#?}");
    assert!(devices.values().all(|by| by.len() == 2), "each recorded by both sides: {devices:#?}");
    let verified = gateway.deskgate(&["audit", "verify"]).await.expect("it runs");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[tokio::test]
async fn whoever_signs_in_next_has_rights_of_their_own_and_no_others() {
    let acme = acme().await;
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;
    let mut browser = signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let alices = assistant(&gateway, "analyst").await;
    let visits = alices.run(None, &[sql(VISITS)]).await.expect("connected");
    assert!(visits.answers[0].to_string().contains("172"), "{visits:?}");
    let mail = [Step::call("list_messages", json!({}))];
    let (hers, _) = tokio::join!(alices.run(None, &mail), signs_in(&mut opened, Employee::alice()));
    assert_eq!(hers.expect("connected").answers[0]["structuredContent"]["account"], "alice");

    signs_out(&gateway, &mut opened, &mut browser).await;
    let token = alices.bearer().expect("it has one").to_owned();
    let status = async || {
        let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}});
        let url = gateway.url("analyst").expect("a URL");
        let asked = reqwest::Client::new().post(url).bearer_auth(&token).json(&list).send();
        asked.await.expect("answered").status().as_u16()
    };
    until("the end of her access", SOON, async || (status().await == 401).then_some(()))
        .await
        .expect("signed out");

    signs_in_to_acme(&gateway, &mut opened, Employee::bob()).await;
    assert_eq!(status().await, 401, "her assistant's token is not his");
    let bobs = assistant(&gateway, "analyst").await;
    let salaries = bobs.run(None, &[Step::ListTools, sql(SALARIES)]).await.expect("connected");
    assert!(salaries.answers[1].to_string().contains("119000"), "{salaries:?}\n{}", gateway.log());
    assert!(salaries.tool_names(0).contains(&"write_file".to_owned()), "hidden from analysts only");
    let (his, _) = tokio::join!(bobs.run(None, &mail), signs_in(&mut opened, Employee::bob()));
    assert_eq!(his.expect("connected").answers[0]["structuredContent"]["account"], "bob", "not her account");
    let used = acme.organisation.records(&["--credential", "warehouse-finance"]).await.expect("records");
    assert!(!used.is_empty());
}

/// Signs out, here and on the page of the provider that is opened.
async fn signs_out(gateway: &Gateway, opened: &mut Opened, browser: &mut Browser) {
    let asked = gateway.deskgate(&["sign-out"]).await.expect("it runs");
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let page = opened.next(SOON).await.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    assert!(
        page.path().starts_with("/sign-out/") && page.query().is_none(),
        "no token is shown to others: {page}"
    );
    let shown = browser.sign_out(&page).await.expect("the provider lets her go");
    assert!(shown.contains("You are signed out"), "{shown}");
}

#[tokio::test]
async fn who_signs_out_is_out_at_the_provider_and_the_control_plane_and_keeps_their_assistants() {
    let mut acme = acme().await;
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;
    let alice = Employee::alice();
    let mut browser = signs_in_to_acme(&gateway, &mut opened, alice.clone()).await;
    let notes = assistant(&gateway, "notes").await;
    let token = notes.bearer().expect("it has one").to_owned();
    let (note, text) = acme.note();
    let read = [Step::call("read_text_file", json!({"path": note}))];
    assert_eq!(notes.run(None, &read).await.expect("connected").text(0), Some(text));

    signs_out(&gateway, &mut opened, &mut browser).await;
    assert_eq!(answers(&gateway, "notes", &token).await, 401);
    assert_eq!(acme.idp.sign_outs(), 1, "the provider's own session has ended");
    until("the end of her session at the control plane", SOON, async || {
        let told = acme.organisation.records(&["--user", "alice@acme.test"]).await.ok()?;
        told.iter().any(|record| record["body"]["event"] == "signed-out").then_some(())
    })
    .await
    .expect("the control plane is told");
    let status = gateway.deskgate(&["status"]).await.expect("it runs");
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.starts_with("Sign in to Acme") && !status.contains("could not be told"), "{status}");

    signs_in_again(&gateway, &mut opened, &mut browser, &alice).await;
    assert_eq!(acme.idp.sign_ins(), ["ivy", "alice", "alice"], "with her password");
    let back = until("the virtual server", SOON, async || notes.run(None, &read).await.ok()).await;
    let back = back.unwrap_or_else(|fault| panic!("let in as before, unasked: {fault}\n{}", gateway.log()));
    assert_eq!(back.text(0), Some(text), "{back:?}");

    acme.idp.process().kill();
    let pages = opened.all().len();
    gateway.deskgate(&["sign-out"]).await.expect("it runs");
    tells(&gateway, "You are signed out on this computer, but where you sign in could not be told.").await;
    assert_eq!(answers(&gateway, "notes", &token).await, 401, "she is out all the same");
    assert_eq!(opened.all().len(), pages, "no page is opened that cannot come");
}

#[tokio::test]
async fn accounts_at_connectors_stay_locked_or_are_forgotten_as_the_person_wishes() {
    let acme = acme().await;
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;
    let alice = Employee::alice();
    let mut browser = signs_in_to_acme(&gateway, &mut opened, alice.clone()).await;
    let analyst = assistant(&gateway, "analyst").await;
    let mail = [Step::call("list_messages", json!({}))];
    let account = |transcript: &testkit::Transcript| {
        transcript.answers[0]["structuredContent"]["account"].as_str().map(str::to_owned)
    };
    let (first, _) = tokio::join!(analyst.run(None, &mail), signs_in(&mut opened, alice.clone()));
    assert_eq!(account(&first.expect("connected")).as_deref(), Some("alice"));

    signs_out(&gateway, &mut opened, &mut browser).await;
    signs_in_again(&gateway, &mut opened, &mut browser, &alice).await;
    let pages = opened.all().len();
    let again = until("the mail", SOON, async || account(&analyst.run(None, &mail).await.ok()?)).await;
    assert_eq!(again.expect("her account waited for her"), "alice");
    assert_eq!(opened.all().len(), pages, "silently");

    let asked = gateway.deskgate(&["sign-out", "--forget-accounts"]).await.expect("it runs");
    let said = String::from_utf8_lossy(&asked.stdout).into_owned();
    for words in
        ["Signed out of Acme.", "Your assistant stays connected", "accounts at connectors are forgotten"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    let page = opened.next(SOON).await.expect("the provider's page");
    browser.sign_out(&page).await.expect("signed out there");
    signs_in_again(&gateway, &mut opened, &mut browser, &alice).await;
    let person = async {
        let page = opened.next(SOON).await.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
        browser.sign_in_and_return(&page).await.expect("allowed");
    };
    let calls = until("the mail", SOON, async || account(&analyst.run(None, &mail).await.ok()?));
    let (anew, ()) = tokio::join!(calls, person);
    assert_eq!(anew.expect("she is asked for her account anew"), "alice");
}

/// What a virtual server answers to a token now.
async fn answers(gateway: &Gateway, server: &str, token: &str) -> u16 {
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}});
    let url = gateway.url(server).expect("a URL");
    let asked = reqwest::Client::new().post(url).bearer_auth(token).json(&list).send();
    asked.await.expect("answered").status().as_u16()
}

#[tokio::test]
async fn while_the_identity_provider_is_down_everybody_stays_who_they_are() {
    let mut acme = acme().await;
    let mut opened = Opened::new().expect("a browser opener");
    let mut gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let assistant = assistant(&gateway, "notes").await;
    let (note, text) = acme.note();
    let read = [Step::call("read_text_file", json!({"path": note}))];
    assert_eq!(assistant.run(None, &read).await.expect("connected").text(0), Some(text));

    acme.idp.process().kill();
    gateway.restart().await.expect("it starts without the provider");
    let after = assistant.run(None, &read).await.expect("connected");
    assert_eq!(after.text(0), Some(text), "{after:?}\n{}", gateway.log());
    assert_eq!(opened.all().len(), 1, "nobody is asked to sign in where nobody can");

    gateway.deskgate(&["sign-out"]).await.expect("it runs");
    tells(&gateway, "You are signed out on this computer").await;
    gateway.deskgate(&["sign-in"]).await.expect("it runs");
    tells(&gateway, "Acme cannot be reached").await;
    assert_eq!(opened.all().len(), 1, "and no empty page is opened");
}

#[tokio::test]
async fn when_people_are_signed_in_elsewhere_nobody_stays_who_they_were() {
    let acme = acme().await;
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let file = |folder: &Path| folder.join("org.toml");
    let publish = acme.organisation.publish(|folder| {
        let text = std::fs::read_to_string(file(folder)).expect("readable");
        let moved = text.replace("client_id = \"deskgate\"", "client_id = \"deskgate-next\"");
        assert_ne!(text, moved, "the client is another one now");
        std::fs::write(file(folder), moved).expect("written");
    });
    publish.await.expect("published");
    let told = tells(&gateway, "Acme has changed where people sign in.").await;
    assert!(told.contains("Sign in again."), "{told}");
}

#[tokio::test]
async fn an_organisation_with_another_fingerprint_is_not_joined() {
    let acme = acme().await;
    let settings = acme.organisation.settings();
    let other = settings.replace(acme.organisation.fingerprint(), &format!("sha256:{}", "0".repeat(64)));
    let setup = Setup { settings: other, ..Setup::default() };
    let program = program(Program::Deskgate).expect("built");
    let told = Gateway::start(&program, setup).await.expect_err("it does not start").to_string();
    assert!(told.contains("fingerprint"), "one sentence says why: {told}");
}

#[tokio::test]
async fn an_organisation_that_was_never_met_and_does_not_answer_is_said() {
    let port = free_port().expect("a port that nobody listens at");
    let settings = format!(
        "[organisation]\nconfig_url = \"http://127.0.0.1:{port}/\"\nroot_key_fingerprint = \"sha256:{}\"\n",
        "0".repeat(64)
    );
    let setup = Setup { settings, ..Setup::default() };
    let program = program(Program::Deskgate).expect("built");
    let told = Gateway::start(&program, setup).await.expect_err("it does not start").to_string();
    assert!(told.contains("does not answer") && told.contains("start Deskgate again"), "{told}");
}

#[tokio::test]
async fn a_mistake_in_the_settings_does_not_lead_out_of_the_organisation() {
    let acme = acme().await;
    let opened = Opened::new().expect("a browser opener");
    let mut gateway = desktop(&acme, &opened).await;
    tells(&gateway, "Sign in to Acme").await;
    let path = gateway.home().join("deskgate.toml");
    let settings = std::fs::read_to_string(&path).expect("readable");
    let mistaken = format!("policies = \"no such folder\"\nsurprise = 1\n{settings}");
    std::fs::write(&path, mistaken).expect("written");
    gateway.restart().await.expect("it starts");
    tells(&gateway, "Sign in to Acme").await;
    let status = gateway.deskgate_json(&["status"]).await.expect("a status");
    assert_eq!(status["policy"]["version"], "acme 1");
}
