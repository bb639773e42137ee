//! What a call asks of a connector: an MCP method, and the tool, resource or prompt that it is about.

use serde::{Deserialize, Serialize};

use super::{ArgumentKind, argument_mac};

/// The longest name that is kept, in characters: as long as MCP lets a tool's name be.
const LONGEST_NAME: usize = 128;
/// The longest URI that is kept, in characters.
const LONGEST_URI: usize = 512;

/// What a call asks of a connector. In a record its parts stand beside the other members: `"method":"tools/call"` and
/// one of `"tool":"<name>"`, `"resource":{..}` and `"prompt":"<name>"`. A record without a method is of a tool call.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    #[serde(default = "tool_call")]
    method: EffectMethod,
    #[serde(flatten)]
    target: EffectTarget,
}

/// What an effect is about.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectTarget {
    /// A tool, under the name that the record's writer knew, cut at 128 characters.
    Tool(String),
    /// A resource, or the template of resources.
    Resource(RecordedUri),
    /// A prompt; its name is cut at 128 characters.
    Prompt(String),
}

/// A resource's URI (RFC 3986), as far as a record may keep it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedUri {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    uri: String,
    bytes: u64,
    mac: String,
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// An MCP method that has an effect at a connector.
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "String", from = "String")]
        pub enum EffectMethod {
            $($(#[$doc])* $name,)*
            /// A method that a later version records.
            Unknown(String),
        }

        impl EffectMethod {
            /// The method as MCP has it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Unknown(text) => text,
                }
            }
        }

        impl From<String> for EffectMethod {
            fn from(text: String) -> Self {
                match text.as_str() {
                    $($text => Self::$name,)*
                    _ => Self::Unknown(text),
                }
            }
        }
    };
}

methods! {
    /// A tool is called.
    CallTool = "tools/call",
    /// A resource is read.
    ReadResource = "resources/read",
    /// Notice of a resource's changes is asked for.
    SubscribeResource = "resources/subscribe",
    /// It is no longer wanted.
    UnsubscribeResource = "resources/unsubscribe",
    /// A prompt is got.
    GetPrompt = "prompts/get",
    /// Values for an argument of a prompt or of a template are asked for.
    Complete = "completion/complete",
    /// The state of a task is asked for.
    GetTask = "tasks/get",
    /// The result of a task is asked for.
    GetTaskResult = "tasks/result",
    /// A task is told more.
    UpdateTask = "tasks/update",
    /// A task is given up.
    CancelTask = "tasks/cancel",
}

impl From<EffectMethod> for String {
    fn from(method: EffectMethod) -> Self {
        method.as_str().to_owned()
    }
}

impl std::fmt::Display for EffectMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

fn tool_call() -> EffectMethod {
    EffectMethod::CallTool
}

impl Effect {
    /// Something done with a tool: called, or a task that its call began.
    pub fn tool(method: EffectMethod, name: &str) -> Self {
        Self { method, target: EffectTarget::Tool(cut(name, LONGEST_NAME)) }
    }

    /// Something done with a resource or the template of resources.
    pub fn resource(method: EffectMethod, uri: RecordedUri) -> Self {
        Self { method, target: EffectTarget::Resource(uri) }
    }

    /// Something done with a prompt.
    pub fn prompt(method: EffectMethod, name: &str) -> Self {
        Self { method, target: EffectTarget::Prompt(cut(name, LONGEST_NAME)) }
    }

    /// The call of a tool.
    pub fn tool_call(name: &str) -> Self {
        Self::tool(EffectMethod::CallTool, name)
    }

    /// The MCP method.
    pub fn method(&self) -> &EffectMethod {
        &self.method
    }

    /// What is kept of a resource's URI.
    pub(super) fn uri_mut(&mut self) -> Option<&mut String> {
        match &mut self.target {
            EffectTarget::Resource(resource) => Some(&mut resource.uri),
            EffectTarget::Tool(_) | EffectTarget::Prompt(_) => None,
        }
    }

    /// What it is about.
    pub fn target(&self) -> &EffectTarget {
        &self.target
    }
}

impl EffectTarget {
    /// What it is, in one word: `tool`, `resource` or `prompt`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tool(_) => "tool",
            Self::Resource(_) => "resource",
            Self::Prompt(_) => "prompt",
        }
    }

    /// The tool's or prompt's name, or as much of the URI as the record keeps.
    pub fn name(&self) -> &str {
        match self {
            Self::Tool(name) | Self::Prompt(name) => name,
            Self::Resource(uri) => uri.as_str(),
        }
    }
}

impl RecordedUri {
    /// What a record keeps of `uri`: the text, cut at 512 characters, its size, and its keyed digest (that of
    /// [`argument_mac`] for a text), which tells equal URIs from different ones.
    ///
    /// A URI can carry a secret, so unless `capture` says that values are recorded, the text is that of [`bare_uri`].
    pub fn of(uri: &str, mac_key: &[u8; 32], capture: bool) -> Self {
        let kept = if capture { cut(uri, LONGEST_URI) } else { cut(&bare_uri(uri), LONGEST_URI) };
        let mac = argument_mac(mac_key, ArgumentKind::Text, uri.as_bytes());
        Self { uri: kept, bytes: uri.len() as u64, mac }
    }

    /// The text that is kept.
    pub fn as_str(&self) -> &str {
        &self.uri
    }

    /// The size of the whole URI in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The keyed digest of the whole URI.
    pub fn mac(&self) -> &str {
        &self.mac
    }
}

/// A URI without what can carry a secret: user information, query and fragment (RFC 3986, sections 3.2.1, 3.4, 3.5). Where
/// it cannot be told where these begin and end, nothing but the scheme is left.
pub fn bare_uri(uri: &str) -> String {
    let end = uri.find(['?', '#']).unwrap_or(uri.len());
    let (whole, hidden) = uri.split_at(end);
    // A URI may hold another one: whatever follows a `//` is looked at as an authority.
    let mut parts = whole.split("//");
    let mut bare = parts.next().map_or_else(String::new, without_user);
    let mut rest = parts.peekable();
    while let Some(part) = rest.next() {
        let authority = part.split(['/', '\\']).next().unwrap_or_default();
        let path = part.get(authority.len()..).unwrap_or_default();
        let is_open = path.is_empty() && rest.peek().is_none() && hidden.contains('@');
        let host = after_user(authority);
        if is_open || !has_plain_port(host) {
            return uri.split_once(':').map_or_else(String::new, |(scheme, _)| format!("{scheme}:"));
        }
        bare.push_str("//");
        bare.push_str(host);
        bare.push_str(path);
    }
    bare
}

/// `user@host` without its user.
fn after_user(authority: &str) -> &str {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// What stands before an authority, or a URI that has none: `scheme:user@host` without its user.
fn without_user(text: &str) -> String {
    match (text.split_once(':'), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}:{rest}"),
        (None, Some((_, rest))) => rest.to_owned(),
        (_, None) => text.to_owned(),
    }
}

/// Whether what follows the last colon is a port: else it may be the beginning of a password with characters that no
/// URI has.
fn has_plain_port(host: &str) -> bool {
    let after_address = host.rsplit_once(']').map_or(host, |(_, rest)| rest);
    after_address
        .rsplit_once(':')
        .is_none_or(|(before, port)| !before.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn cut(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn json(effect: &Effect) -> String {
        serde_json::to_string(effect).unwrap()
    }

    #[test]
    fn an_effect_is_written_with_its_method_and_target() {
        assert_eq!(
            json(&Effect::tool_call("execute_sql")),
            r#"{"method":"tools/call","tool":"execute_sql"}"#
        );
        assert_eq!(
            json(&Effect::prompt(EffectMethod::Complete, "review")),
            r#"{"method":"completion/complete","prompt":"review"}"#
        );
        let read = Effect::resource(EffectMethod::ReadResource, RecordedUri::of("file:///a", &KEY, false));
        let mac = argument_mac(&KEY, ArgumentKind::Text, b"file:///a");
        assert_eq!(
            json(&read),
            format!(
                r#"{{"method":"resources/read","resource":{{"uri":"file:///a","bytes":9,"mac":"{mac}"}}}}"#
            )
        );
        for effect in [Effect::tool(EffectMethod::CancelTask, "export"), read] {
            assert_eq!(serde_json::from_str::<Effect>(&json(&effect)).unwrap(), effect);
        }
    }

    #[test]
    fn what_was_written_before_methods_were_recorded_is_a_tool_call() {
        let effect: Effect = serde_json::from_str(r#"{"tool":"execute_sql"}"#).unwrap();
        assert_eq!(effect, Effect::tool_call("execute_sql"));
        let later: Effect = serde_json::from_str(r#"{"method":"tools/ponder","tool":"a"}"#).unwrap();
        assert_eq!(later.method().as_str(), "tools/ponder");
        assert_eq!(json(&later), r#"{"method":"tools/ponder","tool":"a"}"#);
        assert!(serde_json::from_str::<Effect>(r#"{"method":"tools/call"}"#).is_err());
    }

    #[test]
    fn a_uri_is_recorded_without_what_can_carry_a_secret() {
        for (uri, bare) in [
            ("file:///public/a.txt", "file:///public/a.txt"),
            ("file:///node_modules/@scope/pkg", "file:///node_modules/@scope/pkg"),
            ("https://host.example:8443/a/b?token=canary#canary", "https://host.example:8443/a/b"),
            ("https://user:canary@host.example/a", "https://host.example/a"),
            ("https://user:can@ary@host.example/a", "https://host.example/a"),
            ("http://user:canary@[2001:db8::1]:80/a", "http://[2001:db8::1]:80/a"),
            ("jdbc:postgresql://user:canary@db/sales", "jdbc:postgresql://db/sales"),
            ("fetch://proxy/https://user:canary@inner/a", "fetch://proxy/https://inner/a"),
            ("sftp:user:canary@host", "sftp:host"),
            ("urn:isbn:0451450523", "urn:isbn:0451450523"),
            ("note#canary", "note"),
            ("", ""),
            // These are no URIs, but somebody's password may have been written so.
            ("https://user:can/ary@host.example/a", "https:"),
            ("https://user:can?ary@host.example/a", "https:"),
            ("https://user:1234#canary@host.example/a", "https:"),
            ("https://user?canary@host.example/a", "https:"),
        ] {
            assert_eq!(bare_uri(uri), bare, "{uri}");
            let recorded = RecordedUri::of(uri, &KEY, false);
            assert!(
                !json(&Effect::resource(EffectMethod::ReadResource, recorded)).contains("canary"),
                "{uri}"
            );
        }
    }

    #[test]
    fn a_uri_that_may_be_captured_is_kept_as_it_is() {
        let uri = "https://user:pw@host.example/a?b#c";
        let (captured, bare) = (RecordedUri::of(uri, &KEY, true), RecordedUri::of(uri, &KEY, false));
        assert_eq!((captured.as_str(), bare.as_str()), (uri, "https://host.example/a"));
        assert_eq!((captured.mac(), captured.bytes()), (bare.mac(), bare.bytes()));
        assert_ne!(RecordedUri::of("https://host.example/a", &KEY, false).mac(), bare.mac());
    }

    #[test]
    fn names_and_uris_of_any_length_are_bounded() {
        let long = "é".repeat(10_000);
        assert_eq!(Effect::tool_call(&long).target().name().chars().count(), LONGEST_NAME);
        assert_eq!(
            Effect::prompt(EffectMethod::GetPrompt, &long).target().name().chars().count(),
            LONGEST_NAME
        );
        for capture in [false, true] {
            let recorded = RecordedUri::of(&format!("file:///{long}"), &KEY, capture);
            assert_eq!((recorded.as_str().chars().count(), recorded.bytes()), (LONGEST_URI, 20_008));
        }
    }
}
