//! The story "warehouse": IT stores two accounts once; analysts read one schema with theirs, finance both with its own, and nobody
//! sees a secret.

use super::*;

/// The policy that keeps finance's schema for finance.
const OF_FINANCE: &str = "schemas-of-the-warehouse";

/// Ways to salaries, or to doing something else than reading.
const TRICKS: [&str; 20] = [
    SALARIES,
    "select 1; select * from finance.salaries",
    "select * from FINANCE . \"salaries\"",
    "select * from finance/* */./* */salaries",
    "select 1 /* /* */ -- */ from finance.salaries",
    "select visits from analytics.visits union select euros from finance.salaries",
    "with visits as (select * from finance.salaries) select * from visits",
    "select * from analytics.visits where exists (select 1 from finance.salaries where euros > 60000)",
    "table finance.salaries",
    "copy finance.salaries to stdout",
    "explain analyze select * from finance.salaries",
    "select * from U&\"fin\\0061nce\".salaries",
    "select * from salaries",
    "set search_path to finance",
    "select set_config('search_path', 'finance', false)",
    "select query_to_xml('select * from finance.salaries', true, true, '')",
    "do $$ begin perform * from finance.salaries; end $$",
    "with gone as (delete from analytics.visits returning *) select * from gone",
    "select * into analytics.copied from analytics.visits",
    "select '\\' from finance.salaries where login > '",
];

#[tokio::test]
async fn each_department_reads_what_is_its_own_and_nobody_sees_an_account() {
    let acme = acme().await;
    let it = &acme.organisation;
    let mut opened = Opened::new().expect("a browser opener");
    let steps =
        [Step::ListTools, sql(VISITS), sql(SALARIES), sql("select 1; select 2"), sql("select current_user")];
    let mut told = String::new();
    let mut homes = Vec::new();
    for (employee, salaries, role) in
        [(Employee::alice(), OF_FINANCE, Role::Analyst), (Employee::bob(), "119000", Role::Finance)]
    {
        let gateway = desktop(&acme, &opened).await;
        signs_in_to_acme(&gateway, &mut opened, employee).await;
        let transcript = assistant(&gateway, "analyst").await.run(None, &steps).await.expect("connected");
        let [_, visits, of_finance, two, who] = transcript.answers.as_slice() else {
            panic!("{transcript:?}")
        };
        assert!(refusal_text(two).contains("more than one statement"), "{two}");
        assert!(visits.to_string().contains("172"), "{visits}\n{}", gateway.log());
        assert!(of_finance.to_string().contains(salaries), "{of_finance}\n{}", gateway.log());
        assert!(who.to_string().contains(role.name()), "the database sees the department's role: {who}");
        told += &format!("{transcript:?}\n{}", gateway.log());
        homes.push(gateway);
    }
    told += &it.log();
    for role in [Role::Analyst, Role::Finance] {
        assert!(!told.contains(role.password()), "{}", role.name());
    }
    for gateway in &homes {
        no_secret_lies_in(gateway.home());
    }

    // IT sees who may use which, and who did.
    for (credential, owner, other) in [
        ("warehouse-analyst", "alice@acme.test", "bob@acme.test"),
        ("warehouse-finance", "bob@acme.test", "alice@acme.test"),
    ] {
        let used = it.records(&["--credential", credential]).await.expect("records");
        let used = serde_json::to_string(&used).expect("JSON");
        assert!(used.contains(owner) && !used.contains(other), "{credential}: {used}");
        let shown = it.control_json(&["credential", "show", credential]).await.expect("shown").to_string();
        assert!(shown.contains(owner), "{credential}: {shown}");
    }
}

/// Policy and database each hold by themselves: whichever of them is taken away, the other one refuses.
#[tokio::test]
async fn policy_holds_without_the_database_and_the_database_without_policy() {
    let acme = acme().await;
    let it = &acme.organisation;
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let analyst = assistant(&gateway, "analyst").await;

    // The database lets the analysts' account do everything.
    let schemas = "all on schema analytics, finance";
    let tables = "all on all tables in schema analytics, finance";
    acme.warehouse
        .as_owner(&format!("grant {schemas} to analyst_ro; grant {tables} to analyst_ro"))
        .expect("granted");
    let salaries = acme.warehouse.ask(Role::Analyst, SALARIES).expect("the database has no objection");
    assert!(salaries.contains("119000"), "{salaries}");
    let steps: Vec<Step> = TRICKS.into_iter().map(sql).chain([sql(VISITS)]).collect();
    let transcript = analyst.run(None, &steps).await.expect("connected");
    let (visits, tricks) = transcript.answers.split_last().expect("answers");
    for (trick, answer) in TRICKS.into_iter().zip(tricks) {
        assert!(is_refused(answer) && refusal_text(answer).starts_with("Policy "), "{trick}: {answer}");
        assert!(!answer.to_string().contains("61000"), "{trick}: {answer}");
    }
    assert!(visits.to_string().contains("172"), "{visits}\n{}", gateway.log());
    let records = it.records(&["--credential", "warehouse-analyst"]).await.expect("records");
    let at_server: BTreeSet<&str> =
        records.iter().filter_map(|record| record["body"]["call"].as_str()).collect();
    assert_eq!(at_server.len(), 1, "none of them came as far as the account: {records:#?}");

    // Whoever asks why is told what was found.
    let arguments = ["explain", "analyst", "execute_sql", "--args", &json!({"sql": SALARIES}).to_string()];
    let explained = gateway.deskgate(&arguments).await.expect("it runs").stdout;
    let explained = String::from_utf8_lossy(&explained).into_owned();
    assert!(explained.contains(r#"schemas: ["finance"], tables: ["finance.salaries"]"#), "{explained}");
    assert!(explained.contains(OF_FINANCE), "{explained}");

    // The database holds again, and policy looks at no statement any more.
    acme.warehouse
        .as_owner(&format!("revoke {schemas} from analyst_ro; revoke {tables} from analyst_ro"))
        .expect("revoked");
    acme.warehouse
        .as_owner(
            "grant usage on schema analytics to analyst_ro; grant select on analytics.visits to analyst_ro",
        )
        .expect("granted");
    it.publish(|folder| {
        let file = folder.join("policies/warehouse.cedar");
        let text = std::fs::read_to_string(&file).expect("readable");
        let at = text.find("@id(\"finance-account-for-finance\")").expect("policies about the accounts");
        std::fs::write(file, &text[at..]).expect("written");
    })
    .await
    .expect("published");
    until("that the database refuses", SOON, async || {
        let transcript = analyst.run(None, &[sql(SALARIES)]).await.ok()?;
        transcript.answers[0].to_string().contains("permission denied").then_some(())
    })
    .await
    .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    let transcript = analyst.run(None, &[sql(VISITS)]).await.expect("connected");
    assert!(transcript.text(0).is_some_and(|text| text.contains("172")), "{transcript:?}");
}
