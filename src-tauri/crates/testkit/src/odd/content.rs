//! What the odd server answers to requests for one resource, one prompt or a completion: each says what it was told.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::server::{OddEra, Reply};

/// An error that none but the connector knows.
const FAILURE: &str = r#"{"code":4711,"message":"it fails caf\u00e9","data":{"n":1.50,"of":12345678901234567890123,"z":1,"a":-0.0}}"#;
/// What a server of the old era says of a resource that it does not have.
const NO_RESOURCE: &str =
    r#"{"code":-32002,"message":"Resource not found","data":{"uri":"odd://none","n":1.50}}"#;
const END: &str = r#""_meta":{"vendor/x":-0.0},"unknown":{"z":1,"a":2}"#;

/// The parameters that these requests have, as they were written.
#[derive(Deserialize, Default)]
pub(super) struct Asked<'a> {
    #[serde(borrow, default)]
    uri: Option<&'a RawValue>,
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "ref")]
    reference: Option<&'a RawValue>,
    #[serde(borrow, default)]
    argument: Option<&'a RawValue>,
    #[serde(borrow, default)]
    context: Option<&'a RawValue>,
    #[serde(borrow, default)]
    vendor: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "_meta")]
    meta: Option<Meta<'a>>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow, default)]
    traceparent: Option<&'a RawValue>,
}

impl<'a> Asked<'a> {
    pub(super) fn read(params: Option<&'a RawValue>) -> Self {
        params.and_then(|params| serde_json::from_str(params.get()).ok()).unwrap_or_default()
    }

    /// What a header repeats of a request of this method: nothing where it is none of these.
    pub(super) fn subject(&self, method: &str) -> Option<String> {
        let subject = match method {
            "resources/read" => self.uri,
            "prompts/get" | "tools/call" => self.name,
            _ => return None,
        };
        Some(subject.and_then(|text| serde_json::from_str(text.get()).ok()).unwrap_or_default())
    }

    /// The answer; `None` where the method is none of these.
    pub(super) fn reply(&self, method: &str, era: OddEra) -> Option<Reply> {
        let has = |part: Option<&RawValue>, text: &str| part.is_some_and(|part| part.get().contains(text));
        Some(match method {
            "resources/read" if has(self.uri, "odd://fails") => Reply::OddError(FAILURE),
            "resources/read" if has(self.uri, "odd://none") => Reply::OddError(NO_RESOURCE),
            "resources/read" => {
                let uri = text(self.uri);
                self.result(
                    &format!(
                        r#""contents":[{{"uri":{uri},"mimeType":"text/x-odd","text":"caf\u00e9 \ud83d\ude00\u2028","vendor":[1.50,1e400]}},{{"uri":"odd://two","blob":"AA==","size":12345678901234567890123,"nothing":null}},{{"z":"of no kind","a":[]}}]"#
                    ),
                    match era {
                        OddEra::Legacy => "",
                        OddEra::Modern => r#","resultType":"complete","ttlMs":60000,"cacheScope":"public""#,
                    },
                )
            }
            "prompts/get" if has(self.arguments, "\"fail\"") => Reply::OddError(FAILURE),
            "prompts/get" => self.result(
                r#""description":"caf\u00e9","messages":[{"role":"narrator","content":{"type":"video","frames":1.50,"of":12345678901234567890123}},{"role":"user","content":{"type":"text","text":"\ud83d\ude00","annotations":{"priority":0.50}},"vendor":[1e400]}]"#,
                complete(era),
            ),
            "completion/complete" if has(self.argument, "\"fail\"") => Reply::OddError(FAILURE),
            "completion/complete" => self.result(
                r#""completion":{"values":["z","caf\u00e9","a"],"total":12345678901234567890123,"hasMore":false,"vendor":[1.50,1e400]}"#,
                complete(era),
            ),
            _ => return None,
        })
    }

    fn result(&self, content: &str, end: &str) -> Reply {
        let told = [
            ("uri", self.uri),
            ("name", self.name),
            ("arguments", self.arguments),
            ("ref", self.reference),
            ("argument", self.argument),
            ("context", self.context),
            ("vendor", self.vendor),
            ("trace", self.meta.as_ref().and_then(|meta| meta.traceparent)),
        ];
        let told: Vec<String> =
            told.iter().map(|(name, part)| format!(r#""{name}":{}"#, text(*part))).collect();
        Reply::Result(format!(r#"{{{content},"told":{{{}}},{END}{end}}}"#, told.join(",")))
    }
}

fn complete(era: OddEra) -> &'static str {
    match era {
        OddEra::Legacy => "",
        OddEra::Modern => r#","resultType":"complete""#,
    }
}

fn text(part: Option<&RawValue>) -> &str {
    part.map_or("null", RawValue::get)
}
