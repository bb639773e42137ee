//! A release as its publisher states it.

use std::collections::BTreeMap;

use minisign_verify::Signature;
use model::{Digest, ReleaseVersion};
use serde::{Deserialize, Serialize};

use crate::form::Form;
use crate::keys::Keys;

/// The format version of [`Release`].
pub const RELEASE_FORMAT: u32 = 1;
/// The name of a release's statement in its folder.
pub const STATEMENT_FILE: &str = "release.json";
/// The name of the statement's signature.
pub const SIGNATURE_FILE: &str = "release.json.minisig";
/// The largest statement, in bytes.
pub const STATEMENT_LIMIT: usize = 64 * 1024;
/// The largest signature, in bytes.
pub const SIGNATURE_LIMIT: usize = 4 * 1024;
/// The largest package, in bytes.
pub const PACKAGE_LIMIT: u64 = 512 * 1024 * 1024;
/// What statements of this publisher about other products do not say.
const PRODUCT: &str = "deskgate";

/// A release whose signature was good. Keys that a later version adds are passed over: an older program has to find its way to a later
/// one, and what it knows says all that it acts on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    format: u32,
    product: String,
    version: ReleaseVersion,
    packages: BTreeMap<String, Package>,
}

/// One package of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// The name of its file, beside the statement.
    pub file: String,
    /// Its size in bytes, exactly.
    pub size: u64,
    /// The digest of its bytes.
    pub sha256: Digest,
}

/// Why a release is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseFault {
    /// This program has no publisher's key.
    #[error("this program was built without its publisher's key, so that it believes no release")]
    NoKey,
    /// The signature is not one.
    #[error("the signature is not one that minisign makes")]
    NoSignature,
    /// None of the keys has signed the statement.
    #[error("the publisher has not signed it")]
    NotSigned,
    /// What was signed is no statement of a release of this program.
    #[error("what is signed is not the statement of a release of Deskgate that this version can read")]
    Unreadable,
    /// A file's name that is more than a name, or a size out of bounds.
    #[error("the statement names a file or a size that cannot be")]
    Impossible,
    /// The release has nothing for this computer.
    #[error("it has no package for {0}")]
    NoPackage(String),
    /// The release is of another version than the one that was asked for.
    #[error("version {wanted} was asked for, and {found} is there")]
    OtherVersion {
        /// The version that was asked for.
        wanted: ReleaseVersion,
        /// The version that the publisher has signed.
        found: ReleaseVersion,
    },
    /// The package is not what the statement says.
    #[error("the package is not the one that the publisher has signed")]
    OtherPackage,
}

impl Release {
    /// Believes a statement that one of the publisher's keys has signed.
    ///
    /// # Errors
    /// A [`ReleaseFault`].
    pub fn verified(keys: &Keys, statement: &[u8], signature: &[u8]) -> Result<Self, ReleaseFault> {
        if keys.is_empty() {
            return Err(ReleaseFault::NoKey);
        }
        let signature = std::str::from_utf8(signature).ok().and_then(|text| Signature::decode(text).ok());
        let signature = signature.ok_or(ReleaseFault::NoSignature)?;
        if !keys.have_signed(statement, &signature) {
            return Err(ReleaseFault::NotSigned);
        }
        let release: Self = serde_json::from_slice(statement).map_err(|_| ReleaseFault::Unreadable)?;
        if release.format != RELEASE_FORMAT || release.product != PRODUCT {
            return Err(ReleaseFault::Unreadable);
        }
        if release.packages.values().all(Package::is_possible) {
            Ok(release)
        } else {
            Err(ReleaseFault::Impossible)
        }
    }

    /// The version.
    pub fn version(&self) -> ReleaseVersion {
        self.version
    }

    /// The package of a form for this computer.
    ///
    /// # Errors
    /// [`ReleaseFault::NoPackage`].
    pub fn package(&self, form: Form) -> Result<&Package, ReleaseFault> {
        let platform = form.platform();
        self.packages.get(&platform).ok_or(ReleaseFault::NoPackage(platform))
    }

    /// Insists on a version: a folder may hold another release than its name says.
    ///
    /// # Errors
    /// [`ReleaseFault::OtherVersion`].
    pub fn of_version(self, wanted: ReleaseVersion) -> Result<Self, ReleaseFault> {
        if self.version == wanted {
            Ok(self)
        } else {
            Err(ReleaseFault::OtherVersion { wanted, found: self.version })
        }
    }
}

impl Package {
    /// Whether these are its bytes.
    ///
    /// # Errors
    /// [`ReleaseFault::OtherPackage`], also where they cannot be read.
    pub fn check(&self, bytes: impl std::io::Read) -> Result<(), ReleaseFault> {
        match Digest::of_all(bytes) {
            Ok(digest) if digest == self.sha256 => Ok(()),
            Ok(_) | Err(_) => Err(ReleaseFault::OtherPackage),
        }
    }

    fn is_possible(&self) -> bool {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-+~".contains(letter);
        let is_name = self.file.chars().all(plain)
            && self.file.starts_with(|first: char| first.is_ascii_alphanumeric());
        is_name && self.file.len() <= 128 && self.size > 0 && self.size <= PACKAGE_LIMIT
    }
}

/// The version of this program.
pub fn running() -> Option<ReleaseVersion> {
    env!("CARGO_PKG_VERSION").parse().ok()
}

/// What is to be done about a version that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Stay,
    /// To a later version.
    Forward,
    /// To an earlier one, which the organisation has pinned.
    Back,
}

/// What is to be done where `running` runs and `there` is there. Back goes nobody who was not told to by a pin.
pub fn step(running: ReleaseVersion, there: ReleaseVersion, is_pinned: bool) -> Step {
    match there.cmp(&running) {
        std::cmp::Ordering::Greater => Step::Forward,
        std::cmp::Ordering::Less if is_pinned => Step::Back,
        std::cmp::Ordering::Less | std::cmp::Ordering::Equal => Step::Stay,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Cursor;

    use minisign::KeyPair;
    use serde_json::{Value, json};

    use super::*;

    pub(crate) fn pair() -> (KeyPair, Keys) {
        let pair = KeyPair::generate_unencrypted_keypair().expect("a key");
        let keys = Keys::of(&pair.pk.to_base64()).expect("its public part");
        (pair, keys)
    }

    pub(crate) fn sign(pair: &KeyPair, bytes: &[u8]) -> Vec<u8> {
        let signed = minisign::sign(None, &pair.sk, Cursor::new(bytes), None, None).expect("signs");
        signed.into_string().into_bytes()
    }

    pub(crate) fn stated(version: &str, package: &[u8], file: &str) -> Value {
        let package = json!({"file": file, "size": package.len(), "sha256": Digest::of(package)});
        json!({"format": 1, "product": "deskgate", "version": version, "packages": {Form::Deb.platform(): package}})
    }

    fn read(keys: &Keys, pair: &KeyPair, statement: &Value) -> Result<Release, ReleaseFault> {
        let statement = statement.to_string().into_bytes();
        Release::verified(keys, &statement, &sign(pair, &statement))
    }

    #[test]
    fn what_the_publisher_has_signed_is_believed_to_the_letter() {
        let (pair, keys) = pair();
        let release = read(&keys, &pair, &stated("0.2.0", b"package", "deskgate.deb")).expect("believed");
        assert_eq!(release.version().to_string(), "0.2.0");
        let package = release.package(Form::Deb).expect("a package");
        assert_eq!(package.check(&b"package"[..]), Ok(()));
        assert_eq!(package.check(&b"tampered"[..]), Err(ReleaseFault::OtherPackage));
        assert_eq!(
            release.package(Form::Rpm),
            Err(ReleaseFault::NoPackage(Form::Rpm.platform())),
            "a package of another form is none for this one"
        );
        let asked = release.of_version("0.3.0".parse().expect("a version"));
        assert!(matches!(asked, Err(ReleaseFault::OtherVersion { .. })), "an old release under a new name");
    }

    #[test]
    fn nobody_else_s_word_counts() {
        let ((pair, keys), (stranger, other)) = (pair(), pair());
        let statement = stated("0.2.0", b"package", "deskgate.deb");
        assert_eq!(read(&keys, &stranger, &statement), Err(ReleaseFault::NotSigned));
        assert_eq!(read(&Keys::of("").expect("none"), &pair, &statement), Err(ReleaseFault::NoKey));
        let both = Keys::of(&format!("{} {}", stranger.pk.to_base64(), pair.pk.to_base64())).expect("two");
        assert!(read(&both, &pair, &statement).is_ok() && read(&both, &stranger, &statement).is_ok());
        let bytes = statement.to_string().into_bytes();
        let (good, mut altered) = (sign(&pair, &bytes), bytes.clone());
        altered[60] ^= 1;
        assert_eq!(Release::verified(&keys, &altered, &good), Err(ReleaseFault::NotSigned));
        assert_eq!(Release::verified(&keys, &bytes, b"untrusted"), Err(ReleaseFault::NoSignature));
        assert_eq!(Release::verified(&other, &bytes, &good), Err(ReleaseFault::NotSigned));
        let comment =
            String::from_utf8(good).expect("text").replace("trusted comment: ", "trusted comment: 9");
        assert_eq!(
            Release::verified(&keys, &bytes, comment.as_bytes()),
            Err(ReleaseFault::NotSigned),
            "not even the comment is another"
        );
    }

    #[test]
    fn what_is_signed_must_be_a_release_of_this_program() {
        let (pair, keys) = pair();
        let good = stated("0.2.0", b"package", "deskgate.deb");
        let with = |pointer: &str, value: Value| {
            let mut statement = good.clone();
            *statement.pointer_mut(pointer).expect("it is there") = value;
            read(&keys, &pair, &statement)
        };
        assert_eq!(with("/format", json!(2)), Err(ReleaseFault::Unreadable));
        assert_eq!(with("/product", json!("another")), Err(ReleaseFault::Unreadable));
        assert_eq!(with("/version", json!("0.2")), Err(ReleaseFault::Unreadable));
        let at = |key: &str| format!("/packages/{}/{key}", Form::Deb.platform());
        for file in ["../deskgate.deb", "/etc/passwd", "", ".deb", "-deb", "a/b", "a b", "a\u{202e}b"] {
            assert_eq!(with(&at("file"), json!(file)), Err(ReleaseFault::Impossible), "{file}");
        }
        for size in [0, PACKAGE_LIMIT + 1] {
            assert_eq!(with(&at("size"), json!(size)), Err(ReleaseFault::Impossible), "{size}");
        }
        let mut later = good.clone();
        later["notes"] = json!("what a later version says beside it");
        assert!(read(&keys, &pair, &later).is_ok());
    }

    #[test]
    fn back_goes_nobody_without_a_pin() {
        let version = |text: &str| text.parse().expect("a version");
        let (old, new) = (version("0.1.0"), version("0.2.0"));
        assert_eq!([step(old, new, false), step(old, new, true)], [Step::Forward; 2]);
        assert_eq!(step(new, old, false), Step::Stay);
        assert_eq!(step(new, old, true), Step::Back);
        assert_eq!(step(new, new, true), Step::Stay);
    }
}
