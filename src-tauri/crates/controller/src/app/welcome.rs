//! What a person needs once, at the beginning: to say whose this Deskgate is, and to see that it works.

use std::sync::Arc;
use std::time::Duration;

use gateway::{Gate, Trial, try_out};
use issuer::AccessGrant;
use model::{Advice, ForPerson as _, ServerId};
use os::{Clock as _, SystemClock};
use url::Url;

use super::home::Home;
use super::imports::settings::SettingsFile;
use super::machine::Machine;
use super::present::Present;
use super::runtime::blocking;
use super::tell::Tell;
use crate::event::Event;
use crate::view::{self, TrialView};

type Told<T> = Result<T, Advice>;

/// How long a person waits to see whether it works.
const PATIENCE: Duration = Duration::from_secs(30);
/// Who makes the call that is only tried, in its record.
const TRIAL_CLIENT: &str = "deskgate";

/// Shows a person around who is new here. Cheap to clone.
#[derive(Clone)]
pub struct Welcome {
    pub(crate) home: Home,
    pub(crate) gate: Arc<Gate>,
    pub(crate) present: Present,
    pub(crate) tell: Tell,
}

impl Welcome {
    /// Has the person shown around, if nobody was yet and no assistant came in.
    pub(crate) fn begin(&self, is_known: bool) {
        if !is_known && !self.home.was_welcomed() {
            self.tell.event(Event::Welcome(true));
        }
    }

    /// The person has seen enough, for good.
    ///
    /// # Errors
    /// Where that cannot be kept.
    pub async fn done(&self) -> Told<()> {
        let home = self.home.clone();
        blocking(move || home.note_welcomed().map_err(|fault| fault.advice())).await?;
        self.tell.event(Event::Welcome(false));
        Ok(())
    }

    /// Tries a virtual server out: what an assistant sees of it, and one call that changes nothing.
    ///
    /// # Errors
    /// Why nothing could be tried.
    pub async fn try_out(&self, server: ServerId) -> Told<TrialView> {
        let subject = self.present.now().ok_or_else(|| {
            Advice::new(
                "signed-out",
                "Nobody is signed in.",
                "Nothing was tried.",
                "Sign in, then try again.",
            )
        })?;
        let grant = AccessGrant {
            client_id: TRIAL_CLIENT.to_owned(),
            client_name: "Deskgate".to_owned(),
            subject,
            server,
            expires: SystemClock.now().plus(PATIENCE),
            executable: None,
            process: os::program_of(std::process::id()),
        };
        match tokio::time::timeout(PATIENCE, try_out(&self.gate, &Arc::new(grant))).await {
            Ok(Trial { tools, call }) => Ok(view::trial(tools, call)),
            Err(_) => Err(Advice::new(
                "trial-slow",
                format!("No answer came within {} seconds.", PATIENCE.as_secs()),
                "A connector is slow, or hangs.",
                "Look at its log under Connectors, or try again.",
            )),
        }
    }

    /// Writes into the person's settings that an organisation decides, found at this address; Deskgate then begins anew with
    /// it. It is confirmed by its fingerprint afterwards.
    ///
    /// # Errors
    /// Where the address is none, or the settings cannot be changed.
    pub async fn join(&self, address: &str) -> Told<()> {
        let url = address_of(address)?;
        let path = self.home.settings();
        blocking(move || write_organisation(&path, &url)).await?;
        self.tell.event(Event::RuleChanged(Advice::new(
            "joined",
            "This Deskgate belongs to your organisation from now on.",
            "It begins anew and asks you to sign in.",
            "",
        )));
        Ok(())
    }
}

impl std::fmt::Debug for Welcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Welcome")
    }
}

/// The address as people type it: without a scheme it is https.
fn address_of(typed: &str) -> Told<Url> {
    let typed = typed.trim();
    let whole = if typed.contains("://") { typed.to_owned() } else { format!("https://{typed}") };
    let url = whole.parse::<Url>().ok().filter(|url| url.host().is_some() && url.username().is_empty());
    let is_safe =
        |url: &Url| url.scheme() == "https" || url.scheme() == "http" && model::is_on_this_machine(url);
    url.filter(is_safe).ok_or_else(|| {
        Advice::new(
            "no-address",
            "This is no address of an organisation: it has to be like https://deskgate.example.com.",
            "Nothing was changed.",
            "Copy what your IT department gave you.",
        )
    })
}

/// Whatever else is in it stays as it is, and counts no longer.
fn write_organisation(path: &std::path::Path, url: &Url) -> Told<()> {
    let machine = Machine::read();
    if let Some(why) = machine.nothing() {
        return Err(why);
    }
    machine.own_settings(path).map_err(|fault| fault.advice())?;
    if machine.organisation(path).is_some() {
        return Err(Advice::new("joined-already", "An organisation decides here already.", "", ""));
    }
    let mut settings = SettingsFile::read(path)?;
    settings.join_organisation(url)?;
    settings.write().map_err(|advice| Advice { means: "Nothing was changed.".to_owned(), ..advice })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_as_people_type_it() {
        for (typed, url) in [
            (" deskgate.acme.test ", Some("https://deskgate.acme.test/")),
            ("https://deskgate.acme.test/eu", Some("https://deskgate.acme.test/eu")),
            ("http://127.0.0.1:4000", Some("http://127.0.0.1:4000/")),
            ("http://deskgate.acme.test", None),
            ("file:///etc/passwd", None),
            ("https://ada@acme.test", None),
            ("", None),
        ] {
            assert_eq!(address_of(typed).ok().map(String::from).as_deref(), url, "{typed}");
        }
    }

    #[test]
    fn an_organisation_is_added_and_everything_else_in_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deskgate.toml");
        let url: Url = "https://acme.test/".parse().unwrap();
        let before = "# mine\n[connectors.files]\ntitle = \"Files\"\ncommand = [\"x\"]";
        std::fs::write(&path, before).unwrap();
        write_organisation(&path, &url).unwrap();
        let after = std::fs::read_to_string(&path).unwrap();
        assert_eq!(after, format!("{before}\n\n[organisation]\nconfig_url = \"https://acme.test/\"\n"));
        assert_eq!(write_organisation(&path, &url).unwrap_err().code, "joined-already");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), after);

        std::fs::write(&path, "nonsense").unwrap();
        write_organisation(&path, &url).unwrap_err();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "nonsense");
    }
}
