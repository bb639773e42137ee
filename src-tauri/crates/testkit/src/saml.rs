//! The organisation's SAML identity provider: Debian's SimpleSAMLphp under PHP's own web server, with people who have
//! passwords. Its keys are made anew for each run.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use tempfile::TempDir;
use url::Url;

use crate::place::{debian, script, text, tools};
use crate::{Browser, Employee, PeerFault, Process, Spec, free_port, until};

const SOON: Duration = Duration::from_secs(60);

/// A service provider that it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SamlServiceProvider {
    /// Its entity ID.
    pub entity_id: String,
    /// Its assertion consumer service.
    pub acs: String,
}

/// How the identity provider is set up. What it signs, and how, it can be told again while it runs.
#[derive(Debug, Clone)]
pub struct SamlSettings {
    /// Who can sign in.
    pub people: Vec<Employee>,
    /// Where they can sign in.
    pub providers: Vec<SamlServiceProvider>,
    /// Whether responses are signed.
    pub signs_response: bool,
    /// Whether assertions are signed.
    pub signs_assertion: bool,
    /// How (RFC 6931).
    pub signature_algorithm: String,
    /// The format of identifiers (SAML Core 2.0, section 8.3).
    pub name_id_format: String,
    /// How long its own sessions last.
    pub session: Duration,
    /// The key that it signs with: `first`, or one that [`SamlIdp::new_key`] has made.
    pub signs_with: String,
}

impl Default for SamlSettings {
    fn default() -> Self {
        Self {
            people: vec![Employee::alice(), Employee::bob()],
            providers: Vec::new(),
            signs_response: true,
            signs_assertion: true,
            signature_algorithm: "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256".to_owned(),
            name_id_format: "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent".to_owned(),
            session: Duration::from_secs(8 * 3600),
            signs_with: "first".to_owned(),
        }
    }
}

/// What the identity provider sends by way of the browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SamlAnswer {
    /// Where it is to be sent.
    pub to: Url,
    /// The response, in base64.
    pub response: String,
    /// What came along with the question.
    pub relay_state: String,
}

impl SamlAnswer {
    /// The response's XML.
    ///
    /// # Errors
    /// If it is not base64 of UTF-8.
    pub fn xml(&self) -> Result<String, PeerFault> {
        let bytes = STANDARD.decode(&self.response).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        bytes.ok_or_else(|| PeerFault::answer("SAML identity provider", "its response is not base64 of text"))
    }
}

/// A running identity provider.
#[derive(Debug)]
pub struct SamlIdp {
    // Ended before its folder is removed.
    _process: Process,
    folder: TempDir,
    base: Url,
    salt: String,
}

impl SamlIdp {
    /// Starts one and waits until it can be asked.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn start(settings: &SamlSettings) -> Result<Self, PeerFault> {
        let program = debian("php")?;
        let home = tools().join("simplesamlphp");
        if !home.join("unpacked").exists() {
            return Err(PeerFault::Missing(text(&home)));
        }
        let folder = tempfile::Builder::new().prefix("deskgate-saml-").tempdir()?;
        for sub in ["sessions", "tmp"] {
            std::fs::create_dir(folder.path().join(sub))?;
        }
        make_key(folder.path(), &settings.signs_with)?;
        let port = free_port()?;
        let base = Url::parse(&format!("http://127.0.0.1:{port}/"))?;
        let salt = random()?;
        let process = Spec::new("SAML identity provider", program)
            .args(["-d", "opcache.enable_cli=0", "-S", &format!("127.0.0.1:{port}"), "-t"])
            .arg(home.join("usr/share/simplesamlphp/www"))
            .arg(script("saml/router.php"))
            .env("SIMPLESAMLPHP_CONFIG_DIR", script("saml/config"))
            .env("DESKGATE_SAML_HOME", &home)
            .env("DESKGATE_SAML_SETTINGS", folder.path().join("settings.json"))
            .start()?;
        let idp = Self { _process: process, folder, base, salt };
        idp.change(settings)?;
        let metadata = idp.base.join("saml2/idp/metadata.php")?;
        let client = reqwest::Client::new();
        until("the SAML identity provider", SOON, async || {
            client.get(metadata.clone()).send().await.ok().filter(|answer| answer.status().is_success())
        })
        .await?;
        Ok(idp)
    }

    /// Sets it up anew, from the next request on.
    ///
    /// # Errors
    /// If it cannot be told.
    pub fn change(&self, settings: &SamlSettings) -> Result<(), PeerFault> {
        let people: Vec<_> = settings.people.iter().map(person).collect();
        let providers = settings.providers.iter();
        let providers: Vec<_> =
            providers.map(|one| json!({ "entityId": one.entity_id, "acs": one.acs })).collect();
        let told = json!({
            "base": self.base,
            "salt": self.salt,
            "entityId": self.entity_id(),
            "sessionSeconds": settings.session.as_secs(),
            "signsWith": settings.signs_with,
            "signsResponse": settings.signs_response,
            "signsAssertion": settings.signs_assertion,
            "signatureAlgorithm": settings.signature_algorithm,
            "nameIdFormat": settings.name_id_format,
            "people": people,
            "providers": providers,
        });
        // Put in place whole: a request that is under way reads it as well.
        let (new, path) = (self.folder.path().join("settings.new"), self.folder.path().join("settings.json"));
        std::fs::write(&new, told.to_string())?;
        Ok(std::fs::rename(new, path)?)
    }

    /// Makes another key, for [`SamlSettings::signs_with`].
    ///
    /// # Errors
    /// If PHP cannot make one.
    pub fn new_key(&self, name: &str) -> Result<(), PeerFault> {
        make_key(self.folder.path(), name)
    }

    /// The certificate of a key, in the form of a PEM file.
    ///
    /// # Errors
    /// If there is no such key.
    pub fn certificate(&self, name: &str) -> Result<String, PeerFault> {
        Ok(std::fs::read_to_string(self.folder.path().join(format!("{name}.crt")))?)
    }

    /// Its entity ID.
    pub fn entity_id(&self) -> String {
        format!("{}metadata", self.base)
    }

    /// Where people are sent to sign in, with the binding HTTP-Redirect.
    ///
    /// # Errors
    /// Never; the path is one.
    pub fn sso_url(&self) -> Result<Url, PeerFault> {
        Ok(self.base.join("saml2/idp/SSOService.php")?)
    }

    /// Asks it, and signs in as somebody where it asks back: what a browser would bring to the service provider.
    ///
    /// # Errors
    /// If it shows something else than its forms.
    pub async fn answer(&self, question: &Url, person: &Employee) -> Result<SamlAnswer, PeerFault> {
        let (to, fields) = Browser::new(person.clone())?.saml_form(question).await?;
        let field = |wanted: &str| {
            let found = fields.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        Ok(SamlAnswer { to, response: field("SAMLResponse"), relay_state: field("RelayState") })
    }
}

/// Signs in with the login as identifier, and attributes named as Debian's examples have them.
fn person(person: &Employee) -> serde_json::Value {
    json!({
        "login": person.login,
        "password": person.password,
        "attributes": {
            "uid": [person.login],
            "mail": [person.email],
            "displayName": [person.name],
            "groups": person.groups,
        },
    })
}

fn make_key(folder: &Path, name: &str) -> Result<(), PeerFault> {
    let made =
        Command::new(debian("php")?).arg(script("saml/key.php")).arg(folder).args([name, "30"]).output()?;
    if made.status.success() {
        return Ok(());
    }
    Err(PeerFault::answer("PHP", String::from_utf8_lossy(&made.stderr).into_owned()))
}

fn random() -> Result<String, PeerFault> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(|fault| PeerFault::answer("random numbers", fault.to_string()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
