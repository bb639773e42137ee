//! A publisher of releases with a minisign key of the moment, and the folder of releases that an organisation keeps.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use minisign::KeyPair;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::PeerFault;

/// A publisher.
pub struct Publisher(KeyPair);

impl Publisher {
    /// One whom nobody knows yet.
    ///
    /// # Errors
    /// If there are no random numbers.
    pub fn new() -> Result<Self, PeerFault> {
        Ok(Self(KeyPair::generate_unencrypted_keypair().map_err(fault)?))
    }

    /// Its public key, as programs are told it.
    pub fn key(&self) -> String {
        self.0.pk.to_base64()
    }

    /// What is stated of a release with one package.
    pub fn statement(version: &str, platform: &str, file: &str, package: &[u8]) -> Value {
        let digest: String = Sha256::digest(package).iter().map(|byte| format!("{byte:02x}")).collect();
        let package = json!({"file": file, "size": package.len(), "sha256": format!("sha256:{digest}")});
        json!({"format": 1, "product": "deskgate", "version": version, "packages": {platform: package}})
    }

    /// Lays a statement and its signature in a folder of releases, as the one that `named` names; gives that one's folder.
    ///
    /// # Errors
    /// If it cannot be signed or written.
    pub fn states(&self, releases: &Path, named: &str, statement: &Value) -> Result<PathBuf, PeerFault> {
        let folder = releases.join(named);
        std::fs::create_dir_all(&folder)?;
        let statement = statement.to_string().into_bytes();
        let signed = minisign::sign(None, &self.0.sk, Cursor::new(&statement), None, None).map_err(fault)?;
        std::fs::write(folder.join("release.json.minisig"), signed.into_string())?;
        std::fs::write(folder.join("release.json"), statement)?;
        Ok(folder)
    }

    /// Publishes a release for Debian's packages of this computer, as the latest one.
    ///
    /// # Errors
    /// If it cannot be signed or written.
    pub fn releases(&self, releases: &Path, version: &str, package: &[u8]) -> Result<(), PeerFault> {
        let platform = format!("linux-{}-deb", std::env::consts::ARCH);
        let file = format!("deskgate_{version}.deb");
        let folder = self.states(releases, version, &Self::statement(version, &platform, &file, package))?;
        std::fs::write(folder.join(file), package)?;
        Ok(std::fs::write(releases.join("latest"), format!("{version}\n"))?)
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Publisher(..)")
    }
}

fn fault(error: minisign::PError) -> PeerFault {
    std::io::Error::other(error.to_string()).into()
}
