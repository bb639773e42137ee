//! Connectors' programs run as a user who may do nothing else.

use serde_json::{Value, json};

use crate::harness::{Org, signed_in};

/// A program that tells who it is, and whether it reads the server's database and its process's environment.
const NOSY: &str = include_str!("../../src/testing/nosy.sh");

async fn told_by(org: &mut Org) -> Value {
    let database = org.data("control.sqlite");
    org.publish(|folder| {
        let spec = format!(
            "title = \"Nosy\"\ncommand = [\"/bin/sh\", \"-c\", '''{NOSY}''']\n\
             environment = {{ DSN = \"${{credential}}\", DATA = \"{}\" }}\n\
             credential = {{ kind = \"brokered\", credentials = [\"warehouse-finance\", \"warehouse-analyst\"] }}\n",
            database.display()
        );
        std::fs::write(folder.join("connectors/warehouse.toml"), spec).expect("writes");
    })
    .await
    .expect("publishes");
    org.put_credential("warehouse-analyst", "postgres://analyst:a-password@db/w").await;
    let alice = signed_in(org, "alice", &["analysts"]).await;
    let (_, answer) = alice.call("query", json!({"sql": "x"})).await;
    answer
}

#[tokio::test]
async fn a_program_runs_as_the_user_that_was_named_and_reaches_nothing_of_the_server_s() {
    let own = os::current_user().0;
    if own != 0 {
        // Only root can run programs as another; that it is refused otherwise is shown where the user is named.
        let answer = told_by(&mut Org::unpublished(None).await).await;
        let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_default();
        assert!(text.starts_with(&format!("{own}|")), "as this process's user: {answer}");
        return;
    }
    let mut org = Org::with_commands_user(None, "nobody".to_owned()).await;
    // The folder of a test is closed to others; a server's lies where they can pass.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(org.dir.path(), open).expect("opens");
    let answer = told_by(&mut org).await;
    let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let nobody = os::Account::named("nobody").expect("every Linux has it");
    let words: Vec<&str> = text.split('|').collect();
    let [user, groups, home, database, parent] = words.as_slice() else { panic!("{text}") };
    assert_ne!(*user, "0");
    assert!(!groups.contains(' ') && *groups != "0", "one group alone: {groups}");
    assert_eq!((*home, *database, *parent), (nobody.home.to_str().expect("text"), "closed", "closed"));
}
