//! The tray application, as a person at a desk meets it: a real panel, a real notification daemon, real windows.

use serde_json::json;
use testkit::bench::Echo;
use testkit::{
    Access, Assistant, Browser, Desktop, Driver, Employee, OAuthClient, Program, SessionParts, Setup, Step,
    free_port, program, until,
};
use url::Url;

use crate::common::{Personal, SOON, files_below, is_refused};
use crate::hostile::script_that;
use crate::org::acme;

pub(crate) async fn start(personal: Personal) -> Desktop {
    let program = program(Program::Desktop).expect("built");
    Desktop::start(&program, personal.setup()).await.expect("the desktop starts")
}

pub(crate) async fn prepared(personal: Personal, parts: SessionParts) -> Desktop {
    let program = program(Program::Desktop).expect("built");
    Desktop::prepared(&program, personal.setup(), parts).await.expect("the session starts")
}

pub(crate) async fn echo() -> (Echo, Personal) {
    let echo = Echo::start().await.expect("an upstream");
    let personal = Personal::default().http("echo", &format!("http://{}/mcp", echo.address()));
    (echo, personal.server("desk", &["echo"]))
}

/// Registers an assistant of this name at a virtual server and opens its page, as its user's browser would.
pub(crate) async fn asks(url: &Url, name: &str) -> OAuthClient {
    let client = OAuthClient::register(url, name).await.expect("registered");
    let page = client.authorize_url(None).expect("a page");
    tokio::spawn(async move {
        let mut browser = Browser::new(Employee::alice()).expect("a browser");
        // It ends when the person has answered, or with the test.
        let _page = browser.open(&page).await;
    });
    client
}

pub(crate) async fn token(desktop: &mut Desktop, name: &str) -> String {
    let url = desktop.offers("desk").await.expect("offered");
    let client = asks(&url, name).await;
    let screen = desktop.screen().await.expect("a screen");
    let window = format!("{name} wants to use Server desk");
    screen.press(&window, "Allow").await.expect("allowed");
    let back = client.redirected(SOON).await.expect("redirected");
    client.redeem(&back["code"]).await.expect("redeemed").access_token
}

#[tokio::test]
async fn the_tray_says_how_it_is_and_does_as_it_is_told() {
    let (_echo, personal) = echo().await;
    let mut desktop = start(personal).await;
    let url = desktop.offers("desk").await.expect("offered");
    let tray = desktop.tray().await.expect("a tray");

    tray.entry("Ready. 0 assistants, 1 connector.").await.expect("the status comes first");
    let lines = tray.lines().await.expect("a menu");
    assert!(lines[1].starts_with("Personal, "), "who is signed in: {lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("Audit: ") && line.ends_with("on this computer only")));
    assert_eq!(tray.tooltip().await.expect("a tooltip"), "Deskgate: Ready. 0 assistants, 1 connector.");

    tray.choose("Copy URL of Server desk").await.expect("chosen");
    until("the URL on the clipboard", SOON, async || {
        (desktop.clipboard().await.ok()? == url.as_str()).then_some(())
    })
    .await
    .expect("copied");

    let entries = tray.lines().await.expect("a menu");
    assert!(entries.iter().any(|line| line.contains("Until tomorrow")), "{entries:#?}");
    let open_gate = tray.picture().await.expect("a picture");
    tray.choose("Until I resume").await.expect("chosen");
    tray.entry("Resume").await.expect("paused");
    let barred_gate = tray.picture().await.expect("a picture");
    assert_ne!(open_gate, barred_gate, "a pause has an icon of its own");
    tray.choose("Resume").await.expect("chosen");
    tray.entry("Pause").await.expect("resumed");

    tray.activate().await.expect("clicked");
    let screen = desktop.screen().await.expect("a screen");
    screen.shows("Deskgate", "Server desk").await.expect("a click on the icon opens the window");

    tray.choose("Quit Deskgate").await.expect("chosen");
    let status = desktop.process().expect("running").wait(SOON).await.expect("it ends");
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_paused_gateway_refuses_calls_until_it_is_resumed() {
    let (_echo, personal) = echo().await;
    let mut desktop = start(personal).await;
    let token = token(&mut desktop, "Test").await;
    let url = desktop.offers("desk").await.expect("offered");
    let assistant = Assistant::new(url, Access::Bearer(token)).expect("an assistant");
    let call = [Step::call("echo", json!({"message": "hello"}))];
    let tray = desktop.tray().await.expect("a tray");

    tray.choose("Until I resume").await.expect("chosen");
    tray.entry("Resume").await.expect("paused");
    let paused = assistant.run(None, &call).await.expect("connected");
    assert!(is_refused(&paused.answers[0]), "{paused:?}");

    tray.choose("Resume").await.expect("chosen");
    tray.entry("Pause").await.expect("resumed");
    let resumed = assistant.run(None, &call).await.expect("connected");
    assert_eq!(resumed.text(0), Some("hello"));
    tray.activate().await.expect("clicked");
    let screen = desktop.screen().await.expect("a screen");
    screen.shows("Deskgate", "Done").await.expect("the window shows what was done");
}

#[tokio::test]
async fn an_assistant_is_let_in_by_a_person_at_the_consent_window() {
    let (_echo, personal) = echo().await;
    let mut desktop = start(personal).await;
    let url = desktop.offers("desk").await.expect("offered");
    let client = asks(&url, "Unknown helper").await;
    let window = "Unknown helper wants to use Server desk";

    let tray = desktop.tray().await.expect("a tray");
    tray.entry(window).await.expect("the tray says what waits");
    let screen = desktop.screen().await.expect("a screen");
    screen.shows(window, "end_to_end").await.expect("the program that really listens is named");
    screen.shows(window, "does not look like Unknown helper").await.expect("and that it bears another name");
    screen.press(window, "Allow").await.expect("allowed");

    let back = client.redirected(SOON).await.expect("redirected");
    let tokens = client.redeem(&back["code"]).await.expect("redeemed");
    assert!(tokens.access_token.starts_with("dga_"));
    screen.gone(window).await.expect("the window closes by itself");
    tray.entry("Ready. 1 assistant, 1 connector.").await.expect("the assistant is counted");
    let told = desktop.notifications().await.expect("a daemon");
    assert!(told.contains(&window.to_owned()), "a real notification was raised: {told:?}");
}

#[tokio::test]
async fn notifications_are_put_together_and_nobody_is_disturbed_who_does_not_want_to_be() {
    let (_echo, personal) = echo().await;
    let mut desktop = start(personal).await;
    let url = desktop.offers("desk").await.expect("offered");
    let tray = desktop.tray().await.expect("a tray");
    desktop.do_not_disturb(true).await.expect("said");
    let first = asks(&url, "First helper").await;
    tray.entry("First helper wants to use Server desk").await.expect("the tray says it without a word");
    until("a notification that is held back", SOON, async || {
        (desktop.held_back_notifications().await.ok()? == 1).then_some(())
    })
    .await
    .expect("it waits until the person may be disturbed");
    assert_eq!(desktop.displayed_notifications().await.expect("a daemon"), 0, "nothing was shown");

    desktop.do_not_disturb(false).await.expect("said");
    let second = asks(&url, "Second helper").await;
    let third = asks(&url, "Third helper").await;
    tray.entry("Third helper wants to use Server desk").await.expect("all are in the tray");
    until("one notification for all", SOON, async || {
        (desktop.displayed_notifications().await.ok()? == 1).then_some(())
    })
    .await
    .expect("the one of the first is taken away");
    desktop.click_notification().await.expect("clicked");
    let screen = desktop.screen().await.expect("a screen");
    screen.shows("Deskgate", "Third helper wants to use Server desk").await.expect("it leads to what waits");
    let told = desktop.notifications().await.expect("a daemon");
    assert_eq!(told.iter().filter(|title| *title == "Several requests wait for you").count(), 1, "{told:?}");
    assert!(!told.iter().any(|title| title.starts_with("Third")), "{told:?}");
    for (name, client) in [("First", first), ("Second", second), ("Third", third)] {
        let question = format!("{name} helper wants to use Server desk");
        // Only the window in front takes an answer.
        screen.press("Deskgate", &format!("Look at: {question}")).await.expect("brought to the front");
        screen.press(&question, "Deny").await.expect("denied");
        client.redirected(SOON).await.expect("redirected");
    }
    tray.entry("Ready. 0 assistants, 1 connector.").await.expect("nothing waits any more");
}

#[tokio::test]
async fn an_assistant_that_is_denied_gets_nothing() {
    let (_echo, personal) = echo().await;
    let mut desktop = start(personal).await;
    let url = desktop.offers("desk").await.expect("offered");
    let client = asks(&url, "Unwanted").await;
    let screen = desktop.screen().await.expect("a screen");
    screen.press("Unwanted wants to use Server desk", "Deny").await.expect("denied");

    let back = client.redirected(SOON).await.expect("redirected");
    assert_eq!(back.get("error").map(String::as_str), Some("access_denied"), "{back:?}");
    assert!(!back.contains_key("code"));

    let again = asks(&url, "Unwanted").await;
    until("a notification", SOON, async || {
        (desktop.displayed_notifications().await.ok()? == 1).then_some(())
    })
    .await
    .expect("it asks again");
    desktop.deny_in_notification().await.expect("denied without a look at it");
    let back = again.redirected(SOON).await.expect("redirected");
    assert_eq!(back.get("error").map(String::as_str), Some("access_denied"), "{back:?}");
    screen.gone("Unwanted wants to use Server desk").await.expect("the window closes by itself");
}

#[tokio::test]
async fn a_terminal_cannot_answer_for_the_person_at_the_desk() {
    let (_echo, personal) = echo().await;
    let mut desktop = start(personal).await;
    let url = desktop.offers("desk").await.expect("offered");
    let _client = asks(&url, "Sly").await;
    let tray = desktop.tray().await.expect("a tray");
    tray.entry("Sly wants to use Server desk").await.expect("asked");

    let deskgate = program(Program::Deskgate).expect("built");
    let run = |arguments: &[&str]| {
        let mut command = desktop.session().command(&deskgate);
        command.args(arguments).env("DESKGATE_HOME", desktop.home()).output().expect("it runs")
    };
    let pending: serde_json::Value =
        serde_json::from_slice(&run(&["pending", "--json"]).stdout).expect("JSON");
    let id = pending[0]["id"].as_str().expect("an id");
    let answered = run(&["answer", id, "allow"]);

    assert!(!answered.status.success(), "else an agent with a shell approves itself");
    tray.entry("Sly wants to use Server desk").await.expect("it still waits");
}

#[tokio::test]
async fn an_assistant_that_is_stopped_in_the_tray_gets_no_further() {
    let (_echo, personal) = echo().await;
    let mut desktop = start(personal).await;
    let token = token(&mut desktop, "Test").await;
    let url = desktop.offers("desk").await.expect("offered");
    let assistant = Assistant::new(url, Access::Bearer(token)).expect("an assistant");
    let call = [Step::call("echo", json!({"message": "hello"}))];
    assert_eq!(assistant.run(None, &call).await.expect("connected").text(0), Some("hello"));

    let tray = desktop.tray().await.expect("a tray");
    tray.choose("Stop the access of Test to Server desk").await.expect("chosen");
    tray.entry("Ready. 0 assistants, 1 connector.").await.expect("it is gone");
    assistant.run(None, &call).await.expect_err("its token opens nothing any more");
}

#[tokio::test]
async fn the_main_window_says_what_to_do_and_shows_what_happens() {
    let desktop = prepared(Personal::default(), SessionParts::DESKTOP).await;
    let settings = desktop.home().join("deskgate.toml");
    let window = Driver::start(desktop.session(), desktop.spec(), &[]).await.expect("the window opens");

    window.shows("Ready, but nothing is set up yet.").await.expect("the first sentence");
    window.shows("Set up Deskgate").await.expect("what to do next");
    window.click("Use it for myself").await.expect("clicked");
    window.shows("Describe what they may reach first").await.expect("the next step");
    let (_echo, personal) = echo().await;
    std::fs::write(settings, personal.setup().settings).expect("written");
    window.shows("Server desk").await.expect("the settings are read again by themselves");

    window.click("Pause…").await.expect("clicked");
    window.click("Until tomorrow").await.expect("clicked");
    window.shows("Paused.").await.expect("paused");
    window.click("Resume").await.expect("clicked");
    window.shows("Ready. 0 assistants, 1 connector.").await.expect("resumed");
    for (place, words) in [
        ("Connectors", "Connector echo"),
        ("Assistants", "No assistant is connected yet"),
        ("Activity", "Nothing was done yet"),
        ("Access", "echo"),
        ("Pending", "Nothing waits for you"),
        ("Settings", "You decide."),
        ("About", "deskgate status"),
    ] {
        window.click(place).await.expect("clicked");
        window.shows(words).await.expect("the place answers its question");
    }
}

#[tokio::test]
async fn the_window_shows_what_a_connector_prints() {
    let (_echo, personal) = echo().await;
    let folder = tempfile::tempdir().expect("a folder");
    let noisy =
        script_that(folder.path(), "noisy", "printf 'ready \\033[1mto\\033[0m serve\\n' >&2", "done_");
    let desktop = prepared(personal.stdio("noisy", &noisy), SessionParts::DESKTOP).await;
    let window = Driver::start(desktop.session(), desktop.spec(), &[]).await.expect("the window opens");
    window.shows("Server desk").await.expect("it runs");

    window.click("Connectors").await.expect("clicked");
    window.click("Show log of Connector echo").await.expect("clicked");
    window.shows("What fails on the way to it appears here.").await.expect("nothing failed");
    window.click("Back to the connectors").await.expect("clicked");
    window.click("Show log of Connector noisy").await.expect("clicked");
    window.shows("ready to serve").await.expect("what it printed");
    window.shows("/bin/sh started").await.expect("its start");
    window.click("Copy Log").await.expect("clicked");
    let copied = until("the log on the clipboard", SOON, async || {
        desktop.clipboard().await.ok().filter(|text| text.contains("| ready to serve"))
    });
    copied.await.expect("copied");
}

#[tokio::test]
async fn access_that_is_stopped_in_the_window_ends_at_once() {
    let (_echo, personal) = echo().await;
    let desktop = prepared(personal, SessionParts::DESKTOP).await;
    let window = Driver::start(desktop.session(), desktop.spec(), &[]).await.expect("the window opens");
    window.shows("Server desk").await.expect("it runs");
    let address =
        window.script("return document.body.innerText.match(/http:[^ ]*mcp/)[0]").await.expect("shown");
    let url = Url::parse(address.as_str().expect("text")).expect("a URL");
    let client = asks(&url, "Test").await;
    let screen = desktop.screen().await.expect("a screen");
    screen.press("Test wants to use Server desk", "Allow").await.expect("allowed");
    let back = client.redirected(SOON).await.expect("redirected");
    let token = client.redeem(&back["code"]).await.expect("redeemed").access_token;
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}});
    let status = async || {
        let request = reqwest::Client::new().post(url.clone()).bearer_auth(&token).json(&list);
        request
            .header("accept", "application/json, text/event-stream")
            .send()
            .await
            .expect("answered")
            .status()
    };
    assert_eq!(status().await, 200);

    window.click("Assistants").await.expect("clicked");
    window.click("Stop the access of Test to Server desk").await.expect("clicked");
    window.click("Stop its access").await.expect("clicked");
    window.shows("No assistant is connected yet").await.expect("it is gone");
    assert_eq!(status().await, 401, "and its token with it");
}

#[tokio::test]
async fn a_bridge_whose_access_is_stopped_in_the_window_ends_at_its_next_message() {
    let (_echo, personal) = echo().await;
    let desktop = prepared(personal, SessionParts::DESKTOP).await;
    let window = Driver::start(desktop.session(), desktop.spec(), &[]).await.expect("the window opens");
    window.shows("Server desk").await.expect("it runs");
    let mut bridge = desktop.bridge(&program(Program::Deskgate).expect("built"), "desk").expect("started");
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    bridge.say(&ping).await.expect("said");
    let this = std::env::current_exe().expect("a path");
    let name = this.file_name().expect("a name").to_string_lossy().into_owned();
    let screen = desktop.screen().await.expect("a screen");
    screen.press(&format!("{name} wants to use Server desk"), "Allow").await.expect("allowed");
    assert_eq!(bridge.next().await.expect("answered")["result"], json!({}));

    window.click("Assistants").await.expect("clicked");
    window.click(&format!("Stop the access of {name} to Server desk")).await.expect("clicked");
    window.click("Stop its access").await.expect("clicked");
    window.shows("No assistant is connected yet").await.expect("it is gone");
    let answer = bridge.ask(&ping).await.expect("answered");
    assert_eq!(answer["error"]["code"], 4010, "{answer}");
    let (status, told) = bridge.ended().await.expect("it ends");
    assert!(!status.success() && told.contains("no longer let in"), "{told}");
}

#[tokio::test]
async fn a_window_can_call_what_its_capability_names_and_nothing_else() {
    let desktop = prepared(Personal::default(), SessionParts::DESKTOP).await;
    let window = Driver::start(desktop.session(), desktop.spec(), &[]).await.expect("the window opens");
    window.shows("Ready").await.expect("it runs");
    let invoke = async |command: &str| {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             window.__TAURI_INTERNALS__.invoke({command:?}).then((a) => done('answered'), (e) => done(String(e)));"
        );
        window.script_later(&script).await.expect("it answers").as_str().unwrap_or_default().to_owned()
    };

    assert_eq!(invoke("about").await, "answered");
    for command in
        ["question", "plugin:window|create", "plugin:webview|create_webview_window", "plugin:app|version"]
    {
        let answer = invoke(command).await;
        assert!(answer.contains("not allowed"), "{command}: {answer}");
    }
}

#[tokio::test]
async fn a_second_start_shows_the_window_of_the_first_and_ends() {
    let mut desktop = start(Personal::default()).await;
    assert!(
        !desktop.windows().await.expect("titles").contains(&"Deskgate".to_owned()),
        "started in the tray"
    );

    let output = desktop.run(&[]).await.expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let screen = desktop.screen().await.expect("a screen");
    screen.shows("Deskgate", "nothing is set up yet").await.expect("the first one's window");
    desktop.close_window("^Deskgate$").await.expect("closed");
    screen.gone("Deskgate").await.expect("destroyed");
    desktop.tray().await.expect("the tray stays").entry("Ready").await.expect("and answers");
}

#[tokio::test]
async fn a_second_start_while_the_first_is_starting_hands_over_too() {
    let mut desktop = prepared(Personal::default(), SessionParts::DESKTOP).await;
    desktop.launch(&["--background"]).expect("started");
    let lock = desktop.home().join("lock");
    let held = async || std::fs::read(&lock).is_ok_and(|holder| !holder.is_empty()).then_some(());
    until("the first one's lock", SOON, held).await.expect("it starts");

    let output = desktop.run(&[]).await.expect("it runs");

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let screen = desktop.screen().await.expect("a screen");
    screen.shows("Deskgate", "nothing is set up yet").await.expect("the first one's window");
}

#[tokio::test]
async fn without_a_display_it_says_so_in_a_sentence() {
    let desktop = prepared(Personal::default(), SessionParts::HEADLESS).await;
    let without = desktop.run(&[]).await.expect("it runs");
    let told = String::from_utf8_lossy(&without.stderr).into_owned();
    assert!(!without.status.success());
    assert!(told.starts_with("Deskgate found no display"), "{told}");
    assert!(told.contains("deskgate serve"), "what to do instead: {told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[tokio::test]
async fn a_keychain_that_is_not_there_is_said_in_tray_and_window() {
    let parts = SessionParts { keychain: false, ..SessionParts::DESKTOP };
    let mut desktop = prepared(Personal::default(), parts).await;
    desktop.launch(&[]).expect("started");
    let tray = desktop.tray().await.expect("a tray");
    let first = until("a word about the keychain", SOON, async || {
        let first = tray.lines().await.ok()?.into_iter().next()?;
        first.contains("keychain").then_some(first)
    });
    let sentence = first.await.expect("the tray says it");
    let screen = desktop.screen().await.expect("a screen");
    screen.shows("Deskgate", &sentence).await.expect("the window says the same");
    desktop.listens().await.expect("it works all the same");
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_said_in_the_window() {
    let mut desktop = prepared(Personal::default(), SessionParts::DESKTOP).await;
    let journal = desktop.home().join("journal");
    std::fs::write(&journal, "a file where a folder has to be").expect("written");
    desktop.launch(&["--background"]).expect("started");
    let tray = desktop.tray().await.expect("a tray");

    let screen = desktop.screen().await.expect("a screen");
    screen.shows("Deskgate", "Stopped").await.expect("the window opens by itself and says so");
    tray.choose("Quit Deskgate").await.expect("it can be ended");
    let status = desktop.process().expect("running").wait(SOON).await.expect("it ends");
    assert_eq!(status.code(), Some(1));
}

#[tokio::test]
async fn nobody_can_inspect_the_window_from_outside() {
    let mut desktop = prepared(Personal::default(), SessionParts::DESKTOP).await;
    let port = free_port().expect("a port");
    let server = format!("127.0.0.1:{port}");
    let spec =
        desktop.spec().env("WEBKIT_INSPECTOR_HTTP_SERVER", &server).env("WEBKIT_INSPECTOR_SERVER", &server);
    let mut process = spec.start().expect("started");
    let screen = desktop.screen().await.expect("a screen");
    screen.shows("Deskgate", "nothing is set up yet").await.expect("the window is there");

    let answer = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
    assert!(answer.is_err(), "the inspector would run script in our window");
    process.kill();
    desktop.launch(&["--background"]).expect("a normal start works");
    desktop.listens().await.expect("it listens");
}

/// The employee's first morning: signed in at the organisation's own window, and at work.
#[tokio::test]
async fn an_employee_signs_in_at_a_native_window_and_their_assistant_works() {
    let acme = acme().await;
    let program = program(Program::Desktop).expect("built");
    let setup = Setup { settings: acme.organisation.settings(), ..Setup::default() };
    let mut desktop = Desktop::start(&program, setup).await.expect("the desktop starts");
    let tray = desktop.tray().await.expect("a tray");
    tray.entry("Sign in to Acme to let your assistants work.").await.expect("the tray says what is needed");

    tray.choose("Sign in to Acme").await.expect("chosen");
    desktop.sign_in("Sign in to Acme", &Employee::alice()).await.expect("signed in");
    let screen = desktop.screen().await.expect("a screen");
    screen.gone("Sign in to Acme").await.expect("the window closes by itself");
    tray.entry("alice@acme.test, Acme").await.expect("the tray says who is signed in");
    let told = desktop.notifications().await.expect("a daemon");
    assert!(told.contains(&"Sign in to Acme".to_owned()), "a real notification was raised: {told:?}");

    let url = desktop.offers("analyst").await.expect("offered");
    let client = asks(&url, "Test").await;
    screen.press("Test wants to use Analyst", "Allow").await.expect("allowed");
    let back = client.redirected(SOON).await.expect("redirected");
    let token = client.redeem(&back["code"]).await.expect("redeemed").access_token;
    let assistant = Assistant::new(url, Access::Bearer(token)).expect("an assistant");
    let visits = Step::call("execute_sql", json!({"sql": "select sum(visits) from analytics.visits"}));
    let answer = assistant.run(None, &[visits]).await.expect("connected");
    assert!(answer.answers[0].to_string().contains("172"), "{answer:?}");

    let mail = [Step::call("list_messages", json!({}))];
    let person =
        async { screen.press("Sign in to Mail", "Allow").await.expect("one sign-in serves them all") };
    let (answer, ()) = tokio::join!(assistant.run(None, &mail), person);
    let answer = answer.expect("connected");
    assert_eq!(answer.answers[0]["structuredContent"]["account"], "alice", "{answer:?}");

    until("the audit in sync", SOON, async || {
        let lines = tray.lines().await.ok()?;
        lines.iter().any(|line| line.starts_with("Audit: ") && line.ends_with("in sync")).then_some(())
    })
    .await
    .expect("the receipts reach the tray");
    tray.choose("Sign out…").await.expect("chosen");
    screen.press("Deskgate", "Sign out of Acme").await.expect("asked first");
    screen.shows("Deskgate", "Your assistant stays connected").await.expect("it is said what stays");
    screen.press("Deskgate", "Sign out").await.expect("signed out");
    tray.entry("Not signed in to Acme").await.expect("signed out");
    screen.press("Sign out of Acme", "Sign out").await.expect("in the window where she signed in");
    screen.gone("Sign out of Acme").await.expect("the window closes by itself");
    assert_eq!(acme.idp.sign_outs(), 1, "the provider's session has ended");
    nothing_is_remembered_in(&desktop.session().home());
    nothing_is_remembered_in(desktop.home());
}

/// IT ends her sign-in: tray, window and notification say so, and the window in which she signs in again knows nothing.
#[tokio::test]
async fn a_sign_in_that_the_organisation_ends_is_said_in_tray_window_and_notification() {
    let acme = acme().await;
    let program = program(Program::Desktop).expect("built");
    let setup = Setup { settings: acme.organisation.settings(), ..Setup::default() };
    let mut desktop = Desktop::start(&program, setup).await.expect("the desktop starts");
    let tray = desktop.tray().await.expect("a tray");
    tray.choose("Sign in to Acme").await.expect("chosen");
    desktop.sign_in("Sign in to Acme", &Employee::alice()).await.expect("signed in");
    tray.entry("alice@acme.test, Acme").await.expect("the tray says who is signed in");
    let audited = async || {
        let lines = tray.lines().await.ok()?;
        lines.iter().any(|line| line.starts_with("Audit: ") && line.ends_with("in sync")).then_some(())
    };
    until("a session with the organisation", SOON, audited).await.expect("it delivers");

    acme.idp.sign_out(&Employee::alice()).await.expect("the provider does it");
    let ended = "Your organisation has ended your sign-in.";
    tray.entry(ended).await.expect("the tray says what happened");
    tray.entry("Sign in to Acme…").await.expect("and what to do");
    let screen = desktop.screen().await.expect("a screen");
    tray.choose("Open Deskgate").await.expect("chosen");
    screen.shows("Deskgate", ended).await.expect("the window says what happened");
    screen.shows("Deskgate", "Sign in again.").await.expect("and what to do");
    let told = desktop.notifications().await.expect("a daemon");
    assert!(told.contains(&ended.to_owned()), "a real notification was raised: {told:?}");

    tray.choose("Sign in to Acme…").await.expect("chosen");
    desktop.sign_in("Sign in to Acme", &Employee::alice()).await.expect("with her password again");
    tray.entry("alice@acme.test, Acme").await.expect("she is back");
    assert_eq!(acme.idp.sign_ins(), ["ivy", "alice", "alice"]);
}

#[tokio::test]
async fn the_window_of_an_organisations_desktop_says_who_decides() {
    let acme = acme().await;
    let program = program(Program::Desktop).expect("built");
    let setup = Setup { settings: acme.organisation.settings(), ..Setup::default() };
    let desktop = Desktop::prepared(&program, setup, SessionParts::DESKTOP).await.expect("a session");
    let window = Driver::start(desktop.session(), desktop.spec(), &[]).await.expect("the window opens");
    window.shows("Sign in to Acme to let your assistants work.").await.expect("what is needed");
    window.shows("Acme asks who you are").await.expect("what comes next");

    window.click("Sign in to Acme").await.expect("clicked");
    desktop.sign_in("Sign in to Acme", &Employee::alice()).await.expect("signed in");
    window.shows("alice@acme.test").await.expect("who is signed in");
    window.shows("Analyst").await.expect("what she may use");
    window.shows("in sync with Acme").await.expect("the record is delivered");
    for (place, words) in [
        ("Connectors", "shared by IT, stays at Acme"),
        ("Access", "Analysts read files and do not change them."),
        ("Settings", "Managed by Acme"),
        ("About", "acme 1"),
    ] {
        window.click(place).await.expect("clicked");
        window.shows(words).await.expect("the place answers its question");
    }
}

/// The provider's cookies are nowhere on disk.
fn nothing_is_remembered_in(folder: &std::path::Path) {
    let files = files_below(folder);
    assert!(files.len() > 3, "there are files to look at below {}", folder.display());
    for (path, bytes) in files {
        for trace in [&b"_interaction"[..], b"_session.sig", b"_grant"] {
            let found = bytes.windows(trace.len()).any(|window| window == trace);
            assert!(!found, "{} holds {}", path.display(), String::from_utf8_lossy(trace));
        }
    }
}
