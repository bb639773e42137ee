//! The names under which assistants know what several connectors offer in one virtual server.

use std::collections::HashMap;

use model::{ConnectorId, Digest, ServerId};

/// The longest name that model providers take for a tool, with what assistants put before it: `mcp__<server>__`.
const MODEL_LIMIT: usize = 64;
const MODEL_PREFIX: usize = "mcp____".len();

/// The names that assistants use, in the order of `all`; `None` where even with prefixes two would be called the same, which
/// takes somebody who computes a digest to fit.
///
/// Who takes the form of another's prefixed name gets a prefix too: no connector can pass off what is its own as another's.
pub(super) fn names(server: &ServerId, all: &[(&ConnectorId, &str)]) -> Vec<Option<String>> {
    let mut has_prefix = vec![false; all.len()];
    loop {
        let name = |(at, (connector, own)): (usize, &(&ConnectorId, &str))| {
            if has_prefix[at] { prefixed(server, connector, own) } else { (*own).to_owned() }
        };
        let names: Vec<String> = all.iter().enumerate().map(name).collect();
        let mut count: HashMap<&str, usize> = HashMap::new();
        for name in &names {
            *count.entry(name).or_default() += 1;
        }
        let is_taken = |at: &usize| count.get(names[*at].as_str()) > Some(&1);
        let colliding: Vec<usize> = (0..all.len()).filter(|at| !has_prefix[*at] && is_taken(at)).collect();
        if colliding.is_empty() {
            let taken: Vec<bool> = (0..all.len()).map(|at| is_taken(&at)).collect();
            return names.into_iter().zip(taken).map(|(name, taken)| (!taken).then_some(name)).collect();
        }
        colliding.into_iter().for_each(|at| has_prefix[at] = true);
    }
}

/// `<connector>_<name>`. Where that is too long, its tail with a digest of the whole in front: the tail is what tells names
/// apart to a reader, the digest keeps the name the same every time and different from others.
fn prefixed(server: &ServerId, connector: &ConnectorId, own: &str) -> String {
    const MARK: usize = 8;
    let whole = format!("{connector}_{own}");
    let room = MODEL_LIMIT - MODEL_PREFIX - server.as_str().len();
    if whole.len() <= room {
        return whole;
    }
    let digest = Digest::of(whole.as_bytes()).hex();
    let mut tail = whole.len() - (room - MARK - 1);
    while !whole.is_char_boundary(tail) {
        tail += 1;
    }
    format!("{}_{}", &digest[..MARK], &whole[tail..])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn named(server: &str, all: &[(&str, &str)]) -> Vec<Option<String>> {
        let connectors: Vec<ConnectorId> = all.iter().map(|(id, _)| id.parse().unwrap()).collect();
        let all: Vec<_> = connectors.iter().zip(all).map(|(id, (_, own))| (id, *own)).collect();
        names(&server.parse().unwrap(), &all)
    }

    #[test]
    fn a_name_that_is_not_ascii_is_cut_between_letters() {
        let long = "é".repeat(40);
        let names = named("desk", &[("a", &long), ("b", &long)]);
        for name in names.into_iter().flatten() {
            assert!(format!("mcp__desk__{name}").len() <= 64 && name.ends_with('é'), "{name}");
        }
    }

    proptest! {
        /// Whatever connectors call what they offer: names are unique, the same every time, in whatever order the others
        /// come, and bare wherever nobody else has the name.
        #[test]
        fn names_are_unique_and_depend_on_nothing_else(
            own in prop::collection::vec(("[abc]", "(a_|b_){0,2}[xy]"), 0..8)
        ) {
            let mut unique = own;
            unique.sort();
            unique.dedup();
            let all: Vec<(&str, &str)> = unique.iter().map(|(id, own)| (id.as_str(), own.as_str())).collect();
            let names = named("desk", &all);
            let given: Vec<&String> = names.iter().flatten().collect();
            prop_assert_eq!(given.iter().collect::<HashSet<_>>().len(), given.len());
            let backwards: Vec<(&str, &str)> = all.iter().rev().copied().collect();
            let mut again = named("desk", &backwards);
            again.reverse();
            prop_assert_eq!(&names, &again);
            for (name, (_, own)) in names.iter().zip(&all) {
                if all.iter().filter(|(_, other)| other == own).count() > 1 {
                    prop_assert_ne!(name.as_deref(), Some(*own), "the bare name would be ambiguous");
                }
            }
        }
    }
}
