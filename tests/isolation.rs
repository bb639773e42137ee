//! A connector that is slow, dead, garrulous or hostile harms no other, and leaves nothing behind.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;
use testkit::{Gateway, Program, program, until};
use tokio::time::Instant;

use crate::common::{Personal, SOON, is_refused};
use crate::hostile::{Answer, Raw, Upstream, call, children, handles, request, running, script, script_that};

async fn let_in(gateway: &Gateway) -> Raw {
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    Raw { port: gateway.port(), token }
}

async fn called(raw: &Raw, tool: &str) -> Answer {
    raw.post(&[], call(tool, &json!({})).to_string()).await
}

fn is_done(answer: &Answer) -> bool {
    answer.json()["result"]["content"][0]["text"] == "done"
}

async fn listed(raw: &Raw) -> BTreeSet<String> {
    let answer = raw.post(&[], request("tools/list", json!({})).to_string()).await;
    let json = answer.json();
    let tools = json["result"]["tools"].as_array().cloned().unwrap_or_default();
    tools.iter().filter_map(|tool| tool["name"].as_str().map(str::to_owned)).collect()
}

/// A program beside the connector's own, which ends only when it is killed. It can be found by the folder's name.
fn companion(folder: &Path) -> String {
    let path = folder.join("companion.sh");
    std::fs::write(&path, "trap '' TERM HUP INT\nwhile :; do sleep 1; done\n").expect("written");
    format!("/bin/sh {} </dev/null >/dev/null 2>&1 &", path.display())
}

#[tokio::test]
async fn a_connector_that_hangs_dies_or_floods_holds_no_other_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let lists = folder.join("lists");
    let flood = |text: &str| format!("(while :; do printf '%s\\n' '{text}'; done) &");
    let changed = flood(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
    let asks = flood(r#"{"jsonrpc":"2.0","id":"x","method":"ping"}"#);
    let complains = "(while :; do echo 'all is lost' >&2; done) &";
    let hung = Upstream::start(|stream, _, _| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let counting = script_that(folder, "changing", &changed, "done_");
    // Each list that it is asked for leaves a mark.
    let text = std::fs::read_to_string(&counting[1]).expect("written");
    let text = text.replace(
        "'*) answer '\"result\":{\"tools\"",
        &format!("'*) echo >>'{}'; answer '\"result\":{{\"tools\"", lists.display()),
    );
    std::fs::write(&counting[1], text).expect("written");

    let connectors = [
        ("good", script(folder, "good", "done_")),
        ("mute", script(folder, "mute", ":")),
        ("deaf", script_that(folder, "deaf", "exec sleep 1000", "")),
        ("dead", script_that(folder, "dead", "exit 1", "")),
        ("changing", counting),
        ("asking", script_that(folder, "asking", &asks, "done_")),
        ("complaining", script_that(folder, "complaining", complains, "done_")),
        ("babbling", script_that(folder, "babbling", "exec yes", "")),
    ];
    let names: Vec<_> = connectors.iter().map(|(name, _)| *name).chain(["hung"]).collect();
    let mut personal = Personal::default().http("hung", &hung.url()).server("desk", &names);
    for (name, command) in &connectors {
        personal = personal.stdio(name, command);
    }
    let mut setup = personal.setup();
    // In every detail the log would be a flood of its own.
    setup.usual_log = true;
    let gateway =
        Gateway::start(&program(Program::Deskgate).expect("built"), setup).await.expect("it starts");
    let raw = let_in(&gateway).await;
    let begun = Instant::now();
    until("the tools of all that answer", SOON, async || {
        let listed = listed(&raw).await;
        ["good", "mute", "act"].iter().all(|name| listed.contains(*name)).then_some(())
    })
    .await
    .expect("listed beside those that do not");

    let mute = tokio::spawn({
        let raw = raw.clone();
        async move { called(&raw, "mute").await }
    });
    let hanging = tokio::spawn({
        let raw = raw.clone();
        async move { called(&raw, "act").await }
    });
    until("a call that hangs", SOON, async || (hung.calls() > 0).then_some(())).await.expect("called");
    for _ in 0..20 {
        let answer = called(&raw, "good").await;
        assert!(is_done(&answer), "{answer:?}");
        assert!(listed(&raw).await.contains("good"));
    }
    assert!(!mute.is_finished() && !hanging.is_finished(), "meanwhile the others still hang");
    let marks = std::fs::read_to_string(&lists).unwrap_or_default().lines().count() as u64;
    let most = begun.elapsed().as_secs() + 30;
    assert!(marks <= most, "it says without end that its tools changed, and was asked {marks} times");
    mute.abort();
    hanging.abort();
}

#[tokio::test]
async fn children_and_grandchildren_end_with_a_gateway_that_was_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mark = folder.path().display().to_string();
    let busy = script_that(folder.path(), "busy", &companion(folder.path()), "done_");
    let mut gateway = Personal::default().stdio("busy", &busy).server("desk", &["busy"]).start().await;
    let raw = let_in(&gateway).await;
    assert!(is_done(&called(&raw, "busy").await));
    assert_eq!(running(&mark).len(), 2, "the program and its companion");
    gateway.stop();
    until("the end of both", SOON, async || running(&mark).is_empty().then_some(())).await.expect("ended");
}

#[tokio::test]
async fn a_program_that_crashes_takes_its_companions_along_and_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let mark = folder.path().display().to_string();
    let companion = companion(folder.path());
    let crashing = script_that(folder.path(), "crashing", &companion, "kill -s KILL $$");
    let gateway =
        Personal::default().stdio("crashing", &crashing).server("desk", &["crashing"]).start().await;
    let raw = let_in(&gateway).await;
    assert!(listed(&raw).await.contains("crashing"));
    for _ in 0..3 {
        let answer = called(&raw, "crashing").await;
        assert!(is_refused(&answer.json()["result"]), "{answer:?}");
        until("the companion's end", SOON, async || running(&mark).is_empty().then_some(()))
            .await
            .expect("it ends with the program");
    }
}

#[tokio::test]
async fn two_hundred_restarts_leave_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let starts = folder.path().join("starts");
    let first = format!("echo >>'{}'", starts.display());
    let crashing = script_that(folder.path(), "crashing", &first, "exit 1");
    let mut gateway =
        Personal::default().stdio("crashing", &crashing).server("desk", &["crashing"]).start().await;
    let pid = gateway.process().expect("it runs").id();
    let raw = let_in(&gateway).await;
    assert!(listed(&raw).await.contains("crashing"));
    let threads = || std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").count();
    let mut before = None;
    // Only what fails while it opens is left alone for a while; this one opens, and fails then.
    for round in 0..210 {
        assert!(is_refused(&called(&raw, "crashing").await.json()["result"]));
        if round == 9 {
            let rested = until("rest", SOON, async || running(&crashing[1]).is_empty().then_some(())).await;
            rested.expect("nothing runs");
            before = Some((handles(pid), children(pid).len(), threads()));
        }
    }
    let (had_handles, had_children, had_threads) = before.expect("counted");
    let started = std::fs::read_to_string(&starts).expect("written").lines().count();
    assert!(started >= 200, "it was started {started} times");
    until("nothing more than before", SOON, async || {
        let few = handles(pid) <= had_handles + 3
            && children(pid).len() <= had_children
            && threads() <= had_threads + 3;
        few.then_some(())
    })
    .await
    .unwrap_or_else(|fault| {
        let now = (handles(pid), children(pid).len(), threads());
        panic!("{fault}: {now:?}, before {:?}", (had_handles, had_children, had_threads))
    });
}

#[tokio::test]
async fn a_program_gets_the_variables_that_were_chosen_and_no_others() {
    const CHOSEN: [&str; 8] = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "TZ", "STATED"];
    const OF_THE_SHELL: [&str; 4] = ["PWD", "OLDPWD", "SHLVL", "_"];
    let folder = tempfile::tempdir().expect("a folder");
    let (variables, open) = (folder.path().join("variables"), folder.path().join("open"));
    let first = format!(
        "env >'{}'; for file in /proc/$$/fd/*; do echo \"${{file##*/}} $(readlink \"$file\")\"; done >'{}'",
        variables.display(),
        open.display()
    );
    let curious = script_that(folder.path(), "curious", &first, "done_");
    let mut setup = Personal::default().stdio("curious", &curious).server("desk", &["curious"]).setup();
    setup.settings += "[connectors.curious.environment]\nSTATED = \"in the settings\"\n";
    for name in ["API_TOKEN", "SSH_AUTH_SOCK", "LD_PRELOAD_NOT", "AWS_SECRET_ACCESS_KEY"] {
        setup.environment.push((name.to_owned(), "canary-7f3a".to_owned()));
    }
    let gateway =
        Gateway::start(&program(Program::Deskgate).expect("built"), setup).await.expect("it starts");
    let raw = let_in(&gateway).await;
    assert!(is_done(&called(&raw, "curious").await));

    let text = std::fs::read_to_string(variables).expect("written");
    assert!(!text.contains("canary-7f3a"), "{text}");
    assert!(text.lines().any(|line| line == "STATED=in the settings"), "{text}");
    let names: BTreeSet<_> =
        text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    let more: Vec<_> =
        names.iter().filter(|name| !CHOSEN.contains(name) && !OF_THE_SHELL.contains(name)).collect();
    assert!(more.is_empty(), "{more:?}");
    // The shell itself opens the last.
    let own = [folder.path().display().to_string(), "pipe:".to_owned(), "/dev/null".to_owned()];
    let open = std::fs::read_to_string(open).expect("written");
    let foreign: Vec<_> = open.lines().filter(|file| own.iter().all(|own| !file.contains(own))).collect();
    assert!(foreign.is_empty(), "no file or socket of the gateway is open in it: {foreign:?}");
}
