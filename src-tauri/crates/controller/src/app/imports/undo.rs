//! Taking an import back.

use std::collections::BTreeSet;
use std::path::PathBuf;

use assistants::{Assistant, Ledger, TakenOut, put_back};
use model::{ConnectorId, ForPerson as _, ServerId};

use super::record::Record;
use super::settings::SettingsFile;
use super::{Proposed, PutBack, Sealed, Told, words};

/// What is taken back.
pub(super) struct Undoing {
    /// The assistant's id.
    pub(super) assistant: &'static str,
    files: Vec<PutBack>,
    settings: SettingsFile,
    /// The connectors that go, with the names of what is sealed for each and the vault's key of its token.
    gone: Vec<(ConnectorId, Vec<String>, Option<String>)>,
    records: Vec<Record>,
    /// The records of what stays out, where their splices are others now.
    left: Vec<Record>,
}

/// What would be taken back.
pub(super) fn proposed(
    assistant: &'static Assistant,
    names: &[String],
    records: Vec<Record>,
    mut settings: SettingsFile,
    ledger: &Ledger,
) -> Told<(Undoing, Proposed)> {
    let (own, others): (Vec<Record>, Vec<Record>) =
        records.into_iter().partition(|it| it.assistant == assistant.id);
    if own.is_empty() {
        return Err(words::not_imported(assistant.title));
    }
    let known: Vec<String> = own.iter().map(|it| it.taken.place.name.clone()).collect();
    if let Some(missing) = names.iter().find(|name| !known.contains(name)) {
        return Err(words::not_there(missing, &known));
    }
    let is_wanted = |taken: &TakenOut| names.is_empty() || names.contains(&taken.place.name);
    let (mut files, mut diff, mut left) = (Vec::new(), String::new(), Vec::new());
    for file in own.iter().map(|it| it.file.clone()).collect::<BTreeSet<PathBuf>>() {
        let of_file: Vec<&Record> = own.iter().filter(|it| it.file == file).collect();
        let out: Vec<TakenOut> = of_file.iter().map(|it| it.taken.clone()).collect();
        if !out.iter().any(is_wanted) {
            continue;
        }
        let back = put_back(assistant, &file, &out, is_wanted, ledger).map_err(|fault| fault.advice())?;
        let configured: Vec<_> = out.iter().filter_map(|it| it.configured(assistant).ok()).collect();
        let secrets: Vec<&str> = configured.iter().flat_map(|it| it.secrets()).collect();
        diff += &back.change.masked_diff(&secrets);
        for taken in &back.left {
            let known = of_file.iter().find(|it| it.taken.place == taken.place);
            left.extend(known.map(|it| it.with(taken)));
        }
        files.push(back);
    }
    let (undone, kept): (Vec<Record>, Vec<Record>) = own.into_iter().partition(|it| is_wanted(&it.taken));
    let stays = |id: &ConnectorId| others.iter().chain(&kept).any(|it| it.connector == *id);
    let mut gone: Vec<(ConnectorId, Vec<String>, Option<String>)> = Vec::new();
    for record in undone.iter().filter(|it| !stays(&it.connector)) {
        if gone.iter().any(|(id, _, _)| *id == record.connector) {
            continue;
        }
        let made: Option<&ServerId> = record.made_server.then_some(&record.server);
        settings.remove(&record.connector, made)?;
        gone.push((record.connector.clone(), record.names.clone(), record.grant.clone()));
    }
    let servers = undone.iter().map(|it| (it.taken.place.to_string(), it.connector.to_string())).collect();
    let proposed = Proposed {
        id: 0,
        diff: diff + &settings.diff(),
        servers,
        left: Vec::new(),
        into: String::new(),
        exact: files.iter().all(|it| it.change.exact),
    };
    Ok((Undoing { assistant: assistant.id, files, settings, gone, records: undone, left }, proposed))
}

impl Undoing {
    pub(super) fn connectors(&self) -> BTreeSet<ConnectorId> {
        self.records.iter().map(|record| record.connector.clone()).collect()
    }

    pub(super) async fn make(self, sealed: &Sealed, ledger: &mut Ledger) -> Told<()> {
        self.settings.check()?;
        for file in &self.files {
            file.change.check().map_err(|fault| fault.advice())?;
        }
        for file in &self.files {
            file.change.apply(ledger).map_err(|fault| fault.advice())?;
        }
        for record in &self.left {
            sealed.remember(record).await.map_err(words::half_undone)?;
        }
        self.settings.write().map_err(words::half_undone)?;
        for (connector, names, grant) in &self.gone {
            let forgotten = sealed.forget_secrets(connector, names, grant.as_deref()).await;
            forgotten.map_err(words::half_undone)?;
        }
        for record in &self.records {
            sealed.forget(record).await.map_err(words::half_undone)?;
        }
        Ok(())
    }
}
