//! A forbid that IT tries out before it is enforced.

use super::*;

const TRIED: &str = "@id(\"no-sums\")\n@reason(\"Sums are made in the reports.\")\n@observe\nforbid (principal in Group::\"analysts\", action == Action::\"warehouse/execute_sql\", resource)\nwhen { context.input.sql like \"*sum(*\" };\n";

/// What is written in the folder of policies.
fn with_policy(text: &'static str) -> impl FnOnce(&Path) {
    move |folder: &Path| std::fs::write(folder.join("policies/tried.cedar"), text).expect("written")
}

#[tokio::test]
async fn a_forbid_is_tried_out_on_both_sides_and_then_enforced() {
    let acme = acme().await;
    acme.organisation.publish(with_policy(TRIED)).await.expect("published");
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let analyst = assistant(&gateway, "analyst").await;
    let visits = async || {
        let transcript = analyst.run(None, &[sql(VISITS), sql("select 1 as one")]).await.expect("connected");
        transcript.answers
    };
    let answers = visits().await;
    assert!(answers[0].to_string().contains("172"), "nothing is refused: {answers:?}\n{}", gateway.log());

    let arguments = ["explain", "analyst", "execute_sql", "--args", &json!({"sql": VISITS}).to_string()];
    let explained = gateway.deskgate(&arguments).await.expect("it runs").stdout;
    let explained = String::from_utf8_lossy(&explained).into_owned();
    let told = "only observed, else this would be refused: forbid no-sums (policies/tried.cedar:1) — Sums are made in the reports.";
    assert!(explained.contains(told), "{explained}");

    // Once by the desktop and once by the control plane, and of no other call.
    let observed = until("what both observed", SOON, async || {
        let records = acme.organisation.records(&["--credential", "warehouse-analyst"]).await.ok()?;
        let observed: Vec<_> = records.into_iter().filter(|it| !it["body"]["observed"].is_null()).collect();
        (observed.len() >= 2).then_some(observed)
    })
    .await
    .expect("recorded");
    assert_eq!(observed.len(), 2, "{observed:#?}");
    let devices: BTreeSet<_> = observed.iter().map(|record| record["device"].as_str()).collect();
    assert_eq!(devices.len(), 2);
    for record in &observed {
        assert_eq!((&record["kind"], &record["body"]["observed"]), (&json!("intent"), &json!(["no-sums"])));
    }

    // What enforcing it would do to whom is told beforehand: the tool stays, other arguments are refused.
    let enforced = Box::leak(TRIED.replace("@observe\n", "").into_boxed_str());
    std::fs::write(acme.organisation.folder().join("policies/tried.cedar"), &*enforced).expect("written");
    let folder = acme.organisation.folder().display().to_string();
    let output = acme.organisation.control(&["bundle", "diff", &folder, "--json"]).await.expect("it runs");
    let diff: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(diff["access"]["changes"], json!([]), "{diff:#}");
    assert_eq!(
        diff["access"]["conditions"]["analyst: warehouse/execute_sql"],
        json!(["no-sums"]),
        "{diff:#}"
    );
    acme.organisation.publish(with_policy(enforced)).await.expect("published");
    until("that it is enforced", SOON, async || is_refused(&visits().await[0]).then_some(()))
        .await
        .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    let answers = visits().await;
    assert!(refusal_text(&answers[0]).contains("no-sums (Sums are made in the reports)"), "{answers:?}");
    assert!(!is_refused(&answers[1]), "{answers:?}");
}
