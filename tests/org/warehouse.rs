//! The story "warehouse": IT stores two accounts once; analysts read one schema with theirs, finance both with its own, and nobody
//! sees a secret.

use super::*;

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
        [(Employee::alice(), "permission denied", Role::Analyst), (Employee::bob(), "119000", Role::Finance)]
    {
        let gateway = desktop(&acme, &opened).await;
        signs_in_to_acme(&gateway, &mut opened, employee).await;
        let transcript = assistant(&gateway, "analyst").await.run(None, &steps).await.expect("connected");
        let [_, visits, of_finance, _, who] = transcript.answers.as_slice() else { panic!("{transcript:?}") };
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
