//! A shared account that a person has to approve the use of: asked at the desktop, verified where the secret is.

use super::*;

const ASKED: &str = "@id(\"sums-need-a-person\")\n@reason(\"Sums are looked at.\")\n@approval(\"session\")\nforbid (principal in Group::\"analysts\", action == Action::\"warehouse/execute_sql\", resource)\nwhen { context.input.sql like \"*sum(*\" };\n";

#[tokio::test]
async fn a_call_with_a_shared_account_is_approved_at_the_desktop_and_verified_by_the_control_plane() {
    let acme = acme().await;
    let written =
        |folder: &Path| std::fs::write(folder.join("policies/asked.cedar"), ASKED).expect("written");
    acme.organisation.publish(written).await.expect("published");
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let analyst = assistant(&gateway, "analyst").await;
    let one = analyst.run(None, &[sql("select 1 as one")]).await.expect("connected");
    assert!(!is_refused(&one.answers[0]), "nobody is asked: {one:?}\n{}", gateway.log());

    let steps = [sql(VISITS)];
    let (transcript, question) = tokio::join!(analyst.run(None, &steps), gateway.answer(true));
    let question = question.expect("asked");
    assert!(question.contains("Sums are looked at."), "{question}");
    let answers = transcript.expect("connected").answers;
    assert!(answers[0].to_string().contains("172"), "{answers:?}\n{}", gateway.log());

    // Both say whose leave it was made by, and it is the same.
    let records = until("what both recorded", SOON, async || {
        let records = acme.organisation.records(&["--credential", "warehouse-analyst"]).await.ok()?;
        let with_leave: Vec<_> = records.into_iter().filter(|it| !it["body"]["approval"].is_null()).collect();
        (with_leave.len() >= 2).then_some(with_leave)
    })
    .await
    .expect("recorded");
    let statements: BTreeSet<_> =
        records.iter().map(|record| record["body"]["approval"]["signed"].to_string()).collect();
    let devices: BTreeSet<_> = records.iter().map(|record| record["device"].as_str()).collect();
    assert_eq!((records.len(), statements.len(), devices.len()), (2, 1, 2), "{records:#?}");

    let (transcript, question) = tokio::join!(analyst.run(None, &steps), gateway.answer(false));
    question.expect("asked again");
    let refused = transcript.expect("connected").answers;
    assert!(refusal_text(&refused[0]).contains("did not approve"), "{refused:?}");
}
