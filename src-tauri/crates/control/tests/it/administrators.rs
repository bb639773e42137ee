//! Administrators whom the identity provider vouches for: what each role may, and what opens no session.

use std::path::Path;

use control::admin::Ask;
use org_protocol::{HaltTarget, NonceSeed};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Device, Org, now, read, served, signed_in};

const ROLES: &str = r#"
[administrators]
publisher = ["publishers"]
credential_custodian = ["custodians"]
auditor = ["auditors"]
device_admin = ["helpdesk"]
privacy_officer = ["privacy"]
"#;

/// An organisation that has administrators.
pub(crate) async fn org() -> Org {
    let mut org = served().await;
    org.publish(with_roles).await.expect("publishes");
    org
}

pub(crate) fn with_roles(folder: &Path) {
    let file = folder.join("org.toml");
    let text = std::fs::read_to_string(&file).expect("reads");
    std::fs::write(file, format!("{text}{ROLES}")).expect("writes");
}

/// The key that an administrator's computer made, and what it does with it.
pub(crate) struct Admin<'o>(pub(crate) Device<'o>);

impl<'o> Admin<'o> {
    fn new(org: &'o Org) -> Self {
        Self(Device::new(org))
    }

    pub(crate) async fn signed_in(org: &'o Org, user: &str, groups: &[&str]) -> Self {
        let mut admin = Self::new(org);
        let token = admin.id_token(user, groups, now().seconds());
        admin.open(&token).await.expect("opens a session");
        admin
    }

    fn id_token(&self, user: &str, groups: &[&str], authenticated: i64) -> String {
        let nonce = self.0.seed.administration_nonce(&self.0.jwk().thumbprint());
        let mut claims = self.0.org.idp.claims(user, groups, Some(&nonce), now().seconds());
        claims["auth_time"] = authenticated.into();
        self.0.org.idp.token(&claims)
    }

    async fn open(&mut self, id_token: &str) -> Result<Value, (StatusCode, String)> {
        let body =
            json!({"format": 1, "id_token": id_token, "nonce_seed": String::from(self.0.seed.clone())});
        let answer = self.0.request(Method::POST, "v1/admin/session").json(&body).send().await;
        let opened: Value = read(answer.expect("answers")).await?;
        self.0.token = opened["token"].as_str().map(ToOwned::to_owned);
        Ok(opened)
    }

    /// What is answered, or the code of the refusal.
    async fn ask(&self, ask: &Ask) -> Result<Value, String> {
        let answer = self.0.request(Method::POST, "v1/admin/act").json(ask).send().await.expect("answers");
        let answer: Value = read(answer).await.map_err(|(_, code)| code)?;
        match answer.get("refused") {
            Some(advice) => Err(advice["code"].as_str().expect("a code").to_owned()),
            None => Ok(answer["done"].clone()),
        }
    }
}

fn secret(text: &str) -> control::admin::Secret {
    control::admin::Secret(secrecy::SecretString::from(text))
}

#[tokio::test]
async fn each_role_does_its_own_and_nothing_else() {
    let org = org().await;
    let id = || "warehouse-analyst".parse().expect("an id");
    let asks = [
        ("publishers", Ask::Publish { documents: [].into(), leave_behind: false }),
        ("custodians", Ask::PutCredential { id: id(), secret: secret("x"), source: None }),
        ("auditors", Ask::VerifyAudit),
        ("helpdesk", Ask::RevokeDevice { id: model::DeviceId::new() }),
        ("privacy", Ask::EraseAudit { person: Some("nobody".to_owned()), before: None }),
    ];
    for group in ["publishers", "custodians", "auditors", "helpdesk", "privacy"] {
        let admin = Admin::signed_in(&org, group, &[group]).await;
        for (needed, ask) in &asks {
            let refused = admin.ask(ask).await.err();
            assert_eq!(refused.as_deref() == Some("role-needed"), group != *needed, "{group}: {ask:?}");
        }
        admin.ask(&Ask::Status).await.expect("anybody may know what is published");
    }
    let both = Admin::signed_in(&org, "ann", &["auditors", "custodians"]).await;
    both.ask(&Ask::ListCredentials).await.expect("either role suffices");
    both.ask(&Ask::VerifyAudit).await.expect("and so does the other");
}

#[tokio::test]
async fn whoever_sees_the_fire_stops_it_and_whose_business_it_is_lets_it_go_on() {
    let org = org().await;
    let halt = Ask::Halt {
        target: HaltTarget::Credential { credential: "warehouse-analyst".parse().expect("an id") },
        reason: String::new(),
    };
    let auditor = Admin::signed_in(&org, "audrey", &["auditors"]).await;
    assert_eq!(auditor.ask(&halt).await.expect_err("changes nothing"), "role-needed");
    let helpdesk = Admin::signed_in(&org, "henry", &["helpdesk"]).await;
    let stopped = helpdesk.ask(&halt).await.expect("stops");
    let id = stopped["standing"]["id"].as_u64().expect("a number");
    assert!(stopped["standing"]["by"].as_str().is_some_and(|by| by.starts_with("henry (")), "{stopped}");
    assert_eq!(helpdesk.ask(&Ask::Lift { id }).await.expect_err("not theirs"), "role-needed");
    let custodian = Admin::signed_in(&org, "carol", &["custodians"]).await;
    custodian.ask(&Ask::Lift { id }).await.expect("lifts");
}

#[tokio::test]
async fn acts_and_refusals_are_recorded_under_the_person() {
    let org = org().await;
    let auditor = Admin::signed_in(&org, "audrey", &["auditors"]).await;
    let _ = auditor.ask(&Ask::RemoveCredential { id: "x".parse().expect("an id") }).await;
    auditor.ask(&Ask::VerifyAudit).await.expect("answers");
    let mut nobody = Admin::new(&org);
    let token = nobody.id_token("nora", &["analysts"], now().seconds());
    let refused = nobody.open(&token).await.expect_err("has no role");
    assert_eq!(refused, (StatusCode::FORBIDDEN, "not-administrator".to_owned()));
    let acts = async || -> Vec<(String, String)> {
        let records = org.records(control::Filter::default()).await;
        let act = |record: &Value| {
            let of = record["body"]["subject"]["subject"].as_str()?.to_owned();
            Some((of, record["body"]["facts"]["act"].as_str()?.to_owned()))
        };
        records.iter().filter_map(act).collect()
    };
    let expected = [
        ("audrey", "sign-in"),
        ("audrey", "refused"),
        ("audrey", "audit-verify"),
        ("nora", "sign-in-refused"),
    ]
    .map(|(who, act)| (who.to_owned(), act.to_owned()));
    while acts().await.len() < expected.len() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(acts().await, expected);
}

#[tokio::test]
async fn no_other_token_opens_an_administrator_s_session() {
    let org = org().await;
    let mut admin = Admin::new(&org);
    let refused = |outcome: Result<Value, (StatusCode, String)>| outcome.expect_err("refused").1;
    // One that was made for a desktop on which an administrator works.
    let for_desktop = admin.0.id_token("audrey", &["auditors"]);
    assert_eq!(refused(admin.open(&for_desktop).await), "id-token-not-bound");
    // Another computer's.
    let others = Admin::new(&org).id_token("audrey", &["auditors"], now().seconds());
    assert_eq!(refused(admin.open(&others).await), "id-token-not-bound");
    let own_key_other_seed = {
        let nonce = NonceSeed::from_bytes([3; 32]).administration_nonce(&admin.0.jwk().thumbprint());
        org.idp.token(&org.idp.claims("audrey", &["auditors"], Some(&nonce), now().seconds()))
    };
    assert_eq!(refused(admin.open(&own_key_other_seed).await), "id-token-not-bound");
    // Somebody who sat down at a browser that was signed in this morning.
    let this_morning = admin.id_token("audrey", &["auditors"], now().seconds() - 4 * 3600);
    assert_eq!(refused(admin.open(&this_morning).await), "sign-in-too-old");
    // Nor is an administrator's token a desktop's.
    let mut desktop = Device::new(&org);
    let nonce = desktop.seed.administration_nonce(&desktop.jwk().thumbprint());
    let for_administration =
        org.idp.token(&org.idp.claims("alice", &["analysts"], Some(&nonce), now().seconds()));
    assert_eq!(desktop.enrol(for_administration).await.expect_err("refused").1, "id-token-not-bound");
}

#[tokio::test]
async fn a_token_is_of_no_use_with_another_key_or_a_proof_that_was_used() {
    let org = org().await;
    let admin = Admin::signed_in(&org, "audrey", &["auditors"]).await;
    let mut thief = Device::new(&org);
    thief.token.clone_from(&admin.0.token);
    let stolen =
        thief.request(Method::POST, "v1/admin/act").json(&Ask::Status).send().await.expect("answers");
    assert_eq!(read::<Value>(stolen).await.expect_err("refused").1, "session-ended");
    let request = admin.0.request(Method::POST, "v1/admin/act").json(&Ask::Status);
    let again = request.try_clone().expect("a copy");
    assert!(request.send().await.expect("answers").status().is_success());
    let replayed = read::<Value>(again.send().await.expect("answers")).await.expect_err("refused");
    assert_eq!(replayed.1, "proof-replayed");
    let bare = reqwest::Client::new().post(org.url("v1/admin/act")).json(&Ask::Status).send().await;
    assert_eq!(bare.expect("answers").status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_session_ends_with_the_sign_in_the_role_or_by_a_halt() {
    let mut org = org().await;
    let said = async |admin: &Admin<'_>| admin.ask(&Ask::Status).await.err();
    {
        let audrey = Admin::signed_in(&org, "audrey", &["auditors"]).await;
        let henry = Admin::signed_in(&org, "henry", &["helpdesk"]).await;
        // Whoever is known by a device can be signed out by name.
        signed_in(&org, "audrey", &["auditors"]).await;
        henry.ask(&Ask::SignOutPerson { person: "audrey".to_owned() }).await.expect("signs out");
        assert_eq!(said(&audrey).await.as_deref(), Some("session-ended"));

        let publisher = Admin::signed_in(&org, "paul", &["publishers"]).await;
        let target = HaltTarget::User { person: "paul@example.test".to_owned() };
        henry.ask(&Ask::Halt { target, reason: String::new() }).await.expect("stops");
        assert_eq!(said(&publisher).await.as_deref(), Some("halted"));
    }
    let before = {
        let henry = Admin::signed_in(&org, "henry", &["helpdesk"]).await;
        (henry.0.key.clone(), henry.0.token.clone())
    };
    org.publish(|_| ()).await.expect("publishes without administrators");
    let mut henry = Admin::new(&org);
    (henry.0.key, henry.0.token) = before;
    assert_eq!(said(&henry).await.as_deref(), Some("not-administrator"));
}

#[tokio::test]
async fn a_logout_at_the_provider_ends_an_administrator_whose_token_named_no_session() {
    let org = org().await;
    let audrey = Admin::signed_in(&org, "audrey", &["auditors"]).await;
    let claims = org.idp.logout_claims(Some("audrey"), Some("another-session"), now().seconds());
    let form = [("logout_token", org.idp.logout_token(&claims))];
    let told = reqwest::Client::new().post(org.url("v1/oidc/backchannel-logout")).form(&form).send().await;
    assert!(told.expect("answers").status().is_success());
    assert_eq!(audrey.ask(&Ask::Status).await.expect_err("ended"), "session-ended");
}

#[tokio::test]
async fn only_publishers_may_send_much() {
    let org = org().await;
    let documents = || [("v1/manifest.json".to_owned(), "x".repeat(1024 * 1024))].into();
    let much = || Ask::Publish { documents: documents(), leave_behind: false };
    let auditor = Admin::signed_in(&org, "audrey", &["auditors"]).await;
    assert_eq!(auditor.ask(&much()).await.expect_err("refused"), "bad-request");
    let publisher = Admin::signed_in(&org, "paul", &["publishers"]).await;
    assert_eq!(publisher.ask(&much()).await.expect_err("read, and not believed"), "bundle-too-large");
}

#[tokio::test]
async fn personal_data_are_erased_by_those_whose_business_it_is_and_nobody_is_found_by_them() {
    let org = org().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    alice.call("query", json!({"sql": "select 1"})).await;
    let of = |user: &str| control::Filter { user: Some(user.to_owned()), ..Default::default() };
    let erase = || Ask::EraseAudit { person: Some("alice@example.test".to_owned()), before: None };
    let found = org.records(of("alice")).await;
    assert!(found.len() >= 2, "{found:#?}");

    let auditor = Admin::signed_in(&org, "audrey", &["auditors"]).await;
    assert_eq!(auditor.ask(&erase()).await.expect_err("reads only"), "role-needed");
    let nothing = Ask::EraseAudit { person: None, before: None };
    let officer = Admin::signed_in(&org, "petra", &["privacy"]).await;
    assert_eq!(officer.ask(&nothing).await.expect_err("names nobody"), "nothing-named");
    let erased = officer.ask(&erase()).await.expect("erases");
    assert!(erased["fields"].as_u64() >= Some(found.len() as u64), "{erased}");

    let left = org.records(control::Filter::default()).await;
    assert!(found.iter().all(|one| left.iter().any(|it| it["digest"] == one["digest"])), "the records stay");
    let text = serde_json::to_string(&left).expect("JSON");
    assert!(!text.contains("alice"), "{text}");
    let acts: Vec<_> = left.iter().filter_map(|record| record["body"]["facts"]["act"].as_str()).collect();
    assert!(acts.contains(&"audit-erase") && acts.contains(&"audit-erased"), "{acts:?}");
    for user in ["alice", "alice@example.test"] {
        assert_eq!(org.records(of(user)).await, [] as [Value; 0], "nobody is found by what is gone");
    }
    let verified = auditor.ask(&Ask::VerifyAudit).await.expect("answers").to_string();
    assert!(verified.contains("\"findings\":[]") && !verified.contains("\"kind\""), "{verified}");
}
