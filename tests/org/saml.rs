//! People who sign in by SAML: SimpleSAMLphp, the control plane between, and a desktop that knows nothing of it.

use std::path::Path;

use testkit::{SamlIdp, SamlServiceProvider, SamlSettings};

use super::*;

/// An organisation that has just changed to SAML.
struct Scene {
    acme: Acme,
    idp: SamlIdp,
    settings: SamlSettings,
}

impl Scene {
    async fn new() -> Self {
        let acme = acme().await;
        let at = |path: &str| acme.organisation.config_url().join(path).expect("a URL").to_string();
        let provider = SamlServiceProvider { entity_id: at("v1/saml/metadata"), acs: at("v1/saml/acs") };
        let settings = SamlSettings { providers: vec![provider], ..SamlSettings::default() };
        let idp = SamlIdp::start(&settings).await.expect("the identity provider starts");
        let scene = Self { acme, idp, settings };
        scene.publish(&["first"]).await;
        scene
    }

    /// Publishes who signs people in, and by which keys.
    async fn publish(&self, keys: &[&str]) {
        let certificates: Vec<_> = keys.iter().map(|key| self.idp.certificate(key).expect("a key")).collect();
        let issuer = self.acme.organisation.config_url().to_string();
        let provider = format!(
            "[identity_provider]\nissuer = \"{issuer}\"\nclient_id = \"deskgate\"\n\n\
             [identity_provider.saml]\nentity_id = \"{}\"\nsso_url = \"{}\"\ncertificates = {}\n\
             groups_attribute = \"groups\"\nemail_attribute = \"mail\"\nname_attribute = \"displayName\"\n",
            self.idp.entity_id(),
            self.idp.sso_url().expect("a URL"),
            json!(certificates),
        );
        let change = |folder: &Path| {
            let file = folder.join("org.toml");
            let text = std::fs::read_to_string(&file).expect("readable");
            let (before, _) = text.split_once("[identity_provider]").expect("it names one");
            std::fs::write(&file, format!("{before}{provider}")).expect("writable");
            // What comes of a SAML sign-in are groups and no further claims.
            let file = folder.join("policies/warehouse.cedar");
            let text = std::fs::read_to_string(&file).expect("readable");
            let text = text.replace("\nwhen { principal has clearance && principal.clearance >= 2 }", "");
            std::fs::write(&file, text).expect("writable");
        };
        self.acme.organisation.publish(change).await.expect("published");
    }

    /// Signs in, as the person in front of the browser.
    async fn signs_in(&self, gateway: &Gateway, opened: &mut Opened, person: &Employee) {
        let asked = gateway.deskgate(&["sign-in"]).await.expect("it runs");
        assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
        let page = opened.next(SOON).await.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
        let control = self.acme.organisation.config_url().origin();
        assert_eq!(page.origin(), control, "the control plane is the provider: {page}");
        let mut browser = Browser::new(person.clone()).expect("a browser");
        let back = browser.sign_in_by_saml(&page).await;
        let back = back.unwrap_or_else(|fault| panic!("{fault}\n{}", self.acme.organisation.log()));
        browser.open(&back).await.expect("the desktop listens");
        until("somebody who is signed in", SOON, async || {
            let status = gateway.deskgate_json(&["status"]).await.ok()?;
            status.to_string().contains(&person.email).then_some(())
        })
        .await
        .unwrap_or_else(|fault| panic!("{fault}\n{}\n{}", gateway.log(), self.acme.organisation.log()));
    }
}

/// What the identity provider says of a person's groups decides what their assistants may do, on the desktop and at the
/// control plane.
#[tokio::test]
async fn whoever_signs_in_by_saml_works_with_the_rights_of_their_groups() {
    let scene = Scene::new().await;
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&scene.acme, &opened).await;
    scene.signs_in(&gateway, &mut opened, &Employee::alice()).await;
    let assistant = assistant(&gateway, "analyst").await;

    let (note, text) = scene.acme.note();
    let steps =
        [Step::ListTools, Step::call("read_text_file", json!({"path": note})), sql(VISITS), sql(SALARIES)];
    let transcript = assistant.run(None, &steps).await.expect("connected");
    let names = transcript.tool_names(0);
    assert!(!names.contains(&"write_file".to_owned()), "hidden from analysts: {names:?}");
    assert_eq!(transcript.text(1), Some(text));
    let [_, _, visits, salaries] = transcript.answers.as_slice() else { panic!("{transcript:?}") };
    assert!(visits.to_string().contains("172"), "{visits}\n{}", gateway.log());
    assert!(refusal_text(salaries).contains("schemas-of-the-warehouse"), "she is no finance: {salaries}");
    assert_eq!(opened.all().len(), 1, "she signed in once");
}

/// Signing out ends it; the next person signs in with the provider's next key, and with groups of their own.
#[tokio::test]
async fn the_next_one_signs_in_by_the_providers_next_key() {
    let mut scene = Scene::new().await;
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&scene.acme, &opened).await;
    scene.signs_in(&gateway, &mut opened, &Employee::alice()).await;
    let notes = assistant(&gateway, "notes").await;
    let token = notes.bearer().expect("it has one").to_owned();
    assert_ne!(answers(&gateway, "notes", &token).await, 401);
    let asked = gateway.deskgate(&["sign-out"]).await.expect("it runs");
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    assert_eq!(answers(&gateway, "notes", &token).await, 401, "nobody is signed in");

    scene.idp.new_key("second").expect("a key");
    scene.publish(&["first", "second"]).await;
    scene.settings.signs_with = "second".to_owned();
    scene.idp.change(&scene.settings).expect("changed");
    scene.signs_in(&gateway, &mut opened, &Employee::bob()).await;
    let theirs = assistant(&gateway, "analyst").await;
    let transcript = theirs.run(None, &[sql(SALARIES)]).await.expect("connected");
    let salaries = &transcript.answers[0];
    assert!(!is_refused(salaries), "finance reads salaries: {salaries}\n{}", gateway.log());
}
