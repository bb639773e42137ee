//! What is said to an assistant while a request of it is under way: notices, and questions of the connector.

use serde_json::json;
use serde_json::value::RawValue;

use super::incoming::{Dialect, Response};
use crate::ask::Ask;
use crate::connector::progress_of;
use crate::error::RpcError;
use crate::list::{Filter, Topic};
use crate::raw::{RawObject, one_line, raw};

/// The key under which a stream's notices name the request that opened it (MCP 2026-07-28, basic/patterns/subscriptions).
const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// `notifications/progress` for the request that the assistant calls `token`, as the connector told of it.
pub fn progress(token: &RawValue, params: &RawValue) -> String {
    notification("notifications/progress", progress_of(params, token))
}

/// `notifications/progress` for the request that the assistant calls `token`: nothing is done yet, because a person is waited
/// for. `step` counts from 1. Its value grows as it must, and stays below what a connector begins with.
pub fn waiting(token: &RawValue, step: u32, words: &str) -> String {
    let params = raw(&json!({"progress": f64::from(step) / 1_000_000.0, "message": words}));
    progress(token, &params)
}

/// `notifications/message`, as the connector sent it.
pub fn log_message(params: &RawValue) -> String {
    notification("notifications/message", params.to_owned())
}

/// The first event on a `subscriptions/listen` stream: what of the filter was granted.
pub fn acknowledged(subscription: &RawValue, granted: &Filter) -> String {
    let mut params = on_stream(Some(subscription));
    params.set("notifications", granted.to_raw());
    notification("notifications/subscriptions/acknowledged", params.to_raw())
}

/// The notice that a list changed; `subscription` on streams of the stateless revision.
pub fn list_changed(topic: Topic, subscription: Option<&RawValue>) -> String {
    notification(topic.notice(), on_stream(subscription).to_raw())
}

/// The parameters of a notice that has nothing to say but on which stream it is told.
fn on_stream(subscription: Option<&RawValue>) -> RawObject<'static> {
    let mut params = RawObject::default();
    if let Some(id) = subscription {
        let mut meta = RawObject::default();
        // As the assistant wrote it: not every number that JSON allows has a place elsewhere.
        meta.set(SUBSCRIPTION_ID, id.to_owned());
        params.set("_meta", meta.to_raw());
    }
    params
}

/// `notifications/resources/updated`, as the connector sent it; `subscription` on streams of the stateless revision.
pub fn resource_updated(params: &RawValue, subscription: Option<&RawValue>) -> String {
    let mut object = RawObject::parse(params).unwrap_or_default();
    let mut meta = params_meta(&object);
    meta.retain(|key| key != SUBSCRIPTION_ID);
    if let Some(id) = subscription {
        meta.set(SUBSCRIPTION_ID, id.to_owned());
    }
    let meta = (!meta.is_empty()).then(|| meta.to_raw());
    object.retain(|key| key != "_meta");
    if let Some(meta) = meta {
        object.set("_meta", meta);
    }
    notification("notifications/resources/updated", object.to_raw())
}

fn params_meta(params: &RawObject<'_>) -> RawObject<'static> {
    params.member("_meta").and_then(RawObject::parse).unwrap_or_default().into_owned()
}

/// A question as a request of the gateway with this number (until 2025-11-25). `None` when the assistant's revision does
/// not know such a question.
pub fn question(dialect: Dialect, id: u64, ask: &Ask) -> Option<String> {
    let mut message = RawObject::default();
    message.set("jsonrpc", raw("2.0"));
    message.set("id", raw(&id));
    message.set("method", raw(ask.method()));
    message.set("params", ask.params(dialect, &format!("deskgate-{id}"))?);
    Some(one_line(message.to_raw().get().to_owned()))
}

/// The number of the question that this answers.
pub fn answers(response: &Response<'_>) -> Option<u64> {
    response.id.get().parse().ok()
}

/// The words of an assistant that answered with an error.
pub fn refusal_text(error: &RawValue) -> String {
    let text = RawObject::parse(error).and_then(|error| error.read::<String>("message"));
    text.unwrap_or_default().chars().take(200).collect()
}

/// The error object for a question that nobody answered.
pub fn unanswered() -> Box<RawValue> {
    RpcError::new(RpcError::INTERNAL, "nobody answered").to_raw()
}

fn notification(method: &str, params: Box<RawValue>) -> String {
    let mut message = RawObject::default();
    message.set("jsonrpc", raw("2.0"));
    message.set("method", raw(method));
    message.set("params", params);
    one_line(message.to_raw().get().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revision::Revision;

    fn value(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn notices_pass_to_the_digit_on_one_line() {
        let said = progress(&value("\"t\""), &value("{\"progressToken\":7,\n\"progress\": 1.50}"));
        assert_eq!(
            said,
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1.50}}"#
        );
        let said = log_message(&value("{\"level\":\"info\",\n\"data\":{\"n\":12345678901234567890123}}"));
        assert!(
            said.ends_with(r#""params":{"level":"info","data":{"n":12345678901234567890123}}}"#),
            "{said}"
        );
    }

    #[test]
    fn updates_are_told_under_the_listener_s_own_name() {
        let params = value(
            r#"{"uri":"test://a","x":1.50,"_meta":{"io.modelcontextprotocol/subscriptionId":7,"vendor":1e3}}"#,
        );
        let told = |id: Option<&RawValue>| resource_updated(&params, id);
        assert!(told(None).ends_with(r#""params":{"uri":"test://a","x":1.50,"_meta":{"vendor":1e3}}}"#));
        let tagged = r#""_meta":{"vendor":1e3,"io.modelcontextprotocol/subscriptionId":"s"}}}"#;
        assert!(told(Some(&value("\"s\""))).ends_with(tagged));
    }

    #[test]
    fn questions_are_requests_of_the_gateway() {
        let params = value(r#"{"messages":[],"maxTokens":1.0}"#);
        let ask = Ask::read("sampling/createMessage", &RawObject::parse(&params).unwrap()).unwrap();
        assert_eq!(
            question(Dialect::of(Revision::V2025_03_26), 3, &ask).as_deref(),
            Some(
                r#"{"jsonrpc":"2.0","id":3,"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1.0}}"#
            )
        );
        let broken = value("{\"messages\":\n{\"id\":1}\r\n}");
        let ask = Ask::read("sampling/createMessage", &RawObject::parse(&broken).unwrap()).unwrap();
        let said = question(Dialect::of(Revision::V2025_11_25), 3, &ask).unwrap();
        assert!(!said.contains(['\n', '\r']) && said.contains(r#"{"messages":{"id":1}}"#), "{said}");
        let form = Ask::read("elicitation/create", &RawObject::default()).unwrap();
        assert!(question(Dialect::of(Revision::V2025_03_26), 3, &form).is_none(), "not known then");
    }
}
