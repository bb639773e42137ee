//! What connectors ask of assistants: `sampling/createMessage`, `elicitation/create`, `roots/list`. Servers with sessions
//! send these as requests of their own (MCP 2025-11-25, client); stateless ones end the request with an `input_required`
//! result and wait for it to come again with the answers (MCP 2026-07-28, basic/patterns/mrtr).

use std::borrow::Cow;

use serde_json::json;
use serde_json::value::RawValue;

use crate::assistant::Dialect;
use crate::raw::{RawObject, raw};
use crate::revision::Revision;

/// The most questions that one `input_required` result may have.
const MOST_QUESTIONS: usize = 32;
const KIND: &str = "input_required";

/// What kind of question it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskKind {
    /// A completion by the assistant's model.
    Sampling,
    /// The folders that the assistant works in.
    Roots,
    /// Something that the person types into a form.
    Form,
    /// Something that the person does at a URL.
    Url,
}

/// One question, its parameters as the connector wrote them.
#[derive(Debug, Clone)]
pub struct Ask {
    kind: AskKind,
    params: Box<RawValue>,
}

impl Ask {
    /// Reads a question; `None` for a method that is none.
    pub fn read(method: &str, params: &RawObject<'_>) -> Option<Self> {
        let kind = match method {
            "sampling/createMessage" => AskKind::Sampling,
            "roots/list" => AskKind::Roots,
            "elicitation/create" if params.read::<String>("mode").as_deref() == Some("url") => AskKind::Url,
            "elicitation/create" => AskKind::Form,
            _ => return None,
        };
        Some(Self { kind, params: params.to_raw() })
    }

    /// Asks the person to do something at a URL, and says what (MCP 2026-07-28, client/elicitation, "URL Mode").
    pub fn visit(url: &str, message: &str) -> Self {
        let params = raw(&json!({"mode": "url", "url": url, "message": message}));
        Self { kind: AskKind::Url, params }
    }

    /// Whether an answer says that the person does not want to.
    pub fn is_declined(answer: &RawValue) -> bool {
        let action = RawObject::parse(answer).and_then(|answer| answer.read::<String>("action"));
        matches!(action.as_deref(), Some("decline" | "cancel"))
    }

    /// What kind of question it is.
    pub fn kind(&self) -> AskKind {
        self.kind
    }

    /// How long its parameters are, in bytes.
    pub fn bytes(&self) -> usize {
        self.params.get().len()
    }

    /// Its parameters, as the connector wrote them.
    pub fn written(&self) -> &RawValue {
        &self.params
    }

    /// The same question with these parameters.
    pub fn rewritten(&self, params: Box<RawValue>) -> Self {
        Self { kind: self.kind, params }
    }

    /// The method.
    pub fn method(&self) -> &'static str {
        match self.kind {
            AskKind::Sampling => "sampling/createMessage",
            AskKind::Roots => "roots/list",
            AskKind::Form | AskKind::Url => "elicitation/create",
        }
    }

    /// What the question is best called where it needs a name: a form with one field is called like that.
    pub fn key(&self) -> String {
        let other = match self.kind {
            AskKind::Sampling => "sampling",
            AskKind::Roots => "roots",
            AskKind::Url => "url",
            AskKind::Form => return self.only_field().unwrap_or_else(|| "elicitation".to_owned()),
        };
        other.to_owned()
    }

    /// The URL that the person is asked to visit.
    pub fn url(&self) -> Option<String> {
        (self.kind == AskKind::Url).then(|| RawObject::parse(&self.params)?.read("url"))?
    }

    fn only_field(&self) -> Option<String> {
        let params = RawObject::parse(&self.params)?;
        let schema = params.member("requestedSchema").and_then(RawObject::parse)?;
        let fields = schema.member("properties").and_then(RawObject::parse)?;
        let mut names = fields.keys();
        let name = names.next().filter(|name| !name.is_empty() && name.len() <= 64)?;
        names.next().is_none().then(|| name.to_owned())
    }

    /// The parameters, for an assistant that speaks `dialect`. `None`: nobody who speaks it can be asked this. `fresh` is
    /// the identifier of an elicitation that has none of its own and needs one.
    pub(crate) fn params(&self, dialect: Dialect, fresh: &str) -> Option<Box<RawValue>> {
        let mut object = RawObject::parse(&self.params)?;
        if dialect.is_stateless() {
            // An answer is found by its key there, and tasks are for calls.
            object.retain(|key| key != "elicitationId" && key != "task");
        } else if self.kind == AskKind::Url {
            if dialect.is_before(Revision::V2025_11_25) {
                return None;
            }
            if object.member("elicitationId").is_none() {
                object.set("elicitationId", raw(fresh));
            }
        }
        if self.kind == AskKind::Form && dialect.is_before(Revision::V2025_06_18) {
            return None;
        }
        Some(object.to_raw())
    }
}

/// A result that says what is missing.
#[derive(Debug, Clone, Default)]
pub struct InputRequired {
    /// The questions, by the keys under which the answers are expected.
    pub asks: Vec<(String, Ask)>,
    /// What has to come back with the answers, as it is.
    pub state: Option<String>,
}

/// The code with which servers with sessions say that the person has to visit a URL first (MCP 2025-11-25,
/// client/elicitation, "URL Elicitation Required Error").
const URL_REQUIRED: i32 = -32042;

/// An `input_required` result that cannot be obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InputFault {
    /// It asks nothing and carries nothing.
    #[error("it requires input and does not say which")]
    Empty,
    /// More questions than anybody would answer.
    #[error("it asks too much at once")]
    TooMany,
    /// One of the questions is none that the specification knows.
    #[error("it asks for something that is not known")]
    Unknown,
}

impl InputRequired {
    /// Reads a result; `None` when it is of another kind.
    ///
    /// # Errors
    /// An [`InputFault`].
    pub fn read(result: &RawValue) -> Option<Result<Self, InputFault>> {
        if !result.get().contains(KIND) {
            return None;
        }
        let object = RawObject::parse(result)?;
        (object.read::<Cow<'_, str>>("resultType")? == KIND).then(|| Self::of(&object))
    }

    /// Reads an error that says that the person has to visit URLs before the request is made again; `None` for others.
    pub fn of_error(error: &RawValue) -> Option<Self> {
        let error = RawObject::parse(error)?;
        if error.read::<i32>("code")? != URL_REQUIRED {
            return None;
        }
        let data = error.member("data").and_then(RawObject::parse)?;
        let visits: Vec<&RawValue> = serde_json::from_str(data.member("elicitations")?.get()).ok()?;
        let mut required = Self::default();
        for visit in visits.into_iter().take(MOST_QUESTIONS) {
            let mut params = RawObject::parse(visit)?;
            params.set("mode", raw("url"));
            let number = required.asks.len() + 1;
            required.asks.push((format!("url_{number}"), Ask::read("elicitation/create", &params)?));
        }
        (!required.asks.is_empty()).then_some(required)
    }

    /// The URLs that the person has to visit, for words that say so.
    pub fn urls(&self) -> Vec<String> {
        self.asks.iter().filter_map(|(_, ask)| ask.url()).collect()
    }

    fn of(object: &RawObject<'_>) -> Result<Self, InputFault> {
        let requests = object.member("inputRequests").and_then(RawObject::parse).unwrap_or_default();
        let state = object.read("requestState");
        if requests.is_empty() && state.is_none() {
            return Err(InputFault::Empty);
        }
        if requests.keys().count() > MOST_QUESTIONS {
            return Err(InputFault::TooMany);
        }
        let mut asks = Vec::new();
        for (key, request) in requests.members() {
            let request = RawObject::parse(request).ok_or(InputFault::Unknown)?;
            let method: String = request.read("method").ok_or(InputFault::Unknown)?;
            let params = request.member("params").and_then(RawObject::parse).unwrap_or_default();
            asks.push((key.to_owned(), Ask::read(&method, &params).ok_or(InputFault::Unknown)?));
        }
        Ok(Self { asks, state })
    }

    /// The result, for an assistant of the stateless revision.
    pub fn to_raw(&self) -> Box<RawValue> {
        let stateless = Dialect::of(Revision::MODERN);
        let mut requests = RawObject::default();
        for (key, ask) in &self.asks {
            let mut request = RawObject::default();
            request.set("method", raw(ask.method()));
            request.set("params", ask.params(stateless, "").unwrap_or_else(|| raw(&json!({}))));
            requests.set(key, request.to_raw());
        }
        let mut result = RawObject::default();
        result.set("resultType", raw(KIND));
        if !self.asks.is_empty() {
            result.set("inputRequests", requests.to_raw());
        }
        if let Some(state) = &self.state {
            result.set("requestState", raw(state));
        }
        result.to_raw()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    fn required(text: &str) -> Result<InputRequired, InputFault> {
        InputRequired::read(&value(text)).expect("of this kind")
    }

    fn ask(method: &str, params: &str) -> Option<Ask> {
        Ask::read(method, &RawObject::parse(&value(params)).unwrap())
    }

    #[test]
    fn questions_pass_to_the_digit() {
        let text = concat!(
            r#"{"resultType":"input_required","inputRequests":{"a b":{"method":"elicitation/create","#,
            r#""params":{"message":"n","requestedSchema":{"maximum":12345678901234567890123}}},"#,
            r#""r":{"method":"roots/list","params":{}}},"requestState":"x\ny"}"#
        );
        assert_eq!(required(text).unwrap().to_raw().get(), text);
        assert!(InputRequired::read(&value(r#"{"resultType":"complete"}"#)).is_none());
        assert!(InputRequired::read(&value("7")).is_none());
    }

    #[test]
    fn an_error_that_wants_a_visit_is_a_question() {
        let error = |code: i32| {
            value(&format!(
                r#"{{"code":{code},"message":"m","data":{{"elicitations":[
                    {{"mode":"url","elicitationId":"e","url":"https://a.example/x","message":"m"}}]}}}}"#
            ))
        };
        let required = InputRequired::of_error(&error(-32042)).unwrap();
        assert_eq!(required.urls(), ["https://a.example/x"]);
        let text = required.to_raw();
        assert!(text.get().contains(r#""url_1":{"method":"elicitation/create""#), "{text}");
        assert!(!text.get().contains("elicitationId") && !text.get().contains("requestState"), "{text}");
        assert!(InputRequired::of_error(&error(-32602)).is_none());
        assert!(InputRequired::of_error(&value(r#"{"code":-32042}"#)).is_none());
    }

    #[test]
    fn what_cannot_be_asked_is_named() {
        assert_eq!(required(r#"{"resultType":"input_required"}"#).unwrap_err(), InputFault::Empty);
        let of = |requests: &str| {
            required(&format!(r#"{{"resultType":"input_required","inputRequests":{{{requests}}}}}"#))
        };
        assert_eq!(of(r#""a":{"method":"tools/call"}"#).unwrap_err(), InputFault::Unknown);
        assert_eq!(of(r#""a":7"#).unwrap_err(), InputFault::Unknown);
        let many: Vec<_> = (0..33).map(|n| format!(r#""{n}":{{"method":"roots/list"}}"#)).collect();
        assert_eq!(of(&many.join(",")).unwrap_err(), InputFault::TooMany);
    }

    #[test]
    fn each_revision_is_asked_as_it_understands() {
        let params = |revision, ask: &Ask| {
            ask.params(Dialect::of(revision), "fresh").map(|params| params.get().to_owned())
        };
        let url =
            ask("elicitation/create", r#"{"mode":"url","url":"https://a.example","message":"m"}"#).unwrap();
        assert_eq!(url.kind(), AskKind::Url);
        assert!(params(Revision::V2025_11_25, &url).unwrap().contains(r#""elicitationId":"fresh""#));
        assert_eq!(params(Revision::V2025_06_18, &url), None);
        assert!(!params(Revision::MODERN, &url).unwrap().contains("elicitationId"));
        let form = ask("elicitation/create", r#"{"message":"m","requestedSchema":{},"task":{}}"#).unwrap();
        assert_eq!(params(Revision::V2025_03_26, &form), None);
        assert_eq!(
            params(Revision::MODERN, &form).as_deref(),
            Some(r#"{"message":"m","requestedSchema":{}}"#)
        );
        assert!(ask("tools/list", "{}").is_none());
    }

    #[test]
    fn a_form_with_one_field_is_called_like_it() {
        let key = |fields: &str| {
            let params = format!(r#"{{"requestedSchema":{{"properties":{fields}}}}}"#);
            ask("elicitation/create", &params).unwrap().key()
        };
        assert_eq!(key(r#"{"user_name":{"type":"string"}}"#), "user_name");
        assert_eq!(key(r#"{"a":{},"b":{}}"#), "elicitation");
        assert_eq!(key("{}"), "elicitation");
        assert_eq!(ask("roots/list", "{}").unwrap().key(), "roots");
    }
}
