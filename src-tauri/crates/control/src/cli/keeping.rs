//! Saving and restoring.

use std::path::PathBuf;

use clap::Args;
use control::{RestorePlan, backup, restore};
use os::Clock as _;

use super::database::DatabaseArgs;
use super::{Failure, said};

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The new file. It holds audit records and who uses what: only its owner may read it.
    file: PathBuf,
    /// The data directory of the control plane.
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The backup.
    file: PathBuf,
    /// The data directory of the control plane that will serve it. Its journal, where there still is one, goes on.
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    database: DatabaseArgs,
    /// What was revoked since: the file of each control plane that served the database. The one in the data directory is found by itself.
    #[arg(long, value_name = "FILE")]
    revocations: Vec<PathBuf>,
    /// Go on though nothing says what was revoked after the backup was made.
    #[arg(long)]
    without_revocations: bool,
}

pub(super) async fn save(args: BackupArgs, json: bool) -> Result<(), Failure> {
    let database = args.database.database(&args.data)?;
    let saved = backup(&database, &args.file, os::SystemClock.now()).await.map_err(Failure::new)?;
    said(json, &saved, || {
        format!(
            "{} rows saved. Secrets in it are sealed: without the master key, which is not in it, they are lost.",
            saved.rows
        )
    });
    Ok(())
}

pub(super) async fn begin_again(args: RestoreArgs, json: bool) -> Result<(), Failure> {
    let plan = RestorePlan {
        database: args.database.database(&args.data)?,
        data: args.data,
        file: args.file,
        revocations: args.revocations,
        without_revocations: args.without_revocations,
    };
    let restored = restore(&plan, os::SystemClock.now()).await.map_err(Failure::new)?;
    said(json, &restored, || {
        let mut text = format!(
            "Restored as of {}: {} rows, and {} revocations done once more. Everybody opens a new session.",
            restored.made_at, restored.rows, restored.revocations
        );
        for id in &restored.credentials_to_store {
            text += &format!(
                "\nThe secret of {id} was changed or removed since: store it again where it is still wanted."
            );
        }
        if restored.publish_again {
            text += "\nA newer policy was published since: nothing is in force until you publish it again.";
        }
        text
    });
    Ok(())
}
