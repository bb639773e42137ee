//! The whole organisation Acme: an identity provider, mail, a warehouse, a log collector, a folder of files, and the
//! control plane that its IT department has set up over them.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{Collector, Idp, IdpSettings, Mail, Organisation, OrganisationParts, PeerFault, Postgres};

/// The file that Acme's folder holds at first: name and content.
const NOTE: (&str, &str) = ("meeting.txt", "Monday: talk about the visits of /prices.\n");

/// A running organisation with all that it stands on.
#[derive(Debug)]
pub struct Acme {
    // Ended in this order: whoever asks another one ends before it.
    /// The control plane and its administrators.
    pub organisation: Organisation,
    /// Where the control plane passes audit records on to.
    pub collector: Collector,
    /// The connector `mail`.
    pub mail: Mail,
    /// What the connector `warehouse` reads.
    pub warehouse: Postgres,
    /// Who signs people in.
    pub idp: Idp,
    files: TempDir,
}

impl Acme {
    /// Starts everything, publishes the first policy and stores the secrets of the warehouse. `control` is the program
    /// `deskgate-control`.
    ///
    /// # Errors
    /// If any part does not start.
    pub async fn start(control: &Path) -> Result<Self, PeerFault> {
        Self::start_with(control, &IdpSettings::default()).await
    }

    /// As [`Acme::start`], with an identity provider like this.
    ///
    /// # Errors
    /// As [`Acme::start`].
    pub async fn start_with(control: &Path, settings: &IdpSettings) -> Result<Self, PeerFault> {
        let files = tempfile::Builder::new().prefix("deskgate-files-").tempdir()?;
        std::fs::write(files.path().join(NOTE.0), NOTE.1)?;
        let identities = async {
            let idp = Idp::start(settings).await?;
            let mail = Mail::start(&idp).await?;
            Ok((idp, mail))
        };
        let ((idp, mail), warehouse, collector) =
            tokio::try_join!(identities, Postgres::start(), Collector::start())?;
        let parts = OrganisationParts {
            idp: &idp,
            mail: &mail,
            warehouse: &warehouse,
            files: files.path(),
            collector: Some(&collector),
        };
        let organisation = Organisation::start(control, parts).await?;
        let logouts = organisation.config_url().join("v1/oidc/backchannel-logout")?;
        idp.tell_logouts("deskgate", &logouts, true).await?;
        Ok(Self { organisation, collector, mail, warehouse, idp, files })
    }

    /// The folder of the connector `files`.
    pub fn files(&self) -> &Path {
        self.files.path()
    }

    /// A file in that folder, and what it says.
    pub fn note(&self) -> (PathBuf, &'static str) {
        (self.files.path().join(NOTE.0), NOTE.1)
    }

    /// What each program has printed, under its name.
    pub fn logs(&mut self) -> Vec<(&'static str, String)> {
        vec![
            ("deskgate-control", self.organisation.log()),
            ("identity-provider", self.idp.process().log()),
            ("mail", self.mail.process().log()),
            ("warehouse", self.warehouse.process().log()),
            ("collector", self.collector.received()),
        ]
    }
}
