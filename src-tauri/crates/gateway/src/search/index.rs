//! What tools are found by.

use bm25::{Embedder, EmbedderBuilder, Scorer};

use super::definition::Definition;
use super::words::Words;
use crate::snapshot::Offered;

/// The words of all tools of a virtual server. Whom a tool is shown is not its business.
pub(crate) struct Index {
    embedder: Embedder<u64, Words>,
    /// By place in the virtual server's order.
    scorer: Scorer<usize, u64>,
}

impl Index {
    /// An index of these tools.
    pub(crate) fn of(tools: &[Offered]) -> Self {
        let texts: Vec<String> = tools.iter().map(text).collect();
        let corpus: Vec<&str> = texts.iter().map(String::as_str).collect();
        let embedder =
            EmbedderBuilder::<u64, Words>::with_tokenizer_and_fit_to_corpus(Words::default(), &corpus)
                .build();
        let mut scorer = Scorer::new();
        for (at, text) in corpus.iter().enumerate() {
            scorer.upsert(&at, embedder.embed(text));
        }
        Self { embedder, scorer }
    }

    /// The places of all tools that have a word of the query, best first, and in order where they are equally good.
    pub(crate) fn ranked(&self, query: &str) -> Vec<usize> {
        let mut words = self.embedder.embed(query);
        words.0.sort_unstable_by_key(|word| word.index);
        words.0.dedup_by_key(|word| word.index);
        let mut found = self.scorer.matches(&words);
        found.sort_by(|one, other| other.score.total_cmp(&one.score).then(one.id.cmp(&other.id)));
        found.into_iter().map(|found| found.id).collect()
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}

/// All that is said of a tool. What is said twice weighs more: a name says more than a description.
fn text(tool: &Offered) -> String {
    let definition = Definition::read(&tool.entry.definition);
    let name = tool.tool.as_str();
    let title = definition.title();
    let rest = [definition.description(), definition.parameters(), tool.connector_title.clone()];
    [name, name, tool.entry.name.as_str(), title.as_str(), title.as_str()]
        .into_iter()
        .chain(rest.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join("\n")
}
