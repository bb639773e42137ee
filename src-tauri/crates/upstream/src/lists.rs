//! What a connector lists, page by page and within bounds.

use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;
use std::time::Duration;

use mcp::connector::{self, identity};
use mcp::{List, Mirrored};
use model::ToolName;
use serde_json::value::RawValue;

use crate::MESSAGE_LIMIT;
use crate::bearer::Bearer;
use crate::fault::UpstreamFault;
use crate::http::shown;
use crate::session::{Session, VERSION, within};

/// The most entries of one list, all pages together.
const MOST_ENTRIES: usize = 10_000;
/// The most templates: each is looked at whenever a resource is read.
const MOST_TEMPLATES: usize = 1_000;
/// A list has at most this many pages: a cursor that never ends is no list.
const PAGE_LIMIT: usize = 100;
/// The longest URI, template or prompt name, in bytes.
const LONGEST_IDENTITY: usize = 4_096;
/// How long the lists beside the tools may take: nobody's tools wait longer for them.
const OTHERS_WITHIN: Duration = Duration::from_secs(5);

/// A connector's tools.
#[derive(Debug, Clone, Default)]
pub struct ListedTools {
    /// Well-formed definitions with their names, in the connector's order.
    pub tools: Vec<(ToolName, Box<RawValue>)>,
    /// Descriptions of those left out, for the person in charge.
    pub left_out: Vec<String>,
}

/// Well-formed entries with what tells them apart, in the connector's order.
pub type Entries = Vec<(String, Box<RawValue>)>;

/// All that a connector lists. A list that it does not give is empty.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its tools.
    pub tools: ListedTools,
    /// Its resources, by URI.
    pub resources: Result<Entries, UpstreamFault>,
    /// Its resource templates, by template (RFC 6570).
    pub templates: Result<Entries, UpstreamFault>,
    /// Its prompts, by name.
    pub prompts: Result<Entries, UpstreamFault>,
    /// Descriptions of entries beside the tools that were left out, for the person in charge.
    pub left_out: Vec<String>,
}

impl Session {
    /// Lists all that the connector declares. A list that fails does not spoil the others.
    ///
    /// # Errors
    /// An [`UpstreamFault`] when the tools cannot be listed.
    pub async fn list_all(
        &self,
        bearer: Option<&Bearer>,
        deadline: Duration,
    ) -> Result<Listed, UpstreamFault> {
        let tools = match self.about().gives(List::Tools) {
            true => self.list_tools(bearer, deadline).await?,
            false => ListedTools::default(),
        };
        let others_within = deadline.min(OTHERS_WITHIN);
        let other = |list| within(others_within, self.list_other(list, bearer));
        let (resources, templates, prompts) =
            tokio::join!(other(List::Resources), other(List::Templates), other(List::Prompts));
        let mut left_out = Vec::new();
        let mut taken = |listed: Result<Taken, UpstreamFault>| {
            listed.map(|taken| {
                left_out.extend(taken.left_out);
                taken.entries
            })
        };
        let (resources, templates, prompts) = (taken(resources), taken(templates), taken(prompts));
        Ok(Listed { tools, resources, templates, prompts, left_out })
    }

    /// Lists the connector's tools, all pages.
    ///
    /// # Errors
    /// An [`UpstreamFault`].
    pub async fn list_tools(
        &self,
        bearer: Option<&Bearer>,
        deadline: Duration,
    ) -> Result<ListedTools, UpstreamFault> {
        let entries = within(deadline, self.pages(List::Tools, bearer)).await?;
        let mut listed = ListedTools::default();
        let mut names = HashSet::new();
        entries.into_iter().for_each(|tool| listed.take(tool, &mut names));
        if self.stands_alone() {
            let known = listed.mirrored();
            *self.mirrored.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
        }
        Ok(listed)
    }

    async fn list_other(&self, list: List, bearer: Option<&Bearer>) -> Result<Taken, UpstreamFault> {
        if !self.about().gives(list) {
            return Ok(Taken::default());
        }
        match self.pages(list, bearer).await {
            // Templates have no capability of their own: who has resources may know none.
            Err(UpstreamFault::Refused { .. }) if list == List::Templates => Ok(Taken::default()),
            entries => Ok(Taken::of(list, entries?)),
        }
    }

    /// The entries of a list, whether well-formed or not.
    async fn pages(&self, list: List, bearer: Option<&Bearer>) -> Result<Vec<Box<RawValue>>, UpstreamFault> {
        let most = if list == List::Templates { MOST_TEMPLATES } else { MOST_ENTRIES };
        let unusable = |why| Err(UpstreamFault::Unusable(format!("its answer to {} {why}", list.method())));
        let mut entries = Vec::new();
        let (mut cursor, mut bytes) = (None, 0);
        for _ in 0..PAGE_LIMIT {
            let message = |id| connector::list(self.dialect(), id, list, cursor.as_deref(), VERSION);
            let page = connector::read_page(list, &self.ask(list.method(), message, bearer).await?)?;
            bytes += page.entries.iter().map(|entry| entry.get().len()).sum::<usize>();
            if bytes > MESSAGE_LIMIT || entries.len() + page.entries.len() > most {
                return unusable("is too long");
            }
            entries.extend(page.entries);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(entries);
            }
        }
        unusable("does not end")
    }
}

/// The well-formed entries of a list, and words about the others.
#[derive(Default)]
struct Taken {
    entries: Entries,
    left_out: Vec<String>,
}

impl Taken {
    fn of(list: List, entries: Vec<Box<RawValue>>) -> Self {
        let mut taken = Self::default();
        let mut seen = HashSet::new();
        for entry in entries {
            match identity(list, &entry).filter(|identity| is_usable(identity)) {
                Some(identity) if !seen.insert(identity.clone()) => {
                    taken.left_out.push(format!("{}: {identity} is listed twice", list.method()));
                }
                Some(identity) => taken.entries.push((identity, entry)),
                None => {
                    let what = list.identity();
                    taken.left_out.push(format!("{}: {} has no usable {what}", list.method(), shown(&entry)));
                }
            }
        }
        taken
    }
}

/// Whether a URI, template or name may stand in records and headers.
fn is_usable(identity: &str) -> bool {
    !identity.is_empty() && identity.len() <= LONGEST_IDENTITY && !identity.chars().any(char::is_control)
}

impl ListedTools {
    /// What headers repeat of which tool; a tool whose annotations are invalid is left out, as the specification asks for.
    fn mirrored(&mut self) -> HashMap<ToolName, Mirrored> {
        let mut known = HashMap::new();
        let left_out = &mut self.left_out;
        self.tools.retain(|(name, definition)| match Mirrored::of(definition) {
            Ok(mirrored) => {
                if !mirrored.is_empty() {
                    known.insert(name.clone(), mirrored);
                }
                true
            }
            Err(fault) => {
                left_out.push(format!("{name}: {fault}"));
                false
            }
        });
        known
    }

    fn take(&mut self, definition: Box<RawValue>, names: &mut HashSet<ToolName>) {
        let name = connector::tool_name(&definition);
        match name.as_deref().map(str::parse::<ToolName>) {
            Some(Ok(name)) if !names.insert(name.clone()) => {
                self.left_out.push(format!("{name} is listed twice"));
            }
            Some(Ok(name)) => self.tools.push((name, definition)),
            Some(Err(fault)) => self.left_out.push(format!("{}: {fault}", shown(&definition))),
            None => self.left_out.push(format!("{}: no name", shown(&definition))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_nothing_tells_apart_is_left_out_alone() {
        let entries: Vec<Box<RawValue>> = serde_json::from_str(
            r#"[{"uri":"a:1"},{"name":"no URI"},{"uri":"a:1"},{"uri":"a\n:2"},{"uri":"a:3"},7]"#,
        )
        .unwrap();
        let taken = Taken::of(List::Resources, entries);
        let uris: Vec<&str> = taken.entries.iter().map(|(uri, _)| uri.as_str()).collect();
        assert_eq!((uris, taken.left_out.len()), (vec!["a:1", "a:3"], 4));
    }
}
