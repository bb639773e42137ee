//! The peers themselves, without Deskgate: what the end-to-end tests take for granted.
#![forbid(unsafe_code)]
#![expect(clippy::expect_used, clippy::panic, reason = "a test ends at its first surprise")]

mod fixture;
mod organisation;

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{
    Access, Assistant, Browser, Claude, Collector, Employee, Idp, IdpSettings, Mail, OAuthClient, Opened,
    Postgres, Role, Session, SessionParts, Step, until,
};

const SOON: Duration = Duration::from_secs(60);

async fn idp() -> Idp {
    Idp::start(&IdpSettings::default()).await.expect("the identity provider starts")
}

#[tokio::test]
async fn a_grant_for_the_mail_is_bound_to_its_person_and_its_audience() {
    let idp = idp().await;
    let mail = Mail::start(&idp).await.expect("the mail starts");
    let client = OAuthClient::register(mail.url(), "Test").await.expect("registered");
    let page = client.authorize_url(Some("mail.read mail.send")).expect("a page");
    let mut browser = Browser::new(Employee::alice()).expect("a browser");

    let (shown, redirected) = tokio::join!(browser.sign_in_and_return(&page), client.redirected(SOON));
    assert_eq!(shown.expect("she comes back"), "You can close this page.");
    assert_eq!(browser.asked(), ["Sign in to Acme", "Allow access"]);
    let tokens = client.redeem(&redirected.expect("redirected")["code"]).await.expect("tokens");

    let claims = claims(&tokens.access_token);
    assert_eq!(claims["sub"], "alice");
    assert_eq!(claims["aud"], mail.url().as_str());
    assert_eq!(claims["iss"], idp.issuer());
    assert_eq!(idp.sign_ins(), ["alice"]);

    let assistant =
        Assistant::new(mail.url().clone(), Access::Bearer(tokens.access_token)).expect("an assistant");
    let steps = [Step::ListTools, Step::call("list_messages", json!({}))];
    let transcript = assistant.run(None, &steps).await.expect("connected");
    assert_eq!(transcript.tool_names(0), ["list_messages", "send_message"]);
    assert_eq!(transcript.answers[1]["structuredContent"]["account"], "alice");
}

#[tokio::test]
async fn a_refresh_token_is_good_once() {
    let idp = idp().await;
    let mail = Mail::start(&idp).await.expect("the mail starts");
    let client = OAuthClient::register(mail.url(), "Test").await.expect("registered");
    let page = client.authorize_url(Some("mail.read")).expect("a page");
    let mut browser = Browser::new(Employee::bob()).expect("a browser");
    let (_, redirected) = tokio::join!(browser.sign_in_and_return(&page), client.redirected(SOON));
    let first = client.redeem(&redirected.expect("redirected")["code"]).await.expect("tokens");
    let first = first.refresh_token.expect("native clients get one");

    let second = client.refresh(&first).await.expect("renewed").refresh_token.expect("rotated");
    assert_ne!(first, second);
    client.refresh(&first).await.expect_err("used before");
    client.refresh(&second).await.expect_err("the whole family is revoked");
}

#[tokio::test]
async fn the_identity_provider_checks_passwords_and_lets_people_refuse() {
    let idp = idp().await;
    let page = idp
        .url(
            "/auth?client_id=deskgate&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcallback&response_type=code\
             &scope=openid+groups&state=s&nonce=n&code_challenge_method=S256\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        )
        .expect("a page");

    let mut wrong = Employee::alice();
    wrong.password = "guess".to_owned();
    let mut browser = Browser::new(wrong).expect("a browser");
    browser.sign_in(&page).await.expect_err("a wrong password");
    assert!(idp.sign_ins().is_empty());

    let mut browser = Browser::new(Employee::alice()).expect("a browser");
    let back = browser.cancel(&page).await.expect("sent back");
    let query: std::collections::BTreeMap<_, _> = back.query_pairs().into_owned().collect();
    assert_eq!(query["error"], "access_denied");

    let back = browser.sign_in(&page).await.expect("sent back");
    assert!(back.as_str().starts_with("http://127.0.0.1:9/callback?code="), "{back}");
    let again = browser.sign_in(&page).await.expect("sent back");
    assert!(again.as_str().starts_with("http://127.0.0.1:9/callback?code="), "{again}");
    assert_eq!(idp.sign_ins(), ["alice"], "the second time is silent");
}

#[tokio::test]
async fn an_assistant_does_oauth_by_itself_and_is_silent_the_second_time() {
    let idp = idp().await;
    let mail = Mail::start(&idp).await.expect("the mail starts");
    let assistant = Assistant::new(mail.url().clone(), Access::OAuth).expect("an assistant");
    let mut opened = Opened::new().expect("a browser opener");
    let shown_pages = Opened::new().expect("a browser opener");
    let steps = [Step::call("list_messages", json!({"limit": 1}))];

    let path = opened.path();
    let person = async {
        let page = opened.next(SOON).await.expect("a page");
        let mut browser = Browser::new(Employee::alice()).expect("a browser");
        browser.sign_in_and_return(&page).await.expect("signed in")
    };
    let (transcript, _) = tokio::join!(assistant.run(Some(path), &steps), person);
    assert_eq!(transcript.expect("connected").answers[0]["structuredContent"]["account"], "alice");

    let again = assistant.run(Some(shown_pages.path()), &steps).await.expect("connected");
    assert_eq!(again.answers[0]["structuredContent"]["account"], "alice");
    assert!(shown_pages.all().is_empty(), "nobody is asked again");
}

#[tokio::test]
async fn the_mail_refuses_who_has_no_token() {
    let idp = idp().await;
    let mail = Mail::start(&idp).await.expect("the mail starts");
    let assistant =
        Assistant::new(mail.url().clone(), Access::Bearer("made-up".to_owned())).expect("an assistant");
    assistant.run(None, &[Step::ListTools]).await.expect_err("refused");
}

#[tokio::test]
async fn the_warehouse_gives_each_role_its_schemas() {
    let warehouse = Postgres::start().await.expect("the warehouse starts");
    let visits = "select sum(visits) from analytics.visits";
    let salaries = "select count(*) from finance.salaries";
    assert_eq!(warehouse.ask(Role::Analyst, visits).expect("allowed"), "172");
    assert_eq!(warehouse.ask(Role::Finance, visits).expect("allowed"), "172");
    assert_eq!(warehouse.ask(Role::Finance, salaries).expect("allowed"), "2");
    let refused = warehouse.ask(Role::Analyst, salaries).expect_err("not the analyst's").to_string();
    assert!(refused.contains("permission denied for schema finance"), "{refused}");
    warehouse.ask(Role::Finance, "delete from finance.salaries").expect_err("it only reads");
}

#[tokio::test]
async fn stdio_connectors_answer() {
    let warehouse = Postgres::start().await.expect("the warehouse starts");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("note.txt"), "buy milk").expect("written");

    let filesystem = testkit::filesystem_server(folder.path()).expect("installed");
    let arguments = json!({"path": folder.path().join("note.txt")});
    let answer = stdio_call(&filesystem, &[], "read_text_file", &arguments).await;
    assert_eq!(answer["result"]["content"][0]["text"], "buy milk");

    let dbhub = testkit::dbhub().expect("installed");
    let dsn = warehouse.dsn(Role::Analyst);
    let sql = json!({"sql": "select page from analytics.visits where visits > 100; select 1 as one"});
    let answer = stdio_call(&dbhub, &[("DSN", &dsn)], "execute_sql", &sql).await;
    let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned();
    assert!(text.contains("\"page\": \"/\""), "{answer}");
}

#[tokio::test]
async fn the_collector_prints_what_it_receives() {
    let mut collector = Collector::start().await.expect("the collector starts");
    let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [
        {"timeUnixNano": "1", "severityNumber": 9, "body": {"stringValue": "a record of the audit"}},
    ]}]}]});
    let answer = reqwest::Client::new().post(collector.logs()).json(&logs).send().await.expect("sent");
    assert!(answer.status().is_success(), "{}", answer.status());
    collector.receives("a record of the audit", SOON).await.expect("printed");
}

#[tokio::test]
async fn claude_completes_oauth_unattended() {
    let idp = idp().await;
    let mail = Mail::start(&idp).await.expect("the mail starts");
    let claude = Claude::new().expect("installed");
    let mut opened = Opened::new().expect("a browser opener");
    claude.add("mail", mail.url()).await.expect("added");
    assert!(!claude.list().await.expect("listed").contains("Connected"), "not yet authorized");

    let mut login = claude.start_login("mail", &opened).expect("started");
    let page = opened.next(SOON).await.unwrap_or_else(|fault| panic!("{fault}: {}", login.log()));
    let mut browser = Browser::new(Employee::bob()).expect("a browser");
    browser.sign_in_and_return(&page).await.expect("signed in");
    let status = login.wait(SOON).await.expect("it ends");
    assert!(status.success(), "{}", login.log());
    let listed = claude.list().await.expect("listed");
    assert!(listed.contains("Connected"), "{listed}");
}

#[tokio::test]
async fn a_session_without_a_display_has_an_unlocked_keychain() {
    let mut session = Session::start(SessionParts::HEADLESS).await.expect("a session");
    let store =
        session.command("sh").args(["-c", "printf pw | secret-tool store --label=x user alice"]).output();
    let store = store.expect("secret-tool runs");
    assert!(store.status.success(), "{}", String::from_utf8_lossy(&store.stderr));
    let found = session.command("secret-tool").args(["lookup", "user", "alice"]).output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&found.stdout), "pw");

    session.end("gnome-keyring-daemon");
    until("the keychain's end", SOON, async || (!session.owned("org.freedesktop.secrets")).then_some(()))
        .await
        .expect("it is gone");
}

#[tokio::test]
async fn desktop_sessions_stand_side_by_side_and_leave_nothing_behind() {
    let (first, second) =
        tokio::join!(Session::start(SessionParts::DESKTOP), Session::start(SessionParts::DESKTOP));
    let (first, second) = (first.expect("a session"), second.expect("a session"));
    for session in [&first, &second] {
        assert!(session.owned("org.kde.StatusNotifierWatcher"));
        assert!(session.owned("org.freedesktop.Notifications"));
    }
    assert_ne!(first.home(), second.home());
    let picture = first.home().join("picture.png");
    first.picture(&picture).expect("a picture");
    assert!(std::fs::read(&picture).expect("readable").starts_with(b"\x89PNG"));

    let marker = format!("DESKGATE_TEST_SESSION={}", first.home().parent().expect("a parent").display());
    drop(first);
    until("the end of its programs", SOON, async || (!anybody_has(&marker)).then_some(()))
        .await
        .expect("all gone");
    assert!(second.owned("org.kde.StatusNotifierWatcher"), "the other one goes on");
}

fn anybody_has(marker: &str) -> bool {
    let processes = std::fs::read_dir("/proc").expect("a Linux system").flatten();
    processes
        .filter_map(|entry| std::fs::read(entry.path().join("environ")).ok())
        .any(|environment| environment.split(|byte| *byte == 0).any(|variable| variable == marker.as_bytes()))
}

/// Opens an MCP session on a program's standard input and output (2025-11-25) and calls one tool.
async fn stdio_call(
    command: &[String],
    environment: &[(&str, &str)],
    tool: &str,
    arguments: &Value,
) -> Value {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    let mut child = tokio::process::Command::new(&command[0])
        .args(&command[1..])
        .envs(environment.iter().copied())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("piped");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let messages = [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}),
    ];
    for message in messages {
        input.write_all(format!("{message}\n").as_bytes()).await.expect("written");
    }
    while let Some(line) = lines.next_line().await.expect("readable") {
        let message: Value = serde_json::from_str(&line).expect("JSON");
        if message["id"] == 2 {
            return message;
        }
    }
    panic!("the connector ended without an answer")
}

fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let body = token.split('.').nth(1).expect("a JWT");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(body).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}
