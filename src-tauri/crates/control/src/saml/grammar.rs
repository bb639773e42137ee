//! The elements and attributes that a response may have. Whatever is not here is refused, however harmless: what nobody
//! needs is where signatures are wrapped.
//!
//! Sources: SAML Core 2.0, sections 2 and 3; SAML Profiles 2.0, section 4.1.4.2; XML Signature Syntax and Processing 1.1.

/// Namespaces of elements.
pub(super) const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
pub(super) const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
pub(super) const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
pub(super) const EXC_C14N: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";

/// The transform that takes the signature out of what it signs (XML Signature 1.1, section 6.6.4).
pub(super) const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
/// RSA with PKCS #1 v1.5 and SHA-2 (RFC 6931, section 2.3). Nothing weaker, and nothing symmetric.
pub(super) const SIGNATURES: [&str; 3] = [
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
];
pub(super) const DIGESTS: [&str; 3] = [
    "http://www.w3.org/2001/04/xmlenc#sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512",
];

/// An element, wherever it is.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) namespace: &'static str,
    pub(super) name: &'static str,
    /// Attributes without a prefix.
    pub(super) attributes: &'static [&'static str],
    pub(super) content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Text and no elements.
    Text,
    /// Text in base64, which some write with carriage returns.
    Base64,
    /// These elements and no text: each with the number of times that it may be there at most.
    Elements(&'static [(&'static str, usize)]),
}

/// As often as it likes; the size of the whole is the limit.
const MANY: usize = usize::MAX;

const fn kind(
    namespace: &'static str,
    name: &'static str,
    attributes: &'static [&'static str],
    content: Content,
) -> Kind {
    Kind { namespace, name, attributes, content }
}

use Content::{Base64, Elements, Text};

const IDENTIFIER: &[&str] = &["Format", "NameQualifier", "SPNameQualifier", "SPProvidedID"];
const INCLUSIVE: Content = Elements(&[("InclusiveNamespaces", 1)]);

/// Every element. Local names are unique here, so they are names enough.
pub(super) const KINDS: &[Kind] = &[
    kind(
        PROTOCOL,
        "Response",
        &["ID", "Version", "IssueInstant", "Destination", "InResponseTo", "Consent"],
        Elements(&[("Issuer", 1), ("Signature", 1), ("Status", 1), ("Assertion", 1)]),
    ),
    kind(PROTOCOL, "Status", &[], Elements(&[("StatusCode", 1), ("StatusMessage", 1)])),
    kind(PROTOCOL, "StatusCode", &["Value"], Elements(&[("StatusCode", 1)])),
    kind(PROTOCOL, "StatusMessage", &[], Text),
    kind(
        ASSERTION,
        "Assertion",
        &["ID", "Version", "IssueInstant"],
        Elements(&[
            ("Issuer", 1),
            ("Signature", 1),
            ("Subject", 1),
            ("Conditions", 1),
            ("AuthnStatement", 1),
            ("AttributeStatement", 1),
        ]),
    ),
    kind(ASSERTION, "Issuer", IDENTIFIER, Text),
    kind(ASSERTION, "Subject", &[], Elements(&[("NameID", 1), ("SubjectConfirmation", 1)])),
    kind(ASSERTION, "NameID", IDENTIFIER, Text),
    kind(ASSERTION, "SubjectConfirmation", &["Method"], Elements(&[("SubjectConfirmationData", 1)])),
    kind(
        ASSERTION,
        "SubjectConfirmationData",
        &["NotOnOrAfter", "Recipient", "InResponseTo", "Address"],
        Elements(&[]),
    ),
    kind(
        ASSERTION,
        "Conditions",
        &["NotBefore", "NotOnOrAfter"],
        Elements(&[("AudienceRestriction", 1), ("OneTimeUse", 1)]),
    ),
    kind(ASSERTION, "AudienceRestriction", &[], Elements(&[("Audience", MANY)])),
    kind(ASSERTION, "Audience", &[], Text),
    kind(ASSERTION, "OneTimeUse", &[], Elements(&[])),
    kind(
        ASSERTION,
        "AuthnStatement",
        &["AuthnInstant", "SessionIndex", "SessionNotOnOrAfter"],
        Elements(&[("SubjectLocality", 1), ("AuthnContext", 1)]),
    ),
    kind(ASSERTION, "SubjectLocality", &["Address", "DNSName"], Elements(&[])),
    kind(
        ASSERTION,
        "AuthnContext",
        &[],
        Elements(&[
            ("AuthnContextClassRef", 1),
            ("AuthnContextDeclRef", 1),
            ("AuthenticatingAuthority", MANY),
        ]),
    ),
    kind(ASSERTION, "AuthnContextClassRef", &[], Text),
    kind(ASSERTION, "AuthnContextDeclRef", &[], Text),
    kind(ASSERTION, "AuthenticatingAuthority", &[], Text),
    kind(ASSERTION, "AttributeStatement", &[], Elements(&[("Attribute", MANY)])),
    kind(
        ASSERTION,
        "Attribute",
        &["Name", "NameFormat", "FriendlyName"],
        Elements(&[("AttributeValue", MANY)]),
    ),
    kind(ASSERTION, "AttributeValue", &[], Text),
    kind(DSIG, "Signature", &[], Elements(&[("SignedInfo", 1), ("SignatureValue", 1), ("KeyInfo", 1)])),
    kind(
        DSIG,
        "SignedInfo",
        &[],
        Elements(&[("CanonicalizationMethod", 1), ("SignatureMethod", 1), ("Reference", 1)]),
    ),
    kind(DSIG, "CanonicalizationMethod", &["Algorithm"], INCLUSIVE),
    kind(DSIG, "SignatureMethod", &["Algorithm"], Elements(&[])),
    kind(
        DSIG,
        "Reference",
        &["URI"],
        Elements(&[("Transforms", 1), ("DigestMethod", 1), ("DigestValue", 1)]),
    ),
    kind(DSIG, "Transforms", &[], Elements(&[("Transform", 2)])),
    kind(DSIG, "Transform", &["Algorithm"], INCLUSIVE),
    kind(EXC_C14N, "InclusiveNamespaces", &["PrefixList"], Elements(&[])),
    kind(DSIG, "DigestMethod", &["Algorithm"], Elements(&[])),
    kind(DSIG, "DigestValue", &[], Base64),
    kind(DSIG, "SignatureValue", &[], Base64),
    // No KeyValue and no RetrievalMethod: keys are named by the signed content, never by the response.
    kind(DSIG, "KeyInfo", &[], Elements(&[("X509Data", 1), ("KeyName", 1)])),
    kind(DSIG, "KeyName", &[], Text),
    kind(DSIG, "X509Data", &[], Elements(&[("X509Certificate", 1)])),
    kind(DSIG, "X509Certificate", &[], Base64),
];

/// The elements that may carry attributes of other namespaces, such as `xsi:type`: nothing here reads those.
pub(super) const OPEN: [&str; 2] = ["Attribute", "AttributeValue"];

/// The element of this name.
pub(super) fn known(namespace: &str, name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name && kind.namespace == namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_that_is_allowed_somewhere_is_described_once() {
        for kind in KINDS {
            assert_eq!(KINDS.iter().filter(|other| other.name == kind.name).count(), 1, "{}", kind.name);
            if let Elements(children) = kind.content {
                for (child, _) in children {
                    assert!(KINDS.iter().any(|other| other.name == *child), "{child} in {}", kind.name);
                }
            }
        }
    }
}
