//! The story "offline": days without the organisation, what works then, and what the employee is told.

use testkit::MovedClock;

use super::*;

/// What `deskgate status` says, and whether it is this that it says.
async fn says(gateway: &Gateway, wanted: &str) {
    let last = std::cell::RefCell::new(String::new());
    let said = async || {
        let output = gateway.deskgate(&["status"]).await.ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let found = text.contains(wanted).then_some(());
        *last.borrow_mut() = text;
        found
    };
    let found = until(wanted, SOON, said).await;
    found.unwrap_or_else(|fault| panic!("{fault}\nlast: {}\n{}", last.borrow(), gateway.log()));
}

#[tokio::test]
async fn days_without_the_organisation_end_what_it_wants_fresh_and_then_everything() {
    let mut acme = acme().await;
    let clock = MovedClock::new().expect("a clock");
    let mut opened = Opened::new().expect("a browser opener");
    let settings = format!("answer_in_terminal = true\n\n{}", acme.organisation.settings());
    let path = vec![opened.folder().to_owned()];
    let setup = Setup { settings, path, environment: clock.environment(), ..Setup::default() };
    let mut gateway =
        Gateway::start(&program(Program::Deskgate).expect("built"), setup).await.expect("it starts");
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let let_in = gateway.connect("analyst", "Test").await.expect("let in");
    let tokens = std::cell::RefCell::new(let_in.tokens);
    let (note, text) = acme.note();
    let text = text.trim_end();
    let read = Step::call("read_text_file", json!({"path": note}));
    let calls = async |gateway: &Gateway| {
        // What it held has run out by now.
        let refresh = tokens.borrow().refresh_token.clone().expect("one to renew with");
        let renewed = let_in.client.refresh(&refresh).await;
        let renewed = renewed.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
        let bearer = Access::Bearer(renewed.access_token.clone());
        tokens.replace(renewed);
        let analyst = Assistant::new(gateway.url("analyst").expect("a URL"), bearer).expect("an assistant");
        let transcript = analyst.run(None, &[Step::ListTools, read.clone(), sql(VISITS)]).await;
        let transcript = transcript.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
        let names = transcript.tool_names(0);
        (names, transcript.answers[1].to_string(), transcript.answers[2].to_string())
    };
    let (names, file, visits) = calls(&gateway).await;
    assert!(names.contains(&"execute_sql".to_owned()) && visits.contains("172"), "{visits}");
    assert!(file.contains(text), "{file}");

    // A day without network: everything but what the organisation itself has to do.
    acme.organisation.stop().await.expect("stopped");
    acme.idp.process().kill();
    clock.offset("+1d").expect("a day later");
    says(&gateway, "Acme cannot be reached. What was allowed before still works.").await;
    let (names, file, visits) = calls(&gateway).await;
    assert!(file.contains(text), "{file}\n{}", gateway.log());
    assert!(names.contains(&"execute_sql".to_owned()), "still offered: {names:?}");
    assert!(visits.contains("organisation") && !visits.contains("172"), "{visits}");

    // A week: the policy has run out, and is obeyed a while longer for what IT lets be used then.
    clock.offset("+8d").expect("a week later");
    says(&gateway, "has run out; it is obeyed for").await;
    says(&gateway, "Warehouse rests: what Acme has decided has run out").await;
    let (names, file, visits) = calls(&gateway).await;
    assert!(!names.contains(&"execute_sql".to_owned()), "not offered: {names:?}");
    assert!(file.contains(text), "{file}\n{}", gateway.log());
    assert!(visits.contains("rests"), "{visits}");

    // Three days more: nothing.
    clock.offset("+11d").expect("later");
    let expired = "The policy of Acme expired at";
    says(&gateway, expired).await;
    let (_, file, _) = calls(&gateway).await;
    assert!(!file.contains(text), "{file}");

    // Setting the clock back brings nothing back, in the running program or in the next.
    clock.offset("+2d").expect("set back");
    says(&gateway, "clock was set back by").await;
    says(&gateway, expired).await;
    gateway.restart().await.expect("it starts again");
    says(&gateway, "clock was set back by").await;
    says(&gateway, expired).await;
    let (_, file, _) = calls(&gateway).await;
    assert!(!file.contains(text), "{file}\n{}", gateway.log());

    // That the organisation answers with what it said before proves nothing; something new does.
    clock.offset("+0").expect("as it is");
    acme.organisation.restart().await.expect("it is back");
    says(&gateway, expired).await;
    acme.organisation.publish(|_| ()).await.expect("published");
    until("that it works again", SOON, async || calls(&gateway).await.1.contains(text).then_some(()))
        .await
        .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    let status = gateway.deskgate(&["status"]).await.expect("it runs").stdout;
    let status = String::from_utf8_lossy(&status).into_owned();
    assert!(!status.contains("clock was set back"), "{status}");
    assert!(!status.contains(expired), "{status}");
}

#[tokio::test]
async fn without_the_control_plane_the_last_policy_is_obeyed_and_shared_accounts_rest() {
    let mut acme = acme().await;
    let mut opened = Opened::new().expect("a browser opener");
    let mut gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let assistant = assistant(&gateway, "analyst").await;
    let (note, text) = acme.note();
    let steps = [Step::call("read_text_file", json!({"path": note})), sql(VISITS), Step::ListTools];
    let before = assistant.run(None, &steps).await.expect("connected");
    assert!(before.answers[1].to_string().contains("172"), "{before:?}");

    acme.organisation.stop().await.expect("stopped");
    gateway.restart().await.expect("it starts without the server");
    tells(&gateway, "cannot be reached").await;
    let offline = assistant.run(None, &steps).await.expect("her token outlives the restart");
    assert_eq!(offline.text(0), Some(text), "{offline:?}\n{}", gateway.log());
    assert!(is_refused(&offline.answers[1]), "{offline:?}");
    assert!(!offline.tool_names(2).contains(&"write_file".to_owned()), "the policy still holds");

    acme.organisation.restart().await.expect("the server is back");
    until("a call with the shared account", SOON, async || {
        let again = assistant.run(None, &[sql(VISITS)]).await.ok()?;
        again.answers[0].to_string().contains("172").then_some(())
    })
    .await
    .expect("nothing has to be restarted");
}
