//! Signing in by SAML, as a browser and a desktop do: SimpleSAMLphp on one side, a desktop's requests on the other.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control::admin::Ask;
use control::testing::CLIENT_ID;
use model::Digest;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use testkit::{Browser, Employee, SamlIdp, SamlServiceProvider, SamlSettings};
use url::Url;

use crate::harness::{Device, Org, served, unpublished};

const REDIRECT: &str = "http://127.0.0.1:40123/callback";
const VERIFIER: &str = "a-verifier-of-more-than-forty-three-characters";

/// An organisation whose people sign in by SAML.
struct Scene {
    org: Org,
    idp: SamlIdp,
    settings: SamlSettings,
}

impl Scene {
    async fn new() -> Self {
        let org = unpublished(None).await;
        let at = |path: &str| org.url(path).to_string();
        let provider = SamlServiceProvider { entity_id: at("v1/saml/metadata"), acs: at("v1/saml/acs") };
        let settings = SamlSettings { providers: vec![provider], ..SamlSettings::default() };
        let idp = SamlIdp::start(&settings).await.expect("an identity provider");
        let mut scene = Self { org, idp, settings };
        scene.publish(&["first"], "").await;
        scene
    }

    /// Publishes the folder with these certificates, and more of the table `identity_provider.saml`.
    async fn publish(&mut self, keys: &[&str], more: &str) {
        let table = self.table(keys, more);
        let issuer = self.org.url("").to_string();
        self.org.publish(|folder| by_saml(folder, &issuer, &table)).await.expect("publishes");
    }

    fn table(&self, keys: &[&str], more: &str) -> String {
        let certificates: Vec<_> = keys.iter().map(|key| self.idp.certificate(key).expect("a key")).collect();
        format!(
            "[identity_provider.saml]\nentity_id = \"{}\"\nsso_url = \"{}\"\ncertificates = {}\n\
             groups_attribute = \"groups\"\nemail_attribute = \"mail\"\nname_attribute = \"displayName\"\n{more}",
            self.idp.entity_id(),
            self.idp.sso_url().expect("a URL"),
            json!(certificates),
        )
    }

    fn authorize(&self, nonce: &str) -> Url {
        let challenge = URL_SAFE_NO_PAD.encode(Digest::of(VERIFIER.as_bytes()).as_bytes());
        let mut url = self.org.url("v1/oidc/authorize");
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", CLIENT_ID)
            .append_pair("redirect_uri", REDIRECT)
            .append_pair("scope", "openid offline_access")
            .append_pair("state", "the-state")
            .append_pair("nonce", nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        url
    }

    /// Signs in with a browser, and returns what the desktop is told.
    async fn answer(&self, nonce: &str, person: Employee) -> BTreeMap<String, String> {
        let mut browser = Browser::new(person).expect("a browser");
        let back = browser.sign_in_by_saml(&self.authorize(nonce)).await.expect("sent back");
        told(&back)
    }

    async fn token(&self, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let url = self.org.url("v1/oidc/token");
        let answer = Client::new().post(url).form(form).send().await.expect("answers");
        let stored = answer.headers().get("cache-control").is_none_or(|value| value != "no-store");
        assert!(!stored || answer.status() == StatusCode::NOT_FOUND, "tokens are kept nowhere: {answer:?}");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    async fn redeem(&self, code: &str) -> (StatusCode, Value) {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", CLIENT_ID),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
        ];
        self.token(&form).await
    }

    async fn renew(&self, tokens: &Value) -> (StatusCode, Value) {
        let refresh = tokens["refresh_token"].as_str().expect("a refresh token");
        let form = [("grant_type", "refresh_token"), ("client_id", CLIENT_ID), ("refresh_token", refresh)];
        self.token(&form).await
    }

    /// The tokens of a sign-in for this nonce.
    async fn tokens(&self, nonce: &str, person: Employee) -> Value {
        let answer = self.answer(nonce, person).await;
        let (status, tokens) = self.redeem(&answer["code"]).await;
        assert_eq!(status, StatusCode::OK, "{tokens}");
        tokens
    }
}

fn by_saml(folder: &Path, issuer: &str, table: &str) {
    let text = format!(
        "id = \"acme\"\nname = \"Acme\"\n[identity_provider]\nissuer = \"{issuer}\"\nclient_id = \"{CLIENT_ID}\"\n{table}"
    );
    std::fs::write(folder.join("org.toml"), text).expect("writes");
}

/// What comes with a redirect to the desktop.
fn told(back: &Url) -> BTreeMap<String, String> {
    assert!(back.as_str().starts_with(&format!("{REDIRECT}?")), "{back}");
    back.query_pairs().into_owned().collect()
}

fn claims(tokens: &Value) -> Value {
    let token = tokens["id_token"].as_str().expect("an ID token");
    let payload = token.split('.').nth(1).expect("a payload");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64")).expect("JSON")
}

#[tokio::test]
async fn a_person_signs_in_by_saml_and_gets_a_session_of_their_groups() {
    let scene = Scene::new().await;
    let mut device = Device::new(&scene.org);
    let answer = scene.answer(&device.nonce(), Employee::alice()).await;
    let issuer = scene.org.url("").to_string();
    let issuer = issuer.trim_end_matches('/');
    assert_eq!((answer["state"].as_str(), answer["iss"].as_str()), ("the-state", issuer));

    let (status, tokens) = scene.redeem(&answer["code"]).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    let said = claims(&tokens);
    assert_eq!(said["iss"], issuer);
    assert_eq!(said["sub"], "alice");
    assert_eq!(said["aud"], CLIENT_ID);
    assert_eq!(said["nonce"], device.nonce());
    assert_eq!(said["groups"], json!(["analysts", "employees"]));
    assert_eq!(said["email"], "alice@acme.test");
    assert!(said["sid"].is_string() && said["auth_time"].is_number(), "{said}");

    let id_token = tokens["id_token"].as_str().expect("a token").to_owned();
    device.enrol(id_token.clone()).await.expect("enrols");
    let session = device.open_session(id_token).await.expect("opens a session");
    assert_eq!(session.subject.subject, "alice");
    assert!(session.subject.groups.contains("analysts"));
    scene.org.put_credential("warehouse-analyst", control::testing::ANALYST_SECRET).await;
    let (status, said) = device.call("query", json!({"sql": "select 1"})).await;
    assert_eq!(status, StatusCode::OK, "her groups count: {said}");

    let (status, renewed) = scene.renew(&tokens).await;
    assert_eq!(status, StatusCode::OK, "{renewed}");
    assert_ne!(renewed["refresh_token"], tokens["refresh_token"], "each is good once");
    let id_token = renewed["id_token"].as_str().expect("a token").to_owned();
    device.open_session(id_token).await.expect("the renewed one opens a session as well");
}

#[tokio::test]
async fn a_code_is_good_once_for_the_one_who_asked() {
    let scene = Scene::new().await;
    let answer = scene.answer("n", Employee::alice()).await;
    let (status, tokens) = scene.redeem(&answer["code"]).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    let (status, refused) = scene.redeem(&answer["code"]).await;
    assert_eq!((status, &refused["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_grant")));
    let (status, _) = scene.renew(&tokens).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "two have had the code: nobody stays signed in");

    for (name, value) in [
        ("code_verifier", "another-verifier-of-more-than-forty-three-chars"),
        ("redirect_uri", "http://127.0.0.1:40124/callback"),
        ("client_id", "other"),
    ] {
        let answer = scene.answer("n", Employee::alice()).await;
        let mut form = BTreeMap::from([
            ("grant_type", "authorization_code"),
            ("client_id", CLIENT_ID),
            ("code", &answer["code"]),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
        ]);
        form.insert(name, value);
        let form: Vec<_> = form.into_iter().collect();
        let (status, refused) = scene.token(&form).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{name}: {refused}");
    }
}

/// A response that was believed is refused from then on: by its question, which is gone, and by what it is named by, also after
/// a restart.
#[tokio::test]
async fn a_response_is_good_once_also_after_a_restart() {
    let scene = Scene::new().await;
    let question = Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let sent = question.get(scene.authorize("n")).send().await.expect("answers");
    let to = sent.headers()["location"].to_str().expect("text").parse().expect("a URL");
    let answer = scene.idp.answer(&to, &Employee::alice()).await.expect("an answer");
    let form = [("SAMLResponse", answer.response.as_str()), ("RelayState", answer.relay_state.as_str())];
    let first = question.post(answer.to.clone()).form(&form).send().await.expect("answers");
    assert_eq!(first.status(), StatusCode::SEE_OTHER);
    assert_eq!(first.headers()["referrer-policy"], "no-referrer");
    let back = first.headers()["location"].to_str().expect("text").parse().expect("a URL");
    assert!(told(&back).contains_key("code"), "{back}");

    let again = question.post(answer.to.clone()).form(&form).send().await.expect("answers");
    assert_eq!(again.status(), StatusCode::BAD_REQUEST);
    let Scene { org, idp: _idp, .. } = scene;
    let org = org.restart().await;
    let again = question.post(org.url("v1/saml/acs")).form(&form).send().await.expect("answers");
    assert_eq!(again.status(), StatusCode::BAD_REQUEST);
    let page = again.text().await.expect("a page");
    assert!(page.contains("Nobody was signed in"), "{page}");
}

/// What was not asked for (IdP-initiated), and what is not believed, signs nobody in: the desktop is told, if there is one.
#[tokio::test]
async fn an_answer_that_is_not_believed_is_told_to_the_desktop_without_a_reason() {
    let mut scene = Scene::new().await;
    scene.settings.signs_assertion = false;
    scene.idp.change(&scene.settings).expect("changed");
    let answer = scene.answer("n", Employee::alice()).await;
    let expected = ["error", "iss", "state"];
    assert_eq!(answer.keys().map(String::as_str).collect::<Vec<_>>(), expected, "{answer:?}");
    assert_eq!(answer["error"], "access_denied");
    let records = scene.org.records(control::Filter::default()).await;
    let refused: Vec<_> =
        records.iter().filter(|record| record["body"]["event"] == "sign-in-failed").collect();
    let [record] = refused.as_slice() else { panic!("{records:#?}") };
    assert_eq!(record["body"]["facts"]["code"], "saml-form", "{record}");
    assert!(!record.to_string().contains("alice"), "nothing of what nobody has vouched for: {record}");

    let unsolicited = [("SAMLResponse", "PHg+"), ("RelayState", "nobody-asked")];
    let sent = Client::new().post(scene.org.url("v1/saml/acs")).form(&unsolicited).send().await;
    assert_eq!(sent.expect("answers").status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_sign_in_ends_with_its_person_its_revocation_or_its_provider() {
    let mut scene = Scene::new().await;
    let tokens = scene.tokens("n1", Employee::alice()).await;
    let revoke = |token: String| {
        let form = [("client_id", CLIENT_ID.to_owned()), ("token", token)];
        Client::new().post(scene.org.url("v1/oidc/revoke")).form(&form).send()
    };
    let refresh = tokens["refresh_token"].as_str().expect("a token").to_owned();
    assert_eq!(revoke(refresh).await.expect("answers").status(), StatusCode::OK);
    assert_eq!(revoke("dgo_nobody.x".to_owned()).await.expect("answers").status(), StatusCode::OK);
    assert_eq!(scene.renew(&tokens).await.0, StatusCode::BAD_REQUEST, "she has signed out");

    let mut device = Device::new(&scene.org);
    let tokens = scene.tokens(&device.nonce(), Employee::alice()).await;
    let bobs = scene.tokens("n2", Employee::bob()).await;
    let id_token = tokens["id_token"].as_str().expect("a token").to_owned();
    device.enrol(id_token.clone()).await.expect("enrols");
    device.open_session(id_token.clone()).await.expect("opens a session");
    scene.org.ask(&Ask::SignOutPerson { person: "alice".to_owned() }).await.expect("signs her out");
    assert_eq!(scene.renew(&tokens).await.0, StatusCode::BAD_REQUEST, "an administrator has ended it");
    device.token = None;
    let (status, code) = device.open_session(id_token).await.expect_err("nor is the ID token good");
    assert_eq!((status, code.as_str()), (StatusCode::FORBIDDEN, "sign-in-revoked"));
    let (status, bobs) = scene.renew(&bobs).await;
    assert_eq!(status, StatusCode::OK, "bob's goes on: {bobs}");

    drop(device);
    scene.publish(&["first"], "session_hours = 1\n").await;
    assert_eq!(scene.renew(&bobs).await.0, StatusCode::OK, "it is the same provider");
    scene.org.publish(|_| ()).await.expect("another kind of provider");
    assert_eq!(scene.renew(&bobs).await.0, StatusCode::NOT_FOUND, "nobody signs in by SAML any more");
}

#[tokio::test]
async fn two_certificates_serve_while_the_identity_provider_changes_its_key() {
    let mut scene = Scene::new().await;
    scene.idp.new_key("second").expect("a key");
    scene.publish(&["first", "second"], "").await;
    for key in ["first", "second"] {
        scene.settings.signs_with = key.to_owned();
        scene.idp.change(&scene.settings).expect("changed");
        assert!(scene.answer("n", Employee::alice()).await.contains_key("code"), "{key}");
    }
    scene.publish(&["first"], "").await;
    assert!(
        !scene.answer("n", Employee::alice()).await.contains_key("code"),
        "the second is not named any more"
    );
}

#[tokio::test]
async fn the_provider_is_there_only_where_the_signed_content_names_it() {
    let mut org = served().await;
    for path in
        [".well-known/openid-configuration", "v1/oidc/keys.json", "v1/oidc/authorize", "v1/saml/metadata"]
    {
        let answer = reqwest::get(org.url(path)).await.expect("answers");
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let settings = SamlSettings::default();
    let idp = SamlIdp::start(&settings).await.expect("an identity provider");
    let table = format!(
        "[identity_provider.saml]\nentity_id = \"{}\"\nsso_url = \"{}\"\ncertificates = [{}]\n",
        idp.entity_id(),
        idp.sso_url().expect("a URL"),
        json!(idp.certificate("first").expect("a certificate")),
    );
    let refused = org.publish(|folder| by_saml(folder, "https://elsewhere.acme.test", &table)).await;
    let refused = refused.expect_err("the issuer is somebody else").to_string();
    assert!(refused.contains("identity_provider.issuer"), "{refused}");

    let issuer = org.url("").to_string();
    org.publish(|folder| by_saml(folder, &issuer, &table)).await.expect("publishes");
    let metadata = reqwest::get(org.url("v1/saml/metadata")).await.expect("answers");
    assert_eq!(metadata.headers()["content-type"], "application/samlmetadata+xml");
    let metadata = metadata.text().await.expect("a body");
    assert!(metadata.contains(org.url("v1/saml/acs").as_str()), "{metadata}");
    let found: Value = reqwest::get(org.url(".well-known/openid-configuration"))
        .await
        .expect("answers")
        .json()
        .await
        .expect("JSON");
    assert_eq!(found["issuer"], issuer.trim_end_matches('/'));
    let plain = reqwest::get(org.url("v1/oidc/authorize?client_id=evil&redirect_uri=https://evil.test/"));
    let plain = plain.await.expect("answers");
    assert_eq!(plain.status(), StatusCode::BAD_REQUEST, "nobody is sent anywhere");
}
