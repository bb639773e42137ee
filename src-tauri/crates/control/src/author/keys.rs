//! Key files: the private half in PKCS #8 PEM, 0600; the public half as JSON beside it.

use std::path::{Path, PathBuf};

use org_protocol::{KeyFault, PublicKey, SigningKey};

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileFault {
    /// It cannot be read or written.
    #[error("{} cannot be used: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is there already; a key is never overwritten.
    #[error("{} exists already; a key is never overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It holds no key.
    #[error("{}: {fault}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: KeyFault,
    },
    /// It holds no public key in JSON.
    #[error("{} holds no public key: {reason}", path.display())]
    Public {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Others may read it.
    #[error("{} may be read by others; take away their permission (chmod 600)", path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// The operating system has no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// Makes a key: `path` holds the private half, `path` with `.pub` appended the public one, which is returned.
///
/// # Errors
/// A [`KeyFileFault`].
pub fn new_key(path: &Path) -> Result<PublicKey, KeyFileFault> {
    let public_path = public_path(path);
    if let Some(there) = [path, &public_path].into_iter().find(|path| path.exists()) {
        return Err(KeyFileFault::Exists { path: there.to_owned() });
    }
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(KeyFileFault::Random)?;
    let key = SigningKey::from_seed(&seed);
    let pem = key.to_pem().map_err(|fault| KeyFileFault::Key { path: path.to_owned(), fault })?;
    let pem = zeroize::Zeroizing::new(pem);
    os::write_durable(path, pem.as_bytes()).map_err(file_fault(path))?;
    let json = serde_json::to_string(&key.public()).unwrap_or_default() + "\n";
    os::write_durable(&public_path, json.as_bytes()).map_err(file_fault(&public_path))?;
    Ok(key.public())
}

/// Reads a private key. A file that others may read is refused.
///
/// # Errors
/// A [`KeyFileFault`].
pub fn read_signing(path: &Path) -> Result<SigningKey, KeyFileFault> {
    let text = zeroize::Zeroizing::new(read_private(path)?);
    SigningKey::from_pem(&text).map_err(|fault| KeyFileFault::Key { path: path.to_owned(), fault })
}

/// Reads a public key, as [`new_key`] wrote it.
///
/// # Errors
/// A [`KeyFileFault`].
pub fn read_public(path: &Path) -> Result<PublicKey, KeyFileFault> {
    let text = std::fs::read_to_string(path).map_err(file_fault(path))?;
    serde_json::from_str(&text)
        .map_err(|fault| KeyFileFault::Public { path: path.to_owned(), reason: fault.to_string() })
}

/// Reads a secret: a file that only its owner may read, or what is no file, such as a pipe.
///
/// # Errors
/// [`KeyFileFault::Open`] or [`KeyFileFault::File`].
pub fn read_private(path: &Path) -> Result<String, KeyFileFault> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = std::fs::metadata(path).map_err(file_fault(path))?;
        if metadata.is_file() && metadata.mode() & 0o077 != 0 && !is_handed_out(path) {
            return Err(KeyFileFault::Open { path: path.to_owned() });
        }
    }
    std::fs::read_to_string(path).map_err(file_fault(path))
}

/// Whether the service manager hands the file out to this service alone (systemd.exec(5), "Credentials"); it may show that as a right of
/// the group's.
#[cfg(unix)]
fn is_handed_out(path: &Path) -> bool {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty());
    let canonical = |path: &Path| path.canonicalize().ok();
    match (folder, canonical(path)) {
        (Some(folder), Some(path)) => canonical(Path::new(&folder)).as_deref() == path.parent(),
        (Some(_) | None, _) => false,
    }
}

fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

fn file_fault(path: &Path) -> impl Fn(std::io::Error) -> KeyFileFault {
    let path = path.to_owned();
    move |source| KeyFileFault::File { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_private_read_back_and_never_overwritten() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("root.pem");
        let public = new_key(&path).expect("makes a key");
        assert_eq!(read_signing(&path).expect("reads").public(), public);
        assert_eq!(read_public(&dir.path().join("root.pem.pub")).expect("reads"), public);
        assert!(matches!(new_key(&path), Err(KeyFileFault::Exists { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("root.pem");
        new_key(&path).expect("makes a key");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("changes");
        assert!(matches!(read_signing(&path), Err(KeyFileFault::Open { .. })));
    }
}
