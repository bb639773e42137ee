//! Several accounts at one connector, as IT names them.

use std::collections::BTreeSet;

use super::*;

const SERVICE: &str = r#"
title = "Service desk"
connectors = ["mail"]
accounts = { mail = "shared-inbox" }
"#;

const POLICY: &str = r#"
@id("service-for-employees")
permit (
    principal in Group::"employees",
    action in [Action::"see_server", Action::"expose_connector", Action::"call_tool"],
    resource in Server::"service"
);
"#;

/// Whose mail a call reads; nobody's where it is refused.
async fn reads(assistant: &Assistant) -> Option<String> {
    let transcript = assistant.run(None, &[Step::call("list_messages", json!({}))]).await.ok()?;
    transcript.answers[0]["structuredContent"]["account"].as_str().map(str::to_owned)
}

/// A call that asks for the account: whoever is in front of the browser signs in.
async fn reads_as(assistant: &Assistant, opened: &mut Opened, person: Employee) -> Option<String> {
    let read = until("the mail", SOON, async || reads(assistant).await);
    let (read, _) = tokio::join!(read, signs_in(opened, person));
    read.ok()
}

#[tokio::test]
async fn every_account_that_it_names_is_recorded_and_forgotten_on_wish() {
    let acme = acme().await;
    let named = |folder: &Path| {
        std::fs::write(folder.join("servers/service.toml"), SERVICE).expect("written");
        std::fs::write(folder.join("policies/service.cedar"), POLICY).expect("written");
    };
    acme.organisation.publish(named).await.expect("published");
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;
    let (alice, bob) = (Employee::alice(), Employee::bob());
    let mut browser = signs_in_to_acme(&gateway, &mut opened, alice.clone()).await;
    let (analyst, service) = (assistant(&gateway, "analyst").await, assistant(&gateway, "service").await);
    assert_eq!(reads_as(&analyst, &mut opened, alice.clone()).await.as_deref(), Some("alice"));
    assert_eq!(reads_as(&service, &mut opened, bob.clone()).await.as_deref(), Some("bob"));

    until("the records of both at the control plane", SOON, async || {
        let records = acme.organisation.records(&["--user", "alice@acme.test"]).await.ok()?;
        let credentials = |server: &str| {
            let of = records.iter().filter(|record| record["body"]["server"] == server);
            of.filter_map(|record| record["body"]["credential"].as_str()).collect::<Vec<_>>()
        };
        let (own, named) = (credentials("analyst"), credentials("service"));
        assert!(own.iter().all(|credential| *credential == "user"), "{own:?}");
        assert!(named.iter().all(|credential| *credential == "user:shared-inbox"), "{named:?}");
        (!own.is_empty() && !named.is_empty()).then_some(())
    })
    .await
    .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));

    let named = acme.organisation.records(&["--credential", "user:shared-inbox"]).await.expect("records");
    let servers: BTreeSet<_> = named.iter().filter_map(|record| record["body"]["server"].as_str()).collect();
    assert_eq!(servers, ["service"].into(), "{named:?}");

    let asked = gateway.deskgate(&["sign-out", "--forget-accounts"]).await.expect("it runs");
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let page = opened.next(SOON).await.expect("the provider's page");
    browser.sign_out(&page).await.expect("signed out there");
    signs_in_again(&gateway, &mut opened, &mut browser, &alice).await;
    assert_eq!(reads_as(&service, &mut opened, bob).await.as_deref(), Some("bob"), "asked anew");
    assert_eq!(reads_as(&analyst, &mut opened, alice).await.as_deref(), Some("alice"), "asked anew");
}

#[tokio::test]
async fn an_account_that_there_cannot_be_is_refused_before_it_is_signed() {
    let acme = acme().await;
    let wrong = |folder: &Path| {
        let of_warehouse = SERVICE.replace("mail", "warehouse");
        std::fs::write(folder.join("servers/service.toml"), of_warehouse).expect("written");
    };
    let refused = acme.organisation.publish(wrong).await.expect_err("refused").to_string();
    let words = "server service names an account of connector warehouse, to which people do not sign in";
    assert!(refused.contains("servers/service.toml") && refused.contains(words), "{refused}");
}
