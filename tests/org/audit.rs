//! The story "audit": every call that used the warehouse's account in a time, and the proof that none is missing, checked without the
//! server.

use super::*;

/// The records' lines without those that the questions themselves leave.
fn calls(records: &[serde_json::Value]) -> Vec<String> {
    let of_calls =
        records.iter().filter(|record| !record["body"]["call"].is_null() || !record["body"]["of"].is_null());
    let mut calls: Vec<String> = of_calls.map(|record| record["digest"].to_string()).collect();
    calls.sort();
    calls
}

#[tokio::test]
async fn every_call_with_the_warehouses_account_is_shown_and_none_is_missing() {
    let mut acme = acme().await;
    let it = &acme.organisation;
    let mut opened = Opened::new().expect("a browser opener");
    let mut gateways = Vec::new();
    for employee in [Employee::alice(), Employee::bob()] {
        let gateway = desktop(&acme, &opened).await;
        signs_in_to_acme(&gateway, &mut opened, employee).await;
        let steps = [Step::ListTools, sql(VISITS), sql("select 1 as one")];
        assistant(&gateway, "analyst").await.run(None, &steps).await.expect("connected");
        gateways.push(gateway);
    }

    // Who did what, with whose account: at the desktop and where the secret was used.
    let credential = ["--credential", "warehouse-analyst"];
    let used = until("both calls on both sides, with what became of them", SOON, async || {
        let records = it.records(&credential).await.ok()?;
        (records.len() >= 8).then_some(records)
    })
    .await
    .expect("recorded");
    let told = serde_json::to_string(&used).expect("JSON");
    assert!(told.contains("alice@acme.test") && !told.contains("bob@acme.test"), "{told}");
    let of_tool = it.records(&["--tool", "execute_sql", "--user", "alice@acme.test"]).await.expect("records");
    assert!(!of_tool.is_empty());
    for record in &of_tool {
        assert_eq!(record["body"]["tool"], "execute_sql", "{record}");
    }
    let rule = used[0]["body"]["rules"][0].as_str().expect("a rule").to_owned();
    let by_rule = it.records(&["--rule", &rule]).await.expect("records");
    assert!(by_rule.len() >= used.len(), "{rule}");

    // Who published what, and whose keys had signed it.
    it.publish(|_| ()).await.expect("published");
    let policies = it.control_json(&["audit", "policies"]).await.expect("policies");
    let policies = policies.as_array().expect("a list").clone();
    assert_eq!(policies.len(), 2, "{policies:#?}");
    for publication in &policies {
        let fact = |name: &str| publication["facts"][name].as_str().unwrap_or_default().to_owned();
        assert!(fact("by").starts_with("uid ") && fact("signed_by").starts_with("sha256:"), "{publication}");
        assert!(fact("root_signed_by").starts_with("sha256:") && fact("root") == "1", "{publication}");
    }

    // The range goes to a file, and from there on nobody needs the server.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("quarter.ndjson");
    let path = file.display().to_string();
    let export = ["audit", "export", "--since", "2026-01-01T00:00:00Z", "--to", &path];
    let exported = it.control_json(&export).await.expect("exported");
    let records = exported["records"].as_u64().expect("a number");
    assert!(
        records as usize >= used.len()
            && exported["statement"]["chains"].as_array().is_some_and(|all| all.len() == 3)
    );
    let again = it.control(&export).await.expect("it runs");
    assert!(!again.status.success(), "what may be evidence is not written over");
    let fingerprint = acme.organisation.fingerprint().to_owned();
    a_person_is_erased_and_nothing_else(it, folder.path(), &fingerprint).await;
    acme.organisation.stop().await.expect("stops");
    let it = &acme.organisation;

    let verify = ["audit", "verify", &path, "--fingerprint", &fingerprint];
    let verified = it.control(&verify).await.expect("it runs");
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success() && said.starts_with("Unbroken: "), "{verified:?}");
    let asked =
        it.records(&[&credential[..], &["--in", &path, "--fingerprint", &fingerprint]].concat()).await;
    assert_eq!(calls(&asked.expect("records")), calls(&used), "the file answers as the server did");

    whoever_changes_it_is_found_out(it, &file, &fingerprint).await;
}

/// The other of the two, whose calls were of no interest: their records stay, and the proof of the time with them.
async fn a_person_is_erased_and_nothing_else(it: &testkit::Organisation, folder: &Path, fingerprint: &str) {
    let bob = ["--user", "bob@acme.test"];
    let before = it.records(&bob).await.expect("records").len();
    assert!(before > 0);
    let erased = it.control_json(&["audit", "erase", "--subject", "bob@acme.test"]).await.expect("erased");
    assert!(erased["records"].as_u64() >= Some(before as u64), "{erased}");
    let path = folder.join("after.ndjson").display().to_string();
    let export = ["audit", "export", "--since", "2026-01-01T00:00:00Z", "--to", &path];
    let exported = it.control_json(&export).await.expect("exported");
    assert!(exported["erased"].as_u64() >= erased["fields"].as_u64(), "{exported}");
    let text = std::fs::read_to_string(&path).expect("reads");
    assert!(text.contains("alice@acme.test") && !text.contains("bob"), "{text}");
    let verified =
        it.control(&["audit", "verify", &path, "--fingerprint", fingerprint]).await.expect("it runs");
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success() && said.contains("personal fields were erased"), "{verified:?}");
    assert!(it.control(&["audit", "verify"]).await.expect("it runs").status.success());
    assert_eq!(it.records(&bob).await.expect("records").len(), 0);
}

/// Whoever takes a call out, changes one or names another organisation.
async fn whoever_changes_it_is_found_out(it: &testkit::Organisation, file: &Path, fingerprint: &str) {
    let path = file.display().to_string();
    let credential = ["--credential", "warehouse-analyst"];
    let verify = ["audit", "verify", &path, "--fingerprint", fingerprint];
    let good = std::fs::read_to_string(file).expect("reads");
    let is_wanted = |line: &&str| line.contains("shared:warehouse-analyst");
    let wanted = good.lines().find(is_wanted).expect("a call").to_owned();
    for (what, text, complaint) in [
        ("without a call", good.replace(&format!("{wanted}\n"), ""), "is expected"),
        (
            "with another account",
            good.replace("shared:warehouse-analyst", "shared:warehouse-finance"),
            "does not match its digest",
        ),
        ("cut off", good.lines().take(5).map(|line| format!("{line}\n")).collect(), "was cut off"),
    ] {
        std::fs::write(file, text).expect("writes");
        let output = it.control(&verify).await.expect("it runs");
        let complained = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && complained.contains(complaint), "{what}: {complained}");
        let asked =
            [&["audit", "query"], &credential[..], &["--in", &path, "--fingerprint", fingerprint]].concat();
        let output = it.control(&asked).await.expect("it runs");
        assert!(!output.status.success() && output.stdout.is_empty(), "{what}: nothing is answered from it");
    }
    std::fs::write(file, &good).expect("writes");
    let another = format!("sha256:{}", "0".repeat(64));
    let output = it.control(&["audit", "verify", &path, "--fingerprint", &another]).await.expect("it runs");
    assert!(!output.status.success(), "another organisation's");
}
