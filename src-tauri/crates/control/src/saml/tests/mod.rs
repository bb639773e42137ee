//! Answers of a real identity provider, and what can be made of them.

mod corpus;
mod genuine;
mod mutation;

use model::Timestamp;
use org_protocol::{SamlCertificate, SamlProvider};
use os::Clock as _;
use testkit::{Employee, SamlAnswer, SamlIdp, SamlServiceProvider, SamlSettings};
use url::Url;

use super::{Accepted, Asked, SamlFault, ServiceProvider};

const RELAY: &str = "relay-state-of-this-test";

/// A service provider and a running identity provider that know each other.
pub(super) struct Scene {
    pub(super) idp: SamlIdp,
    pub(super) settings: SamlSettings,
    pub(super) sp: ServiceProvider,
}

/// A sign-in as the browser brought it.
pub(super) struct Brought {
    pub(super) asked: Asked,
    pub(super) answer: SamlAnswer,
    pub(super) xml: String,
    pub(super) at: Timestamp,
}

impl Scene {
    pub(super) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut SamlSettings)) -> Self {
        let mut settings =
            SamlSettings { providers: vec![known("one"), known("other")], ..Default::default() };
        change(&mut settings);
        let idp = SamlIdp::start(&settings).await.expect("an identity provider");
        let sp = service_provider("one", &idp, &["first"]);
        Self { idp, settings, sp }
    }

    /// Changes how the identity provider answers.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut SamlSettings)) {
        change(&mut self.settings);
        self.idp.change(&self.settings).expect("changed");
    }

    pub(super) async fn sign_in(&self, person: &Employee) -> Brought {
        self.sign_in_at(&self.sp, person).await
    }

    pub(super) async fn sign_in_at(&self, sp: &ServiceProvider, person: &Employee) -> Brought {
        let at = os::SystemClock.now();
        let (asked, question) = sp.ask(RELAY, false, at).expect("a question");
        let answer = self.idp.answer(&question, person).await.expect("an answer");
        let xml = answer.xml().expect("XML");
        Brought { asked, answer, xml, at: os::SystemClock.now() }
    }

    /// What becomes of another text in the place of the answer.
    pub(super) fn accept(&self, brought: &Brought, xml: &str) -> Result<Accepted, SamlFault> {
        self.accept_at(brought, xml, brought.at)
    }

    pub(super) fn accept_at(
        &self,
        brought: &Brought,
        xml: &str,
        at: Timestamp,
    ) -> Result<Accepted, SamlFault> {
        use base64::Engine as _;
        let response = base64::engine::general_purpose::STANDARD.encode(xml);
        self.sp.accept(&brought.asked, &response, &brought.answer.relay_state, at)
    }
}

fn public_url(name: &str) -> Url {
    Url::parse(&format!("http://127.0.0.1:9/{name}/")).expect("a URL")
}

fn known(name: &str) -> SamlServiceProvider {
    let at = |path: &str| public_url(name).join(path).expect("a URL").to_string();
    SamlServiceProvider { entity_id: at("v1/saml/metadata"), acs: at("v1/saml/acs") }
}

pub(super) fn provider(idp: &SamlIdp, keys: &[&str]) -> SamlProvider {
    let certificate = |key: &&str| {
        SamlCertificate::try_from(idp.certificate(key).expect("a certificate")).expect("a certificate")
    };
    SamlProvider {
        entity_id: idp.entity_id(),
        sso_url: idp.sso_url().expect("a URL"),
        certificates: keys.iter().map(certificate).collect(),
        groups_attribute: Some("groups".to_owned()),
        email_attribute: Some("mail".to_owned()),
        name_attribute: Some("displayName".to_owned()),
        session_hours: 24,
    }
}

pub(super) fn service_provider(name: &str, idp: &SamlIdp, keys: &[&str]) -> ServiceProvider {
    ServiceProvider::new(&public_url(name), &provider(idp, keys)).expect("a service provider")
}

/// The text from the first `from` to the first `to` after it, both included.
pub(super) fn part<'a>(xml: &'a str, from: &str, to: &str) -> &'a str {
    let start = xml.find(from).unwrap_or_else(|| panic!("{from} is not in {xml}"));
    let end = xml[start..].find(to).unwrap_or_else(|| panic!("{to} is not in {xml}"));
    &xml[start..start + end + to.len()]
}

pub(super) fn assertion(xml: &str) -> &str {
    part(xml, "<saml:Assertion ", "</saml:Assertion>")
}
