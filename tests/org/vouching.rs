//! Connectors for which the organisation's identity provider vouches for people.

use super::*;

/// Whoever is signed in to the organisation is signed in to what its identity provider vouches for.
#[tokio::test]
async fn a_connector_that_the_identity_provider_vouches_for_asks_nobody() {
    let acme = acme().await;
    let issuer = acme.idp.issuer().to_owned();
    acme.idp.vouch_at("deskgate", &[(&issuer, "deskgate")]).await.expect("it vouches");
    acme.idp.believe(&acme.idp, "deskgate").await.expect("the mail's authorization server believes it");
    let enterprise = |folder: &Path| {
        let mail = format!(
            "title = \"Mail\"\nurl = \"{}\"\ncredential = {{ kind = \"enterprise\", client_id = \"deskgate\", scopes = [\"mail.read\"] }}\n",
            acme.mail.url()
        );
        std::fs::write(folder.join("connectors/mail.toml"), mail).expect("written");
    };
    acme.organisation.publish(enterprise).await.expect("published");
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let assistant = assistant(&gateway, "analyst").await;

    let call = [Step::call("list_messages", json!({}))];
    let answered = assistant.run(None, &call).await.expect("connected");

    let account = &answered.answers[0]["structuredContent"]["account"];
    assert_eq!(account, "alice", "{answered:?}\n{}", gateway.log());
    assert_eq!(opened.all().len(), 1, "she signed in to Acme, and to nothing else");
    assert_eq!(acme.idp.vouched(), ["alice"]);
}
