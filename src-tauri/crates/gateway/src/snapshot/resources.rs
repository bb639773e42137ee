//! The resources of several connectors in one virtual server, and whose a URI is.
//!
//! A URI is an identity and never rewritten: the first connector in the server's order keeps it.

use std::collections::HashMap;

use mcp::connector::interface_of;
use model::ConnectorId;
use serde_json::value::RawValue;

use super::template::Template;
use super::view::Offer;

/// What the URI of a tool's interface begins with (MCP Apps).
const INTERFACE: &str = "ui://";

/// A resource or a template that a virtual server offers.
#[derive(Debug)]
pub struct OfferedResource {
    /// The connector that it belongs to.
    pub connector: ConnectorId,
    /// The connector's title.
    pub connector_title: String,
    /// Its URI, or its template.
    pub uri: String,
    /// What assistants see: what the connector sent.
    pub entry: Box<RawValue>,
}

/// The connector that a URI is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner<'a> {
    /// The connector.
    pub connector: &'a ConnectorId,
    /// Its title.
    pub title: &'a str,
    /// Why it is the one.
    pub found: Found,
}

/// Why a URI is asked of a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The connector lists it.
    Listed,
    /// A tool of the connector names it as its interface.
    Interface,
    /// A template of the connector makes it.
    Template,
    /// The connector is the only one of the virtual server that has resources.
    OnlyOne,
}

/// All resources of a virtual server.
#[derive(Debug, Default)]
pub(super) struct Resources {
    pub(super) listed: Vec<OfferedResource>,
    pub(super) templates: Vec<OfferedResource>,
    /// The compiled templates and the connectors' places, in order.
    matched: Vec<(Template, usize)>,
    owners: HashMap<String, (usize, Found)>,
    connectors: Vec<(ConnectorId, String)>,
    /// The only connector that has resources, if there is just one and every other is known to have none.
    only: Option<usize>,
}

impl Resources {
    /// Takes what the connectors have; words about what none or only another is asked for go to `left_out`.
    pub(super) fn of(offers: &[Offer], left_out: &mut Vec<String>) -> Self {
        let mut all = Self { only: only(offers), ..Self::default() };
        let mut templates = HashMap::new();
        for (at, offer) in offers.iter().enumerate() {
            all.connectors.push((offer.account.connector.clone(), offer.title.clone()));
            for (uri, entry) in &offer.resources {
                match all.owners.get(uri) {
                    // A connector may list what its own tool names, and each list has no URI twice.
                    Some((owner, _)) if *owner != at => {
                        left_out.push(format!(
                            "{}: another connector has the resource {uri}",
                            offer.account.connector
                        ));
                    }
                    Some(_) | None => {
                        all.owners.insert(uri.clone(), (at, Found::Listed));
                        all.listed.push(offered(offer, uri, entry));
                    }
                }
            }
            let interfaces = offer.tools.iter().filter_map(|(_, tool)| interface_of(tool));
            for uri in interfaces.filter(|uri| uri.starts_with(INTERFACE)) {
                all.owners.entry(uri).or_insert((at, Found::Interface));
            }
            for (template, entry) in &offer.templates {
                if templates.insert(template, at).is_some() {
                    left_out.push(format!(
                        "{}: another connector has the template {template}",
                        offer.account.connector
                    ));
                    continue;
                }
                match Template::parse(template) {
                    Some(parsed) => all.matched.push((parsed, at)),
                    None => left_out.push(format!("{}: {template} is no template", offer.account.connector)),
                }
                all.templates.push(offered(offer, template, entry));
            }
        }
        all
    }

    /// Whose this URI is.
    pub(super) fn owner(&self, uri: &str) -> Option<Owner<'_>> {
        let (at, found) = self
            .owners
            .get(uri)
            .copied()
            .or_else(|| self.by_template(uri))
            .or_else(|| self.only.map(|at| (at, Found::OnlyOne)))?;
        let (connector, title) = self.connectors.get(at)?;
        Some(Owner { connector, title, found })
    }

    fn by_template(&self, uri: &str) -> Option<(usize, Found)> {
        let (_, at) = self.matched.iter().find(|(template, _)| template.matches(uri))?;
        Some((*at, Found::Template))
    }
}

/// One that was not heard yet may have resources too.
fn only(offers: &[Offer]) -> Option<usize> {
    let may_have = |offer: &Offer| offer.about.as_ref().is_none_or(|about| about.declares("resources"));
    let mut having = offers.iter().enumerate().filter(|(_, offer)| may_have(offer));
    match (having.next(), having.next()) {
        (Some((at, offer)), None) if offer.about.is_some() => Some(at),
        (_, _) => None,
    }
}

fn offered(offer: &Offer, uri: &str, entry: &RawValue) -> OfferedResource {
    OfferedResource {
        connector: offer.account.connector.clone(),
        connector_title: offer.title.clone(),
        uri: uri.to_owned(),
        entry: entry.to_owned(),
    }
}
