//! The assistants on this computer, and what they would meet.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{AdviceView, Millis};

/// An assistant that is on this computer.
#[derive(Debug, Clone, PartialEq, Serialize, Type)]
pub struct LocalAssistantView {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub title: String,
    /// Its configuration file.
    pub file: Option<String>,
    /// The virtual servers that it is connected to.
    pub connected: Vec<ConnectedView>,
    /// The names of what it reaches past Deskgate.
    pub others: Vec<String>,
    /// Whether some of those can become connectors here.
    pub can_import: bool,
    /// The names of what it had itself, and can be given back.
    pub imported: Vec<String>,
    /// Why its file could not be looked at.
    pub trouble: Option<AdviceView>,
}

/// A virtual server that an assistant is connected to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct ConnectedView {
    /// Its id.
    pub server: String,
    /// Whether the assistant has an earlier address of it.
    pub is_old: bool,
}

/// A change of an assistant's configuration that was not made yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct AssistantChangeView {
    /// By which it is made.
    pub id: u32,
    /// The file.
    pub file: String,
    /// What changes in it: a unified diff.
    pub diff: String,
    /// Whether the file is then as it was before it was connected, byte for byte.
    pub exact: bool,
    /// What the person does next.
    pub next: String,
}

/// Servers that are taken over from an assistant, or given back, which was not done yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct ImportView {
    /// By which it is done.
    pub id: u32,
    /// What changes in both files: unified diffs. Secrets are dots.
    pub diff: String,
    /// The names of the servers.
    pub servers: Vec<String>,
    /// What stays as it is: names, each with why.
    pub left: Vec<String>,
    /// Whether the assistant's file is then as it was before, byte for byte; of an import, whether it can be undone so.
    pub exact: bool,
}

/// A connector of one's own, as it is described in a window. Holds secrets, so it is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct ConnectorWish {
    /// What it is to be called.
    pub title: String,
    /// Where it is.
    pub place: ConnectorPlace,
    /// The virtual server that gets it; the only one, or one that is made, where none is named.
    pub server: Option<String>,
}

/// Where a connector is that somebody describes.
#[derive(Clone, PartialEq, Eq, Deserialize, Type)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "snake_case")]
pub enum ConnectorPlace {
    /// At an address of the transport Streamable HTTP.
    Address {
        /// The address.
        url: String,
        /// Whether one signs in with a token that one has, and not as the server says.
        by_token: bool,
    },
    /// In a program on this computer.
    Program {
        /// What starts it, as one types it into a terminal.
        line: String,
        /// What is sealed and given to it in its environment.
        secrets: Vec<SecretWish>,
    },
}

/// A secret that a program gets in its environment.
#[derive(Clone, PartialEq, Eq, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct SecretWish {
    /// The name of the variable.
    pub name: String,
    /// The secret.
    pub value: String,
}

/// A change of the person's own connectors that was not made yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct ConnectorChangeView {
    /// By which it is made.
    pub id: u32,
    /// What the connector is called.
    pub title: String,
    /// What changes in the settings: a unified diff. What is sealed is not in it.
    pub diff: String,
}

/// What trying a virtual server out came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct TrialView {
    /// How many tools it offers this person.
    pub tools: u32,
    /// The call that was made; none where no tool can be called without knowing what for.
    pub call: Option<TriedCallView>,
}

/// A call that was made to try it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct TriedCallView {
    /// The connector's title.
    pub connector: String,
    /// The tool.
    pub tool: String,
    /// How long it took.
    pub took: Millis,
    /// Why there is no result.
    pub fault: Option<String>,
}
