//! The story "push": IT publishes a change, and desktops follow in seconds; a broken or forged one changes nothing.

use super::*;

/// How soon a change that was pushed is in force, on a loaded machine.
const PUSHED: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_change_is_followed_within_seconds_and_a_broken_one_is_not_published() {
    let acme = acme().await;
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let assistant = assistant(&gateway, "analyst").await;
    let names = async || assistant.run(None, &[Step::ListTools]).await.expect("connected").tool_names(0);
    let mail = "list_messages".to_owned();
    assert!(names().await.contains(&mail));

    let closed = "@id(\"no-mail\") @reason(\"The mail is closed.\")\n\
                  forbid (principal, action == Action::\"mail/list_messages\", resource)\n\
                  unless { principal has clearance && principal.clearance >= 2 };";
    let file = |folder: &Path| folder.join("policies/closed.cedar");
    let publish = acme.organisation.publish(|folder| std::fs::write(file(folder), closed).expect("written"));
    publish.await.expect("published");
    // Well below the shortest time between two looks: it is the event that brings the change.
    until("the list without mail", PUSHED, async || (!names().await.contains(&mail)).then_some(()))
        .await
        .expect("the desktop follows");

    for (broken, slip) in [
        (closed.replace("mail/list_messages", "mail/nothing"), "nothing"),
        (closed.replace("has clearance", "has clearence"), "principal.clearence"),
        (closed.replace("clearance >= 2", "clearance == \"secret\""), "Long and String"),
    ] {
        let refused =
            acme.organisation.publish(|folder| std::fs::write(file(folder), &broken).expect("written")).await;
        let told = refused.expect_err("refused").to_string();
        assert!(told.contains(slip), "IT reads what is wrong: {told}");
    }
    let status = acme.organisation.control_json(&["status"]).await.expect("a status");
    assert_eq!(status["version"], 2, "nothing was published: {status}");
}

/// A policy that a stranger changed on its way changes nothing here, and the person is told in one sentence.
#[tokio::test]
async fn a_forged_policy_changes_nothing_and_is_said() {
    let acme = acme().await;
    let public = acme.organisation.home().join("public");
    let host = StaticHost::start(&public).await.expect("a static host");
    let settings =
        acme.organisation.settings().replace(acme.organisation.config_url().as_str(), host.url().as_str());
    let setup = Setup { settings, ..Setup::default() };
    let mut gateway =
        Gateway::start(&program(Program::Deskgate).expect("built"), setup).await.expect("it starts");
    tells(&gateway, "Sign in to Acme").await;
    let policy = async |gateway: &Gateway| {
        let status = gateway.deskgate_json(&["status"]).await.expect("a status");
        status["policy"]["version"].clone()
    };
    assert_eq!(policy(&gateway).await, "acme 1", "a static host is enough for a policy");

    let manifest = public.join("v1/manifest.json");
    let text = std::fs::read_to_string(&manifest).expect("readable");
    let at = text.find("\"sig\"").expect("it is signed") + 12;
    let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
    let forged = format!("{}{other}{}", &text[..at], &text[at + 1..]);
    std::fs::write(&manifest, forged).expect("written");
    gateway.restart().await.expect("it starts all the same");
    tells(&gateway, "could not be verified and was refused").await;
    assert_eq!(policy(&gateway).await, "acme 1", "the last good one is obeyed");
    let recorded = gateway.deskgate(&["audit", "export"]).await.expect("it runs");
    let recorded = String::from_utf8_lossy(&recorded.stdout).into_owned();
    assert!(recorded.contains("bundle-refused"), "and the refusal is in the journal");
}
