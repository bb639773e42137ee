//! The issuer's store: records sealed in the vault.

use issuer::{RecordKind, Store, StoreFault};
use model::BoxFuture;
use vault::{Kind, Vault, VaultFault};

pub(crate) struct Ledger(pub(crate) Vault);

fn kind(kind: RecordKind) -> Kind {
    match kind {
        RecordKind::Client => Kind::GatewayClient,
        RecordKind::Grant => Kind::GatewayToken,
        RecordKind::Consent => Kind::Consent,
    }
}

fn failed(fault: VaultFault) -> StoreFault {
    StoreFault(fault.to_string())
}

impl Store for Ledger {
    fn load(&self, of: RecordKind) -> BoxFuture<'_, Result<Vec<(String, Vec<u8>)>, StoreFault>> {
        Box::pin(async move {
            let mut records = Vec::new();
            for key in self.0.list(kind(of)).await.map_err(failed)? {
                // A record that was set aside meanwhile is reported by the vault.
                if let Some(value) = self.0.get(kind(of), &key).await.map_err(failed)? {
                    records.push((key, value.expose_secret().to_vec()));
                }
            }
            Ok(records)
        })
    }

    fn put(&self, of: RecordKind, key: String, value: Vec<u8>) -> BoxFuture<'_, Result<(), StoreFault>> {
        Box::pin(async move { self.0.put(kind(of), &key, &value).await.map_err(failed) })
    }

    fn delete(&self, of: RecordKind, key: String) -> BoxFuture<'_, Result<(), StoreFault>> {
        Box::pin(async move { self.0.delete(kind(of), &key).await.map_err(failed) })
    }
}
