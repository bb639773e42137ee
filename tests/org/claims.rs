//! What the identity provider says of somebody, and what it leaves out.

use testkit::IdpSettings;

use super::*;

#[tokio::test]
async fn a_claim_that_was_left_out_is_said_to_the_person() {
    let acme = acme().await;
    let alice = Employee::alice();
    acme.idp.change_claim(&alice, "clearance", json!("high")).await.expect("changed");
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, alice).await;

    let told = tells(&gateway, "another form than your organisation expects: clearance.").await;

    assert!(told.contains("rules about it do not know you") && told.contains("Tell your IT"), "{told}");
    let assistant = assistant(&gateway, "analyst").await;
    let visits = assistant.run(None, &[sql(VISITS)]).await.expect("connected");
    assert!(visits.answers[0].to_string().contains("172"), "everything else works: {visits:?}");
}

/// At a provider that leaves the nonce out when it renews, only the session before shows whose computer a renewed sign-in is of.
#[tokio::test]
async fn a_renewed_sign_in_that_is_bound_to_no_computer_is_asked_for_anew_once() {
    let settings = IdpSettings { access_token: Duration::from_secs(8), ..IdpSettings::default() };
    let acme = Acme::start_with(&program(Program::Control).expect("built"), &settings).await;
    let acme = acme.expect("the organisation starts");
    let mut opened = Opened::new().expect("a browser opener");
    let mut gateway = desktop(&acme, &opened).await;
    let alice = Employee::alice();
    let mut browser = signs_in_to_acme(&gateway, &mut opened, alice.clone()).await;
    let assistant = assistant(&gateway, "analyst").await;
    let works = async || {
        let visits = assistant.run(None, &[sql(VISITS)]).await.ok()?;
        visits.answers[0].to_string().contains("172").then_some(())
    };
    acme.idp.keep_nonces(false).await.expect("a provider that leaves it out");
    let renewed = async |more: usize| {
        let enough = acme.idp.renewals(&alice) + more;
        until("renewals", SOON, async || (acme.idp.renewals(&alice) >= enough).then_some(())).await
    };
    // The second begins once the first is on disk.
    renewed(2).await.expect("renewed");
    until("a call", SOON, works).await.expect("the session before vouches for the renewed one");

    gateway.restart().await.expect("it starts again");
    let told = tells(&gateway, "Your sign-in has to be made anew.").await;
    let lines = told.lines().filter(|line| line.starts_with("! Your sign-in has to be made anew."));
    assert_eq!(lines.count(), 1, "{told}");
    assert!(told.contains("Sign in again."), "{told}");
    assert_eq!(opened.all().len(), 1, "no page is opened before she wants it");
    signs_in_again(&gateway, &mut opened, &mut browser, &alice).await;

    until("a call", SOON, works).await.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    renewed(2).await.expect("renewed");
    until("a call", SOON, works).await.expect("the session lives on");
    assert_eq!(opened.all().len(), 2, "she is not asked again");
    assert_eq!(
        acme.idp.sign_ins(),
        ["ivy", "alice"],
        "and types no password, for it was not her sign-in that ended"
    );
    let recorded = gateway.deskgate(&["audit", "export"]).await.expect("it runs");
    let recorded = String::from_utf8_lossy(&recorded.stdout).into_owned();
    assert_eq!(recorded.matches("id-token-not-bound").count(), 1, "it ended once");
}
