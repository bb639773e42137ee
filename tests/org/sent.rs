//! What the organisation sees: the employee is shown the records as they are sent, and what is personal is not among them.

use std::collections::BTreeSet;

use testkit::bench::Echo;

use super::*;
use crate::common::Personal;

fn lines(output: &std::process::Output) -> BTreeSet<String> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn the_employee_is_shown_the_records_as_sent_and_personal_ones_are_never_sent() {
    let acme = acme().await;
    let mut opened = Opened::new().expect("a browser opener");
    let echo = Echo::start().await.expect("an upstream");
    let personal = Personal::default().http("diary", &format!("http://{}/mcp", echo.address()));
    let mut gateway = personal.server("private", &["diary"]).browser(&opened).start().await;
    let own = assistant(&gateway, "private").await;
    let said = own.run(None, &[Step::call("echo", json!({"message": "hello"}))]).await.expect("connected");
    assert_eq!(said.text(0), Some("hello"));

    // The same person, on the same computer, now belongs to an organisation.
    let settings = format!("answer_in_terminal = true\n\n{}", acme.organisation.settings());
    std::fs::write(gateway.home().join("deskgate.toml"), settings).expect("written");
    gateway.restart().await.expect("it starts");
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let steps = [Step::ListTools, sql(VISITS)];
    assistant(&gateway, "analyst").await.run(None, &steps).await.expect("connected");

    let device = std::fs::read_to_string(gateway.home().join("device")).expect("a device");
    let query = ["audit", "query", "--device", device.trim(), "--limit", "1000"];
    let sent = ["audit", "sent", "-n", "1000", "--json"];
    let (shown, stored) = until("all that is shown, and nothing else, is stored there", SOON, async || {
        let shown = lines(&gateway.deskgate(&sent).await.ok()?);
        let stored = lines(&acme.organisation.control(&query).await.ok()?);
        (shown.iter().any(|line| line.contains("execute_sql")) && shown == stored).then_some((shown, stored))
    })
    .await
    .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    assert!(shown.iter().any(|line| line.contains("alice@acme.test")), "{shown:#?}");

    let everything = lines(&gateway.deskgate(&["audit", "export"]).await.expect("it runs"));
    let mine: BTreeSet<_> = everything.difference(&shown).cloned().collect();
    assert!(mine.iter().any(|line| line.contains("diary")), "the journal has them: {mine:#?}");
    for line in stored {
        assert!(!line.contains("diary") && !line.contains("\"private\""), "{line}");
    }
    let told = gateway.deskgate(&["audit", "sent", "-n", "1"]).await.expect("it runs");
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        told.contains(&format!("{} records are your own and stay on this computer.", mine.len())),
        "{told}"
    );
}
