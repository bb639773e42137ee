//! The parameters of requests that have an effect at a connector, which policy reads and connectors receive.

use std::borrow::Cow;
use std::sync::Arc;

use model::TraceParent;
use serde_json::value::RawValue;

use crate::raw::{RawObject, raw};

/// The key of `_meta` under which progress is asked for (MCP 2026-07-28, basic/utilities/progress).
const PROGRESS_TOKEN: &str = "progressToken";
/// The key of `_meta` that says which trace the request is a part of (MCP 2026-07-28, basic, "General fields").
const TRACE_PARENT: &str = "traceparent";
/// What vendors add to it (W3C Trace Context, section 3.3).
const TRACE_STATE: &str = "tracestate";
const MODERN_META: &str = "io.modelcontextprotocol/";
/// What comes with a request that is made again (MCP 2026-07-28, basic/patterns/mrtr).
const RESPONSES: &str = "inputResponses";
const STATE: &str = "requestState";
/// What a completion is about: a prompt or a template (MCP 2026-07-28, server/utilities/completion).
const REFERENCE: &str = "ref";

/// A method that has an effect at a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// `tools/call`.
    CallTool,
    /// `resources/read`.
    ReadResource,
    /// `resources/subscribe` (until 2025-11-25).
    Subscribe,
    /// `resources/unsubscribe` (until 2025-11-25).
    Unsubscribe,
    /// `prompts/get`.
    GetPrompt,
    /// `completion/complete`.
    Complete,
    /// `tasks/get` (extension `io.modelcontextprotocol/tasks`, as the following).
    GetTask,
    /// `tasks/update`.
    UpdateTask,
    /// `tasks/cancel`.
    CancelTask,
}

impl Method {
    /// The member of its parameters that names what it is about.
    fn naming(self) -> &'static str {
        match self {
            Self::CallTool | Self::GetPrompt => "name",
            Self::ReadResource | Self::Subscribe | Self::Unsubscribe => "uri",
            Self::Complete => REFERENCE,
            Self::GetTask | Self::UpdateTask | Self::CancelTask => "taskId",
        }
    }
}

/// What a request is about, by the name that the assistant uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A tool.
    Tool(String),
    /// A resource, by its URI, or a template of such.
    Resource(String),
    /// A prompt.
    Prompt(String),
    /// A task that a tool's call began, by its id.
    Task(String),
}

impl Method {
    /// The method as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CallTool => "tools/call",
            Self::ReadResource => "resources/read",
            Self::Subscribe => "resources/subscribe",
            Self::Unsubscribe => "resources/unsubscribe",
            Self::GetPrompt => "prompts/get",
            Self::Complete => "completion/complete",
            Self::GetTask => "tasks/get",
            Self::UpdateTask => "tasks/update",
            Self::CancelTask => "tasks/cancel",
        }
    }

    /// The method of this name that has an effect. Subscriptions of a single resource are of revisions with sessions, the
    /// extension is not.
    pub(crate) fn known(name: &str, stateless: bool) -> Option<Self> {
        let all = [
            Self::CallTool,
            Self::ReadResource,
            Self::Subscribe,
            Self::Unsubscribe,
            Self::GetPrompt,
            Self::Complete,
            Self::GetTask,
            Self::UpdateTask,
            Self::CancelTask,
        ];
        all.into_iter().find(|method| method.as_str() == name).filter(|method| match method {
            Self::Subscribe | Self::Unsubscribe => !stateless,
            Self::GetTask | Self::UpdateTask | Self::CancelTask => stateless,
            Self::CallTool | Self::ReadResource | Self::GetPrompt | Self::Complete => true,
        })
    }

    /// Whether it is about a task.
    pub const fn is_of_tasks(self) -> bool {
        matches!(self, Self::GetTask | Self::UpdateTask | Self::CancelTask)
    }

    /// Whether a header repeats what it is about (2026-07-28).
    pub const fn is_repeated(self) -> bool {
        match self {
            Self::CallTool
            | Self::GetPrompt
            | Self::ReadResource
            | Self::GetTask
            | Self::UpdateTask
            | Self::CancelTask => true,
            Self::Subscribe | Self::Unsubscribe | Self::Complete => false,
        }
    }

    /// Whether the answer may be `input_required` (MCP 2026-07-28, basic/patterns/mrtr).
    pub const fn may_require_input(self) -> bool {
        matches!(self, Self::CallTool | Self::ReadResource | Self::GetPrompt)
    }
}

impl Target {
    /// The name or URI.
    pub fn name(&self) -> &str {
        match self {
            Self::Tool(name) | Self::Resource(name) | Self::Prompt(name) | Self::Task(name) => name,
        }
    }
}

/// Checked parameters of a request that has an effect.
#[derive(Debug, Clone)]
pub struct CallParams<'a> {
    method: Method,
    target: Target,
    object: RawObject<'a>,
    /// For a task: the arguments of the call that began it.
    begun_with: Option<Arc<str>>,
    nested: bool,
}

/// Why parameters are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallFault {
    /// What it is about is missing or no string.
    #[error("the request does not name what it is about")]
    Name,
    /// `arguments` is there but no object.
    #[error("the arguments are an object")]
    Arguments,
    /// A member differs from a known one only by the case of its letters.
    #[error("a member of the parameters imitates a known one")]
    Imitation,
    /// The arguments of a call that names another have a member that says nothing of it.
    #[error("a call within a call has a name and arguments, and nothing else")]
    Surplus,
    /// `ref` is neither a prompt nor a resource.
    #[error("a completion refers to a prompt or a resource")]
    Reference,
}

impl<'a> CallParams<'a> {
    /// Reads the parameters of `method`.
    ///
    /// # Errors
    /// A [`CallFault`].
    pub fn read(method: Method, object: RawObject<'a>) -> Result<Self, CallFault> {
        let known = ["name", "uri", "ref", "taskId", "arguments", "argument", "_meta", RESPONSES, STATE];
        if object.keys().any(|key| !known.contains(&key) && known.iter().any(|k| k.eq_ignore_ascii_case(key)))
        {
            return Err(CallFault::Imitation);
        }
        let named = |key| object.read::<String>(key).ok_or(CallFault::Name);
        let target = match method {
            Method::CallTool => Target::Tool(named("name")?),
            Method::GetPrompt => Target::Prompt(named("name")?),
            Method::ReadResource | Method::Subscribe | Method::Unsubscribe => Target::Resource(named("uri")?),
            Method::Complete => reference(&object)?,
            Method::GetTask | Method::UpdateTask | Method::CancelTask => Target::Task(named("taskId")?),
        };
        if object.member("arguments").is_some_and(|value| !value.get().starts_with('{')) {
            return Err(CallFault::Arguments);
        }
        Ok(Self { method, target, object, begun_with: None, nested: false })
    }

    /// A subscription to the resource of this URI, for whoever asks for it otherwise.
    pub fn subscription(uri: &str) -> CallParams<'static> {
        let mut object = RawObject::default();
        object.set("uri", raw(uri));
        let target = Target::Resource(uri.to_owned());
        CallParams { method: Method::Subscribe, target, object, begun_with: None, nested: false }
    }

    /// The end of such a subscription.
    pub fn unsubscription(uri: &str) -> CallParams<'static> {
        CallParams { method: Method::Unsubscribe, ..Self::subscription(uri) }
    }

    /// The same request about a task, which is decided on like the call with these arguments that began it.
    pub fn begun_with(self, arguments: Arc<str>) -> Self {
        Self { begun_with: Some(arguments), ..self }
    }

    /// The call of a tool that the arguments of this call are: a name and arguments. Whatever else came with the request
    /// belongs to that call as if it had been made itself.
    ///
    /// # Errors
    /// A [`CallFault`].
    pub fn nested(&self) -> Result<CallParams<'a>, CallFault> {
        let arguments = self.object.member("arguments").ok_or(CallFault::Name)?;
        let within = RawObject::parse(arguments).ok_or(CallFault::Arguments)?;
        if within.keys().any(|key| !matches!(key, "name" | "arguments")) {
            return Err(CallFault::Surplus);
        }
        let mut object = self.object.clone();
        object.set("name", within.member("name").ok_or(CallFault::Name)?.to_owned());
        match within.member("arguments") {
            Some(arguments) => object.set("arguments", arguments.to_owned()),
            None => object.retain(|key| key != "arguments"),
        }
        let call = Self::read(Method::CallTool, object)?;
        Ok(Self { nested: true, ..call })
    }

    /// Whether the request's headers are about another call, which this one came in.
    pub fn is_nested(&self) -> bool {
        self.nested
    }

    /// The same parameters, with a text of their own.
    pub fn into_owned(self) -> CallParams<'static> {
        CallParams {
            method: self.method,
            target: self.target,
            object: self.object.into_owned(),
            begun_with: self.begun_with,
            nested: self.nested,
        }
    }

    /// What is to be done.
    pub fn method(&self) -> Method {
        self.method
    }

    /// What it is about.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The name or URI of what it is about, as the caller wrote it.
    pub fn name(&self) -> &str {
        self.target.name()
    }

    /// The arguments as JSON text; `{}` when absent.
    pub fn arguments(&self) -> &str {
        if let Some(arguments) = &self.begun_with {
            return arguments;
        }
        self.object.member("arguments").map_or("{}", RawValue::get)
    }

    /// Everything that the request carries, but for the name of what it is about and for what the connector gave out itself.
    pub fn carried(&self) -> Box<RawValue> {
        let mut object = self.object.clone();
        object.retain(|key| !self.is_name(key));
        object.to_raw()
    }

    /// The same request, carrying this instead; `None` where it could not.
    pub fn carrying(&self, carried: &RawValue) -> Option<CallParams<'static>> {
        let carried = RawObject::parse(carried)?;
        let mut object = self.object.clone();
        object.retain(|key| self.is_name(key) || carried.member(key).is_some());
        let mut object = object.into_owned();
        for (key, value) in carried.members().filter(|(key, _)| !self.is_name(key)) {
            object.replace(key, value.to_owned());
        }
        let read = CallParams::read(self.method, object).ok()?;
        Some(CallParams { begun_with: self.begun_with.clone(), nested: self.nested, ..read })
    }

    /// Whether a member names what the request is about, or came from the connector.
    fn is_name(&self, key: &str) -> bool {
        key == self.method.naming() || key == STATE
    }

    /// What the request carries from the round before; the connector gave it out.
    pub fn state(&self) -> Option<String> {
        self.object.read(STATE)
    }

    /// The answer under this key to a question of the round before.
    pub fn response(&self, key: &str) -> Option<Box<RawValue>> {
        let responses = self.object.member(RESPONSES).and_then(RawObject::parse)?;
        responses.member(key).map(ToOwned::to_owned)
    }

    /// The same request once more, with answers to what the connector asked.
    pub fn again(&self, responses: &[(String, Box<RawValue>)], state: Option<&str>) -> CallParams<'_> {
        let mut answers = RawObject::default();
        for (key, answer) in responses {
            answers.set(key, answer.clone());
        }
        let mut object = self.object.clone();
        object.retain(|key| key != RESPONSES && key != STATE);
        object.set(RESPONSES, answers.to_raw());
        if let Some(state) = state {
            object.set(STATE, raw(state));
        }
        CallParams { object, ..self.clone() }
    }

    /// The trace that the caller says this belongs to (SEP-414, `_meta.traceparent`); `None` where it says none that can be read.
    pub fn trace_parent(&self) -> Option<TraceParent> {
        let meta = self.object.member("_meta").and_then(RawObject::parse)?;
        meta.read::<Cow<'_, str>>(TRACE_PARENT)?.parse().ok()
    }

    /// The same request as a part of this trace.
    pub fn traced(&self, parent: TraceParent) -> CallParams<'_> {
        let mut object = self.object.clone();
        let mut meta = self.object.member("_meta").and_then(RawObject::parse).unwrap_or_default();
        // It is of the trace that it came with, and of no other (W3C Trace Context, sections 3.3 and 4.2).
        if self.trace_parent().is_none_or(|came| came.trace() != parent.trace()) {
            meta.retain(|key| key != TRACE_STATE);
        }
        meta.set(TRACE_PARENT, raw(&parent.to_string()));
        object.set("_meta", meta.to_raw());
        CallParams { object, ..self.clone() }
    }

    /// The same call as a task of revisions with sessions (MCP 2025-11-25, basic/utilities/tasks): some tools are called in
    /// no other way.
    pub fn as_task(&self) -> CallParams<'_> {
        let mut object = self.object.clone();
        object.set("task", raw(&serde_json::json!({})));
        CallParams { object, ..self.clone() }
    }

    /// The parameters for a connector that knows the target as `name`: everything as it came, but for the name and for
    /// what concerns only the hop from the assistant. `stateless`: whether the connector understands rounds.
    pub(crate) fn passed_on(&self, name: &str, stateless: bool) -> RawObject<'_> {
        let mut object = self.object.clone();
        if self.target.name() != name {
            match (&self.method, &self.target) {
                (Method::Complete, target) => {
                    object.set(REFERENCE, renamed(object.member(REFERENCE), target, name));
                }
                (_, Target::Resource(_)) => object.set("uri", raw(name)),
                (_, Target::Tool(_) | Target::Prompt(_)) => object.set("name", raw(name)),
                (_, Target::Task(_)) => object.set("taskId", raw(name)),
            }
        }
        if !stateless {
            object.retain(|key| key != RESPONSES && key != STATE);
        }
        let meta = self.object.member("_meta").and_then(RawObject::parse);
        if let Some(mut meta) = meta {
            meta.retain(|key| key != PROGRESS_TOKEN && !key.starts_with(MODERN_META));
            if meta.is_empty() {
                object.retain(|key| key != "_meta");
            } else {
                object.set("_meta", meta.to_raw());
            }
        }
        object
    }
}

fn reference(object: &RawObject<'_>) -> Result<Target, CallFault> {
    let reference = object.member("ref").and_then(RawObject::parse).ok_or(CallFault::Reference)?;
    let kind: Cow<'_, str> = reference.read("type").ok_or(CallFault::Reference)?;
    let named = |key| reference.read::<String>(key).ok_or(CallFault::Name);
    match kind.as_ref() {
        "ref/prompt" => Ok(Target::Prompt(named("name")?)),
        "ref/resource" => Ok(Target::Resource(named("uri")?)),
        _ => Err(CallFault::Reference),
    }
}

fn renamed(reference: Option<&RawValue>, target: &Target, name: &str) -> Box<RawValue> {
    let mut reference = reference.and_then(RawObject::parse).unwrap_or_default();
    reference.set(if matches!(target, Target::Resource(_)) { "uri" } else { "name" }, raw(name));
    reference.to_raw()
}

/// The id of the task that a call began instead of answering (extension `io.modelcontextprotocol/tasks`).
pub fn begun_task(result: &RawValue) -> Option<String> {
    if !result.get().contains("\"task\"") {
        return None;
    }
    let object = RawObject::parse(result)?;
    let is_task = object.read::<Cow<'_, str>>("resultType")? == "task";
    is_task.then(|| object.read("taskId"))?
}

/// Whether a tool's result says that it failed.
pub fn is_tool_error(result: &RawValue) -> bool {
    RawObject::parse(result).and_then(|object| object.read("isError")).unwrap_or(false)
}

/// A tool result that says, to the model and the person reading along, why there is no other.
pub fn tool_error(text: &str) -> Box<RawValue> {
    raw(&serde_json::json!({"content": [{"type": "text", "text": text}], "isError": true}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(method: Method, text: &str, name: &str, stateless: bool) -> Result<String, CallFault> {
        let value: Box<RawValue> = serde_json::from_str(text).unwrap();
        let object = RawObject::parse(&value).unwrap();
        let params = CallParams::read(method, object)?;
        Ok(params.passed_on(name, stateless).to_raw().get().to_owned())
    }

    fn read(text: &str) -> Result<String, CallFault> {
        passed(Method::CallTool, text, "real", false)
    }

    #[test]
    fn what_is_not_understood_passes_to_the_digit() {
        assert_eq!(
            read(
                r#"{"name":"a_real","arguments":{"n":12345678901234567890123,"x":1.50},"vendor":[1e3],
                "_meta":{"progressToken":1,"traceparent":"00-x","io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#
            ),
            Ok(concat!(
                r#"{"name":"real","arguments":{"n":12345678901234567890123,"x":1.50},"vendor":[1e3],"#,
                r#""_meta":{"traceparent":"00-x"}}"#
            )
            .to_owned())
        );
    }

    #[test]
    fn a_call_is_made_a_part_of_a_trace_and_says_of_which_it_is() {
        let (theirs, ours) = (
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000007-01",
        );
        for (meta, said, expected) in [
            ("", None, format!(r#""_meta":{{"traceparent":"{ours}"}}"#)),
            (r#","_meta":7"#, None, format!(r#""_meta":{{"traceparent":"{ours}"}}"#)),
            (
                r#","_meta":{"traceparent":"00-x","v":1e3}"#,
                None,
                format!(r#""_meta":{{"traceparent":"{ours}","v":1e3}}"#),
            ),
            (
                &format!(r#","_meta":{{"v":1e3,"traceparent":"{theirs}"}}"#),
                Some(theirs),
                format!(r#""_meta":{{"v":1e3,"traceparent":"{ours}"}}"#),
            ),
        ] {
            let text = format!(r#"{{"name":"a","arguments":{{"n":1.50}}{meta}}}"#);
            let value: Box<RawValue> = serde_json::from_str(&text).unwrap();
            let params = CallParams::read(Method::CallTool, RawObject::parse(&value).unwrap()).unwrap();
            assert_eq!(params.trace_parent().map(|parent| parent.to_string()).as_deref(), said, "{meta}");
            let traced = params.traced(ours.parse().unwrap());
            assert_eq!(
                traced.passed_on("a", true).to_raw().get(),
                format!(r#"{{"name":"a","arguments":{{"n":1.50}},{expected}}}"#)
            );
        }
    }

    #[test]
    fn wrong_parameters_are_named() {
        assert_eq!(read(r#"{"arguments":{}}"#), Err(CallFault::Name));
        assert_eq!(read(r#"{"name":1}"#), Err(CallFault::Name));
        assert_eq!(read(r#"{"name":"a","arguments":[]}"#), Err(CallFault::Arguments));
        assert_eq!(read(r#"{"name":"a","Arguments":{}}"#), Err(CallFault::Imitation));
    }

    #[test]
    fn a_call_within_a_call_is_that_call() {
        let nested = |text: &str| {
            let value: Box<RawValue> = serde_json::from_str(text).unwrap();
            let outer = CallParams::read(Method::CallTool, RawObject::parse(&value).unwrap()).unwrap();
            assert!(!outer.is_nested());
            let inner = outer.nested()?;
            assert!(inner.is_nested() && inner.clone().into_owned().is_nested());
            Ok(inner.passed_on("real", true).to_raw().get().to_owned())
        };
        assert_eq!(
            nested(
                r#"{"name":"call_tool","arguments":{"name":"a\u0062","arguments":{"n":12345678901234567890123,"x":1.50}},
                "vendor":[1e3],"_meta":{"traceparent":"00-x"},"inputResponses":{"k":1.0},"requestState":"s"}"#
            ),
            Ok(concat!(
                r#"{"name":"real","arguments":{"n":12345678901234567890123,"x":1.50},"vendor":[1e3],"#,
                r#""_meta":{"traceparent":"00-x"},"inputResponses":{"k":1.0},"requestState":"s"}"#
            )
            .to_owned())
        );
        assert_eq!(
            nested(r#"{"name":"call_tool","arguments":{"name":"a"}}"#).as_deref(),
            Ok(r#"{"name":"real"}"#)
        );
        let fault = |arguments: &str| {
            nested(&format!(r#"{{"name":"call_tool","arguments":{arguments}}}"#)).unwrap_err()
        };
        assert_eq!(nested(r#"{"name":"call_tool"}"#), Err(CallFault::Name));
        assert_eq!(fault("{}"), CallFault::Name);
        assert_eq!(fault(r#"{"name":1}"#), CallFault::Name);
        assert_eq!(fault(r#"{"name":"a","arguments":"{}"}"#), CallFault::Arguments);
        assert_eq!(fault(r#"{"name":"a","Arguments":{}}"#), CallFault::Surplus);
    }

    #[test]
    fn targets_are_named_in_each_method_s_way() {
        let prompt = r#"{"name":"a_x","arguments":{"q":"1"}}"#;
        assert_eq!(
            passed(Method::GetPrompt, prompt, "x", false).as_deref(),
            Ok(r#"{"name":"x","arguments":{"q":"1"}}"#)
        );
        let read = r#"{"uri":"test://a","vendor":1.50}"#;
        assert_eq!(passed(Method::ReadResource, read, "test://a", true).as_deref(), Ok(read));
        let complete =
            r#"{"ref":{"type":"ref/prompt","name":"a_x","v":1.0},"argument":{"name":"q","value":""}}"#;
        assert_eq!(
            passed(Method::Complete, complete, "x", false).as_deref(),
            Ok(r#"{"ref":{"type":"ref/prompt","name":"x","v":1.0},"argument":{"name":"q","value":""}}"#)
        );
        let beside = r#"{"name":"a","arguments":{},"uri":"seen:x","ref":{"type":"ref/prompt","name":"seen"},"taskId":"seen"}"#;
        let params: RawObject<'_> = serde_json::from_str::<Box<RawValue>>(beside)
            .map(|value| RawObject::parse(&value).unwrap().into_owned())
            .unwrap();
        let carried = CallParams::read(Method::CallTool, params).unwrap().carried();
        assert_eq!(carried.get().matches("seen").count(), 3, "{carried}");
        let fault = |method, text| passed(method, text, "x", false).unwrap_err();
        assert_eq!(fault(Method::ReadResource, "{}"), CallFault::Name);
        assert_eq!(fault(Method::Complete, "{}"), CallFault::Reference);
        assert_eq!(fault(Method::Complete, r#"{"ref":{"type":"ref/tool"}}"#), CallFault::Reference);
        assert_eq!(fault(Method::ReadResource, r#"{"uri":"a","URI":"b"}"#), CallFault::Imitation);
    }

    #[test]
    fn a_task_is_decided_on_like_the_call_that_began_it() {
        let text = r#"{"taskId":"t 1","inputResponses":{"k":1.50},"x":1e3}"#;
        assert_eq!(passed(Method::UpdateTask, text, "t 1", true).as_deref(), Ok(text));
        let value: Box<RawValue> = serde_json::from_str(text).unwrap();
        let params = CallParams::read(Method::GetTask, RawObject::parse(&value).unwrap()).unwrap();
        assert_eq!(params.arguments(), "{}");
        assert_eq!(params.begun_with(r#"{"n":1}"#.into()).arguments(), r#"{"n":1}"#);
        let begun = |text: &str| begun_task(&serde_json::from_str::<Box<RawValue>>(text).unwrap());
        assert_eq!(begun(r#"{"resultType":"task","taskId":"t"}"#).as_deref(), Some("t"));
        assert_eq!(begun(r#"{"resultType":"complete","taskId":"task"}"#), None);
        assert_eq!(begun(r#"{"content":["task"]}"#), None);
    }

    #[test]
    fn rounds_are_passed_on_only_to_who_understands_them() {
        let text = r#"{"name":"a","inputResponses":{"k":{"n":1.50}},"requestState":"s"}"#;
        assert_eq!(passed(Method::CallTool, text, "a", true).as_deref(), Ok(text));
        assert_eq!(passed(Method::CallTool, text, "a", false).as_deref(), Ok(r#"{"name":"a"}"#));
        let value: Box<RawValue> = serde_json::from_str(text).unwrap();
        let params = CallParams::read(Method::CallTool, RawObject::parse(&value).unwrap()).unwrap();
        assert_eq!(params.state().as_deref(), Some("s"));
        assert_eq!(params.response("k").unwrap().get(), r#"{"n":1.50}"#);
        assert!(params.response("j").is_none());
        let answers = [("j".to_owned(), raw(&1))];
        assert_eq!(
            params.again(&answers, None).passed_on("a", true).to_raw().get(),
            r#"{"name":"a","inputResponses":{"j":1}}"#
        );
    }
}
