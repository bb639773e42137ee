//! What a response says, read from the tree of [`preparse`](super::preparse) and from nothing else. The forms that are
//! checked here need no key: who may be believed is decided by the verifier.

use std::collections::{BTreeMap, BTreeSet};

use model::Timestamp;

use super::SamlFault;
use super::grammar::{DIGESTS, ENVELOPED, EXC_C14N, SIGNATURES};
use super::preparse::Node;

const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
const ENTITY: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity";
const TRANSIENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";
/// The longest identifier of a message (SAML Core 2.0, section 1.3.4, asks for 128 bits of randomness).
const ID_LIMIT: usize = 256;
/// The longest identifier of a person or a session.
const NAME_LIMIT: usize = 255;

/// What a response says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) response_id: String,
    pub(super) assertion_id: String,
    pub(super) issuer: String,
    /// What it answers; response and assertion agree.
    pub(super) in_response_to: String,
    /// Where it was sent; response and assertion agree.
    pub(super) receiver: String,
    pub(super) audiences: BTreeSet<String>,
    pub(super) name_id: String,
    pub(super) attributes: BTreeMap<String, Vec<String>>,
    pub(super) session_index: Option<String>,
    pub(super) authenticated: Timestamp,
    pub(super) session_until: Option<Timestamp>,
    /// From when the assertion is good, where it says so.
    pub(super) from: Option<Timestamp>,
    /// Until when it may be presented here: the earlier of what it says in two places.
    pub(super) until: Timestamp,
}

/// Reads what a response says.
///
/// # Errors
/// A [`SamlFault`] where it contradicts itself, signs not exactly response and assertion, or leaves out what is needed.
pub(super) fn read(response: &Node) -> Result<Facts, SamlFault> {
    version(response)?;
    let status = needed(response, "Status", "Response")?;
    succeeded(status)?;
    let assertion = needed(response, "Assertion", "Response")?;
    version(assertion)?;
    let (response_id, assertion_id) = (id(response)?, id(assertion)?);
    if response_id == assertion_id {
        return Err(SamlFault::Value("ID"));
    }
    signed(response, &response_id)?;
    signed(assertion, &assertion_id)?;

    let issuer = issuer(assertion)?;
    if self::issuer(response)? != issuer {
        return Err(SamlFault::Value("Issuer"));
    }
    let subject = needed(assertion, "Subject", "Assertion")?;
    let confirmation = needed(subject, "SubjectConfirmation", "Subject")?;
    if confirmation.attribute("Method") != Some(BEARER) {
        return Err(SamlFault::Value("SubjectConfirmation Method"));
    }
    let confirmed = needed(confirmation, "SubjectConfirmationData", "SubjectConfirmation")?;
    let in_response_to = same(response, "InResponseTo", confirmed, "InResponseTo")?;
    let receiver = same(response, "Destination", confirmed, "Recipient")?;
    let conditions = needed(assertion, "Conditions", "Assertion")?;
    let restriction = needed(conditions, "AudienceRestriction", "Conditions")?;
    let statement = needed(assertion, "AuthnStatement", "Assertion")?;
    let until = time(confirmed, "NotOnOrAfter")?.min(time(conditions, "NotOnOrAfter")?);
    Ok(Facts {
        response_id,
        assertion_id,
        issuer,
        in_response_to,
        receiver,
        audiences: restriction.all("Audience").map(|audience| audience.text.clone()).collect(),
        name_id: name_id(subject)?,
        attributes: attributes(assertion)?,
        session_index: statement
            .attribute("SessionIndex")
            .map(|index| name(index, "SessionIndex"))
            .transpose()?,
        authenticated: time(statement, "AuthnInstant")?,
        session_until: optional_time(statement, "SessionNotOnOrAfter")?,
        from: optional_time(conditions, "NotBefore")?,
        until,
    })
}

fn needed<'a>(node: &'a Node, name: &'static str, place: &'static str) -> Result<&'a Node, SamlFault> {
    node.child(name).ok_or(SamlFault::Missing { what: name, place })
}

fn version(node: &Node) -> Result<(), SamlFault> {
    if node.attribute("Version") == Some("2.0") { Ok(()) } else { Err(SamlFault::Value("Version")) }
}

fn succeeded(status: &Node) -> Result<(), SamlFault> {
    let code = needed(status, "StatusCode", "Status")?;
    if code.attribute("Value") == Some(SUCCESS) && code.children.is_empty() {
        return Ok(());
    }
    // Who says so is not verified: it signs nobody in either way.
    let codes = std::iter::successors(Some(code), |code| code.child("StatusCode"));
    let codes = codes.filter_map(|code| code.attribute("Value")).filter_map(|code| code.rsplit(':').next());
    let codes: Vec<String> =
        codes.map(|code| code.chars().filter(char::is_ascii_alphanumeric).take(40).collect()).collect();
    Err(SamlFault::Status(codes.join(", ")))
}

/// An `ID` (xs:ID), of ASCII only: nothing that two programs could compare in two ways.
fn id(node: &Node) -> Result<String, SamlFault> {
    let id = node.attribute("ID").ok_or(SamlFault::Value("ID"))?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let begins = id.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if begins && id.len() <= ID_LIMIT && id.bytes().all(good) {
        Ok(id.to_owned())
    } else {
        Err(SamlFault::Value("ID"))
    }
}

/// Whether the element carries a signature of itself and of nothing else, made in one of the ways that are taken.
fn signed(node: &Node, id: &str) -> Result<(), SamlFault> {
    let place = node.kind.name;
    let signature = needed(node, "Signature", place)?;
    let info = needed(signature, "SignedInfo", "Signature")?;
    needed(signature, "SignatureValue", "Signature")?;
    algorithm(needed(info, "CanonicalizationMethod", "SignedInfo")?, &[EXC_C14N])?;
    algorithm(needed(info, "SignatureMethod", "SignedInfo")?, &SIGNATURES)?;
    let reference = needed(info, "Reference", "SignedInfo")?;
    if reference.attribute("URI").and_then(|uri| uri.strip_prefix('#')) != Some(id) {
        return Err(SamlFault::Value("Reference URI"));
    }
    let transforms = needed(reference, "Transforms", "Reference")?;
    let [enveloped, canonical] = transforms.children.as_slice() else {
        return Err(SamlFault::Value("Transforms"));
    };
    algorithm(enveloped, &[ENVELOPED])?;
    algorithm(canonical, &[EXC_C14N])?;
    if !enveloped.children.is_empty() {
        return Err(SamlFault::Value("Transforms"));
    }
    algorithm(needed(reference, "DigestMethod", "Reference")?, &DIGESTS)?;
    needed(reference, "DigestValue", "Reference").map(drop)
}

fn algorithm(node: &Node, allowed: &[&str]) -> Result<(), SamlFault> {
    let named = node.attribute("Algorithm").unwrap_or_default();
    if allowed.contains(&named) {
        return Ok(());
    }
    Err(SamlFault::Algorithm(named.chars().filter(char::is_ascii_graphic).take(100).collect()))
}

fn issuer(node: &Node) -> Result<String, SamlFault> {
    let issuer = needed(node, "Issuer", node.kind.name)?;
    match issuer.attribute("Format") {
        None | Some(ENTITY) => Ok(issuer.text.clone()),
        Some(_) => Err(SamlFault::Value("Issuer Format")),
    }
}

/// The person's identifier, exactly as it is written. One that is another at each sign-in is none.
fn name_id(subject: &Node) -> Result<String, SamlFault> {
    let node = needed(subject, "NameID", "Subject")?;
    if node.attribute("Format") == Some(TRANSIENT) {
        return Err(SamlFault::Transient);
    }
    name(&node.text, "NameID")
}

fn name(text: &str, what: &'static str) -> Result<String, SamlFault> {
    let good = !text.is_empty()
        && text.len() <= NAME_LIMIT
        && text.trim() == text
        && !text.chars().any(|c| c.is_control() || model::is_deceiving(c));
    if good { Ok(text.to_owned()) } else { Err(SamlFault::Value(what)) }
}

fn attributes(assertion: &Node) -> Result<BTreeMap<String, Vec<String>>, SamlFault> {
    let mut attributes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for attribute in assertion.child("AttributeStatement").iter().flat_map(|statement| &statement.children) {
        let name = attribute.attribute("Name").filter(|name| !name.is_empty());
        let name = name.ok_or(SamlFault::Value("Attribute Name"))?;
        let values = attribute.children.iter().map(|value| value.text.clone()).collect();
        // Which of two would count is not for here to guess.
        if attributes.insert(name.to_owned(), values).is_some() {
            return Err(SamlFault::Place {
                what: "Attribute".to_owned(),
                place: "AttributeStatement".to_owned(),
            });
        }
    }
    Ok(attributes)
}

fn same(one: &Node, name: &'static str, other: &Node, other_name: &'static str) -> Result<String, SamlFault> {
    let (first, second) = (one.attribute(name), other.attribute(other_name));
    match first {
        Some(value) if !value.is_empty() && first == second => Ok(value.to_owned()),
        Some(_) | None => Err(SamlFault::Value(name)),
    }
}

fn time(node: &Node, name: &'static str) -> Result<Timestamp, SamlFault> {
    optional_time(node, name)?.ok_or(SamlFault::Value(name))
}

/// A time in UTC (SAML Core 2.0, section 1.3.3).
fn optional_time(node: &Node, name: &'static str) -> Result<Option<Timestamp>, SamlFault> {
    let Some(text) = node.attribute(name) else { return Ok(None) };
    match text.parse() {
        Ok(at) if text.ends_with('Z') => Ok(Some(at)),
        Ok(_) | Err(_) => Err(SamlFault::Value(name)),
    }
}
