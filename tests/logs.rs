//! What connectors print, for the person at this computer and nobody else.

use serde_json::{Value, json};
use testkit::{Gateway, until};

use crate::common::{Personal, SOON, files_below};
use crate::hostile::{Raw, Upstream, call, done, response, script, script_that};

async fn let_in(gateway: &Gateway) -> Raw {
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    Raw { port: gateway.port(), token }
}

async fn works(raw: &Raw, tool: &str) -> bool {
    raw.post(&[], call(tool, &json!({})).to_string()).await.json()["result"]["content"][0]["text"] == "done"
}

/// The connector's log, once it holds this.
async fn log_with(gateway: &Gateway, connector: &str, words: &str) -> String {
    let log = async || {
        let output = gateway.deskgate(&["logs", connector]).await.ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned()).filter(|log| log.contains(words))
    };
    until(&format!("{words:?} in the log of {connector}"), SOON, log).await.expect("it is there")
}

#[tokio::test]
async fn what_a_connector_prints_is_kept_in_bounds_and_in_memory_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    // As programs do that were left in their debug mode, and in colour.
    let act = r#"seq -f 'token-7f3a-%.0f' 1 40000 >&2; printf '\033[31mred\033[0m \033]0;title\007end\n' >&2; done_"#;
    let noisy = script(folder.path(), "noisy", act);
    let gateway = Personal::default().stdio("noisy", &noisy).server("desk", &["noisy"]).start().await;
    let raw = let_in(&gateway).await;
    for _ in 0..3 {
        assert!(works(&raw, "noisy").await);
    }

    let log = log_with(&gateway, "noisy", "| red end\n").await;
    assert!(log.contains("| token-7f3a-40000\n"), "the last of it");
    assert!(!log.contains("| token-7f3a-1\n") && log.contains("earlier entries are no longer kept"), "{log}");
    assert!(!log.contains('\u{1b}') && !log.contains("title"), "no terminal is steered");
    let output = gateway.deskgate(&["logs", "noisy", "--json"]).await.expect("it runs");
    let entries: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    let size: usize = entries.iter().filter_map(|entry| Some(entry["text"].as_str()?.len())).sum();
    assert!((32..=256).contains(&(size / 1024)), "{size} bytes of text in {} entries", entries.len());

    for (path, bytes) in files_below(gateway.home()) {
        let is_there = bytes.windows(11).any(|window| window == b"token-7f3a-");
        assert!(!is_there, "{} holds what a program printed", path.display());
    }
    assert!(!gateway.log().contains("token-7f3a-"), "nor is it in the gateway's own log");
}

#[tokio::test]
async fn a_log_is_followed_over_restarts_until_its_connector_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let act = "echo 'about to fall' >&2; kill -s KILL $$";
    let falling = script_that(folder.path(), "falling", "echo 'here I am' >&2", act);
    let gateway = Personal::default().stdio("falling", &falling).server("desk", &["falling"]).start().await;
    let raw = let_in(&gateway).await;
    let mut follower = gateway.starting(&["logs", "falling", "--follow"]).expect("started");
    for round in 1..=3 {
        assert!(!works(&raw, "falling").await);
        let fall = "* ended by itself (signal: 9 (SIGKILL))\n";
        let ended = async |log: &str| {
            // A start, words and an end of one process.
            let started = log.lines().filter(|line| line.ends_with("* /bin/sh started")).nth(round - 1)?;
            let process = started.split_whitespace().nth(1)?;
            let of = |what: &str| log.contains(&format!("{process:>7} {what}"));
            (of("| here I am\n") && of("| about to fall\n") && of(fall)).then_some(())
        };
        follower.ready("its end", SOON, ended).await.expect("it is followed");
    }

    let settings = "policies = \"policies\"\nanswer_in_terminal = true\n";
    std::fs::write(gateway.home().join("deskgate.toml"), settings).expect("written");
    let status = follower.wait(SOON).await.expect("it ends");
    assert!(
        !status.success() && follower.log().contains("There is no connector falling."),
        "{}",
        follower.log()
    );
}

#[tokio::test]
async fn what_fails_on_the_way_to_a_connector_is_in_its_log() {
    let upstream = Upstream::start(|mut stream, _, id| async move {
        let _gone =
            tokio::io::AsyncWriteExt::write_all(&mut stream, &response("200 OK", "", done(&id).as_bytes()))
                .await;
    })
    .await;
    let gateway = Personal::default()
        .http("gone", "http://127.0.0.1:9/mcp")
        .http("good", &upstream.url())
        .stdio("missing", &["no-such-program-anywhere".to_owned(), "--token=7f3a".to_owned()])
        .server("desk", &["gone", "good", "missing"])
        .start()
        .await;
    log_with(&gateway, "gone", "! the server cannot be reached").await;
    let log = log_with(&gateway, "missing", "! no-such-program-anywhere could not be started").await;
    assert!(!log.contains("7f3a"), "arguments may hold a secret: {log}");

    let raw = let_in(&gateway).await;
    assert!(works(&raw, "act").await);
    let empty = gateway.deskgate(&["logs", "good"]).await.expect("it runs");
    assert!(empty.status.success() && empty.stdout.is_empty(), "{empty:?}");
    assert!(String::from_utf8_lossy(&empty.stderr).contains("good has printed nothing so far."));
    let unknown = gateway.deskgate(&["logs", "other"]).await.expect("it runs");
    assert!(!unknown.status.success());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("There is no connector other."));
}

#[tokio::test]
async fn a_connector_that_prints_without_end_holds_nobody_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let flood = "yes 'all is lost' >&2 &";
    let gateway = Personal::default()
        .stdio("flooding", &script_that(folder.path(), "flooding", flood, "done_"))
        .stdio("quiet", &script(folder.path(), "quiet", "done_"))
        .server("desk", &["flooding", "quiet"])
        .start()
        .await;
    let raw = let_in(&gateway).await;
    for _ in 0..50 {
        assert!(works(&raw, "quiet").await && works(&raw, "flooding").await);
    }
    let log = log_with(&gateway, "flooding", "| all is lost\n").await;
    assert!(log.len() < 2 * 1024 * 1024, "{} bytes", log.len());
}
