//! What the odd server answers, whatever the transport.

use std::sync::{Mutex, PoisonError};

use clap::ValueEnum;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::content::Asked;
use super::lists::{INSTRUCTIONS, Lists, OddList};

/// The one era that it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OddEra {
    /// `initialize` and sessions: 2025-11-25.
    Legacy,
    /// Each request stands alone: 2026-07-28.
    Modern,
}

/// What a server of the old era does with a request that comes before `initialize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Manner {
    /// It answers with an error.
    Refuses,
    /// It says nothing.
    Silent,
    /// It ends.
    Dies,
}

/// A server that has not been told anything yet.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) era: OddEra,
    pub(super) lists: Lists,
    called: Mutex<Vec<String>>,
}

#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<&'a RawValue>,
    pub(super) method: String,
    #[serde(borrow, default)]
    pub(super) params: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Params<'a> {
    #[serde(default)]
    name: String,
    #[serde(default)]
    cursor: Option<String>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "_meta")]
    meta: Option<Meta<'a>>,
    #[serde(borrow, default)]
    vendor: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(default, rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<String>,
    #[serde(borrow, default, rename = "io.modelcontextprotocol/clientCapabilities")]
    capabilities: Option<&'a RawValue>,
    #[serde(borrow, default)]
    traceparent: Option<&'a RawValue>,
}

/// A JSON-RPC answer without its frame.
pub(super) enum Reply {
    Result(String),
    Error(i32, &'static str),
    /// An error object as it stands.
    OddError(&'static str),
}

const PAGE_ONE: &str = r##"{"name":"mirror","title":"Mirror \u00e9","description":"says what it was told","inputSchema":{"type":"object","$defs":{"n":{"$anchor":"here","type":"number","maximum":12345678901234567890123}},"properties":{"n":{"$ref":"#here"}},"x-vendor":[1.50,1e400]},"annotations":{"readOnlyHint":true,"vendorHint":{"a":null}},"execution":{"taskSupport":"forbidden"},"_meta":{"vendor/x":12345678901234567890123,"ui":{"resourceUri":"ui://mirror/view"}},"icons":[],"vendor":{"k":[]}},{"title":"no name","inputSchema":{"type":"object"}},{"name":7},"nonsense""##;
const PAGE_TWO: &str = r#"{"name":"fail","inputSchema":{"type":"object"}},{"name":"asks","inputSchema":{"type":"object"}},{"name":"headed","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}},{"name":"danger","inputSchema":{"type":"object"}},{"name":"called","inputSchema":{"type":"object"},"outputSchema":{"type":"object","properties":{"called":{"type":"array"}}}}"#;

const LATE: &str = r#",{"name":"late","inputSchema":{"type":"object"}}"#;

impl Message<'_> {
    /// `params.arguments.region`, which a header repeats.
    pub(super) fn region(&self) -> Option<String> {
        let params = serde_json::from_str::<Params<'_>>(self.params?.get()).ok()?;
        let arguments: serde_json::Value = serde_json::from_str(params.arguments?.get()).ok()?;
        Some(arguments.get("region")?.as_str()?.to_owned())
    }

    /// What the header `Mcp-Name` repeats, where it has to.
    pub(super) fn subject(&self) -> Option<String> {
        Asked::read(self.params).subject(&self.method)
    }

    /// `params.name`; nothing where there is none.
    pub(super) fn name(&self) -> String {
        let params = self.params.and_then(|params| serde_json::from_str::<Params<'_>>(params.get()).ok());
        params.unwrap_or_default().name
    }
}

impl Server {
    pub(super) fn new(era: OddEra, tells_changes: bool) -> Self {
        Self { era, lists: Lists::new(tells_changes), called: Mutex::default() }
    }

    pub(super) fn reply(&self, message: &Message<'_>) -> Reply {
        let params = message.params.and_then(|params| serde_json::from_str::<Params<'_>>(params.get()).ok());
        let params = params.unwrap_or_default();
        if let Some(refusal) = self.refusal(&params) {
            return refusal;
        }
        match (message.method.as_str(), self.era) {
            ("initialize", OddEra::Legacy) => Reply::Result(format!(
                r#"{{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{{"name":"odd","version":"1"}},"instructions":{INSTRUCTIONS}}}"#,
                self.lists.capabilities(self.era)
            )),
            ("ping", OddEra::Legacy) => Reply::Result("{}".to_owned()),
            ("server/discover", OddEra::Modern) => Reply::Result(format!(
                r#"{{"supportedVersions":["2026-07-28"],"capabilities":{},"serverInfo":{{"name":"odd","version":"1"}},"instructions":{INSTRUCTIONS}{}}}"#,
                self.lists.capabilities(self.era),
                self.list_end()
            )),
            ("tools/list", _) => Reply::Result(match params.cursor.as_deref() {
                None => format!(r#"{{"tools":[{PAGE_ONE}],"nextCursor":"two"{}}}"#, self.list_end()),
                Some(_) => {
                    let late = self.lists.late(OddList::Tools, LATE);
                    format!(r#"{{"tools":[{PAGE_TWO}{late}]{}}}"#, self.list_end())
                }
            }),
            ("tools/call", _) => self.call(&params),
            (method, era) => match self.lists.page(method, params.cursor.as_deref()) {
                Some(page) => Reply::Result(format!("{{{page}{}}}", self.list_end())),
                None => {
                    let reply = Asked::read(message.params).reply(method, era);
                    reply.unwrap_or(Reply::Error(-32601, "Method not found"))
                }
            },
        }
    }

    fn refusal(&self, params: &Params<'_>) -> Option<Reply> {
        if self.era == OddEra::Legacy {
            // What only the other era knows has no business here.
            let foreign = params.meta.as_ref().is_some_and(|meta| meta.version.is_some());
            return foreign.then_some(Reply::Error(-32600, "Unknown metadata"));
        }
        let meta = params.meta.as_ref();
        let complete = meta
            .is_some_and(|meta| meta.version.as_deref() == Some("2026-07-28") && meta.capabilities.is_some());
        (!complete).then_some(Reply::Error(-32602, "_meta is not complete"))
    }

    fn call(&self, params: &Params<'_>) -> Reply {
        self.called().push(params.name.clone());
        let arguments = params.arguments.map_or("{}", RawValue::get);
        let vendor = params.vendor.map_or("null", RawValue::get);
        let trace = params.meta.as_ref().and_then(|meta| meta.traceparent).map_or("null", RawValue::get);
        match params.name.as_str() {
            "mirror" => Reply::Result(format!(
                r#"{{"content":[{{"type":"video","frames":1.50,"of":12345678901234567890123}},{{"type":"text","text":"caf\u00e9 \ud83d\ude00","vendor":[1e400]}}],"structuredContent":{{"arguments":{arguments},"vendor":{vendor},"trace":{trace}}},"_meta":{{"vendor/x":-0.0}},"unknown":{{"z":1,"a":2}}{}}}"#,
                self.result_end()
            )),
            "fail" => Reply::OddError(r#"{"code":4711,"message":"it fails","data":{"n":1.50,"of":12345678901234567890123}}"#),
            "asks" => Reply::Result(
                r#"{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list","params":{}}},"requestState":"s"}"#
                    .to_owned(),
            ),
            "danger" | "headed" => Reply::Result(format!(r#"{{"content":[]{}}}"#, self.result_end())),
            "called" => {
                let called = serde_json::to_string(&*self.called()).unwrap_or_default();
                Reply::Result(format!(
                    r#"{{"content":[],"structuredContent":{{"called":{called}}}{}}}"#,
                    self.result_end()
                ))
            }
            _ => Reply::Error(-32602, "Unknown tool"),
        }
    }

    fn result_end(&self) -> &'static str {
        match self.era {
            OddEra::Legacy => "",
            OddEra::Modern => r#","resultType":"complete""#,
        }
    }

    fn list_end(&self) -> &'static str {
        match self.era {
            OddEra::Legacy => "",
            OddEra::Modern => r#","resultType":"complete","ttlMs":0,"cacheScope":"private""#,
        }
    }

    fn called(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.called.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reply {
    /// The message, on one line.
    pub(super) fn framed(&self, id: &RawValue) -> String {
        let outcome = match self {
            Self::Result(result) => format!(r#""result":{result}"#),
            Self::Error(code, message) => format!(r#""error":{{"code":{code},"message":"{message}"}}"#),
            Self::OddError(error) => format!(r#""error":{error}"#),
        };
        format!(r#"{{"jsonrpc":"2.0","id":{id},{outcome}}}"#)
    }
}
