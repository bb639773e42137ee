//! What `deskgate explain` is told: the decision of the policy in force about one call, in words.

use std::net::IpAddr;

use gateway::Snapshot;
use model::{Advice, CallId, ConnectorId, ServerId, Subject, Timestamp};
use policy::{Circumstance, Question, Target};
use serde::{Deserialize, Serialize};

use super::socket::{Report, refused};

/// What is to be explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Explained {
    /// The call of a tool.
    Tool {
        /// The tool, as assistants name it.
        tool: String,
        /// The arguments as JSON text.
        arguments: String,
    },
    /// The reading of a resource.
    Resource {
        /// The connector.
        connector: ConnectorId,
        /// The resource's URI.
        uri: String,
    },
    /// The getting of a prompt.
    Prompt {
        /// The connector.
        connector: ConnectorId,
        /// The connector's own name for it.
        name: String,
    },
}

/// From where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standpoint {
    /// The full path of the program that asks.
    #[serde(default)]
    pub program: Option<String>,
    /// Where the device is in the network; where it is now, if it is not said.
    #[serde(default)]
    pub address: Option<IpAddr>,
}

/// Explains what `subject` would be answered through `server`.
pub(super) fn explain(
    snapshot: &Snapshot,
    now: Timestamp,
    subject: &Subject,
    server: &ServerId,
    about: &Explained,
    from: &Standpoint,
) -> Report {
    let (connector, target) = match about {
        Explained::Tool { tool, arguments } => {
            let Some(offered) = snapshot.servers.get(server).and_then(|view| view.tool(tool)) else {
                return refused(not_offered(server, tool));
            };
            if let Err(fault) = mcp::scan(arguments.as_bytes()) {
                let happened = format!("The arguments are not JSON: {fault}.");
                return refused(Advice::new("arguments", happened, "", ""));
            }
            (&offered.connector, Target::Tool { name: &offered.tool, arguments })
        }
        Explained::Resource { connector, uri } => (connector, Target::Resource { uri }),
        Explained::Prompt { connector, name } => (connector, Target::Prompt { name, arguments: "{}" }),
    };
    let circumstance = Circumstance {
        now,
        client_id: "deskgate explain".to_owned(),
        client_name: "deskgate explain".to_owned(),
        device: None,
        program: from.program.clone(),
        address: from.address.or_else(os::outward_address),
    };
    let explanation = snapshot.policy_at(now).explain(&Question {
        call: CallId::new(),
        subject,
        server,
        connector,
        target,
        circumstance: &circumstance,
    });
    let text = explanation.to_string();
    Report::Ok { text, json: serde_json::to_value(&explanation).unwrap_or_default() }
}

fn not_offered(server: &ServerId, tool: &str) -> Advice {
    Advice::new(
        "not-offered",
        format!("No tool {tool} is offered by the virtual server {server}."),
        "",
        "See what is offered with: deskgate status --json",
    )
}
