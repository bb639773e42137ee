//! A program on the employee's computer that holds a shared account of the organisation, for as long as it is lent.

use super::*;

/// The warehouse runs on the desktop, and is lent its account.
pub(super) async fn borrowing() -> (Acme, Opened, Gateway, Assistant) {
    let acme = acme().await;
    let leased = acme.organisation.publish(|folder| {
        let file = folder.join("connectors/warehouse.toml");
        let text = std::fs::read_to_string(&file).expect("readable");
        let lent = text.replace("kind = \"brokered\"", "kind = \"leased\", seconds = 60");
        assert_ne!(text, lent);
        std::fs::write(file, lent).expect("written");
    });
    leased.await.expect("published");
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = borrower(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let analyst = assistant(&gateway, "analyst").await;
    (acme, opened, gateway, analyst)
}

/// A desktop without a display on which the warehouse may run.
pub(super) async fn borrower(acme: &Acme, opened: &Opened) -> Gateway {
    let settings = format!("answer_in_terminal = true\n\n{}", acme.organisation.settings());
    let path = vec![opened.folder().to_owned()];
    let setup = Setup { settings, path, borrows: true, ..Setup::default() };
    let started = Gateway::start(&program(Program::Deskgate).expect("built"), setup).await;
    started.expect("the gateway starts")
}

/// How many running programs hold this secret.
pub(super) fn holders(secret: &str) -> usize {
    programs_with("environ", secret)
}

pub(super) async fn leases(acme: &Acme) -> Vec<serde_json::Value> {
    let listed = acme.organisation.control_json(&["lease", "list"]).await.expect("listed");
    listed.as_array().expect("a list").clone()
}

#[tokio::test]
async fn a_program_holds_the_account_while_it_is_lent_and_ends_with_the_lease() {
    let (acme, _opened, gateway, analyst) = borrowing().await;
    let secret = acme.warehouse.dsn(Role::Analyst);
    let visits = async || {
        let transcript = analyst.run(None, &[sql(VISITS)]).await.expect("connected");
        transcript.answers[0].to_string()
    };
    assert_eq!(holders(&secret), 0, "nothing is lent before it is used");
    let answer = visits().await;
    assert!(answer.contains("172"), "{answer}\n{}", gateway.log());
    assert!(holders(&secret) > 0, "the program here holds it");
    let held = leases(&acme).await;
    assert_eq!(held.len(), 1, "{held:?}");
    assert_eq!(held[0]["credential"], "warehouse-analyst");
    assert_eq!(held[0]["subject"]["email"], "alice@acme.test");

    // A call under way ends with it, and so does the program.
    let slow = [sql("select pg_sleep(60)")];
    let call = analyst.run(None, &slow);
    let revoke = async {
        until("the call under way", SOON, async || {
            let recorded = gateway.deskgate(&["audit", "export"]).await.ok()?;
            let recorded = String::from_utf8_lossy(&recorded.stdout).into_owned();
            (recorded.matches("shared:warehouse-analyst").count() >= 2).then_some(())
        })
        .await
        .expect("begun");
        let arguments = ["halt", "credential", "warehouse-analyst", "--reason", "It leaks", "--json"];
        acme.organisation.control(&arguments).await.expect("stopped")
    };
    let (broken, halted) = tokio::join!(call, revoke);
    let halted: serde_json::Value = serde_json::from_slice(&halted.stdout).expect("JSON");
    let broken = refusal_text(&broken.expect("answered").answers[0]).to_owned();
    assert!(broken.contains("broken off"), "{broken}");
    until("no program that holds it", SOON, async || (holders(&secret) == 0).then_some(()))
        .await
        .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    assert!(leases(&acme).await.is_empty());
    let refused = visits().await;
    assert!(refused.contains("An administrator has stopped the shared credential"), "{refused}");
    let credentials = acme.organisation.control_json(&["credential", "list"]).await.expect("listed");
    let exposed = credentials.as_array().expect("a list").iter().find(|one| !one["exposed_at"].is_null());
    assert_eq!(exposed.map(|one| &one["id"]), Some(&json!("warehouse-analyst")), "to be rotated");

    let id = halted["halt"]["id"].to_string();
    acme.organisation.control(&["halt", "lift", &id]).await.expect("lifted");
    until("that it works again", SOON, async || visits().await.contains("172").then_some(()))
        .await
        .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    no_secret_lies_in(gateway.home());
    let records = acme.organisation.records(&["--user", "alice@acme.test"]).await.expect("records");
    let kinds: Vec<_> = records.iter().filter_map(|record| record["body"]["event"].as_str()).collect();
    assert!(kinds.contains(&"lease-granted") && kinds.contains(&"lease-ended"), "{kinds:?}");
}

#[tokio::test]
async fn signing_out_ends_the_program_that_holds_the_account() {
    let (acme, _opened, gateway, analyst) = borrowing().await;
    let secret = acme.warehouse.dsn(Role::Analyst);
    let transcript = analyst.run(None, &[sql(VISITS)]).await.expect("connected");
    assert!(transcript.answers[0].to_string().contains("172"), "{transcript:?}\n{}", gateway.log());
    assert!(holders(&secret) > 0);
    let asked = gateway.deskgate(&["sign-out"]).await.expect("it runs");
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    until("no program that holds it", SOON, async || (holders(&secret) == 0).then_some(()))
        .await
        .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
}
