//! Arguments that headers repeat, for whoever routes without reading the message (MCP 2026-07-28, basic/transports,
//! "Custom Headers from Tool Parameters").

use http::header::{HeaderMap, HeaderName};
use serde_json::Value;
use serde_json::value::RawValue;

use super::incoming::{decoded, encoded};
use crate::call::CallParams;
use crate::error::RpcError;
use crate::raw::RawObject;

const ANNOTATION: &str = "x-mcp-header";
const PREFIX: &str = "mcp-param-";
/// The largest integer that every JavaScript reads exactly.
const LARGEST: i128 = (1 << 53) - 1;

/// The arguments of a tool that headers repeat.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mirrored(Vec<Mirror>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mirror {
    header: HeaderName,
    /// The argument's place: names of properties, outermost first.
    path: Vec<String>,
}

/// Why a tool's annotations are invalid. Assistants of the stateless revision must not be offered such a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MirrorFault {
    /// The name is no text, empty, or cannot be part of a header's name.
    #[error("x-mcp-header names no header")]
    Name,
    /// Two annotations name the same header.
    #[error("two arguments have the same x-mcp-header")]
    Twice,
    /// The argument is no string, integer or boolean.
    #[error("x-mcp-header is for strings, integers and booleans")]
    Type,
    /// The annotation is elsewhere than at an argument that is reached by `properties` alone.
    #[error("x-mcp-header is where no argument certainly is")]
    Place,
}

impl Mirrored {
    /// Reads the annotations in a tool's definition.
    ///
    /// # Errors
    /// A [`MirrorFault`].
    pub fn of(definition: &RawValue) -> Result<Self, MirrorFault> {
        let mut mirrored = Self::default();
        if definition.get().contains(ANNOTATION) || definition.get().contains('\\') {
            let schema = RawObject::parse(definition).and_then(|tool| tool.read::<Value>("inputSchema"));
            mirrored.collect(&schema.unwrap_or_default(), Some(&[]))?;
        }
        Ok(mirrored)
    }

    /// Checks that the headers say what the call's arguments do. Of a call within another they need say nothing, but
    /// nothing else either.
    ///
    /// # Errors
    /// The error to answer with.
    pub fn check(&self, headers: &HeaderMap, call: &CallParams<'_>) -> Result<(), RpcError> {
        let is_silent = |mirror: &Mirror| call.is_nested() && !headers.contains_key(&mirror.header);
        self.0.iter().try_for_each(|mirror| {
            if is_silent(mirror) || mirror.agrees(headers, call.arguments()) {
                return Ok(());
            }
            let text = format!("{} differs from the argument {}", mirror.header, mirror.path.join("."));
            Err(RpcError::new(RpcError::HEADER_MISMATCH, text))
        })
    }

    /// Whether no argument is repeated.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The headers that a call with these arguments must have.
    pub fn headers(&self, arguments: &str) -> Vec<(HeaderName, String)> {
        let header = |mirror: &Mirror| {
            let text = stated(&mirror.argument(arguments)?)?;
            Some((mirror.header.clone(), encoded(text)))
        };
        self.0.iter().filter_map(header).collect()
    }

    /// `path` is `None` where it is not certain that there is an argument.
    fn collect(&mut self, schema: &Value, path: Option<&[String]>) -> Result<(), MirrorFault> {
        let Some(schema) = schema.as_object() else { return Ok(()) };
        if let Some(name) = schema.get(ANNOTATION) {
            let path = path.filter(|path| !path.is_empty()).ok_or(MirrorFault::Place)?;
            self.take(name, schema.get("type"), path)?;
        }
        for (keyword, value) in schema {
            match keyword.as_str() {
                // What stands there is data, not schema.
                ANNOTATION | "const" | "default" | "enum" | "examples" => {}
                "properties" => {
                    for (name, property) in value.as_object().into_iter().flatten() {
                        let inner = path.map(|path| [path, std::slice::from_ref(name)].concat());
                        self.collect(property, inner.as_deref())?;
                    }
                }
                "$defs" | "definitions" | "patternProperties" | "dependentSchemas" => {
                    let schemas = value.as_object().into_iter().flat_map(|schemas| schemas.values());
                    schemas.into_iter().try_for_each(|schema| self.collect(schema, None))?;
                }
                _ => {
                    let schemas = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                    schemas.iter().try_for_each(|schema| self.collect(schema, None))?;
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, name: &Value, kind: Option<&Value>, path: &[String]) -> Result<(), MirrorFault> {
        let name = name.as_str().filter(|name| !name.is_empty()).ok_or(MirrorFault::Name)?;
        let header: HeaderName = format!("{PREFIX}{name}").parse().map_err(|_| MirrorFault::Name)?;
        if !matches!(kind.and_then(Value::as_str), Some("string" | "integer" | "boolean")) {
            return Err(MirrorFault::Type);
        }
        // Names of headers are the same in capitals.
        if self.0.iter().any(|mirror| mirror.header == header) {
            return Err(MirrorFault::Twice);
        }
        self.0.push(Mirror { header, path: path.to_vec() });
        Ok(())
    }
}

impl Mirror {
    fn agrees(&self, headers: &HeaderMap, arguments: &str) -> bool {
        let mut values = headers.get_all(&self.header).iter();
        let first = values.next();
        match (first, self.argument(arguments)) {
            (None, None) => true,
            (Some(value), Some(argument)) if values.next().is_none() => {
                value.to_str().ok().and_then(decoded).is_some_and(|text| says(&text, &argument))
            }
            (Some(_), Some(_) | None) | (None, Some(_)) => false,
        }
    }

    /// The argument as JSON text; `null` is none.
    fn argument(&self, arguments: &str) -> Option<String> {
        let mut value = arguments.to_owned();
        for name in &self.path {
            let object: RawObject<'_> = serde_json::from_str(&value).ok()?;
            value = object.member(name)?.get().to_owned();
        }
        Some(value).filter(|value| value != "null")
    }
}

/// What a header says for this JSON value; nothing for a value that none can stand for.
fn stated(argument: &str) -> Option<String> {
    match argument.as_bytes().first()? {
        b'"' => serde_json::from_str(argument).ok(),
        b't' | b'f' => Some(argument.to_owned()),
        _ => integer(argument).map(|value| value.to_string()),
    }
}

/// Whether a header's decoded text stands for this JSON value.
fn says(text: &str, argument: &str) -> bool {
    match argument.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(argument).is_ok_and(|argument| argument == text),
        Some(b't' | b'f') => text == argument,
        Some(_) => integer(argument).is_some_and(|argument| integer(text) == Some(argument)),
        None => false,
    }
}

/// A JSON number that is an integer, however it is written: `42.0` is 42.
fn integer(text: &str) -> Option<i128> {
    serde_json::from_str::<&RawValue>(text).ok().filter(|value| value.get() == text)?;
    let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction.trim_end_matches('0');
    let point = exponent.parse::<i64>().ok()? - i64::try_from(fraction.len()).ok()?;
    let digits = format!("{whole}{fraction}");
    let mantissa: i128 = digits.parse().ok()?;
    let value = if mantissa == 0 {
        0
    } else {
        let scale = 10_i128.checked_pow(u32::try_from(point.unsigned_abs()).ok()?)?;
        if point >= 0 {
            mantissa.checked_mul(scale)?
        } else {
            (mantissa % scale == 0).then_some(mantissa / scale)?
        }
    };
    (-LARGEST..=LARGEST).contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::call::Method;

    use super::*;

    fn read(schema: &Value) -> Result<Mirrored, MirrorFault> {
        let tool = serde_json::to_string(&json!({"name": "a", "inputSchema": schema})).unwrap();
        Mirrored::of(serde_json::from_str(&tool).unwrap())
    }

    fn agree(arguments: &Value, headers: &[(&'static str, &[u8])]) -> bool {
        let schema = json!({"properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "dry": {"type": "boolean", "x-mcp-header": "Dry"},
            "options": {"properties": {"limit": {"type": "integer", "x-mcp-header": "Limit"}}},
            "free": {"type": "string"},
        }});
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, http::HeaderValue::from_bytes(value).unwrap());
        }
        is_good(&read(&schema).unwrap(), &map, &arguments.to_string())
    }

    fn is_good(mirrored: &Mirrored, headers: &HeaderMap, arguments: &str) -> bool {
        let params: Box<RawValue> =
            serde_json::from_str(&format!(r#"{{"name":"a","arguments":{arguments}}}"#)).unwrap();
        let call = CallParams::read(Method::CallTool, RawObject::parse(&params).unwrap()).unwrap();
        mirrored.check(headers, &call).is_ok()
    }

    #[test]
    fn headers_repeat_the_arguments_or_are_absent_with_them() {
        let region = ("mcp-param-region", b"us".as_slice());
        assert!(agree(&json!({"free": "x"}), &[("mcp-param-unknown", b"x"), ("mcp-param-free", b"y")]));
        assert!(agree(&json!({"region": "us"}), &[region]));
        assert!(agree(&json!({"region": null, "options": 7}), &[]));
        assert!(agree(&json!({"region": ""}), &[("mcp-param-region", b"")]));
        assert!(agree(&json!({"region": "h\u{e9}"}), &[("mcp-param-region", b"=?base64?aMOp?=")]));
        assert!(agree(&json!({"dry": false, "region": "us"}), &[region, ("MCP-Param-Dry", b"false")]));
        for (arguments, headers) in [
            (json!({"region": "us"}), &[] as &[(&'static str, &[u8])]),
            (json!({"region": "us"}), &[("mcp-param-region", b"US")]),
            (json!({"region": "us"}), &[region, region]),
            (json!({"region": null}), &[region]),
            (json!({}), &[region]),
            (json!({"region": ["us"]}), &[region]),
            (json!({"region": "h\u{e9}"}), &[("mcp-param-region", "h\u{e9}".as_bytes())]),
            (json!({"region": "us"}), &[("mcp-param-region", b"=?base64?dX?=")]),
            (json!({"dry": true}), &[("mcp-param-dry", b"True")]),
            (json!({"dry": true}), &[("mcp-param-dry", b"1")]),
        ] {
            assert!(!agree(&arguments, headers), "{arguments} {headers:?}");
        }
    }

    #[test]
    fn integers_are_the_same_however_they_are_written() {
        let limit = |argument: &str, header: &'static str| {
            let arguments: Value =
                serde_json::from_str(&format!(r#"{{"options":{{"limit":{argument}}}}}"#)).unwrap();
            agree(&arguments, &[("mcp-param-limit", header.as_bytes())])
        };
        for (argument, header) in [
            ("42", "42"),
            ("42", "42.0"),
            ("42.0", "42"),
            ("-7", "-7"),
            ("0", "-0"),
            ("42", "4.2e1"),
            ("420", "42E1"),
        ] {
            assert!(limit(argument, header), "{argument} {header}");
        }
        for (argument, header) in [
            ("42", "43"),
            ("42", "42.5"),
            ("42", "+42"),
            ("42", "042"),
            ("42", "42 "),
            ("42", "0x2a"),
            ("42", ""),
            ("42.5", "42.5"),
            ("9007199254740993", "9007199254740993"),
            ("1", "1e999999999"),
        ] {
            assert!(!limit(argument, header), "{argument} {header}");
        }
        assert!(limit("9007199254740991", "9007199254740991"));
    }

    #[test]
    fn of_a_call_within_another_headers_say_nothing_or_the_truth() {
        let mirrored = read(&json!({"properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
        }}))
        .unwrap();
        let says = |header: Option<&'static str>| {
            let params = r#"{"name":"call_tool","arguments":{"name":"a","arguments":{"region":"us"}}}"#;
            let params: Box<RawValue> = serde_json::from_str(params).unwrap();
            let outer = CallParams::read(Method::CallTool, RawObject::parse(&params).unwrap()).unwrap();
            let header = header.map(|value| {
                (HeaderName::from_static("mcp-param-region"), http::HeaderValue::from_static(value))
            });
            mirrored.check(&header.into_iter().collect(), &outer.nested().unwrap()).is_ok()
        };
        assert!(says(None) && says(Some("us")));
        assert!(!says(Some("eu")), "somebody on the way may have gone by it");
    }

    #[test]
    fn what_is_written_for_a_call_agrees_with_it() {
        let schema = json!({"properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "dry": {"type": "boolean", "x-mcp-header": "Dry"},
            "limit": {"type": "integer", "x-mcp-header": "Limit"},
        }});
        let mirrored = read(&schema).unwrap();
        for text in [
            r#"{"region":"us","dry":false,"limit":4.20e1}"#,
            r#"{"region":"h\u00e9","limit":null}"#,
            r#"{"region":" padded ","dry":true}"#,
            r#"{"region":"=?base64?dXM=?=","limit":-7}"#,
            r#"{"region":"line\nbreak"}"#,
            r#"{"region":""}"#,
            "{}",
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in mirrored.headers(text) {
                map.append(name, http::HeaderValue::from_str(&value).unwrap());
            }
            assert!(is_good(&mirrored, &map, text), "{text} {map:?}");
        }
        let written = mirrored.headers(r#"{"region":"us","limit":42.0}"#);
        assert_eq!(written.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["us", "42"]);
    }

    #[test]
    fn annotations_that_cannot_be_followed_are_named() {
        let at = |annotated: Value| read(&json!({"properties": {"a": annotated}}));
        let named = |name: Value| at(json!({"type": "string", "x-mcp-header": name}));
        assert!(named(json!("X-1_a~")).is_ok());
        for name in
            [json!(""), json!("a b"), json!("a\r\nb"), json!("\u{e9}"), json!("a:"), json!(7), json!(null)]
        {
            assert_eq!(named(name.clone()), Err(MirrorFault::Name), "{name}");
        }
        for kind in [json!("number"), json!("object"), json!("array"), json!(["string"]), json!(null)] {
            assert_eq!(at(json!({"type": kind, "x-mcp-header": "A"})), Err(MirrorFault::Type), "{kind}");
        }
        let leaf = json!({"type": "string", "x-mcp-header": "A"});
        let other = json!({"type": "string", "x-mcp-header": "a"});
        assert_eq!(read(&json!({"properties": {"a": leaf, "b": other}})), Err(MirrorFault::Twice));
        for schema in [
            leaf.clone(),
            json!({"properties": {"a": {"items": leaf}}}),
            json!({"properties": {"a": {"items": {"properties": {"b": leaf}}}}}),
            json!({"allOf": [{"properties": {"a": leaf}}]}),
            json!({"if": {"properties": {"a": leaf}}}),
            json!({"$defs": {"properties": leaf}}),
            json!({"additionalProperties": leaf}),
            json!({"patternProperties": {"^a": leaf}}),
        ] {
            assert_eq!(read(&schema), Err(MirrorFault::Place), "{schema}");
        }
        for schema in [
            json!({"properties": {"x-mcp-header": {"type": "string"}}}),
            json!({"properties": {"a": {"default": leaf, "enum": [leaf]}}}),
            json!(true),
        ] {
            assert_eq!(read(&schema), Ok(Mirrored::default()), "{schema}");
        }
    }
}
