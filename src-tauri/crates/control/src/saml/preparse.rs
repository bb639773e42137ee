//! The strict reading of a response before anything of it is verified: one tree of known elements, or a refusal.
//!
//! XML has much that two parsers read in two ways: document types, entities, comments and CDATA that cut a text in pieces,
//! prefixes that change their meaning, white space that one folds and the other keeps. None of it is needed, so a response
//! that has any of it is refused. What is left has one reading.

use std::collections::BTreeMap;

use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesDecl, BytesStart, Event};
use quick_xml::name::{PrefixDeclaration, ResolveResult};
use quick_xml::reader::NsReader;
use quick_xml::{XmlVersion, escape};

use super::SamlFault;
use super::grammar::{ASSERTION, Content, DSIG, Kind, OPEN, PROTOCOL, known};

/// The largest response, in bytes.
pub(super) const RESPONSE_LIMIT: usize = 256 * 1024;
/// How deep elements may lie in each other; the grammar's own depth is ten, but for status codes in status codes.
const DEPTH_LIMIT: usize = 12;
/// Most attributes of one element.
const ATTRIBUTE_LIMIT: usize = 32;
/// The longest value of one attribute, in bytes.
const VALUE_LIMIT: usize = 4096;
/// Most prefixes of a document.
const PREFIX_LIMIT: usize = 32;

/// An element that is known, in a place where it may be.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: &'static Kind,
    /// Attributes without a prefix.
    attributes: BTreeMap<&'static str, String>,
    pub(super) text: String,
    pub(super) children: Vec<Node>,
}

impl Node {
    /// The value of an attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// The elements of this name, in order.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.kind.name == name)
    }

    /// The first element of this name.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.kind.name == name)
    }
}

/// Reads a response.
///
/// # Errors
/// A [`SamlFault`] for anything that is not exactly such a tree.
pub(super) fn read(xml: &str) -> Result<Node, SamlFault> {
    if xml.len() > RESPONSE_LIMIT {
        return Err(SamlFault::TooLarge);
    }
    if !xml.starts_with('<') {
        return Err(SamlFault::Forbidden("something before its first element"));
    }
    // A tab or a line break is all that there may be of control characters; carriage returns would have to be folded.
    if xml.chars().any(|c| (c.is_control() && c != '\n' && c != '\t') || matches!(c, '\u{FFFE}' | '\u{FFFF}'))
    {
        return Err(SamlFault::Forbidden("a control character or a carriage return"));
    }
    Reading::default().document(xml)
}

/// What is open, and what was declared.
#[derive(Default)]
struct Reading {
    open: Vec<Node>,
    root: Option<Node>,
    prefixes: BTreeMap<String, String>,
}

impl Reading {
    fn document(mut self, xml: &str) -> Result<Node, SamlFault> {
        let mut reader = NsReader::from_str(xml);
        reader.config_mut().check_comments = true;
        let mut first = true;
        loop {
            let (resolved, event) =
                reader.read_resolved_event().map_err(|fault| SamlFault::Malformed(fault.to_string()))?;
            match event {
                Event::Start(start) => self.start(&resolved, &start)?,
                Event::Empty(start) => {
                    self.start(&resolved, &start)?;
                    self.end()?;
                }
                Event::End(_) => self.end()?,
                Event::Text(text) => self.text(&text)?,
                Event::GeneralRef(reference) => self.reference(&reference)?,
                Event::Decl(declaration) if first => declared(&declaration)?,
                Event::Decl(_) => return Err(SamlFault::Forbidden("a second XML declaration")),
                Event::DocType(_) => return Err(SamlFault::Forbidden("a document type")),
                Event::Comment(_) => return Err(SamlFault::Forbidden("a comment")),
                Event::CData(_) => return Err(SamlFault::Forbidden("a CDATA section")),
                Event::PI(_) => return Err(SamlFault::Forbidden("a processing instruction")),
                Event::Eof => break,
            }
            first = false;
        }
        if !self.open.is_empty() {
            return Err(SamlFault::Malformed("an element is not closed".to_owned()));
        }
        self.root.ok_or(SamlFault::Missing { what: "Response", place: "the document" })
    }

    fn start(&mut self, resolved: &ResolveResult<'_>, start: &BytesStart<'_>) -> Result<(), SamlFault> {
        let name = start.local_name().into_inner().to_owned();
        let place = self.open.last().map_or("the document", |parent| parent.kind.name);
        if matches!(name.as_str(), "EncryptedAssertion" | "EncryptedID" | "EncryptedAttribute") {
            return Err(SamlFault::Encrypted);
        }
        let misplaced = || SamlFault::Place { what: shown(&name), place: place.to_owned() };
        let ResolveResult::Bound(namespace) = resolved else { return Err(misplaced()) };
        let kind = known(namespace.into_inner(), &name).ok_or_else(misplaced)?;
        match self.open.last() {
            None if self.root.is_some() || kind.name != "Response" => return Err(misplaced()),
            None => {}
            Some(parent) => {
                let Content::Elements(allowed) = parent.kind.content else { return Err(misplaced()) };
                let most = allowed.iter().find(|(child, _)| *child == kind.name).map(|(_, most)| *most);
                if parent.all(kind.name).count() >= most.unwrap_or(0) {
                    return Err(misplaced());
                }
            }
        }
        if self.open.len() >= DEPTH_LIMIT {
            return Err(SamlFault::Forbidden("elements too deep in each other"));
        }
        let attributes = self.attributes(kind, start)?;
        self.open.push(Node { kind, attributes, text: String::new(), children: Vec::new() });
        Ok(())
    }

    fn end(&mut self) -> Result<(), SamlFault> {
        let node =
            self.open.pop().ok_or_else(|| SamlFault::Malformed("an end without a start".to_owned()))?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(node),
            None => self.root = Some(node),
        }
        Ok(())
    }

    fn attributes(
        &mut self,
        kind: &'static Kind,
        start: &BytesStart<'_>,
    ) -> Result<BTreeMap<&'static str, String>, SamlFault> {
        let mut found = BTreeMap::new();
        let mut others = Vec::new();
        for (count, attribute) in start.attributes().enumerate() {
            let attribute = attribute.map_err(|fault| SamlFault::Malformed(fault.to_string()))?;
            if count >= ATTRIBUTE_LIMIT || attribute.value.len() > VALUE_LIMIT {
                return Err(SamlFault::Forbidden("an element with too many or too long attributes"));
            }
            let key = attribute.key;
            let unexpected =
                || SamlFault::Attribute { name: shown(key.into_inner()), place: kind.name.to_owned() };
            if let Some(declaration) = key.as_namespace_binding() {
                self.bind(declaration, &attribute)?;
            } else if let Some(prefix) = key.prefix() {
                let local = key.local_name().into_inner();
                // `xml:id` would be an ID, `xsi:nil` would make a value none; two prefixes could mean one namespace.
                if prefix.is_xml()
                    || !OPEN.contains(&kind.name)
                    || local.eq_ignore_ascii_case("id")
                    || local == "nil"
                    || others.contains(&local)
                {
                    return Err(unexpected());
                }
                others.push(local);
                value(&attribute)?;
            } else {
                let name = kind.attributes.iter().find(|name| **name == key.into_inner());
                found.insert(*name.ok_or_else(unexpected)?, value(&attribute)?);
            }
        }
        Ok(found)
    }

    /// A prefix means one thing in the whole document. Without a prefix, elements belong to one of the known namespaces.
    fn bind(
        &mut self,
        declaration: PrefixDeclaration<'_>,
        attribute: &Attribute<'_>,
    ) -> Result<(), SamlFault> {
        let namespace = value(attribute)?;
        match declaration {
            PrefixDeclaration::Default if [PROTOCOL, ASSERTION, DSIG].contains(&namespace.as_str()) => Ok(()),
            PrefixDeclaration::Default => Err(SamlFault::Forbidden("an unknown default namespace")),
            PrefixDeclaration::Named(prefix) => {
                if namespace.is_empty() || prefix.is_empty() || self.prefixes.len() >= PREFIX_LIMIT {
                    return Err(SamlFault::Forbidden("a namespace declaration that declares nothing"));
                }
                match self.prefixes.insert(prefix.to_owned(), namespace.clone()) {
                    Some(before) if before != namespace => {
                        Err(SamlFault::Forbidden("a prefix with two meanings"))
                    }
                    Some(_) | None => Ok(()),
                }
            }
        }
    }

    fn text(&mut self, text: &str) -> Result<(), SamlFault> {
        if text.contains("]]>") {
            return Err(SamlFault::Malformed("]]> in a text".to_owned()));
        }
        let blank = text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\n'));
        match self.open.last_mut() {
            Some(node) if !matches!(node.kind.content, Content::Elements(_)) => node.text.push_str(text),
            Some(_) | None if blank => {}
            Some(_) | None => return Err(SamlFault::Forbidden("text between elements")),
        }
        Ok(())
    }

    /// One of the five entities that every document has, or a character by its number.
    fn reference(&mut self, reference: &str) -> Result<(), SamlFault> {
        let Some(node) =
            self.open.last_mut().filter(|node| !matches!(node.kind.content, Content::Elements(_)))
        else {
            return Err(SamlFault::Forbidden("text between elements"));
        };
        // Some write the line breaks of base64 so, and everybody reads over them.
        if node.kind.content == Content::Base64 && matches!(reference, "#13" | "#xD" | "#xd" | "#10" | "#xA")
        {
            return Ok(());
        }
        node.text.push_str(&resolved(reference)?);
        Ok(())
    }
}

/// What a reference stands for.
fn resolved(reference: &str) -> Result<String, SamlFault> {
    if let Some(text) = escape::resolve_predefined_entity(reference) {
        return Ok(text.to_owned());
    }
    let unknown = || SamlFault::Forbidden("an entity");
    let number = reference.strip_prefix('#').ok_or_else(unknown)?;
    let code = match number.strip_prefix('x') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            u32::from_str_radix(digits, 16)
        }
        None if number.bytes().all(|byte| byte.is_ascii_digit()) => number.parse(),
        Some(_) | None => return Err(unknown()),
    };
    let character = code.ok().and_then(char::from_u32).filter(|c| !c.is_control()).ok_or_else(unknown)?;
    if matches!(character, '\u{FFFE}' | '\u{FFFF}') { Err(unknown()) } else { Ok(character.to_string()) }
}

/// An attribute's value. White space other than blanks would be folded, so there is none.
fn value(attribute: &Attribute<'_>) -> Result<String, SamlFault> {
    let raw = attribute.value.as_ref();
    if raw.contains(['<', '\n', '\t']) {
        return Err(SamlFault::Forbidden("an attribute with markup or line breaks"));
    }
    for reference in raw.split('&').skip(1) {
        let (name, _) = reference.split_once(';').ok_or(SamlFault::Forbidden("an entity"))?;
        resolved(name)?;
    }
    let value = attribute
        .normalized_value(XmlVersion::Implicit1_0)
        .map_err(|fault| SamlFault::Malformed(fault.to_string()))?;
    Ok(value.into_owned())
}

/// Version 1.0, in UTF-8 where it says.
fn declared(declaration: &BytesDecl<'_>) -> Result<(), SamlFault> {
    let version = declaration.version().map_err(|fault| SamlFault::Malformed(fault.to_string()))?;
    let encoding = declaration.encoding().transpose();
    let encoding = encoding.map_err(|fault| SamlFault::Malformed(fault.to_string()))?;
    if version != "1.0" {
        return Err(SamlFault::Forbidden("another version of XML"));
    }
    match encoding {
        Some(encoding) if !encoding.eq_ignore_ascii_case("utf-8") => {
            Err(SamlFault::Forbidden("another encoding than UTF-8"))
        }
        Some(_) | None => Ok(()),
    }
}

/// A name as it may go to the log.
fn shown(name: &str) -> String {
    name.chars().filter(char::is_ascii_graphic).take(64).collect()
}
