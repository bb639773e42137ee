//! What was taken away from somebody, in a file of its own: a backup that is restored does not know of it.
//!
//! A line for each, appended and synced before the act is answered. The file is read only to restore; nobody needs it to serve.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use model::{CredentialId, DeviceId, Timestamp};
use org_protocol::HaltTarget;
use sqlx::AnyConnection;

use super::{StoreFault, signed};

/// The format version of a line.
const FORMAT: u32 = 1;

/// What was taken away, or what must be known to take it away again.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Revocation {
    DeviceRevoked {
        device: DeviceId,
    },
    DeviceSuspended {
        device: DeviceId,
    },
    DeviceResumed {
        device: DeviceId,
    },
    SignInEnded {
        issuer: String,
        kind: String,
        value: String,
        before: Timestamp,
    },
    Halted {
        id: u64,
        target: HaltTarget,
        subjects: BTreeSet<String>,
        reason: String,
        by: String,
    },
    Lifted {
        id: u64,
        by: String,
    },
    CredentialStored {
        credential: CredentialId,
        version: u64,
    },
    CredentialRemoved {
        credential: CredentialId,
        version: u64,
    },
    CredentialExposed {
        credential: CredentialId,
        version: u64,
    },
    EnrolmentTokenRevoked {
        token: i64,
    },
    EnrolmentTokenUsed {
        token: i64,
        used: i64,
    },
    /// Diagnostics that were refused, withdrawn or erased.
    DiagnosticsEnded {
        request: u64,
        asked_at: Timestamp,
    },
    Published {
        epoch: u64,
        version: u64,
    },
    /// Not taken away from anybody: whose file this is.
    Kept {
        by: DeviceId,
    },
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Line {
    format: u32,
    at: Timestamp,
    act: Revocation,
}

/// The file.
#[derive(Debug, Clone)]
pub(crate) struct RevocationLog(Arc<Mutex<File>>);

impl RevocationLog {
    /// Opens the file, making it. What a crash left of a line was never answered for, and is cut off.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        let mut options = File::options();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        let mut tail = Vec::new();
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(64 * 1024)))?;
        file.read_to_end(&mut tail)?;
        let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let torn = u64::try_from(tail.len() - whole).unwrap_or(0);
        if torn > 0 {
            file.set_len(length - torn)?;
        }
        file.sync_all()?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(Self(Arc::new(Mutex::new(file))))
    }

    /// Says whose file it is, so that a restore can tell when one is missing.
    ///
    /// # Errors
    /// [`StoreFault::Log`].
    pub(crate) async fn belongs_to(&self, by: DeviceId, at: Timestamp) -> Result<(), StoreFault> {
        self.append(at, vec![Revocation::Kept { by }]).await
    }

    /// Appends; on disk when this returns.
    pub(super) async fn append(&self, at: Timestamp, acts: Vec<Revocation>) -> Result<(), StoreFault> {
        let mut text = String::new();
        for act in acts {
            let line = serde_json::to_string(&Line { format: FORMAT, at, act })
                .map_err(|fault| StoreFault::Log(std::io::Error::other(fault)))?;
            text.push_str(&line);
            text.push('\n');
        }
        if text.is_empty() {
            return Ok(());
        }
        let file = Arc::clone(&self.0);
        let written = tokio::task::spawn_blocking(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(text.as_bytes())?;
            file.sync_data()
        });
        written.await.map_err(std::io::Error::other).and_then(|done| done).map_err(StoreFault::Log)
    }
}

/// What a file says, in its order, with when.
///
/// # Errors
/// [`StoreFault::Log`], also where a whole line is not understood.
pub(crate) fn read(path: &Path) -> Result<Vec<(Timestamp, Revocation)>, StoreFault> {
    let text = std::fs::read_to_string(path).map_err(StoreFault::Log)?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = whole.lines().enumerate().filter(|(_, line)| !line.is_empty());
    lines
        .map(|(number, line)| {
            let line: Result<Line, _> = serde_json::from_str(line);
            match line {
                Ok(Line { format: FORMAT, at, act }) => Ok((at, act)),
                Ok(Line { format, .. }) => {
                    Err(format!("line {}: format {format} is not known here", number + 1))
                }
                Err(fault) => Err(format!("line {}: {fault}", number + 1)),
            }
            .map_err(|fault| StoreFault::Log(std::io::Error::other(fault)))
        })
        .collect()
}

impl Revocation {
    /// Epoch and version of a manifest that was published.
    pub(super) fn published(&self) -> Option<(u64, u64)> {
        if let Self::Published { epoch, version } = self { Some((*epoch, *version)) } else { None }
    }

    /// Whose file it is, where it says that.
    pub(super) fn kept_by(&self) -> Option<DeviceId> {
        if let Self::Kept { by } = self { Some(*by) } else { None }
    }

    /// What another part of the store takes away by itself.
    async fn hand_on(&self, connection: &mut AnyConnection) -> Result<(), StoreFault> {
        if let Self::CredentialStored { credential, version }
        | Self::CredentialRemoved { credential, version } = self
        {
            // The number stays taken: what comes after the restore is another secret.
            super::credentials::count_version(connection, credential, *version).await?;
        }
        if let Self::DiagnosticsEnded { request, asked_at } = self {
            super::diagnostics::take_away(connection, *request, *asked_at).await?;
        }
        Ok(())
    }

    /// Takes it away once more.
    pub(super) async fn apply(
        &self,
        connection: &mut AnyConnection,
        at: Timestamp,
    ) -> Result<(), StoreFault> {
        self.hand_on(connection).await?;
        let at = at.micros();
        match self {
            Self::DeviceRevoked { device } => {
                sqlx::query("UPDATE devices SET revoked_at = coalesce(revoked_at, $1) WHERE id = $2")
                    .bind(at)
                    .bind(device.to_string())
            }
            Self::DeviceSuspended { device } => {
                sqlx::query("UPDATE devices SET suspended_at = coalesce(suspended_at, $1) WHERE id = $2")
                    .bind(at)
                    .bind(device.to_string())
            }
            // What it was given then is later than what the backup knows: it shows that.
            Self::DeviceResumed { device } => {
                sqlx::query("UPDATE devices SET suspended_at = NULL WHERE id = $1").bind(device.to_string())
            }
            Self::SignInEnded { issuer, kind, value, before } => sqlx::query(
                "INSERT INTO ended_sign_ins (issuer, kind, value, before, at) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (issuer, kind, value) DO UPDATE
                 SET before = CASE WHEN excluded.before > ended_sign_ins.before THEN excluded.before
                                   ELSE ended_sign_ins.before END",
            )
            .bind(issuer.as_str())
            .bind(kind.as_str())
            .bind(value.as_str())
            .bind(before.micros())
            .bind(at),
            Self::Halted { id, target, subjects, reason, by } => sqlx::query(
                "INSERT INTO halts (id, target, subjects, reason, by, at) VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (id) DO NOTHING",
            )
            .bind(signed(*id))
            .bind(serde_json::to_string(target).unwrap_or_default())
            .bind(serde_json::to_string(subjects).unwrap_or_default())
            .bind(reason.as_str())
            .bind(by.as_str())
            .bind(at),
            Self::Lifted { id, by } => sqlx::query(
                "UPDATE halts SET lifted_at = $1, lifted_by = $2 WHERE id = $3 AND lifted_at IS NULL",
            )
            .bind(at)
            .bind(by.as_str())
            .bind(signed(*id)),
            // The secret that is in the backup was replaced, maybe because it is known to somebody.
            Self::CredentialStored { credential, version } => {
                sqlx::query("DELETE FROM credentials WHERE id = $1 AND version < $2")
                    .bind(credential.as_str())
                    .bind(signed(*version))
            }
            Self::CredentialRemoved { credential, version } => {
                sqlx::query("DELETE FROM credentials WHERE id = $1 AND version <= $2")
                    .bind(credential.as_str())
                    .bind(signed(*version))
            }
            Self::CredentialExposed { credential, version } => sqlx::query(
                "UPDATE credentials SET exposed_at = coalesce(exposed_at, $1) WHERE id = $2 AND version = $3",
            )
            .bind(at)
            .bind(credential.as_str())
            .bind(signed(*version)),
            Self::EnrolmentTokenRevoked { token } => {
                sqlx::query("UPDATE enrolment_tokens SET revoked_at = coalesce(revoked_at, $1) WHERE id = $2")
                    .bind(at)
                    .bind(*token)
            }
            Self::EnrolmentTokenUsed { token, used } => {
                sqlx::query("UPDATE enrolment_tokens SET used = $1 WHERE id = $2 AND used < $1")
                    .bind(*used)
                    .bind(*token)
            }
            // Handed on, or said to the epoch that begins.
            Self::DiagnosticsEnded { .. } | Self::Published { .. } | Self::Kept { .. } => return Ok(()),
        }
        .execute(connection)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    #[tokio::test]
    async fn a_torn_line_is_cut_off_and_one_that_is_not_understood_is_said() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("revocations.jsonl");
        let log = RevocationLog::open(&path).expect("opens");
        let (first, second) = (DeviceId::new(), DeviceId::new());
        log.append(NOW, vec![Revocation::DeviceRevoked { device: first }]).await.expect("appends");
        drop(log);
        let mut file = File::options().append(true).open(&path).expect("opens");
        file.write_all(b"{\"format\":1,\"at\":\"20").expect("tears");
        assert_eq!(read(&path).expect("reads").len(), 1, "nobody was told that the second was done");
        let log = RevocationLog::open(&path).expect("opens again");
        log.append(NOW, vec![Revocation::DeviceRevoked { device: second }]).await.expect("appends");
        let acts: Vec<_> = read(&path).expect("reads").into_iter().map(|(_, act)| act).collect();
        let expected = [first, second].map(|device| Revocation::DeviceRevoked { device });
        assert_eq!(acts, expected);
        for strange in ["{\"format\":2}\n", "nonsense\n"] {
            std::fs::write(&path, strange).expect("writes");
            assert!(matches!(read(&path), Err(StoreFault::Log(_))), "{strange}");
        }
    }
}
