//! A call that needs a sign-in: the assistant is asked to send the person there.

use serde_json::json;
use testkit::{Employee, Idp, IdpSettings, Mail, Opened, until};

use super::dialogues::{Era, talk};
use crate::common::{Personal, SOON, signs_in};

#[tokio::test]
async fn an_assistant_of_either_era_sends_the_person_to_the_sign_in_that_its_call_waits_for() {
    let idp = Idp::start(&IdpSettings::default()).await.expect("the identity provider starts");
    let mail = Mail::start(&idp).await.expect("the mail starts");
    let mut opened = Opened::new().expect("a browser opener");
    let personal = Personal::default().http_with_own_account("mail", mail.url()).server("desk", &["mail"]);
    let gateway = personal.browser(&opened).start().await;

    for era in [Era::Legacy, Era::Modern] {
        let mut talk = talk(&gateway, "desk", era).await;
        // Its tools are known once somebody has signed in to it.
        let (signed_in, _) =
            tokio::join!(gateway.deskgate(&["sign-in", "mail"]), signs_in(&mut opened, Employee::alice()));
        assert!(signed_in.expect("it runs").status.success());
        until("its tools", SOON, async || {
            let listed = talk.does("tools/list", json!({})).await.to_string();
            listed.contains("list_messages").then_some(())
        })
        .await
        .expect("listed");
        let signed_out = gateway.deskgate(&["sign-out", "mail"]).await.expect("it runs");
        assert!(signed_out.status.success(), "{signed_out:?}");
        // The account is forgotten a moment after that was asked for: a call before may still use it, or cross with it.
        let call = json!({"name": "list_messages", "arguments": {}});
        let result = until("a call that needs a sign-in", SOON, async || {
            let result = talk.does("tools/call", call.clone()).await;
            (!talk.visited.is_empty()).then_some(result)
        })
        .await
        .expect("called");
        let said = format!("{era:?}: {result} {:?}\n{}", talk.visited, gateway.log());
        assert_eq!(result["structuredContent"]["account"], "alice", "{said}");
        opened.next(SOON).await.expect("the browser was opened as well");
        let [visited] = talk.visited.as_slice() else { panic!("{era:?}: {:?}", talk.visited) };
        assert!(visited.path().starts_with("/sign-in/"), "{visited}");
        let again = reqwest::get(visited.clone()).await.expect("it answers");
        assert_eq!(again.status(), 404, "what is done waits no more");
    }
}
