//! The lists that a server offers, what notices of change are about, and what a stream of them is asked for.

use serde_json::value::RawValue;

use crate::raw::{RawObject, raw};

/// A list that servers give page by page (MCP 2026-07-28, server/utilities/pagination).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum List {
    /// `tools/list`.
    Tools,
    /// `resources/list`.
    Resources,
    /// `resources/templates/list`.
    Templates,
    /// `prompts/list`.
    Prompts,
}

impl List {
    /// Every list.
    pub const ALL: [Self; 4] = [Self::Tools, Self::Resources, Self::Templates, Self::Prompts];

    /// The method that gives it.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
            Self::Prompts => "prompts/list",
        }
    }

    /// The result's member that holds the entries.
    pub const fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
            Self::Prompts => "prompts",
        }
    }

    /// An entry's member that tells it from the others.
    pub const fn identity(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::Templates => "uriTemplate",
        }
    }

    /// What has to be declared for the list to be there, and what notices of its changes are about.
    pub const fn topic(self) -> Topic {
        match self {
            Self::Tools => Topic::Tools,
            Self::Resources | Self::Templates => Topic::Resources,
            Self::Prompts => Topic::Prompts,
        }
    }
}

/// What a notice of change is about (MCP 2026-07-28, basic/patterns/subscriptions).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// The tools.
    Tools,
    /// The resources and their templates.
    Resources,
    /// The prompts.
    Prompts,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 3] = [Self::Tools, Self::Resources, Self::Prompts];

    /// The capability that a server declares for it.
    pub const fn capability(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Resources => "resources",
            Self::Prompts => "prompts",
        }
    }

    /// The notification's method.
    pub const fn notice(self) -> &'static str {
        match self {
            Self::Tools => "notifications/tools/list_changed",
            Self::Resources => "notifications/resources/list_changed",
            Self::Prompts => "notifications/prompts/list_changed",
        }
    }

    /// The topic of a notification; `None` for other notifications.
    pub fn of_notice(method: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.notice() == method)
    }

    /// The member of a filter that asks for it.
    const fn wanted(self) -> &'static str {
        match self {
            Self::Tools => "toolsListChanged",
            Self::Resources => "resourcesListChanged",
            Self::Prompts => "promptsListChanged",
        }
    }
}

/// What a `subscriptions/listen` stream is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The lists whose changes are told.
    pub topics: Vec<Topic>,
    /// The resources whose changes are told, by URI.
    pub resources: Vec<String>,
}

impl Filter {
    /// A filter for the lists that `wants` names.
    pub fn of(wants: impl Fn(Topic) -> bool) -> Self {
        Self { topics: Topic::ALL.into_iter().filter(|topic| wants(*topic)).collect(), resources: Vec::new() }
    }

    /// Reads `params.notifications`. What is not understood there is not asked for.
    pub fn read(params: &RawObject<'_>) -> Self {
        let Some(asked) = params.member("notifications").and_then(RawObject::parse) else {
            return Self::default();
        };
        let topics = Self::of(|topic| asked.read(topic.wanted()).unwrap_or(false)).topics;
        Self { topics, resources: asked.read("resourceSubscriptions").unwrap_or_default() }
    }

    /// As it stands in `params.notifications`.
    pub fn to_raw(&self) -> Box<RawValue> {
        let mut object = RawObject::default();
        for topic in &self.topics {
            object.set(topic.wanted(), raw(&true));
        }
        if !self.resources.is_empty() {
            object.set("resourceSubscriptions", raw(&self.resources));
        }
        object.to_raw()
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.resources.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_as_it_is_written() {
        let read = |text: &str| {
            let value: Box<RawValue> = serde_json::from_str(text).unwrap();
            Filter::read(&RawObject::parse(&value).unwrap())
        };
        let text = r#"{"notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["a:b"]}}"#;
        let filter = read(text);
        assert_eq!(filter.topics, [Topic::Tools, Topic::Prompts]);
        assert_eq!(format!(r#"{{"notifications":{}}}"#, filter.to_raw().get()), text);
        for nothing in [
            "{}",
            r#"{"notifications":[]}"#,
            r#"{"notifications":{"toolsListChanged":false,"promptsListChanged":"yes","vendor":true}}"#,
        ] {
            assert!(read(nothing).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn a_notice_names_its_topic() {
        for topic in Topic::ALL {
            assert_eq!(Topic::of_notice(topic.notice()), Some(topic));
        }
        assert_eq!(Topic::of_notice("notifications/resources/updated"), None);
    }
}
