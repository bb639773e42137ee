//! What tools are found by.

use std::sync::{Arc, Mutex, PoisonError};

use bm25::{Embedder, EmbedderBuilder, Scorer};
use tokio::sync::OnceCell;

use super::definition::Definition;
use super::words::Words;
use crate::snapshot::Offered;

/// How many indexes of one virtual server are kept; the one that was not asked for longest is made again.
const MOST_KEPT: usize = 4;

/// The indexes of one virtual server: one for each choice of its tools that people are shown.
#[derive(Debug, Default)]
pub(crate) struct Indexes(Mutex<Vec<Kept>>);

/// An index, and the places of its tools.
type Kept = (Vec<usize>, Arc<OnceCell<Index>>);

/// The words of some tools.
pub(super) struct Index {
    embedder: Embedder<u64, Words>,
    /// By place among them.
    scorer: Scorer<usize, u64>,
}

impl Indexes {
    /// The index of the tools at these places, to be made by whoever asks first.
    pub(super) fn of(&self, places: &[usize]) -> Arc<OnceCell<Index>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.iter().position(|(these, _)| these == places);
        let entry = known.map_or_else(|| (places.to_vec(), Arc::default()), |at| kept.remove(at));
        let index = Arc::clone(&entry.1);
        kept.push(entry);
        if kept.len() > MOST_KEPT {
            kept.remove(0);
        }
        index
    }
}

impl Index {
    /// An index of these tools.
    pub(super) fn of<'a>(tools: impl IntoIterator<Item = &'a Offered>) -> Self {
        let texts: Vec<String> = tools.into_iter().map(text).collect();
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
    pub(super) fn ranked(&self, query: &str) -> Vec<usize> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_kept_for_those_who_are_shown_the_same() {
        let indexes = Indexes::default();
        let first = indexes.of(&[0, 1]);
        assert!(Arc::ptr_eq(&first, &indexes.of(&[0, 1])));
        assert!(!Arc::ptr_eq(&first, &indexes.of(&[0])));
        for at in 0..MOST_KEPT - 1 {
            indexes.of(&[at, 9]);
            indexes.of(&[0, 1]);
        }
        assert!(Arc::ptr_eq(&first, &indexes.of(&[0, 1])), "it was asked for");
        for at in 0..MOST_KEPT {
            indexes.of(&[at, 8]);
        }
        assert!(!Arc::ptr_eq(&first, &indexes.of(&[0, 1])), "it was not");
    }
}
