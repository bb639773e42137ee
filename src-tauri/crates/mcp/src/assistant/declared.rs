//! What a virtual server declares: what its connectors do, and nothing that none of them does.

use serde_json::json;
use serde_json::value::RawValue;

use super::incoming::Dialect;
use crate::connector::About;
use crate::list::{Filter, Topic};
use crate::raw::{RawObject, raw};

/// What is not relayed, and so not declared, whoever has it.
const NOT_RELAYED: [&str; 1] = ["tasks"];

/// The capabilities of a virtual server: the union of its connectors'. The default has tools and nothing else.
#[derive(Debug, Clone, Default)]
pub struct Declared {
    resources: bool,
    subscribe: bool,
    prompts: bool,
    completions: bool,
    logging: bool,
    extensions: RawObject<'static>,
    experimental: RawObject<'static>,
}

impl Declared {
    /// Unites what connectors say of themselves. `None` stands for one that was not heard yet: it may do anything, and
    /// assistants with sessions ask only once.
    pub fn of<'a>(connectors: impl IntoIterator<Item = Option<&'a About>>) -> Self {
        let mut declared = Self::default();
        connectors.into_iter().for_each(|about| declared.add(about));
        declared
    }

    /// Whether assistants are told of changes of this.
    pub fn has(&self, topic: Topic) -> bool {
        match topic {
            Topic::Tools => true,
            Topic::Resources => self.resources,
            Topic::Prompts => self.prompts,
        }
    }

    /// What of an assistant's filter can be granted; each resource has still to be asked for.
    pub fn accepted(&self, asked: &Filter) -> Filter {
        let mut accepted = Filter::of(|topic| self.has(topic) && asked.topics.contains(&topic));
        if self.subscribe {
            accepted.resources.clone_from(&asked.resources);
        }
        accepted
    }

    /// The capabilities as they are sent. Those without sessions know extensions.
    pub(super) fn to_raw(&self, dialect: Dialect) -> Box<RawValue> {
        let mut all = RawObject::default();
        let changing = || raw(&json!({"listChanged": true}));
        all.set("tools", changing());
        if self.resources {
            let subscribing = || raw(&json!({"listChanged": true, "subscribe": true}));
            all.set("resources", if self.subscribe { subscribing() } else { changing() });
        }
        if self.prompts {
            all.set("prompts", changing());
        }
        for (name, has) in [("completions", self.completions), ("logging", self.logging)] {
            if has {
                all.set(name, raw(&json!({})));
            }
        }
        if dialect.is_stateless() {
            for (name, members) in [("extensions", &self.extensions), ("experimental", &self.experimental)] {
                if !members.is_empty() {
                    all.set(name, members.to_raw());
                }
            }
        }
        all.to_raw()
    }

    fn add(&mut self, about: Option<&About>) {
        let declares = |name: &str| about.is_none_or(|about| about.declares(name));
        self.resources |= declares("resources");
        self.subscribe |= about.is_none_or(About::subscribes);
        self.prompts |= declares("prompts");
        self.completions |= declares("completions");
        self.logging |= declares("logging");
        if let Some(about) = about {
            let all = about.capabilities();
            unite(&mut self.extensions, all.member("extensions"));
            unite(&mut self.experimental, all.member("experimental"));
        }
    }
}

/// Adds the members that are not there yet, as they were written.
fn unite(all: &mut RawObject<'static>, more: Option<&RawValue>) {
    let Some(more) = more.and_then(RawObject::parse) else { return };
    for (name, value) in more.members() {
        if !NOT_RELAYED.contains(&name) && all.member(name).is_none() {
            all.add(name.to_owned(), value.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::read_initialized;
    use crate::revision::Revision;

    fn about(capabilities: &str) -> About {
        let text = format!(r#"{{"protocolVersion":"2025-11-25","capabilities":{capabilities}}}"#);
        let result: Box<RawValue> = serde_json::from_str(&text).unwrap();
        read_initialized(&result).unwrap().about
    }

    fn declared(connectors: &[Option<&About>], revision: Revision) -> String {
        Declared::of(connectors.iter().copied()).to_raw(Dialect::of(revision)).get().to_owned()
    }

    #[test]
    fn what_no_connector_has_is_not_declared() {
        let tools = about(r#"{"tools":{},"tasks":{}}"#);
        let bare = r#"{"tools":{"listChanged":true}}"#;
        assert_eq!(declared(&[Some(&tools)], Revision::V2025_11_25), bare);
        assert_eq!(declared(&[], Revision::MODERN), bare);
        let more = about(r#"{"prompts":{},"resources":{"subscribe":true},"logging":{},"vendor":{}}"#);
        assert_eq!(
            declared(&[Some(&tools), Some(&more)], Revision::MODERN),
            r#"{"tools":{"listChanged":true},"resources":{"listChanged":true,"subscribe":true},"prompts":{"listChanged":true},"logging":{}}"#
        );
    }

    #[test]
    fn one_that_was_not_heard_yet_may_do_anything() {
        let declared = declared(&[None], Revision::V2025_06_18);
        for capability in ["tools", "resources", "prompts", "completions", "logging", "subscribe"] {
            assert!(declared.contains(&format!("\"{capability}\"")), "{capability}: {declared}");
        }
    }

    #[test]
    fn extensions_are_united_as_they_were_written_and_only_for_those_who_know_them() {
        let one = about(
            r#"{"extensions":{"a/b":{"n":1.50},"io.modelcontextprotocol/tasks":{}},"experimental":{"tasks":{},"x":[1e400]}}"#,
        );
        let other = about(r#"{"extensions":{"a/b":{"n":2},"c/d":{}}}"#);
        let both = [Some(&one), Some(&other)];
        assert_eq!(
            declared(&both, Revision::MODERN),
            r#"{"tools":{"listChanged":true},"extensions":{"a/b":{"n":1.50},"io.modelcontextprotocol/tasks":{},"c/d":{}},"experimental":{"x":[1e400]}}"#
        );
        assert_eq!(declared(&both, Revision::V2025_11_25), r#"{"tools":{"listChanged":true}}"#);
    }

    #[test]
    fn only_what_is_declared_is_accepted() {
        let asked = Filter { topics: Topic::ALL.to_vec(), resources: vec!["a:b".to_owned()] };
        let declared = Declared::of([Some(&about(r#"{"prompts":{}}"#))]);
        assert_eq!(declared.accepted(&asked).topics, [Topic::Tools, Topic::Prompts]);
    }
}
