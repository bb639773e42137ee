//! Why a SAML answer signs nobody in. Each reason is one of its own, for the log and for tests; the person is told little,
//! and whoever sent the answer nothing.

use saml_rs::SamlError;

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SamlFault {
    /// The identity provider's description in the signed content is of no use.
    #[error("the identity provider's description cannot be used: {0}")]
    Settings(String),
    /// Not base64, or not UTF-8.
    #[error("the response is not base64 of UTF-8")]
    Encoding,
    /// Larger than any response that is believed.
    #[error("the response is too large")]
    TooLarge,
    /// Not well-formed.
    #[error("the response is not well-formed XML: {0}")]
    Malformed(String),
    /// Well-formed, but with what no response needs and parsers differ in.
    #[error("the response has {0}, which is not taken")]
    Forbidden(&'static str),
    /// An element that has no place there, or is there too often or not at all.
    #[error("the response has {what} in {place} where it may not be")]
    Place {
        /// The element.
        what: String,
        /// What it is in.
        place: String,
    },
    /// Encrypted to a key that nobody here has: TLS keeps secret what is said.
    #[error("the response is encrypted; have the identity provider send assertions that are not")]
    Encrypted,
    /// An element that has to be there is missing.
    #[error("the response lacks {what} in {place}")]
    Missing {
        /// What is missing.
        what: &'static str,
        /// Where.
        place: &'static str,
    },
    /// An attribute that has no place there.
    #[error("the response has the attribute {name} on {place}, where it may not be")]
    Attribute {
        /// The attribute.
        name: String,
        /// The element.
        place: String,
    },
    /// A value that is none of those allowed.
    #[error("the response's {0} is not what it may be")]
    Value(&'static str),
    /// An algorithm that is not on the list.
    #[error("the response uses the algorithm {0}, which is not taken")]
    Algorithm(String),
    /// The identity provider says that it signed nobody in.
    #[error("the identity provider signed nobody in: {0}")]
    Status(String),
    /// The identifier is another at each sign-in.
    #[error(
        "the identity provider sends transient identifiers, which name nobody; persistent ones or e-mail addresses do"
    )]
    Transient,
    /// It answers another request.
    #[error("the response answers another request")]
    InResponseTo,
    /// It is for another receiver.
    #[error("the response is for another receiver")]
    Destination,
    /// The person was to authenticate anew and did not.
    #[error("the person did not authenticate anew")]
    NotAnew,
    /// It is too old, or not yet good.
    #[error("the sign-in is over or not yet begun")]
    Time,
    /// The verifier refuses it.
    #[error("the response is refused: {0}")]
    Refused(#[from] SamlError),
    /// The verifier has read something else than what is read here.
    #[error("the response can be read in two ways: {0}")]
    Ambiguous(&'static str),
    /// The certificate by which the response was to be verified is none.
    #[error(transparent)]
    Certificate(#[from] super::CertificateFault),
}

impl SamlFault {
    /// The reason in a word, without anything that the answer says.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Settings(_) | Self::Certificate(_) => "saml-settings",
            Self::Encoding | Self::TooLarge | Self::Malformed(_) => "saml-unreadable",
            Self::Forbidden(_) | Self::Place { .. } | Self::Missing { .. } | Self::Attribute { .. } => {
                "saml-form"
            }
            Self::Value(_) | Self::Transient => "saml-value",
            Self::Encrypted => "saml-encrypted",
            Self::Algorithm(_) => "saml-algorithm",
            Self::Status(_) => "saml-status",
            Self::InResponseTo => "saml-another-question",
            Self::Destination => "saml-another-receiver",
            Self::NotAnew => "saml-not-anew",
            Self::Time => "saml-time",
            Self::Refused(_) => "saml-not-verified",
            Self::Ambiguous(_) => "saml-ambiguous",
        }
    }
}
