//! Fetching from the folder in which an organisation keeps releases. What is fetched is believed by nobody before its publisher's
//! signature was verified; here is seen to it that it is bounded, whole and not somewhere else.

use std::path::Path;
use std::time::Duration;

use os::Again;
use tokio::io::AsyncWriteExt as _;
use url::Url;

use crate::OrgFault;
use crate::wire::{Wire, body, refused};

/// How long a package may take in all.
const WHOLE: Duration = Duration::from_secs(60 * 60);
/// How long the next part of it may take.
const PART: Duration = Duration::from_secs(60);
/// Between two looks.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The first and the longest pause after a look that failed.
const RETRY: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(4 * 60 * 60));

/// A folder of releases.
pub struct Mirror(Wire);

impl Mirror {
    /// The folder at an address.
    ///
    /// # Errors
    /// [`OrgFault::Insecure`] where it would be spoken to in the clear; [`OrgFault::Unreachable`] where there is no HTTP client.
    pub fn at(folder: &Url) -> Result<Self, OrgFault> {
        Wire::new(folder.clone(), Again::default()).map(Self)
    }

    /// A file of at most `limit` bytes.
    ///
    /// # Errors
    /// An [`OrgFault`]; a redirect is one.
    pub async fn small(&self, path: &str, limit: usize) -> Result<Vec<u8>, OrgFault> {
        let answer = self.0.send(self.0.get(path)?).await?;
        Ok(body(answer, limit).await?.to_vec())
    }

    /// Writes a file of exactly `size` bytes to a new file `to`, which only its owner may read; tells on the way how many are there.
    /// What is left of one that did not arrive is for the caller to remove.
    ///
    /// # Errors
    /// An [`OrgFault`]; more or fewer bytes are one.
    pub async fn large(
        &self,
        path: &str,
        size: u64,
        to: &Path,
        mut told: impl FnMut(u64),
    ) -> Result<(), OrgFault> {
        let mut options = tokio::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        options.mode(0o600);
        let mut answer = self.0.send(self.0.get(path)?.timeout(WHOLE)).await?;
        if !answer.status().is_success() {
            return Err(refused(answer.status(), b""));
        }
        let mut file = options.open(to).await?;
        let mut there = 0;
        while let Some(part) = tokio::time::timeout(PART, answer.chunk()).await.map_err(|_| silent())?? {
            there += u64::try_from(part.len()).unwrap_or(u64::MAX);
            if there > size {
                return Err(OrgFault::Unusable(format!("{path} is longer than {size} bytes")));
            }
            file.write_all(&part).await?;
            told(there);
        }
        file.sync_all().await?;
        if there == size {
            Ok(())
        } else {
            Err(OrgFault::Unusable(format!("{path} ends after {there} of {size} bytes")))
        }
    }
}

/// When to look again: about once a day where a look succeeded, and never all devices at once.
#[derive(Debug)]
pub struct Looks(crate::backoff::Backoff);

impl Default for Looks {
    fn default() -> Self {
        Self(crate::backoff::Backoff::new(RETRY.0, RETRY.1))
    }
}

impl Looks {
    /// The pause after a look.
    pub fn pause(&mut self, succeeded: bool) -> Duration {
        if succeeded {
            self.0.reset();
            return crate::backoff::Backoff::new(DAY, DAY).next();
        }
        self.0.next()
    }
}

fn silent() -> OrgFault {
    OrgFault::Unreachable(format!("nothing came for {} seconds", PART.as_secs()))
}
