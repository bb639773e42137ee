//! A device whose key lies in a chip, as a TPM or a Secure Enclave would keep it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use control::admin::{Answer, Ask};
use control::testing::{ANALYST_SECRET, ServedOrg};
use model::ForPerson as _;
use org_protocol::KeyProtection;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use vault::{DeviceKey, ProofKey, Protection, SecretBytes, VaultFault};

use crate::harness::Desktop;
use crate::leases::{Borrower, served};

/// Signs and opens, and has no way of giving its key away.
#[derive(Debug)]
struct Chip {
    key: ProofKey,
    gone: AtomicBool,
}

impl Chip {
    fn new() -> Arc<Self> {
        Arc::new(Self { key: ProofKey::generate(), gone: AtomicBool::new(false) })
    }

    fn there(&self) -> Result<&ProofKey, VaultFault> {
        let gone = self.gone.load(Ordering::SeqCst);
        if gone { Err(VaultFault::DeviceKey { why: "it does not answer".to_owned() }) } else { Ok(&self.key) }
    }
}

impl DeviceKey for Chip {
    fn protection(&self) -> Protection {
        Protection::Chip
    }

    fn public_jwk(&self) -> Value {
        self.key.public_jwk()
    }

    fn thumbprint(&self) -> String {
        self.key.thumbprint()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], VaultFault> {
        Ok(self.there()?.sign(message))
    }

    fn open(
        &self,
        encapsulated: &[u8],
        sealed: &[u8],
        info: &[u8],
        associated: &[u8],
    ) -> Result<Option<SecretBytes>, VaultFault> {
        Ok(self.there()?.open(encapsulated, sealed, info, associated))
    }
}

async fn devices(served: &ServedOrg) -> Vec<control::Device> {
    let answer = served.ask(&Ask::ListDevices).await.expect("answers");
    let Answer::Devices { devices } = answer else { panic!("{answer:?}") };
    devices
}

#[tokio::test]
async fn a_device_whose_key_lies_in_a_chip_enrols_and_borrows() {
    let served = served().await;
    let chip = Chip::new();
    let desktop = Desktop::with_chip(&served, chip.clone()).await;
    let borrower = Borrower::on(desktop, &served, "alice", &["analysts"]).await;
    let lent = borrower.lease(&served, "alice", "warehouse-analyst").await.expect("is lent");
    assert_eq!(lent.secret.expose_secret(), ANALYST_SECRET, "sealed to the chip's key, and opened by it");
    let known = devices(&served).await;
    assert_eq!(known.iter().map(|it| it.key_protection).collect::<Vec<_>>(), [Some(KeyProtection::Hw)]);

    chip.gone.store(true, Ordering::SeqCst);
    let refused = borrower.lease(&served, "alice", "warehouse-finance").await.expect_err("no chip, no proof");
    assert_eq!(refused.advice().code, "device-key");

    // What lies on the disk does not make it this device.
    let elsewhere = borrower.desktop.restart(&served).await;
    elsewhere.update().await.expect("fetches");
    elsewhere.sign_in(&served, "alice", &["analysts"]).await;
    let mut kept: Vec<_> = devices(&served).await.iter().map(|it| it.key_protection).collect();
    kept.sort_by_key(|kept| *kept == Some(KeyProtection::Os));
    assert_eq!(kept, [Some(KeyProtection::Hw), Some(KeyProtection::Os)], "another device");
}
