//! Assistants that are connected by `deskgate connect`, and disconnected again.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use testkit::bench::Echo;
use testkit::{Assistant, Claude, Codex, Gateway, Listing, Opened, Program, Step, program};

use crate::common::{Personal, SOON, lets_in};

async fn at_echo(echo: &Echo, servers: &[&str]) -> Gateway {
    let upstream = format!("http://{}/mcp", echo.address());
    let personal = Personal::default().http("echo", &upstream);
    let personal = servers.iter().fold(personal, |it, server| it.server(server, &["echo"]));
    let gateway = personal.start().await;
    for server in servers {
        gateway.offers(server).await.expect("offered");
    }
    gateway
}

/// Runs `deskgate` as the person whose folder this is; what it prints.
async fn deskgate(gateway: &Gateway, home: &Path, arguments: &[&str]) -> String {
    let output = run(gateway, home, arguments).await;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {told}");
    String::from_utf8_lossy(&output.stdout).into_owned() + &told
}

async fn run(gateway: &Gateway, home: &Path, arguments: &[&str]) -> Output {
    let config = home.join(".config");
    let variables = [("CODEX_HOME", home), ("XDG_CONFIG_HOME", &config)];
    gateway.deskgate_of(home, &variables, arguments).await.expect("run")
}

/// What an assistant is connected to, as `deskgate assistants --json` lists it.
async fn connected(gateway: &Gateway, home: &Path, assistant: &str) -> Value {
    let output = run(gateway, home, &["assistants", "--json"]).await;
    let all: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    all.into_iter().find(|it| it["id"] == assistant).expect("listed")["connected"].clone()
}

#[tokio::test]
async fn claude_code_is_connected_works_and_is_disconnected() {
    let echo = Echo::start().await.expect("an upstream");
    let gateway = at_echo(&echo, &["desk"]).await;
    let claude = Claude::new().expect("installed");
    // Its own state, as it writes it.
    claude.add_program("mine", "KEY=canary-of-mine", &["true"]).await.expect("added");
    let file = claude.home().join(".claude.json");
    let before = std::fs::read(&file).expect("its settings");
    let shown = deskgate(&gateway, claude.home(), &["connect", "claude-code", "--dry-run"]).await;
    assert!(shown.contains("+    \"deskgate-desk\": {") && !shown.contains("canary-of-mine"), "{shown}");
    assert_eq!(std::fs::read(&file).expect("its settings"), before, "it was only shown");
    deskgate(&gateway, claude.home(), &["connect", "claude-code", "--yes"]).await;
    let undone = deskgate(&gateway, claude.home(), &["disconnect", "claude-code", "--yes"]).await;
    assert!(undone.contains("byte for byte"), "{undone}");
    assert_eq!(std::fs::read(&file).expect("its settings"), before);

    deskgate(&gateway, claude.home(), &["connect", "claude-code", "--yes"]).await;
    let mut opened = Opened::new().expect("a browser opener");
    let mut login = claude.start_login("deskgate-desk", &opened).expect("started");
    lets_in(&mut opened, &gateway).await;
    let status = login.wait(SOON).await.expect("it ends");
    assert!(status.success(), "{}", login.log());
    let listed = claude.list().await.expect("listed");
    let line = listed.lines().find(|line| line.starts_with("deskgate-desk:")).unwrap_or_default();
    assert!(line.contains("Connected"), "{listed}");

    let others = deskgate(&gateway, claude.home(), &["assistants"]).await;
    assert!(
        others.contains("1 server outside Deskgate: mine\n") && !others.contains("canary-of-mine"),
        "{others}"
    );

    // It has written its file anew since.
    deskgate(&gateway, claude.home(), &["disconnect", "claude-code", "--yes"]).await;
    let listed = claude.list().await.expect("listed");
    assert!(!listed.contains("deskgate-desk") && listed.contains("mine"), "{listed}");
}

#[tokio::test]
async fn codex_is_connected_to_one_of_two_and_its_file_comes_back() {
    let echo = Echo::start().await.expect("an upstream");
    let gateway = at_echo(&echo, &["desk", "lab"]).await;
    let codex = Codex::knowing(&[]).expect("installed");
    let file = codex.home().join("config.toml");
    let before = std::fs::read_to_string(&file).expect("its settings")
        + "# mine\n[mcp_servers.mine]\ncommand = \"true\"";
    std::fs::write(&file, &before).expect("written");
    let refused = run(&gateway, codex.home(), &["connect", "codex", "--yes"]).await;
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("--server: desk, lab"), "{told}");
    deskgate(&gateway, codex.home(), &["connect", "codex", "--server", "lab", "--yes"]).await;

    let mut opened = Opened::new().expect("a browser opener");
    let mut login = codex.start_login("deskgate-lab", &opened).expect("started");
    lets_in(&mut opened, &gateway).await;
    let status = login.wait(SOON).await.expect("it ends");
    assert!(status.success(), "{}", login.log());
    let listed = codex.list().await.expect("listed");
    let ours = listed.as_array().and_then(|all| all.iter().find(|it| it["name"] == "deskgate-lab"));
    assert_eq!(ours.map(|it| it["auth_status"].clone()), Some(json!("o_auth")), "{listed}");
    let url = gateway.url("lab").expect("a URL").to_string();
    let expected = json!([{"server": "lab", "entry": "deskgate-lab", "url": url, "bridge": false}]);
    assert_eq!(connected(&gateway, codex.home(), "codex").await, expected);

    deskgate(&gateway, codex.home(), &["disconnect", "codex", "--yes"]).await;
    assert_eq!(std::fs::read_to_string(&file).expect("its settings"), before);
}

#[tokio::test]
async fn gemini_and_opencode_read_what_is_written_for_them() {
    let echo = Echo::start().await.expect("an upstream");
    let gateway = at_echo(&echo, &["desk"]).await;
    let url = gateway.url("desk").expect("a URL").to_string();
    for (name, assistant) in [("gemini", Listing::gemini()), ("opencode", Listing::opencode())] {
        let assistant = assistant.expect("installed");
        deskgate(&gateway, assistant.home(), &["connect", name, "--yes"]).await;
        let listed = assistant.list().await.expect("listed");
        assert!(listed.contains("deskgate-desk") && listed.contains(&url), "{name}: {listed}");
        deskgate(&gateway, assistant.home(), &["disconnect", name, "--yes"]).await;
        let listed = assistant.list().await.expect("listed");
        assert!(!listed.contains("deskgate-desk"), "{name}: {listed}");
    }
}

#[tokio::test]
async fn what_is_written_for_an_assistant_that_starts_programs_makes_calls() {
    let echo = Echo::start().await.expect("an upstream");
    let gateway = at_echo(&echo, &["desk"]).await;
    let home = tempfile::tempdir().expect("a folder");
    deskgate(&gateway, home.path(), &["connect", "claude-desktop", "--yes"]).await;
    let file = home.path().join(".config/Claude/claude_desktop_config.json");
    let written: Value = serde_json::from_slice(&std::fs::read(&file).expect("a file")).expect("JSON");
    let entry = &written["mcpServers"]["deskgate-desk"];
    let words = std::iter::once(&entry["command"]).chain(entry["args"].as_array().expect("arguments"));
    let command: Vec<String> = words.map(|word| word.as_str().expect("a word").to_owned()).collect();

    // The entry alone is enough: nothing in the environment says where Deskgate is.
    let assistant = Assistant::starting(&command, &[]).expect("an assistant");
    let steps = [Step::call("echo", json!({"message": "hello"}))];
    let (transcript, question) = tokio::join!(assistant.run(None, &steps), gateway.answer(true));
    assert!(question.expect("asked").contains("Server desk"));
    assert_eq!(transcript.expect("connected").text(0), Some("hello"));

    deskgate(&gateway, home.path(), &["disconnect", "claude-desktop", "--yes"]).await;
    assert!(!home.path().join(".config").exists(), "nothing is left of it");
}

#[tokio::test]
async fn nothing_is_changed_where_nobody_can_be_asked() {
    let echo = Echo::start().await.expect("an upstream");
    let mut gateway = at_echo(&echo, &["desk"]).await;
    let home = tempfile::tempdir().expect("a folder");
    // The addresses are known while nothing runs.
    gateway.stop();
    let refused = run(&gateway, home.path(), &["connect", "cursor"]).await;
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("this is not a terminal"), "{told}");
    assert!(told.contains(gateway.url("desk").expect("a URL").as_str()), "it is shown all the same: {told}");
    assert_eq!(std::fs::read_dir(home.path()).expect("readable").count(), 0);
    let unknown = run(&gateway, home.path(), &["connect", "cursor", "--server", "lab", "--yes"]).await;
    let told = String::from_utf8_lossy(&unknown.stderr);
    assert!(!unknown.status.success() && told.contains("Choose one of these: desk."), "{told}");
}

#[tokio::test]
async fn on_a_terminal_the_person_is_asked_and_no_answer_is_no() {
    let echo = Echo::start().await.expect("an upstream");
    let gateway = at_echo(&echo, &["desk"]).await;
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join(".cursor/mcp.json");
    let deskgate = program(Program::Deskgate).expect("built");
    for (answer, is_made) in [("\n", false), ("n\n", false), ("y\n", true)] {
        let mut terminal = Command::new("script");
        terminal.args(["-q", "-e", "-c", &format!("'{}' connect cursor", deskgate.display()), "/dev/null"]);
        terminal.env("HOME", home.path()).env("DESKGATE_HOME", gateway.home());
        let mut terminal = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a terminal");
        let mut hand = terminal.stdin.take().expect("a hand");
        hand.write_all(answer.as_bytes()).expect("typed");
        let output = terminal.wait_with_output().expect("it ends");
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(told.contains("+    \"deskgate-desk\": {") && told.contains("[y/N]"), "{told}");
        assert_eq!(file.exists(), is_made, "{answer:?}: {told}");
        drop(hand);
    }
}
