//! Why an entry cannot be taken over, in words for a person. None of them says a value.

use model::{Advice, ForPerson};

/// Why a server that is configured outside Deskgate cannot become a connector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The assistant does not use it.
    #[error("it is switched off")]
    SwitchedOff,
    /// It is reached by HTTP with SSE, as MCP had it before 2025-03-26.
    #[error("it is reached by the transport SSE, which Deskgate does not speak")]
    OldTransport,
    /// A value is put in by the assistant.
    #[error("it has a value that the assistant puts in, from a variable or by asking")]
    Variable,
    /// The entry says more than a connector can.
    #[error("it has \"{0}\", which Deskgate cannot do")]
    Member(String),
    /// A member is not as it should be.
    #[error("its \"{0}\" is not understood")]
    Form(String),
    /// More than one header is sent.
    #[error("it is sent more than one header")]
    SeveralHeaders,
    /// The header is not a token.
    #[error("its header holds no token that Deskgate can send")]
    Header,
    /// The address itself is, or may be, a secret.
    #[error("its address holds what may be a secret")]
    SecretInAddress,
}

impl ForPerson for Unfit {
    fn advice(&self) -> Advice {
        let todo = match self {
            Self::SwitchedOff => "Switch it on in the assistant first, or leave it.",
            Self::OldTransport => {
                "Ask its maker for an address of the transport Streamable HTTP, and change the entry."
            }
            Self::Variable => {
                "Write the value itself into the entry and import it then: it is sealed and leaves the file. Or add the connector by hand."
            }
            Self::Member(_) | Self::Form(_) | Self::SeveralHeaders | Self::Header => {
                "Add the connector to deskgate.toml by hand, and remove the entry."
            }
            Self::SecretInAddress => {
                "Deskgate keeps no secrets in addresses. If the server also takes its key in a header, write it so and import it then."
            }
        };
        let text = self.to_string();
        let happened = text.strip_prefix("it").map_or(text.clone(), |rest| format!("It{rest}"));
        Advice::new("import-unfit", format!("{happened}."), "It stays as it is.", todo)
    }
}
