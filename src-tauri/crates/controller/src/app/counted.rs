//! What calls were counted as in a day or a month, in the vault: nobody edits it, and it is on disk before the call is made.

use gateway::KeptCounts;
use model::BoxFuture;
use vault::{Kind, Vault};

/// The key in the vault.
const KEPT: &str = "call-counts";

/// Counts in the vault.
pub(crate) struct Counted(pub(crate) Vault);

impl KeptCounts for Counted {
    fn load(&self) -> BoxFuture<'_, Result<Option<Vec<u8>>, String>> {
        Box::pin(async move {
            let stored = self.0.get(Kind::Ratchet, KEPT).await.map_err(|fault| fault.to_string())?;
            Ok(stored.map(|stored| stored.expose_secret().to_vec()))
        })
    }

    fn keep(&self, counts: Vec<u8>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(
            async move { self.0.put(Kind::Ratchet, KEPT, &counts).await.map_err(|fault| fault.to_string()) },
        )
    }
}
