//! Asking a device for diagnostics, and reading what its person sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{Advice, DeviceId};
use org_protocol::PlainLine;
use serde::{Deserialize, Serialize};

use super::Answer;
use super::acts::ActFault;
use super::administrator::Administrator;
use crate::server::Plane;
use crate::store::{AskedDiagnostics, Asking, NewDiagnostics};

/// What a device sent, with the request that it answers.
#[derive(Debug, Serialize, Deserialize)]
pub struct SentDiagnostics {
    /// The request.
    #[serde(flatten)]
    pub asked: AskedDiagnostics,
    /// The archive, in base64.
    pub archive: String,
}

impl Plane {
    /// Asks a device. Whether anything comes is for the person there to say.
    pub(super) async fn ask_diagnostics(
        &self,
        device: DeviceId,
        reason: &PlainLine,
        by: &Administrator,
    ) -> Result<Answer, ActFault> {
        self.expire_diagnostics::<ActFault>().await?;
        let facts = [("device", device.to_string()), ("reason", reason.to_string())];
        self.record(by, "diagnostics-ask", &facts).await?;
        let shown = by.subject().and_then(|subject| PlainLine::of(subject.label()));
        let new = NewDiagnostics { device, by: by.by(), shown_by: shown.as_ref(), reason };
        match self.store.ask_diagnostics(&new, self.clock.now()).await? {
            Asking::Asked(id) => {
                self.request(id).await.map(|asked| Answer::AskedDiagnostics(Box::new(asked)))
            }
            Asking::Waits(id) => Err(ActFault::Said(waits(id))),
            Asking::NoDevice => Err(ActFault::Unknown("device in use")),
        }
    }

    /// What was asked, and what came of it.
    pub(super) async fn list_diagnostics(&self, by: &Administrator) -> Result<Answer, ActFault> {
        self.expire_diagnostics::<ActFault>().await?;
        self.record(by, "diagnostics-list", &[]).await?;
        Ok(Answer::Diagnostics { diagnostics: self.store.diagnostics().await? })
    }

    /// What a device sent.
    pub(super) async fn read_diagnostics(&self, id: u64, by: &Administrator) -> Result<Answer, ActFault> {
        let sent = self.store.sent_diagnostics(id).await?;
        let (asked, kept) = sent.ok_or(ActFault::Unknown("diagnostics that were sent"))?;
        let facts = [
            ("request", id.to_string()),
            ("device", asked.device.to_string()),
            ("sha256", kept.sha256.to_string()),
            ("bytes", kept.bytes.to_string()),
        ];
        self.record(by, "diagnostics-read", &facts).await?;
        let archive = self.credentials.master().open_diagnostics((id, asked.device), &kept)?;
        let archive = STANDARD.encode(archive.as_slice());
        Ok(Answer::SentDiagnostics(Box::new(SentDiagnostics { asked, archive })))
    }

    /// Does not want them any more: the person is not asked any longer.
    pub(super) async fn withdraw_diagnostics(&self, id: u64, by: &Administrator) -> Result<Answer, ActFault> {
        self.record(by, "diagnostics-withdraw", &[("request", id.to_string())]).await?;
        let withdrawn = self.store.withdraw_diagnostics(id, self.clock.now()).await?;
        if withdrawn { Ok(Answer::Done) } else { Err(ActFault::Unknown("request that waits")) }
    }

    /// Erases a request that is over, and what was sent.
    pub(super) async fn erase_diagnostics(&self, id: u64, by: &Administrator) -> Result<Answer, ActFault> {
        self.record(by, "diagnostics-erase", &[("request", id.to_string())]).await?;
        let erased = self.store.erase_diagnostics(id, self.clock.now()).await?;
        if erased { Ok(Answer::Done) } else { Err(ActFault::Unknown("request that is over")) }
    }

    async fn request(&self, id: u64) -> Result<AskedDiagnostics, ActFault> {
        let known = self.store.diagnostics().await?.into_iter().find(|one| one.id == id);
        known.ok_or(ActFault::Unknown("request"))
    }
}

fn waits(id: u64) -> Advice {
    Advice::new(
        "diagnostics-asked",
        format!("Nothing was done: this device is asked already, by request {id}."),
        "A device has one request at a time.",
        format!("Wait for the answer, or withdraw it: deskgate-control diagnostics withdraw {id}"),
    )
}
