//! A company that looks into what its computers send: a proxy ends TLS between the desktop and the control plane, with certificates of
//! the company's own authority.

use testkit::{Interceptor, ManagedMachine};

use super::*;

#[tokio::test]
async fn the_authority_of_the_system_store_is_believed_and_no_other() {
    let mut acme = acme().await;
    let proxy = Interceptor::before(acme.organisation.config_url()).await.expect("a proxy");
    acme.organisation.restart_behind(proxy.url()).await.expect("it is back");
    assert_eq!(acme.organisation.config_url().scheme(), "https");
    let machine = ManagedMachine::around(&program(Program::Deskgate).expect("built")).expect("a machine");
    let mut opened = Opened::new().expect("a browser opener");
    let settings = format!("answer_in_terminal = true\n\n{}", acme.organisation.settings());
    let path = vec![opened.folder().to_owned()];
    let setup = Setup { settings, path, ..Setup::default() };

    // Nobody has told this computer of the authority: nothing is said to whoever shows its certificates.
    let stranger = Gateway::start(&program(Program::Deskgate).expect("built"), setup.clone()).await;
    let fault = stranger.expect_err("it has never met the organisation").to_string();
    assert!(fault.contains("does not answer"), "{fault}");
    assert!(!proxy.seen().contains("/v1/"), "{}", proxy.seen());

    machine.believes(&proxy.authority()).expect("the company's authority");
    let gateway = Gateway::start(&machine.program(), setup).await.expect("it starts");
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let analyst = assistant(&gateway, "analyst").await;
    let visits = async || {
        let transcript = analyst.run(None, &[sql(VISITS)]).await.expect("connected");
        transcript.answers[0].clone()
    };
    let answer = visits().await;
    assert!(answer.to_string().contains("172"), "{answer}\n{}", gateway.log());
    assert!(proxy.seen().contains("/v1/broker/warehouse"), "through the proxy: {}", proxy.seen());

    // Events pass as well.
    let halt = ["halt", "connector", "warehouse", "--reason", "examined"];
    acme.organisation.control(&halt).await.expect("it runs");
    until("that it is stopped", SOON, async || {
        refusal_text(&visits().await).contains("examined").then_some(())
    })
    .await
    .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
}
