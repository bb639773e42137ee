//! What the odd server lists beside its tools, and what it says of itself.

use std::sync::{Mutex, PoisonError};

use serde_json::value::RawValue;
use tokio::sync::watch;

use super::server::OddEra;

/// A list of which the odd server tells changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OddList {
    /// Its tools.
    Tools,
    /// Its resources.
    Resources,
    /// Its prompts.
    Prompts,
}

impl OddList {
    const ALL: [Self; 3] = [Self::Tools, Self::Resources, Self::Prompts];

    fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Resources => "resources",
            Self::Prompts => "prompts",
        }
    }
}

/// How often each list has changed, and those who are told. Without anybody to tell it never changes.
#[derive(Debug)]
pub(super) struct Lists {
    pub(super) changes: Option<watch::Sender<[u64; 3]>>,
    /// What was last asked for with `subscriptions/listen`.
    pub(super) wanted: Mutex<String>,
}

const RESOURCES_ONE: &str = r#"{"uri":"odd://caf\u00e9/one","name":"one","size":12345678901234567890123,"_meta":{"vendor/x":-0.0},"vendor":[1.50]},{"name":"no URI"},{"uri":7,"name":"seven"},"nonsense""#;
const RESOURCES_TWO: &str = r#"{"uri":"odd://two","name":"two","annotations":{"priority":0.50,"vendorHint":[1e400]}},{"uri":"odd://two","name":"twice"}"#;
const TEMPLATES: &str =
    r#"{"uriTemplate":"odd://item/{id}{?q}","name":"item","vendor":{"k":1.50}},{"name":"no template"}"#;
const PROMPTS_ONE: &str = r#"{"name":"review","title":"Review \u00e9","arguments":[{"name":"code","required":true,"x-vendor":12345678901234567890123}],"vendor":[1.50]},{"title":"no name"},7"#;
const PROMPTS_TWO: &str = r#"{"name":"caf\u00e9 talk","_meta":{"vendor/x":1e400}}"#;

/// The instructions, as they are sent.
pub(super) const INSTRUCTIONS: &str = r#""Ask the odd server \"politely\":\nsay caf\u00e9.""#;

impl Lists {
    pub(super) fn new(tells_changes: bool) -> Self {
        Self { changes: tells_changes.then(|| watch::Sender::new([0; 3])), wanted: Mutex::default() }
    }

    pub(super) fn change(&self, list: OddList) {
        if let Some(changes) = &self.changes {
            changes.send_modify(|counts| counts[list as usize] += 1);
        }
    }

    /// The entry that is there after a change.
    pub(super) fn late(&self, list: OddList, entry: &'static str) -> &'static str {
        let changed = self.changes.as_ref().is_some_and(|changes| changes.borrow()[list as usize] > 0);
        if changed { entry } else { "" }
    }

    pub(super) fn capabilities(&self, era: OddEra) -> String {
        let flag = self.changes.is_some();
        let newer = match era {
            OddEra::Legacy => "",
            OddEra::Modern => r#","extensions":{"vendor/ext":{"n":1.50},"io.modelcontextprotocol/tasks":{}}"#,
        };
        format!(
            r#"{{"tools":{{"listChanged":{flag}}},"resources":{{"listChanged":{flag},"subscribe":true}},"prompts":{{"listChanged":{flag}}},"completions":{{}},"logging":{{}},"experimental":{{"vendor/odd":{{"n":12345678901234567890123}}}}{newer}}}"#
        )
    }

    /// The result of a list beside the tools, without its end.
    pub(super) fn page(&self, method: &str, cursor: Option<&str>) -> Option<String> {
        Some(match (method, cursor) {
            ("resources/list", None) => {
                format!(r#""resources":[{RESOURCES_ONE}],"nextCursor":"two""#)
            }
            ("resources/list", Some(_)) => {
                let late = self.late(OddList::Resources, r#",{"uri":"odd://late","name":"late"}"#);
                format!(r#""resources":[{RESOURCES_TWO}{late}]"#)
            }
            ("resources/templates/list", _) => format!(r#""resourceTemplates":[{TEMPLATES}]"#),
            ("prompts/list", None) => format!(r#""prompts":[{PROMPTS_ONE}],"nextCursor":"two""#),
            ("prompts/list", Some(_)) => {
                let late = self.late(OddList::Prompts, r#",{"name":"late prompt"}"#);
                format!(r#""prompts":[{PROMPTS_TWO}{late}]"#)
            }
            _ => return None,
        })
    }

    /// What is granted of a request for notices: all of it.
    pub(super) fn grant(&self, params: Option<&RawValue>) -> String {
        #[derive(serde::Deserialize)]
        struct Asked<'a> {
            #[serde(borrow)]
            notifications: &'a RawValue,
        }
        let asked = params.and_then(|params| serde_json::from_str::<Asked<'_>>(params.get()).ok());
        let wanted = asked.map_or("{}", |asked| asked.notifications.get()).to_owned();
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&wanted);
        wanted
    }
}

/// The methods of the notices that follow from these counts, of those that are `wanted`.
pub(super) fn notices(before: [u64; 3], now: [u64; 3], wanted: Option<&str>) -> Vec<String> {
    let told = |list: &OddList| {
        before[*list as usize] != now[*list as usize]
            && wanted.is_none_or(|wanted| wanted.contains(&format!("{}ListChanged", list.name())))
    };
    let method = |list: OddList| format!("notifications/{}/list_changed", list.name());
    OddList::ALL.into_iter().filter(told).map(method).collect()
}
