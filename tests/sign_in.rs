//! Accounts: the employee's own at a connector, and the tokens that assistants hold.

mod accounts;

use std::time::Duration;

use serde_json::json;
use testkit::bench::Echo;
use testkit::{Access, Assistant, Browser, Employee, Idp, IdpSettings, Mail, Opened, Step, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::common::{Personal, SOON, at_mail, files_below, is_refused, let_in, signs_in, tells};
use crate::hostile::{Raw, modern, request};

/// The story "mail".
#[tokio::test]
async fn the_first_call_asks_for_the_account_and_later_ones_are_silent() {
    let idp = Idp::start(&IdpSettings::default()).await.expect("the identity provider starts");
    let mail = Mail::start(&idp).await.expect("the mail starts");
    let (mut gateway, mut opened) = at_mail(&mail).await;
    let assistant = let_in(&gateway).await;
    let call = [Step::call("list_messages", json!({}))];

    let (first, _) = tokio::join!(assistant.run(None, &call), signs_in(&mut opened, Employee::alice()));
    let first = first.expect("connected");
    assert_eq!(first.answers[0]["structuredContent"]["account"], "alice", "{first:?}\n{}", gateway.log());

    let second = assistant.run(None, &call).await.expect("connected");
    assert_eq!(second.answers[0]["structuredContent"]["account"], "alice");
    gateway.restart().await.expect("it comes back");
    let third = assistant.run(None, &call).await.expect("the assistant's token outlives a restart");
    assert_eq!(third.answers[0]["structuredContent"]["account"], "alice");
    assert_eq!(opened.all().len(), 1, "she was asked once");
    assert_eq!(idp.sign_ins(), ["alice"]);
}

#[tokio::test]
async fn a_grant_is_renewed_before_it_expires() {
    let settings = IdpSettings { access_token: Duration::from_secs(6), ..IdpSettings::default() };
    let idp = Idp::start(&settings).await.expect("the identity provider starts");
    let mail = Mail::start(&idp).await.expect("the mail starts");
    let (gateway, mut opened) = at_mail(&mail).await;
    let assistant = let_in(&gateway).await;
    let call = [Step::call("list_messages", json!({}))];
    let (first, _) = tokio::join!(assistant.run(None, &call), signs_in(&mut opened, Employee::bob()));
    assert_eq!(first.expect("connected").answers[0]["structuredContent"]["account"], "bob");

    // Two lifetimes of the first token: whoever still used it would be refused by the mail.
    let end = tokio::time::Instant::now() + 2 * settings.access_token;
    while tokio::time::Instant::now() < end {
        let later = assistant.run(None, &call).await.expect("connected");
        assert_eq!(later.answers[0]["structuredContent"]["account"], "bob", "{later:?}");
    }
    assert_eq!(opened.all().len(), 1, "nobody is asked again");
}

/// A server that takes bound tokens only (RFC 9449): nothing that a thief could use ever goes to it.
#[tokio::test]
async fn tokens_are_bound_to_a_key_where_the_connector_takes_such_and_stay_so_over_renewals_and_restarts() {
    let settings = IdpSettings { access_token: Duration::from_secs(6), ..IdpSettings::default() };
    let idp = Idp::start(&settings).await.expect("the identity provider starts");
    let mail = Mail::start_with_bound_tokens(&idp).await.expect("the mail starts");
    let (mut gateway, mut opened) = at_mail(&mail).await;
    let assistant = let_in(&gateway).await;
    let call = [Step::call("list_messages", json!({}))];
    let (first, _) = tokio::join!(assistant.run(None, &call), signs_in(&mut opened, Employee::bob()));
    let first = first.expect("connected");
    assert_eq!(first.answers[0]["structuredContent"]["account"], "bob", "{first:?}\n{}", gateway.log());
    assert!(opened.all()[0].as_str().contains("dpop_jkt="), "the code is bound too");

    let end = tokio::time::Instant::now() + 2 * settings.access_token;
    while tokio::time::Instant::now() < end {
        // Two that find out about the next nonce together.
        let (one, other) = tokio::join!(assistant.run(None, &call), assistant.run(None, &call));
        for later in [one, other] {
            let later = later.expect("connected");
            assert_eq!(
                later.answers[0]["structuredContent"]["account"],
                "bob",
                "{later:?}\n{:?}",
                mail.proofs()
            );
        }
    }
    gateway.restart().await.expect("it comes back");
    let last = assistant.run(None, &call).await.expect("connected");

    assert_eq!(last.answers[0]["structuredContent"]["account"], "bob", "{last:?}\n{:?}", mail.proofs());
    assert_eq!(opened.all().len(), 1, "nobody is asked again");
    let proofs = mail.proofs();
    assert!(
        proofs.iter().any(|proof| proof == "use_dpop_nonce"),
        "a stale nonce is answered with the new one: {proofs:?}"
    );
    let flaws: Vec<_> =
        proofs.iter().filter(|proof| !["good", "use_dpop_nonce"].contains(&proof.as_str())).collect();
    assert!(flaws.is_empty(), "{flaws:?}");
}

#[tokio::test]
async fn whoever_cancels_is_told_so_and_can_sign_in_later() {
    let idp = Idp::start(&IdpSettings::default()).await.expect("the identity provider starts");
    let mail = Mail::start(&idp).await.expect("the mail starts");
    let (gateway, mut opened) = at_mail(&mail).await;
    let assistant = let_in(&gateway).await;
    let call = [Step::call("list_messages", json!({}))];

    let person = async {
        let page = opened.next(SOON).await.expect("a page is opened");
        let mut browser = Browser::new(Employee::alice()).expect("a browser");
        let back = browser.cancel(&page).await.expect("sent back");
        browser.open(&back).await.expect("the redirect listener answers");
    };
    let (refused, ()) = tokio::join!(assistant.run(None, &call), person);
    let refused = refused.expect("connected");
    assert!(is_refused(&refused.answers[0]), "{refused:?}");

    let again = assistant.run(None, &call).await.expect("connected");
    assert!(is_refused(&again.answers[0]), "{again:?}");
    assert_eq!(opened.all().len(), 1, "an assistant that insists does not pester the person");

    let asked = gateway.deskgate(&["sign-in", "mail"]).await.expect("it runs");
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    signs_in(&mut opened, Employee::alice()).await;
    let signed_in = until("a call in her name", SOON, async || {
        let transcript = assistant.run(None, &call).await.ok()?;
        (transcript.answers[0]["structuredContent"]["account"] == "alice").then_some(())
    });
    signed_in.await.expect("the account is used");
}

#[tokio::test]
async fn assistants_stay_signed_in_over_an_update() {
    let echo = Echo::start().await.expect("an upstream");
    let upstream = format!("http://{}/mcp", echo.address());
    let mut gateway = Personal::default().http("echo", &upstream).server("desk", &["echo"]).start().await;
    let assistant = gateway.connect("desk", "Test").await.expect("let in");
    let newer = tempfile::tempdir().expect("a folder");
    let program = newer.path().join("deskgate");
    std::fs::copy(testkit::program(testkit::Program::Deskgate).expect("built"), &program).expect("copied");

    gateway.update(&program).await.expect("it comes back");

    gateway.offers("desk").await.expect("offered");
    let refresh = assistant.tokens.refresh_token.expect("one is issued");
    let renewed = assistant.client.refresh(&refresh).await.expect("renewed").access_token;
    let call = [Step::call("echo", json!({"message": "hello"}))];
    for token in [assistant.tokens.access_token, renewed] {
        let url = gateway.url("desk").expect("a URL");
        let assistant = Assistant::new(url, Access::Bearer(token)).expect("an assistant");
        assert_eq!(assistant.run(None, &call).await.expect("connected").text(0), Some("hello"));
    }
}

#[tokio::test]
async fn a_person_who_denies_lets_no_assistant_in() {
    let gateway =
        Personal::default().http("echo", "http://127.0.0.1:9/mcp").server("desk", &["echo"]).start().await;
    let url = gateway.url("desk").expect("a URL");
    let client = testkit::OAuthClient::register(&url, "Unwanted").await.expect("registered");
    let page = client.authorize_url(None).expect("a page");
    let mut browser = Browser::new(Employee::alice()).expect("a browser");
    let (_, back, question) =
        tokio::join!(browser.open(&page), client.redirected(SOON), gateway.answer(false));
    assert!(question.expect("asked").contains("Unwanted"));
    let back = back.expect("redirected");
    assert_eq!(back.get("error").map(String::as_str), Some("access_denied"), "{back:?}");
    assert!(!back.contains_key("code"));
}

#[tokio::test]
async fn no_token_or_secret_lies_readable_in_the_home_folder() {
    let idp = Idp::start(&IdpSettings::default()).await.expect("the identity provider starts");
    let mail = Mail::start(&idp).await.expect("the mail starts");
    let (gateway, mut opened) = at_mail(&mail).await;
    let tokens = gateway.connect("desk", "Test").await.expect("let in").tokens;
    let url = gateway.url("desk").expect("a URL");
    let assistant = Assistant::new(url, Access::Bearer(tokens.access_token.clone())).expect("an assistant");
    let call = [Step::call("list_messages", json!({}))];
    let (answer, _) = tokio::join!(assistant.run(None, &call), signs_in(&mut opened, Employee::alice()));
    answer.expect("connected");

    // A JWT begins with its header's first bytes; the gateway's own tokens are known.
    let refresh = tokens.refresh_token.expect("one is issued");
    let secrets = [tokens.access_token.as_bytes(), refresh.as_bytes(), b"eyJ"];
    let files = files_below(gateway.home());
    assert!(files.len() > 3, "there are files to look at");
    for (path, bytes) in files {
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!found, "{} holds {}", path.display(), String::from_utf8_lossy(secret));
        }
    }
}

/// A morning on which Deskgate was faster than the password of the keychain.
#[tokio::test]
async fn what_a_locked_keychain_keeps_is_there_again_as_soon_as_it_is_unlocked() {
    let idp = Idp::start(&IdpSettings::default()).await.expect("the identity provider starts");
    let mail = Mail::start(&idp).await.expect("the mail starts");
    let (mut gateway, mut opened) = at_mail(&mail).await;
    let assistant = let_in(&gateway).await;
    let call = [Step::call("list_messages", json!({}))];
    let (first, _) = tokio::join!(assistant.run(None, &call), signs_in(&mut opened, Employee::alice()));
    assert_eq!(first.expect("connected").answers[0]["structuredContent"]["account"], "alice");

    gateway.session().end("gnome-keyring-daemon");
    gateway.restart().await.expect("it comes back");
    tells(&gateway, "keychain").await;
    assert!(assistant.run(None, &call).await.is_err(), "its token is out of reach");

    gateway.session().unlock_keychain().await.expect("a keychain");
    let tried = gateway.deskgate(&["keychain"]).await.expect("it runs");
    assert!(tried.status.success(), "{}", String::from_utf8_lossy(&tried.stderr));

    let again = until("a call in her name", SOON, async || {
        let transcript = assistant.run(None, &call).await.ok()?;
        (transcript.answers[0]["structuredContent"]["account"] == "alice").then_some(())
    });
    again.await.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    assert_eq!(opened.all().len(), 1, "nobody is asked again");
}

#[tokio::test]
async fn without_a_keychain_the_person_is_told_and_calls_go_on() {
    let echo = Echo::start().await.expect("an upstream");
    let upstream = format!("http://{}/mcp", echo.address());
    let mut gateway = Personal::default().http("echo", &upstream).server("desk", &["echo"]).start().await;
    gateway.stop();
    gateway.session().end("gnome-keyring-daemon");
    gateway.restart().await.expect("it starts all the same");

    tells(&gateway, "keychain").await;
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let url = gateway.url("desk").expect("a URL");
    let assistant = Assistant::new(url, Access::Bearer(token.clone())).expect("an assistant");
    let call = [Step::call("echo", json!({"message": "hello"}))];
    assert_eq!(assistant.run(None, &call).await.expect("connected").text(0), Some("hello"));
    gateway.restart().await.expect("it comes back");
    gateway.offers("desk").await.expect("offered");
    assistant.run(None, &call).await.expect_err("what could not be sealed was not kept");

    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    gateway.session().unlock_keychain().await.expect("a keychain");
    let said = tells(&gateway, "keychain").await;
    assert!(said.contains("deskgate keychain"), "what to do is said: {said}");
    let tried = gateway.deskgate(&["keychain"]).await.expect("it runs");
    assert!(tried.status.success(), "{}", String::from_utf8_lossy(&tried.stderr));
    until("no word of the keychain", SOON, async || {
        let status = gateway.deskgate(&["status"]).await.ok()?;
        (!String::from_utf8_lossy(&status.stdout).contains("keychain")).then_some(())
    })
    .await
    .unwrap_or_else(|fault| panic!("the advice is worth nothing: {fault}\n{}", gateway.log()));
    gateway.restart().await.expect("it comes back");
    let url = gateway.url("desk").expect("a URL");
    let assistant = Assistant::new(url, Access::Bearer(token)).expect("an assistant");
    assert_eq!(assistant.run(None, &call).await.expect("sealed since").text(0), Some("hello"));
}

/// Many assistants give up what is silent for a minute; a person needs longer to sign in.
#[tokio::test]
async fn an_assistant_hears_that_a_person_is_waited_for() {
    let idp = Idp::start(&IdpSettings::default()).await.expect("the identity provider starts");
    let mail = Mail::start(&idp).await.expect("the mail starts");
    let (gateway, mut opened) = at_mail(&mail).await;
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let raw = Raw { port: gateway.port(), token };
    let params = json!({"name": "list_messages", "arguments": {}, "_meta": {"progressToken": "p-7"}});
    let (headers, modern) = modern("tools/call", params.clone());
    let mut modern = modern;
    modern["params"]["_meta"]["progressToken"] = json!("p-7");
    let eras = [(Vec::new(), request("tools/call", params)), (headers, modern)];
    for (round, (headers, body)) in eras.into_iter().enumerate() {
        let body = body.to_string();
        let length = body.len().to_string();
        let mut lines: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        lines.push(("Content-Length", &length));
        let mut stream = TcpStream::connect(("127.0.0.1", raw.port)).await.expect("connected");
        stream.write_all(format!("{}\r\n{body}", raw.head(&lines)).as_bytes()).await.expect("sent");
        let mut read = Vec::new();
        let mut until_it_says = async |words: &str| {
            while !String::from_utf8_lossy(&read).contains(words) {
                let more = stream.read_buf(&mut read).await.expect("readable");
                assert_ne!(more, 0, "{words}: {}\n{}", String::from_utf8_lossy(&read), gateway.log());
            }
            String::from_utf8_lossy(&read).into_owned()
        };
        let said = until_it_says("Waiting for you to sign in").await;
        assert!(said.contains("notifications/progress") && said.contains("\"p-7\""), "{said}");
        assert!(!said.contains("http"), "where to sign in is not told to who cannot be asked: {said}");
        signs_in(&mut opened, Employee::alice()).await;
        let said = until_it_says("\"account\"").await;
        assert!(said.contains("alice"), "the same call goes on: {said}");
        assert_eq!(opened.all().len(), round + 1);
        let out = gateway.deskgate(&["sign-out", "mail"]).await.expect("it runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let signed_out = until("the account to be forgotten", SOON, async || {
            let status = gateway.deskgate_json(&["status"]).await.ok()?;
            (status["connectors"][0]["status"] == "sign_in_needed").then_some(())
        });
        signed_out.await.expect("forgotten");
    }
}

/// A connector that hands out tokens itself: the person types one, on first use and when it is refused.
#[tokio::test]
async fn the_first_call_asks_for_a_token_and_goes_on_with_it() {
    let alice = Employee::alice();
    let mail = Mail::start_with_tokens(Some("X-Mail-Key"), &[("key-of-alice", &alice)])
        .await
        .expect("the mail starts");
    let mut opened = Opened::new().expect("a browser opener");
    let mut gateway = Personal::default()
        .connector(
            "mail",
            &format!(
                "url = {:?}\ncredential = {{ kind = \"user_token\", header = \"X-Mail-Key\", hint = \"See Settings.\" }}",
                mail.url().as_str()
            ),
        )
        .server("desk", &["mail"])
        .browser(&opened)
        .start()
        .await;
    let assistant = let_in(&gateway).await;
    let call = [Step::call("list_messages", json!({}))];

    let person = async {
        for secret in ["key-with-a-mistake", "key-of-alice"] {
            let page = opened.next(SOON).await.expect("a page is opened");
            let mut browser = Browser::new(Employee::alice()).expect("a browser");
            let back = browser.type_secret(&page, secret).await.expect("taken");
            let thanks = browser.open(&back).await.expect("the redirect listener answers");
            assert!(thanks.contains("Thank you"), "{thanks}");
        }
    };
    let (first, ()) = tokio::join!(assistant.run(None, &call), person);
    let first = first.expect("connected");
    assert_eq!(first.answers[0]["structuredContent"]["account"], "alice", "{first:?}\n{}", gateway.log());

    gateway.restart().await.expect("it comes back");
    let later = assistant.run(None, &call).await.expect("the assistant's token outlives a restart");
    assert_eq!(later.answers[0]["structuredContent"]["account"], "alice");
    assert_eq!(opened.all().len(), 2, "she was asked once more than she typed right");
    let home = files_below(gateway.home());
    for (path, bytes) in home {
        assert!(!bytes.windows(12).any(|window| window == b"key-of-alice"), "{}", path.display());
    }
    assert!(!gateway.log().contains("key-of-alice"));
}
