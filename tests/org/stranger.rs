//! An organisation that a person knows by its address alone.

use super::*;

#[tokio::test]
async fn an_organisation_that_nobody_introduced_starts_no_programs_before_it_is_confirmed() {
    let acme = acme().await;
    let it = &acme.organisation;
    let mut opened = Opened::new().expect("a browser opener");
    let (fingerprint, url) = (it.fingerprint().to_owned(), it.config_url());
    let settings = format!("answer_in_terminal = true\n\n[organisation]\nconfig_url = \"{url}\"\n");
    let setup = Setup { settings, path: vec![opened.folder().to_owned()], ..Setup::default() };
    let mut gateway =
        Gateway::start(&program(Program::Deskgate).expect("built"), setup).await.expect("it starts");
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    tells(&gateway, &format!("Its fingerprint: {fingerprint}.")).await;

    let analyst = assistant(&gateway, "analyst").await;
    let (note, text) = acme.note();
    let text = text.trim_end();
    let read = [Step::ListTools, Step::call("read_text_file", json!({"path": note})), sql(VISITS)];
    let before = analyst.run(None, &read).await.expect("connected");
    let names = before.tool_names(0);
    assert!(!names.contains(&"read_text_file".to_owned()), "a program of this computer: {names:?}");
    let refused = refusal_text(&before.answers[1]);
    assert!(refused.contains("you have not confirmed yet that this is Acme"), "{refused}");
    assert!(before.answers[2].to_string().contains("172"), "at the organisation: {before:?}");
    assert_eq!(
        programs_with("cmdline", &acme.files().display().to_string()),
        0,
        "none was started, not even to be asked for its tools"
    );

    let trust = async |gateway: &Gateway, fingerprint: &str| {
        let output = gateway.deskgate(&["trust", fingerprint]).await.expect("it runs");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (done, words) = trust(&gateway, "sha256:12").await;
    assert!(!done && words.contains("This is no fingerprint"), "{words}");
    let (done, words) = trust(&gateway, &format!("sha256:{}", "0".repeat(64))).await;
    assert!(!done && words.contains(&format!("has another fingerprint: {fingerprint}")), "{words}");
    let still = analyst.run(None, &read).await.expect("connected");
    assert!(is_refused(&still.answers[1]), "{still:?}");

    let (done, words) = trust(&gateway, &fingerprint).await;
    assert!(done, "{words}");
    let reads = async |gateway: &Gateway| {
        until("the program", SOON, async || {
            let now = analyst.run(None, &read).await.ok()?;
            now.answers[1].to_string().contains(text).then_some(())
        })
        .await
        .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    };
    reads(&gateway).await;
    assert!(programs_with("cmdline", &acme.files().display().to_string()) > 0);
    let exported = gateway.deskgate(&["audit", "export"]).await.expect("it runs").stdout;
    assert!(String::from_utf8_lossy(&exported).contains("organisation-confirmed"));
    gateway.restart().await.expect("it starts again");
    reads(&gateway).await;
    let status = gateway.deskgate(&["status"]).await.expect("it runs").stdout;
    assert!(!String::from_utf8_lossy(&status).contains("by its address alone"));
}
