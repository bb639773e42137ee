//! Assistants where Deskgate does not run: on another computer, over SSH, and in a container.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::json;
use testkit::bench::Echo;
use testkit::{Assistant, Gateway, Process, Remote, Step, until};

use crate::common::{Personal, SOON, is_refused};

async fn at_echo(policy: Option<&str>) -> (Gateway, Echo) {
    let echo = Echo::start().await.expect("an upstream");
    let personal = Personal::default().http("echo", &format!("http://{}/mcp", echo.address()));
    let personal = personal.server("desk", &["echo"]).server("other", &["echo"]);
    let personal = policy.into_iter().fold(personal, |it, text| it.policy("own", text));
    let gateway = personal.start().await;
    gateway.offers("desk").await.expect("offered");
    (gateway, echo)
}

/// A socket that the person opens, and what they were asked.
async fn door(gateway: &Gateway, socket: &Path) -> (Process, String) {
    let opening = gateway.starting(&["door", "desk", &socket.display().to_string()]).expect("started");
    let question = gateway.answer(true).await.expect("the person is asked");
    let open = until("an open socket", SOON, async || opening.log().contains("Open: ").then_some(()));
    open.await.unwrap_or_else(|fault| panic!("{fault}\n{}", opening.log()));
    (opening, question)
}

fn in_reach_of(socket: &Path) -> Assistant {
    let relay = "import socket, sys, threading\n\
                 s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n\
                 def out():\n    \
                     for line in s.makefile('rb'): sys.stdout.buffer.write(line); sys.stdout.buffer.flush()\n\
                 threading.Thread(target=out, daemon=True).start()\n\
                 for line in sys.stdin.buffer: s.sendall(line)\n";
    let command = ["python3".to_owned(), "-c".to_owned(), relay.to_owned(), socket.display().to_string()];
    Assistant::starting(&command, &[]).expect("an assistant")
}

fn says(text: &str) -> Step {
    Step::call("echo", json!({"message": text}))
}

#[tokio::test]
async fn an_assistant_on_another_computer_comes_in_over_ssh_as_long_as_the_person_keeps_it_open() {
    let (gateway, _echo) = at_echo(None).await;
    let remote = Remote::start().await.expect("another computer");
    let folder = tempfile::tempdir().expect("a folder");
    let (here, there) = (folder.path().join("desk.sock"), remote.file("desk.sock"));
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700))
        .expect("closed to others");
    let (mut opening, question) = door(&gateway, &here).await;
    assert!(
        question.contains("desk.sock wants to use") && question.contains("on another computer"),
        "{question}"
    );
    assert!(question.contains(&here.display().to_string()), "{question}");
    assert_eq!(std::fs::metadata(&here).expect("there").permissions().mode() & 0o777, 0o600);

    let ssh = remote.leads(&there, &here).await.unwrap_or_else(|fault| panic!("{fault}"));
    let assistant = remote.assistant(&there).expect("an assistant");
    let transcript = assistant.run(None, &[Step::ListTools, says("from afar")]).await;
    let transcript = transcript.unwrap_or_else(|fault| panic!("{fault}\n{}\n{}", ssh.log(), gateway.log()));
    assert!(transcript.answers[1].to_string().contains("from afar"), "{:?}", transcript.answers);
    let recorded = gateway.deskgate(&["audit", "export"]).await.expect("run");
    let recorded = String::from_utf8_lossy(&recorded.stdout).into_owned();
    let client = format!("socket:{}", here.display());
    assert!(recorded.lines().any(|line| line.contains("tools/call") && line.contains(&client)), "{recorded}");

    // The next time the person is asked anew, and what the first has left there has to go.
    drop(ssh);
    opening.interrupt().expect("Ctrl+C");
    opening.wait(SOON).await.expect("it ends");
    until("its file's end", SOON, async || (!here.exists()).then_some(())).await.expect("gone");
    let opening = gateway.starting(&["door", "desk", &here.display().to_string()]).expect("started");
    gateway.answer(false).await.expect("asked anew");
    let refused = until("a refusal", SOON, async || opening.log().contains("did not let").then_some(()));
    refused.await.unwrap_or_else(|fault| panic!("{fault}\n{}", opening.log()));
    assert!(!here.exists());
    let (_opening, _) = door(&gateway, &here).await;
    assert!(there.exists(), "a server of SSH leaves it");
    remote.runs(&format!("rm -f '{}'", there.display())).await.expect("removed");
    let _ssh = remote.leads(&there, &here).await.unwrap_or_else(|fault| panic!("{fault}"));
    let transcript = remote.assistant(&there).expect("an assistant").run(None, &[says("once more")]).await;
    let transcript = transcript.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    assert!(transcript.answers[0].to_string().contains("once more"), "{:?}", transcript.answers);
}

#[tokio::test]
async fn a_socket_leads_to_one_virtual_server_and_to_no_command() {
    let (gateway, _echo) = at_echo(None).await;
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("desk.sock");
    let taken = folder.path().join("taken");
    std::fs::write(&taken, "mine").expect("written");
    let opening = gateway.starting(&["door", "desk", &taken.display().to_string()]).expect("started");
    gateway.answer(true).await.expect("asked");
    let refused =
        until("a refusal", SOON, async || opening.log().contains("No socket can be opened").then_some(()));
    refused.await.unwrap_or_else(|fault| panic!("{fault}\n{}", opening.log()));
    assert_eq!(std::fs::read_to_string(&taken).expect("there"), "mine");

    let (opening, _) = door(&gateway, &socket).await;
    // Two at a time.
    let assistants = [in_reach_of(&socket), in_reach_of(&socket)];
    let steps = [says("one"), says("two")];
    let [one, two] = assistants.each_ref().map(|it| it.run(None, &steps));
    let (one, two) = tokio::join!(one, two);
    for transcript in [one, two] {
        let transcript = transcript.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
        assert!(transcript.answers.iter().all(|answer| !is_refused(answer)), "{:?}", transcript.answers);
    }
    // Whatever is said that is no conversation of an assistant's reaches nothing: not the local socket's commands.
    let said = std::process::Command::new("python3")
        .args(["-c", "import socket,sys\ns=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'{\"command\":\"status\"}\\n'); s.shutdown(1); print(s.recv(99999))"])
        .arg(&socket)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(!said.contains("\"answer\"") && !said.contains("summary"), "{said}");

    gateway.deskgate(&["quit"]).await.expect("run");
    let closed =
        until("its end", SOON, async || opening.log().contains("has closed the socket").then_some(()));
    closed.await.unwrap_or_else(|fault| panic!("{fault}\n{}", opening.log()));
    assert!(!socket.exists());
}

#[tokio::test]
async fn whoever_comes_through_a_socket_is_no_program_that_a_rule_allows() {
    let rule = r#"@id("programs") @reason("Only programs that are known.")
                  forbid (principal, action in Action::"call_tool", resource) unless { context.client has program };"#;
    let (gateway, _echo) = at_echo(Some(rule)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("desk.sock");
    let (_opening, _) = door(&gateway, &socket).await;
    let transcript = in_reach_of(&socket).run(None, &[says("hello")]).await;
    let transcript = transcript.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    assert!(is_refused(&transcript.answers[0]), "{:?}", transcript.answers);
    // The same assistant, started beside Deskgate, is a program.
    let bridged = gateway.bridged("desk").expect("an assistant");
    let steps = [says("hello")];
    let (transcript, question) = tokio::join!(bridged.run(None, &steps), gateway.answer(true));
    question.expect("asked");
    let transcript = transcript.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    assert!(!is_refused(&transcript.answers[0]), "{:?}", transcript.answers);
}
