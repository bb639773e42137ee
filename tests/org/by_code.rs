//! Signing in on another device, by a code, where no page can be opened.

use super::*;

/// Lets people sign in by codes, as an administrator writes it.
async fn allow_codes(acme: &Acme) {
    let publish = acme.organisation.publish(|folder| {
        let file = folder.join("org.toml");
        let text = std::fs::read_to_string(&file).expect("readable");
        let allowed = text.replace("sign_out_returns = true", "sign_out_returns = true\ndevice_code = true");
        assert_ne!(text, allowed);
        std::fs::write(file, allowed).expect("written");
    });
    publish.await.expect("published");
}

/// Asks for a sign-in, and reads where to type which code.
async fn code_shown(gateway: &Gateway, arguments: &[&str]) -> (url::Url, String) {
    let (page, code) = until("a code", SOON, async || {
        let asked = gateway.deskgate(arguments).await.ok()?;
        let said = String::from_utf8_lossy(&asked.stdout).into_owned();
        let page = said.split_once("Open ")?.1.split_once(" on a device")?.0.parse().ok()?;
        let code = said.split_once("type the code ")?.1.split_once('.')?.0.to_owned();
        assert!(
            said.contains("signs in this computer to Acme") && said.contains("give it to nobody"),
            "{said}"
        );
        Some((page, code))
    })
    .await
    .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    (page, code)
}

async fn is_signed_in(gateway: &Gateway) {
    until("somebody who is signed in", SOON, async || {
        let status = gateway.deskgate_json(&["status"]).await.ok()?;
        status.to_string().contains("alice@acme.test").then_some(())
    })
    .await
    .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
}

#[tokio::test]
async fn where_no_page_can_be_opened_a_code_signs_in_on_another_device() {
    let acme = acme().await;
    allow_codes(&acme).await;
    let opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;

    let (page, code) = code_shown(&gateway, &["sign-in"]).await;
    assert_eq!(code_shown(&gateway, &["sign-in", "--device"]).await.1, code, "the one that waits already");
    let waiting = gateway.deskgate_json(&["pending"]).await.expect("it runs");
    assert!(waiting[0]["question"].as_str().is_some_and(|words| words.contains(&code)), "{waiting}");
    let mut elsewhere = Browser::new(Employee::alice()).expect("a browser");
    elsewhere.type_code(&page, &code).await.expect("typed in and allowed");

    is_signed_in(&gateway).await;
    assert_eq!(acme.idp.sign_ins(), ["ivy", "alice"]);
    assert_eq!(opened.all(), Vec::<String>::new(), "nothing was opened that nobody can see");
    let assistant = assistant(&gateway, "analyst").await;
    let visits = assistant.run(None, &[sql(VISITS)]).await.expect("connected");
    assert!(visits.answers[0].to_string().contains("172"), "the control plane took the sign-in: {visits:?}");
    let recorded = gateway.deskgate(&["audit", "export"]).await.expect("it runs");
    let recorded = String::from_utf8_lossy(&recorded.stdout).into_owned();
    assert!(recorded.contains("signed-in") && !recorded.contains(&code), "the code is in no record");
}

#[tokio::test]
async fn a_code_is_used_where_a_browser_opens_only_if_the_person_wants_it() {
    let acme = acme().await;
    allow_codes(&acme).await;
    let mut opened = Opened::new().expect("a browser opener");
    let settings = format!("answer_in_terminal = true\n\n{}", acme.organisation.settings());
    let setup = Setup {
        settings,
        path: vec![opened.folder().to_owned()],
        environment: vec![("BROWSER".to_owned(), "xdg-open".to_owned())],
        ..Setup::default()
    };
    let gateway =
        Gateway::start(&program(Program::Deskgate).expect("built"), setup).await.expect("the gateway starts");
    let asked = gateway.deskgate(&["sign-in"]).await.expect("it runs");
    assert!(String::from_utf8_lossy(&asked.stdout).contains("in your browser"), "{asked:?}");
    opened.next(SOON).await.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));

    let (page, code) = code_shown(&gateway, &["sign-in", "--device"]).await;
    let mut elsewhere = Browser::new(Employee::alice()).expect("a browser");
    elsewhere.refuse_code(&page, &code).await.expect("refused there");
    tells(&gateway, "Acme refused the sign-in (access_denied).").await;

    let (page, code) = code_shown(&gateway, &["sign-in", "--device"]).await;
    elsewhere.type_code(&page, &code).await.expect("typed in and allowed");
    is_signed_in(&gateway).await;
    assert_eq!(opened.all().len(), 1, "the page was given up for the code");
}

#[tokio::test]
async fn codes_are_refused_in_words_where_they_are_not_allowed_or_do_not_bind() {
    let acme = acme().await;
    let opened = Opened::new().expect("a browser opener");
    let mut gateway = desktop(&acme, &opened).await;
    let refused = until("words", SOON, async || {
        let asked = gateway.deskgate(&["sign-in", "--device"]).await.ok()?;
        let said = String::from_utf8_lossy(&asked.stderr).into_owned();
        (!asked.status.success()).then_some(said)
    });
    let said = refused.await.expect("it is refused");
    assert!(said.contains("Acme does not let people sign in with a code."), "{said}");

    allow_codes(&acme).await;
    gateway.restart().await.expect("it reads what is published");
    acme.idp.keep_nonces(false).await.expect("a provider that leaves it out");
    let (page, code) = code_shown(&gateway, &["sign-in", "--device"]).await;
    Browser::new(Employee::alice()).expect("a browser").type_code(&page, &code).await.expect("typed in");
    tells(&gateway, "a sign-in with a code cannot be tied to this computer").await;
    let status = gateway.deskgate_json(&["status"]).await.expect("a status");
    assert!(!status.to_string().contains("alice@acme.test"), "nobody is signed in: {status}");
}
