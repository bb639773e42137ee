//! What the vault keeps.

use serde::{Deserialize, Serialize};

/// The kind of a record. Each has its own directory and its own sealing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The person's OAuth grant at a connector, or a token that they typed in.
    Grant,
    /// Deskgate's own dynamic registration at an authorization server (RFC 7591).
    Client,
    /// An assistant's registration at the gateway.
    GatewayClient,
    /// The digest and the meaning of a token that the gateway issued.
    GatewayToken,
    /// A consent that a person gave.
    Consent,
    /// A person's leave for calls, until they take it back.
    Approval,
    /// The session at the organisation's identity provider and control plane.
    Session,
    /// The highest version seen of a signed document.
    Ratchet,
    /// A connector's accepted tool definitions.
    Pin,
    /// What a person accepted of connectors that changed.
    Acceptance,
    /// This installation's own key and identity.
    Device,
    /// How far an upload has been acknowledged.
    Cursor,
    /// A value that a person's own connector's program is started with.
    Sealed,
    /// What was taken out of an assistant's configuration, to be put back.
    Import,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::Grant,
        Self::Client,
        Self::GatewayClient,
        Self::GatewayToken,
        Self::Consent,
        Self::Approval,
        Self::Session,
        Self::Ratchet,
        Self::Pin,
        Self::Acceptance,
        Self::Device,
        Self::Cursor,
        Self::Sealed,
        Self::Import,
    ];

    /// The stable name: directory, key derivation and sealing depend on it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Client => "client",
            Self::GatewayClient => "gateway-client",
            Self::GatewayToken => "gateway-token",
            Self::Consent => "consent",
            Self::Approval => "approval",
            Self::Session => "session",
            Self::Ratchet => "ratchet",
            Self::Pin => "pin",
            Self::Acceptance => "acceptance",
            Self::Device => "device",
            Self::Cursor => "cursor",
            Self::Sealed => "sealed",
            Self::Import => "import",
        }
    }

    // When the keychain opens late, a record may exist on disk and in memory. What identifies this installation or
    // guards against going back was right on disk; what a person did meanwhile is newer in memory.
    pub(crate) fn disk_wins(self) -> bool {
        match self {
            Self::Ratchet | Self::Pin | Self::Acceptance | Self::Device | Self::Cursor => true,
            Self::Grant
            | Self::Client
            | Self::GatewayClient
            | Self::GatewayToken
            | Self::Consent
            | Self::Approval
            | Self::Session
            | Self::Sealed
            | Self::Import => false,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_written_name_is_the_stable_one() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
