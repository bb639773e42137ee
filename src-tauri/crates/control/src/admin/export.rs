//! Exporting a range of records with its proof: the signed statement of what there is, and then the lines, page by page.

use model::{DeviceId, Timestamp};
use org_protocol::{EXPORT_FORMAT, ExportStatement, export_header};

use super::acts::ActFault;
use super::administrator::Administrator;
use super::{Answer, DeniedBy};
use crate::author::root_path;
use crate::relay;
use crate::server::Plane;

/// How many lines are given at once.
const PAGE: u32 = 2000;

impl Plane {
    /// States, signed, which records there are of a time.
    pub(super) async fn export_audit(
        &self,
        since: Timestamp,
        until: Timestamp,
        by: &Administrator,
    ) -> Result<Answer, ActFault> {
        let facts = [("since", since.to_string()), ("until", until.to_string())];
        self.record(by, "audit-export", &facts).await?;
        relay::copy_all(self).await?;
        let Some(live) = self.publication.live() else { return Ok(Answer::Nothing) };
        let ratchet = self.store.ratchet().await?.ok_or(ActFault::Unknown("publication"))?;
        let root = self.store.document(&root_path(ratchet.root_version())).await?;
        let (_, root) = root.ok_or(ActFault::Unknown("root document"))?;
        let made_at = self.clock.now();
        // What is still to come cannot be proved.
        let until = until.min(made_at);
        let chains = self.store.chain_parts(since, until).await?;
        let set_aside = self.store.places_set_aside().await?;
        let org = live.content().org.id.clone();
        let statement =
            ExportStatement { format: EXPORT_FORMAT, org, since, until, made_at, chains, set_aside };
        let header = export_header(&statement, &self.receipt_key, &root)?;
        Ok(Answer::Export { header })
    }

    /// Lines of one chain, the first page of those from `first` to `last`.
    pub(super) async fn export_lines(
        &self,
        device: DeviceId,
        epoch: u64,
        (first, last): (u64, u64),
        by: &Administrator,
    ) -> Result<Answer, ActFault> {
        let facts = [
            ("device", device.to_string()),
            ("epoch", epoch.to_string()),
            ("from", first.to_string()),
            ("to", last.to_string()),
        ];
        self.record(by, "audit-export-lines", &facts).await?;
        let wanted = last.saturating_sub(first).saturating_add(1);
        let limit = u32::try_from(wanted).unwrap_or(PAGE).min(PAGE);
        let lines = self.store.chain_lines(device, epoch, first.saturating_sub(1), limit).await?;
        Ok(Answer::Records { lines: lines.into_iter().map(|(_, line)| line).collect() })
    }

    /// Counts what was refused.
    pub(super) async fn count_denials(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        by: &Administrator,
    ) -> Result<Answer, ActFault> {
        let time = |at: Option<Timestamp>| at.map_or_else(|| "any".to_owned(), |at| at.to_string());
        self.record(by, "audit-denials", &[("since", time(since)), ("until", time(until))]).await?;
        relay::copy_all(self).await?;
        let denied: Vec<DeniedBy> = self.store.count_denials(since, until).await?;
        Ok(Answer::Denials { denied })
    }
}
