//! The organisation as its IT department set it up, without any desktop.

use std::path::Path;

use serde_json::{Value, json};
use testkit::{Acme, Browser, Employee, Program, Role, program};

use super::{SOON, claims};

async fn start() -> Acme {
    let control = program(Program::Control).expect("built");
    Acme::start(&control).await.unwrap_or_else(|fault| panic!("{fault}"))
}

/// What anybody is answered under the configuration URL.
async fn served(acme: &Acme, path: &str) -> String {
    let url = acme.organisation.config_url().join(path).expect("a URL");
    let answer = reqwest::get(url).await.expect("it answers");
    assert!(answer.status().is_success(), "{}", answer.status());
    answer.text().await.expect("text")
}

async fn version(acme: &Acme) -> u64 {
    let status = acme.organisation.control_json(&["status"]).await.expect("published");
    status["version"].as_u64().expect("a number")
}

fn tools(folder: &Path, connector: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(format!("connectors/{connector}.tools.json")));
    let tools: Vec<Value> = serde_json::from_str(&text.expect("pinned")).expect("JSON");
    tools.iter().filter_map(|tool| tool["name"].as_str()).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_organisation_is_served_with_the_tools_that_its_connectors_have() {
    let acme = start().await;
    let found: Value = serde_json::from_str(&served(&acme, ".well-known/deskgate").await).expect("JSON");
    let organisation = &acme.organisation;
    assert_eq!(found["org"], "acme");
    assert_eq!(found["config_url"], organisation.config_url().as_str());
    assert_eq!(found["root_key_fingerprint"], organisation.fingerprint());
    assert!(served(&acme, "v1/manifest.json").await.contains("signatures"));
    assert_eq!(
        organisation.settings(),
        format!(
            "[organisation]\nconfig_url = \"{}\"\nroot_key_fingerprint = \"{}\"\n",
            found["config_url"].as_str().expect("text"),
            found["root_key_fingerprint"].as_str().expect("text"),
        )
    );

    assert!(tools(organisation.folder(), "warehouse").contains(&"execute_sql".to_owned()));
    assert!(tools(organisation.folder(), "files").contains(&"write_file".to_owned()));
    assert_eq!(tools(organisation.folder(), "mail"), ["list_messages", "send_message"]);
    let checked = organisation.control_json(&["bundle", "check", "org"]).await.expect("good");
    let expected = json!({"connectors": 3, "servers": 2, "policies": 4, "cases": 0, "notes": [],
               "warnings": [
                   {"file": "connectors/files.definitions.json", "line": null, "key": "definitions", "format": 2},
                   {"file": "connectors/mail.definitions.json", "line": null, "key": "definitions", "format": 2},
                   {"file": "connectors/warehouse.toml", "line": 9, "key": "facts", "format": 2},
               ],
               "device_claims": [], "flagged_tools": []});
    assert_eq!(checked, expected);
}

#[tokio::test]
async fn a_stored_secret_is_never_shown() {
    let acme = start().await;
    let organisation = &acme.organisation;
    organisation.put_credential("warehouse-analyst", "another-s3cret").await.expect("stored");
    let listed = organisation.control_json(&["credential", "list"]).await.expect("listed");
    let versions: Vec<_> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (one["id"].as_str().expect("text"), one["version"].as_u64().expect("a number")))
        .collect();
    assert_eq!(versions, [("warehouse-analyst", 2), ("warehouse-finance", 1)]);

    let records = organisation.records(&[]).await.expect("records");
    assert!(records.iter().any(|record| record.to_string().contains("credential-put")), "{records:?}");
    let plain = organisation.control(&["credential", "list"]).await.expect("it runs");
    let told = [
        listed.to_string(),
        String::from_utf8_lossy(&plain.stdout).into_owned(),
        json!(records).to_string(),
        organisation.log(),
    ];
    for secret in [Role::Analyst.password(), Role::Finance.password(), "another-s3cret"] {
        assert!(!told.iter().any(|text| text.contains(secret)), "{secret} in {told:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused_in_words_and_changes_nothing() {
    let acme = start().await;
    let organisation = &acme.organisation;
    let before = served(&acme, "v1/manifest.json").await;

    let broken = "@id(\"typo\")\nforbid (principal, action == Action::\"mail/send_message\", resource)\n\
                  when { context.input.recipient like \"*\" };\n";
    let typo = organisation.folder().join("policies/typo.cedar");
    let fault = organisation.publish(|_| std::fs::write(&typo, broken).expect("written")).await;
    let words = fault.expect_err("refused").to_string();
    assert!(words.contains("policies/typo.cedar") && words.contains("recipient"), "{words}");
    assert_eq!(served(&acme, "v1/manifest.json").await, before);

    let signed = organisation.publish(|_| std::fs::remove_file(&typo).expect("removed")).await;
    assert_eq!(signed.expect("mended"), 2);
    let manifest = organisation.home().join("public/v1/manifest.json");
    let forged =
        std::fs::read_to_string(&manifest).expect("signed").replacen("\"sig\":\"", "\"sig\":\"AAAA", 1);
    std::fs::write(&manifest, forged).expect("written");
    let refused = organisation.control(&["bundle", "publish", "public"]).await.expect("it runs");
    assert_eq!(refused.status.code(), Some(1));
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(words.contains("Nothing was published"), "{words}");
    assert_eq!(version(&acme).await, 2);
}

#[tokio::test]
async fn what_was_published_outlives_the_server() {
    let mut acme = start().await;
    acme.collector.receives("credential-put", SOON).await.expect("passed on");
    let (url, manifest) = (acme.organisation.config_url().clone(), served(&acme, "v1/manifest.json").await);

    acme.organisation.stop().await.expect("it ends");
    reqwest::get(url.clone()).await.expect_err("nobody is there");
    let asked = acme.organisation.control(&["status"]).await.expect("it runs");
    assert!(String::from_utf8_lossy(&asked.stderr).contains("is `deskgate-control serve` running"));
    acme.organisation.restart().await.expect("it comes back");
    assert_eq!(*acme.organisation.config_url(), url);
    assert_eq!(served(&acme, "v1/manifest.json").await, manifest);

    acme.organisation.process().expect("it runs").kill();
    acme.organisation.restart().await.expect("it comes back from a crash too");
    assert_eq!(served(&acme, "v1/manifest.json").await, manifest);
    let listed = acme.organisation.control_json(&["credential", "list"]).await.expect("listed");
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn the_id_token_of_an_employee_names_their_groups() {
    let acme = start().await;
    let org = std::fs::read_to_string(acme.organisation.folder().join("org.toml")).expect("written");
    assert!(org.contains("scopes = [\"email\", \"groups\", \"profile\"]"), "{org}");
    let redirect = "http://127.0.0.1:9/callback";
    let mut page = acme.idp.url("/auth").expect("a page");
    // The pair of RFC 7636, appendix B.
    page.query_pairs_mut().extend_pairs([
        ("client_id", "deskgate"),
        ("redirect_uri", redirect),
        ("response_type", "code"),
        ("scope", "openid email groups profile"),
        ("state", "s"),
        ("nonce", "n"),
        ("code_challenge_method", "S256"),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
    ]);
    let mut browser = Browser::new(Employee::alice()).expect("a browser");
    let back = browser.sign_in(&page).await.expect("sent back");
    let code = back.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", "deskgate"),
        ("redirect_uri", redirect),
        ("code", &code),
        ("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
    ];
    let token = acme.idp.url("/token").expect("a URL");
    let answer = reqwest::Client::new().post(token).form(&form).send().await.expect("it answers");
    let answer: Value = serde_json::from_str(&answer.text().await.expect("text")).expect("JSON");
    let claims = claims(answer["id_token"].as_str().unwrap_or_else(|| panic!("{answer}")));
    assert_eq!(claims["groups"], json!(["analysts", "employees"]));
    assert_eq!(claims["email"], "alice@acme.test");
    assert_eq!(acme.idp.sign_ins(), ["ivy", "alice"]);
}
