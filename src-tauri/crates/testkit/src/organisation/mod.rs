//! The organisation Acme, set up by its IT department with nothing but `deskgate-control`: keys and a root document, an
//! authored folder with the story "analyst", pinned tools, a served and published bundle, two stored secrets.
//!
//! It must never reach into the control plane: what the command line cannot do, it does not do.

mod authored;
mod desk;
mod server;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use url::Url;

use crate::{
    Browser, Collector, Employee, Idp, Mail, OAuthClient, PeerFault, Postgres, Process, Role, canary,
    read_record,
};
use desk::Desk;
use server::Server;

const SOON: Duration = Duration::from_secs(60);

/// What an organisation is made of.
#[derive(Debug, Clone, Copy)]
pub struct OrganisationParts<'a> {
    /// Who signs people in. Its people must include [`Employee::ivy`], who signs in once to pin the mail's tools.
    pub idp: &'a Idp,
    /// The connector `mail`, with each employee's own grant.
    pub mail: &'a Mail,
    /// What the brokered connector `warehouse` reads, with a service account for each department.
    pub warehouse: &'a Postgres,
    /// The folder of the connector `files`.
    pub files: &'a Path,
    /// Where audit records are passed on to, and traces told.
    pub collector: Option<&'a Collector>,
}

/// A running organisation: virtual servers `analyst` (files, mail, warehouse) and `notes` (files).
///
/// Every employee may use both. Analysts do not change files; mail goes to `*@acme.test` only; statements that change
/// the warehouse are refused; finance reads it by the credential `warehouse-finance`, analysts by `warehouse-analyst`.
#[derive(Debug)]
pub struct Organisation {
    // Ended before its folder is removed.
    server: Server,
    desk: Desk,
    fingerprint: String,
    folder: PathBuf,
    home: TempDir,
}

impl Organisation {
    /// Sets everything up, publishes it and stores both secrets.
    ///
    /// # Errors
    /// If any of it fails; with the words of `deskgate-control` where it was that.
    pub async fn start(program: &Path, parts: OrganisationParts<'_>) -> Result<Self, PeerFault> {
        let home = tempfile::Builder::new().prefix("deskgate-org-").tempdir()?;
        let folder = home.path().join("org");
        authored::write(&folder, &parts)?;
        let desk = Desk::new(program, home.path());
        let otlp = parts.collector.map(|collector| collector.endpoint().clone());
        let served = async {
            make_keys(&desk).await?;
            let (root, server) = tokio::try_join!(make_root(&desk), Server::start(&desk, otlp))?;
            store_secrets(&desk, parts.warehouse).await?;
            Ok::<_, PeerFault>((root, server))
        };
        let ((fingerprint, server), ()) = tokio::try_join!(served, pin(&desk, &parts))?;
        let organisation = Self { server, desk, fingerprint, folder, home };
        organisation.publish(|_| ()).await?;
        Ok(organisation)
    }

    /// The configuration URL, which ends with a slash.
    pub fn config_url(&self) -> &Url {
        self.server.config_url()
    }

    /// The fingerprint of the root key, which desktops pin.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What points a desktop at the organisation: a table of `deskgate.toml`.
    pub fn settings(&self) -> String {
        format!(
            "[organisation]\nconfig_url = \"{}\"\nroot_key_fingerprint = \"{}\"\n",
            self.config_url(),
            self.fingerprint
        )
    }

    /// The authored folder: `org.toml`, `connectors`, `servers`, `policies`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where [`Organisation::control`] runs. Beside the authored folder `org` it has the private keys `keys/root.pem`,
    /// `keys/manifest.pem` and `keys/receipts.pem` with their public halves, `keys/master`, the root document
    /// `root/1.json`, what was signed last in `public`, and the server's own `data`.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Changes the authored folder, signs it as the next version and publishes that; returns the version. What was
    /// changed stays in the folder, also when it is refused.
    ///
    /// # Errors
    /// With the program's words if it refuses to sign or to publish.
    pub async fn publish(&self, change: impl FnOnce(&Path)) -> Result<u64, PeerFault> {
        change(&self.folder);
        self.desk.says(desk::SIGN, "").await?;
        let told = self.control_json(&["bundle", "publish", "public"]).await?;
        told["version"].as_u64().ok_or_else(|| PeerFault::answer("bundle publish", told.to_string()))
    }

    /// Stores a secret of a shared account in the place of an earlier one.
    ///
    /// # Errors
    /// With the program's words if it refuses.
    pub async fn put_credential(&self, id: &str, secret: &str) -> Result<(), PeerFault> {
        put_credential(&self.desk, id, secret).await
    }

    /// Has a secret of a shared account take an earlier one's place; how that ends is in the output.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn rotate_credential(&self, id: &str, secret: &str) -> Result<Output, PeerFault> {
        canary::plant("a shared account", secret);
        self.desk.run(&["credential", "rotate", id, "--json"], secret).await
    }

    /// Runs `deskgate-control` with these arguments as an administrator, in [`Organisation::home`]; commands that ask
    /// the server ask this one.
    ///
    /// # Errors
    /// If it cannot be run; how it ends is in the output.
    pub async fn control(&self, arguments: &[&str]) -> Result<Output, PeerFault> {
        self.desk.run(arguments, "").await
    }

    /// As [`Organisation::control`], with `--json` at the end, and reads what it prints.
    ///
    /// # Errors
    /// With the program's words if it fails, or if it prints no JSON.
    pub async fn control_json(&self, arguments: &[&str]) -> Result<Value, PeerFault> {
        Ok(serde_json::from_str(&self.desk.says(&[arguments, &["--json"]].concat(), "").await?)?)
    }

    /// The audit records that the server keeps, oldest first, as `audit query` finds them with these options.
    ///
    /// # Errors
    /// With the program's words if it fails.
    pub async fn records(&self, filter: &[&str]) -> Result<Vec<Value>, PeerFault> {
        let told = self.desk.says(&[&["audit", "query"], filter].concat(), "").await?;
        told.lines().map(|line| Ok(read_record(line)?)).collect()
    }

    /// Ends the server in order, as its service manager would.
    ///
    /// # Errors
    /// If it does not end.
    pub async fn stop(&mut self) -> Result<(), PeerFault> {
        self.server.stop().await
    }

    /// Ends the server in order, if it runs, and starts it again on the same data and port.
    ///
    /// # Errors
    /// If it does not end or does not come back.
    pub async fn restart(&mut self) -> Result<(), PeerFault> {
        self.server.stop().await?;
        self.server.launch(&self.desk).await
    }

    /// Starts the server again behind a proxy that others find at `public`.
    ///
    /// # Errors
    /// As [`Organisation::restart`].
    pub async fn restart_behind(&mut self, public: &Url) -> Result<(), PeerFault> {
        self.server.stands_behind(public);
        self.restart().await
    }

    /// The server's process while it runs, to kill or to look into.
    pub fn process(&mut self) -> Option<&mut Process> {
        self.server.process()
    }

    /// All that the server has printed, since its first start.
    pub fn log(&self) -> String {
        self.server.log()
    }
}

async fn make_keys(desk: &Desk) -> Result<(), PeerFault> {
    std::fs::create_dir(desk.home().join("keys"))?;
    tokio::try_join!(
        desk.says(&["key", "new", "keys/root.pem"], ""),
        desk.says(&["key", "new", "keys/manifest.pem"], ""),
        desk.says(&["key", "new", "keys/receipts.pem"], ""),
        desk.says(&["key", "master", "keys/master"], ""),
    )?;
    Ok(())
}

/// Returns the fingerprint.
async fn make_root(desk: &Desk) -> Result<String, PeerFault> {
    let told = desk.says(desk::ROOT, "").await?;
    let told: Value = serde_json::from_str(&told)?;
    let fingerprint = told["fingerprint"].as_str();
    fingerprint.map(str::to_owned).ok_or_else(|| PeerFault::answer("root new", told.to_string()))
}

async fn store_secrets(desk: &Desk, warehouse: &Postgres) -> Result<(), PeerFault> {
    for role in [Role::Finance, Role::Analyst] {
        canary::plant("the password of a shared account", role.password());
    }
    let (finance, analyst) = (warehouse.dsn(Role::Finance), warehouse.dsn(Role::Analyst));
    tokio::try_join!(
        put_credential(desk, "warehouse-finance", &finance),
        put_credential(desk, "warehouse-analyst", &analyst),
    )?;
    Ok(())
}

async fn put_credential(desk: &Desk, id: &str, secret: &str) -> Result<(), PeerFault> {
    canary::plant("a shared account", secret);
    desk.says(&["credential", "put", id], secret).await.map(drop)
}

/// Writes down the tools of all connectors, as these tell them.
async fn pin(desk: &Desk, parts: &OrganisationParts<'_>) -> Result<(), PeerFault> {
    let pin = |connector, secret: String| async move {
        let words = ["connector", "pin", "org", connector, "--credential-file", "-"];
        let words = if secret.is_empty() { &words[..4] } else { &words[..] };
        desk.says(words, &secret).await
    };
    let mail = async { pin("mail", own_token(parts.mail).await?).await };
    let warehouse = pin("warehouse", parts.warehouse.dsn(Role::Finance));
    tokio::try_join!(mail, warehouse, pin("files", String::new()))?;
    Ok(())
}

/// An access token for the mail that somebody of IT gets for themselves: enough to ask for its tools.
async fn own_token(mail: &Mail) -> Result<String, PeerFault> {
    let client = OAuthClient::register(mail.url(), "Acme IT").await?;
    let page = client.authorize_url(Some("mail.read"))?;
    let mut browser = Browser::new(Employee::ivy())?;
    let (_shown, redirected) = tokio::try_join!(browser.sign_in_and_return(&page), client.redirected(SOON))?;
    let code = redirected.get("code");
    let code = code.ok_or_else(|| PeerFault::answer("authorization", format!("{redirected:?}")))?;
    Ok(client.redeem(code).await?.access_token)
}
