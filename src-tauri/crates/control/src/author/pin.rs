//! Pinning a connector's tools: asking the connector itself, and writing down its very words for IT to review.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::ConnectorId;
use org_protocol::{ConnectorSpec, Content, ContentFault, CredentialSpec, PinnedDefinitions, Transport};
use os::SystemClock;
use secrecy::SecretString;
use serde_json::value::RawValue;
use upstream::{Bearer, HttpClient, ListedTools, Log, Session, UpstreamFault};

use super::beside;
use super::files::replace;
use super::folder::{self, AuthorFault};
use crate::launch;

/// How long a connector may take to start and to list its tools.
const DEADLINE: Duration = Duration::from_secs(60);

/// What pinning changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Pinned {
    /// The file that holds the list now.
    pub file: PathBuf,
    /// The file that holds what else it says to models; none where that is not passed on, because calls are not made here.
    pub definitions: Option<PathBuf>,
    /// How many tools it holds.
    pub tools: usize,
    /// Tools that are new; and what else is, in words.
    pub added: Vec<String>,
    /// Those whose definition is another.
    pub changed: Vec<String>,
    /// Those that are gone.
    pub removed: Vec<String>,
    /// Definitions that were left out because they are no tools.
    pub left_out: Vec<String>,
}

/// Why nothing was pinned.
#[derive(Debug, thiserror::Error)]
pub enum PinFault {
    /// The folder cannot be read.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Folder(Vec<AuthorFault>),
    /// There is no such connector.
    #[error("there is no connectors/{0}.toml")]
    Unknown(ConnectorId),
    /// Its transport is not one.
    #[error(transparent)]
    Content(#[from] ContentFault),
    /// It needs a credential of the organisation to start, and none was given.
    #[error("connector {0} is brokered: give its secret with --credential-file or on standard input")]
    NoCredential(ConnectorId),
    /// It lists its tools only for somebody who has signed in.
    #[error(
        "connector {0} refuses who has not signed in: give an access token of your own with --credential-file"
    )]
    NoToken(ConnectorId),
    /// It did not answer.
    #[error("the connector did not list its tools: {0}")]
    Upstream(#[from] UpstreamFault),
    /// The list cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Asks a connector for its tools and writes `connectors/<id>.tools.json`; for its prompts, resource templates and instructions, and
/// writes `connectors/<id>.definitions.json`. Connectors with shared accounts offer nothing but tools.
///
/// `secret` is what a brokered connector needs, or an access token of whoever asks where each person signs in.
///
/// # Errors
/// A [`PinFault`]; the file is then as it was.
pub async fn pin(folder: &Path, id: &ConnectorId, secret: Option<&SecretString>) -> Result<Pinned, PinFault> {
    let content = folder::read(folder).map_err(PinFault::Folder)?;
    let spec = content.connectors.get(id).ok_or_else(|| PinFault::Unknown(id.clone()))?;
    if secret.is_none() && spec.credential.is_shared() {
        return Err(PinFault::NoCredential(id.clone()));
    }
    let listed = list(spec, secret).await;
    let refused = matches!(&listed, Err(PinFault::Upstream(UpstreamFault::Unauthorized { .. })));
    if refused && secret.is_none() {
        return Err(PinFault::NoToken(id.clone()));
    }
    let (listed, beside) = listed?;
    let path = |of: &str| folder.join("connectors").join(format!("{id}.{of}.json"));
    let write = |path: &Path, text: String| {
        let written = replace(path, text.as_bytes());
        written.map_err(|source| PinFault::Write { path: path.to_owned(), source })
    };
    let file = path("tools");
    write(&file, lines(listed.tools.iter().map(|(_, definition)| definition.as_ref()), ""))?;
    let definitions = match &beside {
        Some(beside) => {
            let file = path("definitions");
            write(&file, text(beside))?;
            Some(file)
        }
        None => None,
    };
    let (before, after) = (by_name(&content, id), of_lists(&listed, beside.as_ref()));
    let changed = |name: &&String| before.get(*name).is_some_and(|old| after.get(*name) != Some(old));
    let gone = |name: &&String| !after.contains_key(*name);
    Ok(Pinned {
        file,
        definitions,
        tools: listed.tools.len(),
        added: after.keys().filter(|name| !before.contains_key(*name)).cloned().collect(),
        changed: after.keys().filter(changed).cloned().collect(),
        removed: before.keys().filter(gone).cloned().collect(),
        left_out: listed.left_out,
    })
}

/// Definitions as a JSON list, each on a line of its own, so that a difference can be read.
fn lines<'d>(definitions: impl Iterator<Item = &'d RawValue>, indent: &str) -> String {
    let lines: Vec<String> = definitions.map(|definition| format!("{indent}{}", definition.get())).collect();
    match lines.is_empty() {
        true => "[]\n".to_owned(),
        false => format!("[\n{}\n{indent}]\n", lines.join(",\n")),
    }
}

fn text(beside: &PinnedDefinitions) -> String {
    let list = |name: &str, definitions: &[Box<RawValue>]| {
        format!("  \"{name}\": {}", lines(definitions.iter().map(AsRef::as_ref), "  ").trim_end())
    };
    let mut members: Vec<String> = Vec::new();
    members.extend(beside.instructions.as_deref().map(|said| format!("  \"instructions\": {}", said.get())));
    members.push(list("prompts", &beside.prompts));
    members.push(list("resourceTemplates", &beside.resource_templates));
    format!("{{\n{}\n}}\n", members.join(",\n"))
}

/// What was pinned of a connector before, by name.
fn by_name(content: &Content, id: &ConnectorId) -> BTreeMap<String, String> {
    let tools = content.tools.get(id).into_iter().flat_map(|pinned| &pinned.0);
    let tools = tools.filter_map(|tool| Some((tool_name(tool)?, tool.get().to_owned())));
    tools.chain(beside_by_name(content.definitions.get(id))).collect()
}

fn of_lists(listed: &ListedTools, beside: Option<&PinnedDefinitions>) -> BTreeMap<String, String> {
    let tools = listed.tools.iter().map(|(name, definition)| (name.to_string(), definition.get().to_owned()));
    tools.chain(beside_by_name(beside)).collect()
}

fn beside_by_name(beside: Option<&PinnedDefinitions>) -> Vec<(String, String)> {
    let named = beside.map(beside::named).unwrap_or_default();
    named.into_iter().map(|(name, definition)| (name, definition.get().to_owned())).collect()
}

/// The token as the connector wants it.
fn bearer(spec: &ConnectorSpec, secret: &SecretString) -> Result<Bearer, UpstreamFault> {
    let bearer = Bearer::new(secret.clone());
    match &spec.credential {
        CredentialSpec::UserToken { header, .. } if !header.is_authorization() => {
            bearer.in_header(header.as_str())
        }
        CredentialSpec::None
        | CredentialSpec::UserOauth { .. }
        | CredentialSpec::UserToken { .. }
        | CredentialSpec::ClientCredentials { .. }
        | CredentialSpec::Enterprise { .. }
        | CredentialSpec::Brokered { .. }
        | CredentialSpec::Leased { .. } => Ok(bearer),
    }
}

/// A connector's tools, and what else it says to models where that is passed on.
async fn list(
    spec: &ConnectorSpec,
    secret: Option<&SecretString>,
) -> Result<(ListedTools, Option<PinnedDefinitions>), PinFault> {
    let bearer = match (spec.transport()?, secret) {
        (Transport::Http(_), Some(secret)) => Some(bearer(spec, secret)?),
        (Transport::Http(_) | Transport::Stdio { .. }, _) => None,
    };
    let nobody = mcp::Capabilities::default();
    let session = match (spec.transport()?, launch::program(spec, secret)) {
        (Transport::Http(url), _) => {
            Session::open_url(&HttpClient::new()?, url, bearer.as_ref(), &nobody, None, DEADLINE).await?
        }
        (Transport::Stdio { .. }, Some(program)) => {
            let log = Log::new(Arc::new(SystemClock)).writer();
            Session::open_program(&program, &log, &nobody, None, DEADLINE).await?
        }
        (Transport::Stdio { .. }, None) => return Err(ContentFault::Transport.into()),
    };
    if spec.credential.is_shared() {
        return Ok((session.list_tools(bearer.as_ref(), DEADLINE).await?, None));
    }
    let listed = session.list_all(bearer.as_ref(), DEADLINE).await?;
    let (prompts, templates) = (listed.prompts?, listed.templates?);
    let texts = |entries: Vec<(String, Box<RawValue>)>| entries.into_iter().map(|(_, text)| text).collect();
    let beside = PinnedDefinitions {
        instructions: session.about().instructions().map(ToOwned::to_owned),
        prompts: texts(prompts),
        resource_templates: texts(templates),
    };
    Ok((listed.tools, Some(beside)))
}

pub(crate) fn tool_name(definition: &RawValue) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Named {
        name: String,
    }
    serde_json::from_str::<Named>(definition.get()).ok().map(|named| named.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stdio connector in a shell: answers `initialize` and `tools/list`, each on its line.
    fn scripted(tools: &str) -> String {
        format!(
            r#"title = "S"
command = ["/bin/sh", "-c", '''
while read -r line; do
  id=$(printf %s "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case "$line" in
    *'"initialize"'*) printf '{{"jsonrpc":"2.0","id":%s,"result":{{"protocolVersion":"2025-11-25","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"s","version":"1"}}}}}}\n' "$id";;
    *'"tools/list"'*) printf '{{"jsonrpc":"2.0","id":%s,"result":{{"tools":{tools}}}}}\n' "$id";;
  esac
done
''']
"#
        )
    }

    fn org(connector: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        crate::author::init(&dir.path().join("org"), "example").expect("writes");
        write(&dir, connector);
        dir
    }

    fn write(dir: &tempfile::TempDir, connector: &str) {
        std::fs::write(dir.path().join("org/connectors/s.toml"), connector).expect("writes");
    }

    async fn pinned(dir: &tempfile::TempDir, secret: Option<&SecretString>) -> Result<Pinned, PinFault> {
        pin(&dir.path().join("org"), &"s".parse().expect("an id"), secret).await
    }

    #[tokio::test]
    async fn a_program_is_asked_and_changes_are_told() {
        let dir = org(&scripted(r#"[{"name":"a","inputSchema":{"x":1.50}},{"name":"b"}]"#));
        let first = pinned(&dir, None).await.expect("pins");
        assert_eq!((first.tools, first.added), (2, vec!["a".to_owned(), "b".to_owned()]));
        let text = std::fs::read_to_string(&first.file).expect("reads");
        assert_eq!(
            text, "[\n{\"name\":\"a\",\"inputSchema\":{\"x\":1.50}},\n{\"name\":\"b\"}\n]\n",
            "word for word"
        );

        write(&dir, &scripted(r#"[{"name":"a","inputSchema":{}},{"name":"c"}]"#));
        let second = pinned(&dir, None).await.expect("pins");
        assert_eq!(second.changed, ["a"]);
        assert_eq!(second.added, ["c"]);
        assert_eq!(second.removed, ["b"]);
    }

    #[tokio::test]
    async fn a_brokered_connector_needs_its_secret() {
        let brokered = "\ncredential = { kind = \"brokered\", credentials = [\"c\"] }\nenvironment = { S = \"${credential}\" }\n";
        let dir = org(&(scripted("[]") + brokered));
        assert!(matches!(pinned(&dir, None).await, Err(PinFault::NoCredential(_))));
        assert_eq!(pinned(&dir, Some(&SecretString::from("x"))).await.expect("pins").tools, 0);
    }

    /// A Streamable HTTP connector that answers only to the bearer token `ivys-own`.
    async fn serve_http() -> std::io::Result<String> {
        use axum::http::{HeaderMap, StatusCode};
        use axum::{Json, Router, routing::post};
        use serde_json::{Value, json};
        async fn answer(headers: HeaderMap, Json(message): Json<Value>) -> Result<Json<Value>, StatusCode> {
            if headers.get("authorization").is_none_or(|value| value != "Bearer ivys-own") {
                return Err(StatusCode::UNAUTHORIZED);
            }
            let result = match message["method"].as_str() {
                Some("initialize") => json!({
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "s", "version": "1"},
                }),
                Some("tools/list") => json!({"tools": [{"name": "a"}]}),
                _ => return Err(StatusCode::ACCEPTED),
            };
            Ok(Json(json!({"jsonrpc": "2.0", "id": message["id"], "result": result})))
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/mcp", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/mcp", post(answer))).await });
        Ok(url)
    }

    #[tokio::test]
    async fn where_each_person_signs_in_ones_own_token_pins() {
        let url = serve_http().await.expect("serves");
        let dir = org(&format!("title = \"S\"\nurl = \"{url}\"\ncredential = {{ kind = \"user_oauth\" }}\n"));
        assert!(matches!(pinned(&dir, None).await, Err(PinFault::NoToken(_))));
        let stale = SecretString::from("yesterdays");
        assert!(matches!(pinned(&dir, Some(&stale)).await, Err(PinFault::Upstream(_))));
        let own = SecretString::from("ivys-own");
        assert_eq!(pinned(&dir, Some(&own)).await.expect("pins").added, ["a"]);
    }

    #[tokio::test]
    async fn a_program_that_dies_changes_nothing() {
        let dir = org("title = \"S\"\ncommand = [\"/bin/false\"]\n");
        assert!(matches!(pinned(&dir, None).await, Err(PinFault::Upstream(_))));
        assert!(!dir.path().join("org/connectors/s.tools.json").exists());
    }

    #[tokio::test]
    async fn an_unknown_connector_is_named() {
        let dir = org(&scripted("[]"));
        let fault = pin(&dir.path().join("org"), &"t".parse().expect("an id"), None).await;
        assert!(matches!(fault, Err(PinFault::Unknown(_))));
    }
}
