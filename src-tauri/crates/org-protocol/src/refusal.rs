//! Why a signed document is not believed. Each reason has its own name, so that a test and a person can tell them apart.

use model::{Advice, Digest, ForPerson, Timestamp};

use crate::content::ContentFault;
use crate::dsse::DsseFault;
use crate::root::{RootFault, RootFingerprint};

/// Why a signed document is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The envelope: its form, its type or its signatures.
    #[error(transparent)]
    Envelope(#[from] DsseFault),
    /// The root document says nothing usable.
    #[error(transparent)]
    Root(#[from] RootFault),
    /// The root document is not the pinned one.
    #[error("the root document's fingerprint is {found}, not {pinned}")]
    Fingerprint {
        /// What was pinned.
        pinned: RootFingerprint,
        /// What the document has.
        found: RootFingerprint,
    },
    /// Root documents are walked one by one.
    #[error("the root document has version {found}, the next is {expected}")]
    RootVersion {
        /// The next version.
        expected: u64,
        /// The document's.
        found: u64,
    },
    /// The newest root document is older than one that was known before: somebody may be withholding newer ones.
    #[error("root document {found} is older than root document {seen}")]
    RootRollback {
        /// The highest version known.
        seen: u64,
        /// The document's.
        found: u64,
    },
    /// The newest root document vouches for nothing any more.
    #[error("the root document expired at {at}")]
    RootExpired {
        /// When.
        at: Timestamp,
    },
    /// A document of another organisation.
    #[error("the document is of organisation {found:?}, not {expected:?}")]
    WrongOrg {
        /// Whose documents are trusted here.
        expected: String,
        /// Whose it is.
        found: String,
    },
    /// A root document that takes the epoch back.
    #[error("epoch {found} is before epoch {seen}")]
    EpochRollback {
        /// The epoch that holds.
        seen: u64,
        /// The document's.
        found: u64,
    },
    /// A manifest of another epoch than the root document asks for.
    #[error("the manifest is of epoch {found}, the root document asks for {expected}")]
    WrongEpoch {
        /// The root document's epoch.
        expected: u64,
        /// The manifest's.
        found: u64,
    },
    /// An older manifest than was seen before.
    #[error("manifest version {found} is older than version {seen}")]
    Rollback {
        /// The highest version seen.
        seen: u64,
        /// The document's.
        found: u64,
    },
    /// Two different manifests carry one version.
    #[error("there is another manifest of version {version}")]
    TwoOfOneVersion {
        /// The version.
        version: u64,
    },
    /// The manifest has expired: somebody may be withholding newer ones.
    #[error("the manifest expired at {at}")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// The manifest was issued later than this computer's clock shows.
    #[error("the manifest was issued at {issued}, after this clock's {now}")]
    IssuedInFuture {
        /// When it was issued.
        issued: Timestamp,
        /// What the clock shows.
        now: Timestamp,
    },
    /// This computer's clock is behind a time that is known to have passed.
    #[error("the clock shows {now}, but {known} has passed")]
    ClockBehind {
        /// The latest time known to have passed.
        known: Timestamp,
        /// What the clock shows.
        now: Timestamp,
    },
    /// The manifest is not JSON, lacks something, or has a key that is not understood.
    #[error("the manifest cannot be read: {0}")]
    ManifestJson(String),
    /// A manifest format that is not known here.
    #[error("the manifest has format {0}, which this version cannot read")]
    ManifestFormat(u32),
    /// The manifest names a bundle that it revokes.
    #[error("the manifest names {digest}, which it revokes")]
    NamesRevoked {
        /// The bundle.
        digest: Digest,
    },
    /// The manifest has no bundle in a format that this version reads.
    #[error("the manifest has bundles of formats {formats:?}, none of which this version can read")]
    NoReadableBundle {
        /// The formats that it has.
        formats: Vec<u32>,
    },
    /// The bundle is of another format than the manifest says.
    #[error("the bundle has format {found}, the manifest says {expected}")]
    BundleFormat {
        /// The manifest's.
        expected: u32,
        /// The bundle's.
        found: u32,
    },
    /// A bundle was offered before any manifest.
    #[error("no manifest was accepted yet")]
    NoManifest,
    /// Larger than any such document may be.
    #[error("the document has {size} bytes, more than {limit}")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The bundle does not have the size that the manifest names.
    #[error("the bundle has {found} bytes, the manifest says {expected}")]
    BundleSize {
        /// The manifest's.
        expected: u64,
        /// The bundle's.
        found: u64,
    },
    /// The bundle is not the one that the manifest names.
    #[error("the bundle is {found}, the manifest names {expected}")]
    BundleDigest {
        /// The manifest's.
        expected: Digest,
        /// The bundle's.
        found: Digest,
    },
    /// The bundle is not JSON, lacks something, or has a key that is not understood.
    #[error("the bundle cannot be read: {0}")]
    ContentJson(String),
    /// The bundle says nothing usable.
    #[error(transparent)]
    Content(#[from] ContentFault),
    /// A stored document is not the one that was accepted.
    #[error("the stored {document} is not the one that was accepted")]
    Altered {
        /// Which.
        document: &'static str,
    },
    /// The persisted state is of a format that is not known here.
    #[error("the stored trust state has format {0}, which this version cannot read")]
    RatchetFormat(u32),
}

impl Refusal {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Envelope(DsseFault::TooFewSignatures { .. }) => "bundle-signature",
            Self::Envelope(_) => "bundle-envelope",
            Self::Root(_) => "root-unreadable",
            Self::Fingerprint { .. } => "root-fingerprint",
            Self::RootVersion { .. } => "root-version",
            Self::RootRollback { .. } => "root-rollback",
            Self::RootExpired { .. } => "root-expired",
            Self::WrongOrg { .. } => "bundle-wrong-org",
            Self::EpochRollback { .. } | Self::WrongEpoch { .. } => "bundle-epoch",
            Self::Rollback { .. } => "bundle-rollback",
            Self::TwoOfOneVersion { .. } => "bundle-two-of-one-version",
            Self::Expired { .. } => "bundle-expired",
            Self::IssuedInFuture { .. } => "bundle-from-the-future",
            Self::ClockBehind { .. } => "clock-behind",
            Self::ManifestJson(_) | Self::ManifestFormat(_) => "manifest-unreadable",
            Self::NamesRevoked { .. } => "bundle-revoked",
            Self::NoReadableBundle { .. } => "bundle-too-new",
            Self::NoManifest => "bundle-without-manifest",
            Self::TooLarge { .. } => "bundle-too-large",
            Self::BundleSize { .. } => "bundle-size",
            Self::BundleDigest { .. } => "bundle-digest",
            Self::BundleFormat { .. } => "bundle-format",
            Self::ContentJson(_) | Self::Content(_) => "bundle-unreadable",
            Self::Altered { .. } => "bundle-altered",
            Self::RatchetFormat(_) => "trust-state-too-new",
        }
    }
}

impl ForPerson for Refusal {
    fn advice(&self) -> Advice {
        let means = "The last good policy stays in force; nothing was changed.";
        let (happened, todo) = match self {
            Self::ClockBehind { .. } | Self::IssuedInFuture { .. } => (
                "This computer's clock does not fit the organisation's policy.",
                "Set the date and time of this computer.",
            ),
            Self::NoReadableBundle { .. } | Self::RatchetFormat(_) => {
                ("The organisation's policy needs a newer version of Deskgate.", "Update Deskgate.")
            }
            Self::Fingerprint { .. } => (
                "The organisation's keys are not the ones that this computer was told to trust.",
                "Do not go on; ask your IT department whether the fingerprint has changed.",
            ),
            Self::Expired { .. } | Self::RootExpired { .. } => (
                "The organisation's policy has expired and no newer one is published.",
                "Tell your IT department.",
            ),
            Self::Altered { .. } => (
                "The stored policy was changed on this computer.",
                "Deskgate fetches it again; tell your IT department if this comes back.",
            ),
            Self::Envelope(DsseFault::Json(_)) => (
                "Something else came in the place of the organisation's policy, and was refused.",
                "Check whether this network wants you to sign in first; if not, tell your IT department.",
            ),
            Self::Envelope(_)
            | Self::Root(_)
            | Self::RootVersion { .. }
            | Self::RootRollback { .. }
            | Self::WrongOrg { .. }
            | Self::EpochRollback { .. }
            | Self::WrongEpoch { .. }
            | Self::Rollback { .. }
            | Self::TwoOfOneVersion { .. }
            | Self::ManifestJson(_)
            | Self::ManifestFormat(_)
            | Self::NamesRevoked { .. }
            | Self::NoManifest
            | Self::TooLarge { .. }
            | Self::BundleSize { .. }
            | Self::BundleDigest { .. }
            | Self::BundleFormat { .. }
            | Self::ContentJson(_)
            | Self::Content(_) => (
                "The organisation's new policy could not be verified and was refused.",
                "Tell your IT department.",
            ),
        };
        Advice::new(self.code(), happened, means, todo)
    }
}
