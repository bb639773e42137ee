//! Administrators stop something: every desktop obeys within seconds, and again after a restart.

use super::*;

async fn halt(acme: &Acme, what: &[&str]) -> u64 {
    let arguments: Vec<&str> = ["halt"].into_iter().chain(what.iter().copied()).collect();
    let answer = acme.organisation.control_json(&arguments).await.expect("stopped");
    answer["halt"]["id"].as_u64().expect("a number")
}

async fn lift(acme: &Acme, id: u64) {
    acme.organisation.control_json(&["halt", "lift", &id.to_string()]).await.expect("lifted");
}

/// Whether a call is answered now, and what was said if it is not.
async fn reads(assistant: &Assistant, note: &Path) -> Result<(), String> {
    let call = [Step::call("read_text_file", json!({"path": note}))];
    let transcript = assistant.run(None, &call).await.map_err(|fault| fault.to_string())?;
    match is_refused(&transcript.answers[0]) {
        true => Err(refusal_text(&transcript.answers[0]).to_owned()),
        false => Ok(()),
    }
}

#[tokio::test]
async fn what_is_stopped_ends_on_every_desktop_at_once_and_goes_on_when_it_is_lifted() {
    let acme = acme().await;
    let mut opened = Opened::new().expect("a browser opener");
    let mut gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let analyst = assistant(&gateway, "analyst").await;
    let (note, _) = acme.note();
    reads(&analyst, &note).await.expect("works");

    for what in [
        &["connector", "files"][..],
        &["tool", "files", "read_text_file"],
        &["user", "alice@acme.test"],
        &["assistant", "Test"],
    ] {
        let order: Vec<&str> = what.iter().copied().chain(["--reason", "It leaks"]).collect();
        let id = halt(&acme, &order).await;
        until("its end", SOON, async || reads(&analyst, &note).await.is_err().then_some(()))
            .await
            .unwrap_or_else(|fault| panic!("{what:?}: {fault}\n{}", gateway.log()));
        lift(&acme, id).await;
        until("that it goes on", SOON, async || reads(&analyst, &note).await.ok())
            .await
            .unwrap_or_else(|fault| panic!("{what:?}: {fault}\n{}", gateway.log()));
    }

    // A call with the organisation's account is broken off while it runs.
    let sleep = [sql("select pg_sleep(60)")];
    let slow = analyst.run(None, &sleep);
    let order = async {
        until("the call's intent", SOON, async || {
            let filter = ["--credential", "warehouse-analyst"];
            let records = acme.organisation.records(&filter).await.ok()?;
            records.iter().any(|record| record["kind"] == "intent").then_some(())
        })
        .await
        .expect("under way");
        halt(&acme, &["credential", "warehouse-analyst", "--reason", "It leaks"]).await
    };
    let (broken, of_credential) = tokio::join!(slow, order);
    let broken = broken.expect("answered");
    let words = "An administrator has stopped the shared credential warehouse-analyst: It leaks.";
    assert!(refusal_text(&broken.answers[0]).contains(words), "{broken:?}");
    lift(&acme, of_credential).await;

    // It stands over a restart without the organisation, and is told to the person.
    halt(&acme, &["connector", "files", "--reason", "It leaks"]).await;
    until("its end", SOON, async || reads(&analyst, &note).await.is_err().then_some(())).await.expect("ends");
    let mut acme = acme;
    acme.organisation.stop().await.expect("stopped");
    gateway.restart().await.expect("starts again");
    let refused = until("an answer", SOON, async || {
        let said = reads(&analyst, &note).await.err()?;
        said.contains("stopped the connector files").then_some(said)
    });
    refused.await.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    let status = gateway.deskgate_json(&["status"]).await.expect("status");
    assert!(
        status.to_string().contains("An administrator has stopped the connector files: It leaks."),
        "{status}"
    );
}

#[tokio::test]
async fn the_difference_to_the_folder_shows_what_is_only_stopped() {
    let acme = acme().await;
    let folder = acme.organisation.folder().to_string_lossy().into_owned();
    let diff = async || {
        let output = acme.organisation.control(&["bundle", "diff", &folder]).await.expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(diff().await.0, Some(0));
    halt(&acme, &["connector", "files", "--reason", "It leaks"]).await;
    let (code, said) = diff().await;
    assert_eq!(code, Some(1));
    assert!(said.contains("Stopped by administrators") && said.contains("the connector files"), "{said}");
    let without = |folder: &Path| {
        for server in std::fs::read_dir(folder.join("servers")).expect("a folder") {
            let path = server.expect("a file").path();
            let text = std::fs::read_to_string(&path)
                .expect("text")
                .replace("\"files\", ", "")
                .replace("\"files\"", "");
            std::fs::write(&path, text).expect("written");
        }
    };
    without(acme.organisation.folder());
    let (_, said) = diff().await;
    assert!(!said.contains("Stopped by administrators"), "{said}");
}
