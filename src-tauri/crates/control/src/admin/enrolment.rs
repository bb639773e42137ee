//! Which machines become devices, and which devices go on.

use std::time::Duration;

use model::{DeviceId, Digest};

use super::acts::ActFault;
use super::administrator::Administrator;
use super::{Answer, Secret};
use crate::secret::new_secret;
use crate::server::Plane;
use crate::store::NewEnrolmentToken;

const DAY: u64 = 24 * 60 * 60;
/// What enrolment tokens begin with, so that they are recognised where they should not be.
const TOKEN_PREFIX: &str = "dge_";

impl Plane {
    pub(super) async fn new_enrolment_token(
        &self,
        days: u32,
        uses: Option<u32>,
        by: &Administrator,
    ) -> Result<Answer, ActFault> {
        let token = new_secret(TOKEN_PREFIX)?;
        let uses_said = uses.map_or_else(|| "any".to_owned(), |uses| uses.to_string());
        self.record(by, "enrolment-token-new", &[("days", days.to_string()), ("uses", uses_said)]).await?;
        let now = self.clock.now();
        let new = NewEnrolmentToken {
            digest: Digest::of(token.as_bytes()),
            made_by: by.by(),
            expires: now.plus(Duration::from_secs(u64::from(days) * DAY)),
            uses,
        };
        let id = self.store.make_enrolment_token(&new, now).await?;
        Ok(Answer::EnrolmentToken { id, token: Secret(token.into()) })
    }

    pub(super) async fn list_enrolment_tokens(&self) -> Result<Answer, ActFault> {
        Ok(Answer::EnrolmentTokens { tokens: self.store.enrolment_tokens().await? })
    }

    pub(super) async fn revoke_enrolment_token(
        &self,
        id: i64,
        by: &Administrator,
    ) -> Result<Answer, ActFault> {
        self.record(by, "enrolment-token-revoke", &[("token", id.to_string())]).await?;
        let found = self.store.revoke_enrolment_token(id, self.clock.now()).await?;
        if found { Ok(Answer::Done) } else { Err(ActFault::Unknown("enrolment token")) }
    }

    pub(super) async fn resume_device(&self, id: DeviceId, by: &Administrator) -> Result<Answer, ActFault> {
        self.record(by, "device-resume", &[("device", id.to_string())]).await?;
        let found = self.store.resume_device(id, self.clock.now()).await?;
        if found { Ok(Answer::Done) } else { Err(ActFault::Unknown("device")) }
    }
}
