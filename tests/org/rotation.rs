//! The password of a shared account is changed where it belongs, while people work with it.

use std::process::Output;

use super::leases::{borrowing, holders};
use super::*;

const WRONG: &str = "not-the-passw0rd";
const NEW: &str = "analyst-s3cret-of-next-quarter";
const SLOW: &str = "select analytics.waited() as kept";
/// A statement that ends when the gate is opened.
const GATE: &str = "
create table analytics.gate (opened boolean);
create function analytics.waited() returns text language plpgsql security definer as $$
begin
    while not exists (select from analytics.gate) loop perform pg_sleep(0.05); end loop;
    return 'until the end';
end $$;
grant execute on function analytics.waited() to analyst_ro;
";
const OPEN: &str = "insert into analytics.gate values (true)";
const UNDER_WAY: &str =
    "select count(*) from pg_stat_activity where state = 'active' and query like 'select analytics.waited%'";

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn with_password(acme: &Acme, password: &str) -> String {
    acme.warehouse.dsn(Role::Analyst).replace(Role::Analyst.password(), password)
}

/// Waits until the database runs a statement that sleeps.
async fn a_call_is_under_way(acme: &Acme) {
    until("a call under way", SOON, async || (acme.warehouse.as_owner(UNDER_WAY).ok()? == "1").then_some(()))
        .await
        .expect("it is");
}

/// Changes the password and rotates the secret.
async fn rotates(acme: &Acme) -> serde_json::Value {
    let changed = format!("alter role analyst_ro password '{NEW}'");
    acme.warehouse.as_owner(&changed).expect("changed");
    let wrong = acme.organisation.rotate_credential("warehouse-analyst", &with_password(acme, WRONG)).await;
    let wrong = wrong.expect("it runs");
    assert_eq!(wrong.status.code(), Some(1), "{}", words(&wrong));
    assert!(words(&wrong).contains("does not work") && !words(&wrong).contains(WRONG), "{}", words(&wrong));
    let right = acme.organisation.rotate_credential("warehouse-analyst", &with_password(acme, NEW)).await;
    let right = right.expect("it runs");
    assert!(right.status.success(), "{}", words(&right));
    serde_json::from_slice(&right.stdout).expect("JSON")
}

async fn is_drained(acme: &Acme) {
    until("that the earlier secret is used no more", SOON, async || {
        let records = acme.organisation.records(&[]).await.ok()?;
        records.iter().any(|record| record["body"]["event"] == "credential-drained").then_some(())
    })
    .await
    .expect("recorded");
}

#[tokio::test]
async fn a_password_is_changed_under_a_call_that_finishes_and_the_next_one_works() {
    let acme = acme().await;
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let analyst = assistant(&gateway, "analyst").await;
    acme.warehouse.as_owner(GATE).expect("made");
    let slow = [sql(SLOW)];
    let (kept, rotated) = tokio::join!(analyst.run(None, &slow), async {
        a_call_is_under_way(&acme).await;
        let rotated = rotates(&acme).await;
        acme.warehouse.as_owner(OPEN).expect("opened");
        rotated
    });
    let kept = kept.expect("connected").answers[0].to_string();
    assert!(kept.contains("until the end"), "{kept}\n{}", gateway.log());
    assert_eq!((&rotated["tested"], &rotated["draining"]), (&json!(["warehouse"]), &json!(1)));
    let next = analyst.run(None, &[sql(VISITS)]).await.expect("connected").answers[0].to_string();
    assert!(next.contains("172"), "{next}\n{}", gateway.log());
    is_drained(&acme).await;
    no_secret_lies_in(gateway.home());
}

#[tokio::test]
async fn a_program_that_holds_a_lease_is_started_anew_with_the_new_secret() {
    let (acme, _opened, gateway, analyst) = borrowing().await;
    let earlier = acme.warehouse.dsn(Role::Analyst);
    acme.warehouse.as_owner(GATE).expect("made");
    let slow = [sql(SLOW)];
    let (kept, rotated) = tokio::join!(analyst.run(None, &slow), async {
        a_call_is_under_way(&acme).await;
        let rotated = rotates(&acme).await;
        assert!(holders(&earlier) > 0, "a call is under way in it");
        let next = analyst.run(None, &[sql(VISITS)]).await.expect("connected").answers[0].to_string();
        assert!(next.contains("172"), "{next}\n{}", gateway.log());
        acme.warehouse.as_owner(OPEN).expect("opened");
        rotated
    });
    assert_eq!(rotated["leases"], json!(1));
    let kept = kept.expect("connected").answers[0].to_string();
    assert!(kept.contains("until the end"), "{kept}\n{}", gateway.log());
    until("no program with the earlier secret", SOON, async || (holders(&earlier) == 0).then_some(()))
        .await
        .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    assert!(holders(&with_password(&acme, NEW)) > 0, "the next one runs");
    no_secret_lies_in(gateway.home());
}
