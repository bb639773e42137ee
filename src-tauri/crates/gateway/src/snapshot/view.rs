//! What one virtual server offers: the tools, resources and prompts of its connectors, under the names that assistants use.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use mcp::assistant::{Declared, ToolEntry, renamed};
use mcp::connector::About;
use mcp::{List, Topic};
use model::{AccountId, Advice, ConnectorId, ServerId, ToolName};
use serde_json::value::RawValue;

use super::names::names;
use super::resources::{OfferedResource, Owner, Resources};
use crate::search::Indexes;

/// What a virtual server offers.
#[derive(Debug, Default)]
pub struct ServerView {
    /// The title, as people read it.
    pub title: String,
    tools: Vec<Offered>,
    by_name: HashMap<String, usize>,
    prompts: Vec<OfferedPrompt>,
    prompts_by_name: HashMap<String, usize>,
    resources: Resources,
    connectors: Vec<Speaker>,
    accounts: HashMap<ConnectorId, AccountId>,
    withdrawn: HashMap<ConnectorId, Advice>,
    declared: Declared,
    marks: [u64; Topic::ALL.len()],
    /// Where tools are searched for: what they are found by.
    indexes: Option<Indexes>,
    /// Descriptions of what could not be offered, or not to all.
    pub left_out: Vec<String>,
}

/// A connector's contribution to a virtual server.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The connector, and which of the person's accounts the virtual server uses of it.
    pub account: AccountId,
    /// Its title, with the account where it is named.
    pub title: String,
    /// Its accepted tools.
    pub tools: Vec<(ToolName, Box<RawValue>)>,
    /// Its resources, by URI.
    pub resources: Vec<(String, Box<RawValue>)>,
    /// Its resource templates, by template.
    pub templates: Vec<(String, Box<RawValue>)>,
    /// Its prompts, by name.
    pub prompts: Vec<(String, Box<RawValue>)>,
    /// What it says of itself; `None` where it was not heard yet.
    pub about: Option<About>,
    /// Why nothing of it is listed or called for now, although it is known; names and URIs stay its own meanwhile.
    pub withdrawn: Option<Advice>,
}

/// A tool that a virtual server offers.
#[derive(Debug)]
pub struct Offered {
    /// The connector that it belongs to.
    pub connector: ConnectorId,
    /// The connector's title.
    pub connector_title: String,
    /// The connector's own name for it.
    pub tool: ToolName,
    /// What assistants see.
    pub entry: ToolEntry,
}

/// A prompt that a virtual server offers.
#[derive(Debug)]
pub struct OfferedPrompt {
    /// The connector that it belongs to.
    pub connector: ConnectorId,
    /// The connector's title.
    pub connector_title: String,
    /// The connector's own name for it.
    pub prompt: String,
    /// The name that assistants use.
    pub name: String,
    /// What assistants see: what the connector sent, but for the name.
    pub entry: Box<RawValue>,
}

/// A connector and how it wants to be used.
#[derive(Debug)]
pub(crate) struct Speaker {
    pub(crate) connector: ConnectorId,
    pub(crate) title: String,
    /// A text, as JSON.
    pub(crate) instructions: Option<Box<RawValue>>,
}

impl ServerView {
    /// Puts a virtual server together. A tool or prompt keeps its name unless another is called the same; those that collide
    /// get their connector's id in front, shortened where models would not take the name. A URI keeps its first connector.
    pub fn assemble(id: &ServerId, title: String, offers: Vec<Offer>) -> Self {
        let mut view = Self { title, ..Self::default() };
        view.declared = Declared::of(offers.iter().map(|offer| offer.about.as_ref()));
        view.connectors = offers.iter().map(Speaker::of).collect();
        let account = |offer: &Offer| (offer.account.connector.clone(), offer.account.clone());
        view.accounts = offers.iter().map(account).collect();
        let withdrawn = |offer: &Offer| Some((offer.account.connector.clone(), offer.withdrawn.clone()?));
        view.withdrawn = offers.iter().filter_map(withdrawn).collect();
        view.add_tools(id, &offers);
        view.add_prompts(id, &offers);
        view.resources = Resources::of(&offers, &mut view.left_out);
        view.marks = Topic::ALL.map(|topic| view.mark(topic));
        view
    }

    /// Has the tools searched for instead of listed.
    #[must_use]
    pub fn searched(mut self) -> Self {
        self.indexes = Some(Indexes::default());
        // What is listed then never changes.
        self.marks[Topic::Tools as usize] = 0;
        self
    }

    /// Whether the tools are searched for instead of listed.
    pub fn is_searched(&self) -> bool {
        self.indexes.is_some()
    }

    pub(crate) fn indexes(&self) -> Option<&Indexes> {
        self.indexes.as_ref()
    }

    /// The account that is used of a connector.
    pub fn account(&self, connector: &ConnectorId) -> Option<&AccountId> {
        self.accounts.get(connector)
    }

    /// Why nothing of a connector is listed or called for now; `None` where it is.
    pub fn withdrawn(&self, connector: &ConnectorId) -> Option<&Advice> {
        self.withdrawn.get(connector)
    }

    /// The tools in order, those that are withdrawn among them.
    pub fn tools(&self) -> &[Offered] {
        &self.tools
    }

    /// The tool that assistants call by this name.
    pub fn tool(&self, name: &str) -> Option<&Offered> {
        self.by_name.get(name).map(|&at| &self.tools[at])
    }

    /// Where among the tools the one of this name is.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The prompts in order, those that are withdrawn among them.
    pub fn prompts(&self) -> &[OfferedPrompt] {
        &self.prompts
    }

    /// The prompt that assistants know by this name.
    pub fn prompt(&self, name: &str) -> Option<&OfferedPrompt> {
        self.prompts_by_name.get(name).map(|&at| &self.prompts[at])
    }

    /// The resources in order, those that are withdrawn among them.
    pub fn resources(&self) -> &[OfferedResource] {
        &self.resources.listed
    }

    /// The resource templates in order, those that are withdrawn among them.
    pub fn templates(&self) -> &[OfferedResource] {
        &self.resources.templates
    }

    /// The connector that is asked for this URI: the one that lists it or whose tool names it as its interface, or else the
    /// first with a template that makes it, or else the only one that has resources.
    pub fn resource(&self, uri: &str) -> Option<Owner<'_>> {
        self.resources.owner(uri)
    }

    /// What it declares.
    pub fn declared(&self) -> &Declared {
        &self.declared
    }

    pub(crate) fn connectors(&self) -> &[Speaker] {
        &self.connectors
    }

    /// Changes when what is offered of this topic does.
    pub(crate) fn mark_of(&self, topic: Topic) -> u64 {
        self.marks[topic as usize]
    }

    fn add_tools(&mut self, id: &ServerId, offers: &[Offer]) {
        let tools: Vec<_> =
            offers.iter().flat_map(|offer| offer.tools.iter().map(move |tool| (offer, tool))).collect();
        let own: Vec<_> =
            tools.iter().map(|(offer, (tool, _))| (&offer.account.connector, tool.as_str())).collect();
        for (name, (offer, (tool, definition))) in names(id, &own).into_iter().zip(&tools) {
            let Some(name) = name.filter(|name| name.parse::<ToolName>().is_ok()) else {
                self.left_out.push(format!("{}: {tool} has no name of its own", offer.account.connector));
                continue;
            };
            let Some(entry) = ToolEntry::new(name.clone(), definition) else {
                self.left_out.push(format!("{}: {tool} has no usable definition", offer.account.connector));
                continue;
            };
            if let Err(fault) = &entry.mirrored {
                self.left_out.push(format!(
                    "{}: {tool} is left out for newer assistants: {fault}",
                    offer.account.connector
                ));
            }
            self.by_name.insert(name, self.tools.len());
            self.tools.push(Offered {
                connector: offer.account.connector.clone(),
                connector_title: offer.title.clone(),
                tool: tool.clone(),
                entry,
            });
        }
    }

    fn add_prompts(&mut self, id: &ServerId, offers: &[Offer]) {
        let prompts: Vec<_> =
            offers.iter().flat_map(|offer| offer.prompts.iter().map(move |prompt| (offer, prompt))).collect();
        let own: Vec<_> =
            prompts.iter().map(|(offer, (prompt, _))| (&offer.account.connector, prompt.as_str())).collect();
        for (name, (offer, (prompt, entry))) in names(id, &own).into_iter().zip(&prompts) {
            let entry = name.and_then(|name| Some((renamed(&name, entry)?, name)));
            let Some((entry, name)) = entry else {
                self.left_out
                    .push(format!("{}: the prompt {prompt} has no name of its own", offer.account.connector));
                continue;
            };
            self.prompts_by_name.insert(name.clone(), self.prompts.len());
            self.prompts.push(OfferedPrompt {
                connector: offer.account.connector.clone(),
                connector_title: offer.title.clone(),
                prompt: prompt.clone(),
                name,
                entry,
            });
        }
    }

    fn mark(&self, topic: Topic) -> u64 {
        let mut hasher = DefaultHasher::new();
        for list in List::ALL.into_iter().filter(|list| list.topic() == topic) {
            let entries = self.entries(list).into_iter();
            for (connector, entry) in entries.filter(|(connector, _)| self.withdrawn(connector).is_none()) {
                (connector.as_str(), entry.get()).hash(&mut hasher);
            }
            list.hash(&mut hasher);
        }
        hasher.finish()
    }

    fn entries(&self, list: List) -> Vec<(&ConnectorId, &RawValue)> {
        match list {
            List::Tools => self.tools.iter().map(|one| (&one.connector, &*one.entry.definition)).collect(),
            List::Prompts => self.prompts.iter().map(|one| (&one.connector, &*one.entry)).collect(),
            List::Resources => texts(&self.resources.listed),
            List::Templates => texts(&self.resources.templates),
        }
    }
}

fn texts(all: &[OfferedResource]) -> Vec<(&ConnectorId, &RawValue)> {
    all.iter().map(|one| (&one.connector, &*one.entry)).collect()
}

impl Speaker {
    fn of(offer: &Offer) -> Self {
        let instructions = offer.about.as_ref().and_then(About::instructions).map(ToOwned::to_owned);
        Self { connector: offer.account.connector.clone(), title: offer.title.clone(), instructions }
    }
}

#[cfg(test)]
mod tests;
