//! JSON-RPC 2.0 messages, with their payloads left as text.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::raw::RawObject;
use crate::scan::{ScanFault, scan};

/// One message. Ids are kept as they were written: `1` and `1.0` are not the same id to everybody.
#[derive(Debug, Clone)]
pub enum Message<'a> {
    /// Wants an answer.
    Request {
        /// A number or a string.
        id: &'a RawValue,
        /// The method.
        method: Cow<'a, str>,
        /// The parameters, always an object.
        params: RawObject<'a>,
    },
    /// Wants none.
    Notification {
        /// The method.
        method: Cow<'a, str>,
        /// The parameters, always an object.
        params: RawObject<'a>,
    },
    /// Answers a request.
    Response {
        /// The request's id.
        id: &'a RawValue,
        /// The result, or the error object.
        outcome: Result<&'a RawValue, &'a RawValue>,
    },
}

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageFault {
    /// Not acceptable JSON.
    #[error(transparent)]
    Scan(#[from] ScanFault),
    /// JSON, but not an object: batches ended with revision 2025-06-18.
    #[error("a message is one JSON object")]
    NotAnObject,
    /// `jsonrpc` is not `"2.0"`.
    #[error("a message has \"jsonrpc\": \"2.0\"")]
    Version,
    /// A member differs from a known one only by the case of its letters, which some parsers would accept.
    #[error("the member {0:?} is an imitation of a known one")]
    Imitation(String),
    /// The id is neither a number nor a string.
    #[error("an id is a number or a string")]
    Id,
    /// `params` is not an object.
    #[error("params is an object")]
    Params,
    /// Neither request, notification nor response.
    #[error("the message is neither request, notification nor response")]
    Shape,
}

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    jsonrpc: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

const KNOWN: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

impl<'a> Message<'a> {
    /// Scans and reads one message.
    ///
    /// # Errors
    /// A [`MessageFault`]; nothing of the message has had an effect.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, MessageFault> {
        let text = scan(bytes)?;
        if !text.trim_start().starts_with('{') {
            return Err(MessageFault::NotAnObject);
        }
        refuse_imitations(text)?;
        let members: Members<'a> = serde_json::from_str(text).map_err(|_| MessageFault::Shape)?;
        if members.jsonrpc.as_deref() != Some("2.0") {
            return Err(MessageFault::Version);
        }
        members.into_message()
    }
}

impl<'a> Members<'a> {
    fn into_message(self) -> Result<Message<'a>, MessageFault> {
        let id = self.id.map(checked_id).transpose()?;
        let params = match self.params {
            None => RawObject::default(),
            Some(params) => RawObject::parse(params).ok_or(MessageFault::Params)?,
        };
        match (self.method, id, self.result, self.error) {
            (Some(method), Some(id), None, None) => Ok(Message::Request { id, method, params }),
            (Some(method), None, None, None) => Ok(Message::Notification { method, params }),
            (None, Some(id), Some(result), None) => Ok(Message::Response { id, outcome: Ok(result) }),
            (None, Some(id), None, Some(error)) => Ok(Message::Response { id, outcome: Err(error) }),
            _ => Err(MessageFault::Shape),
        }
    }
}

fn refuse_imitations(text: &str) -> Result<(), MessageFault> {
    let object: RawObject<'_> = serde_json::from_str(text).map_err(|_| MessageFault::Shape)?;
    for key in object.keys() {
        if !KNOWN.contains(&key) && KNOWN.iter().any(|known| known.eq_ignore_ascii_case(key)) {
            return Err(MessageFault::Imitation(key.to_owned()));
        }
    }
    Ok(())
}

fn checked_id(id: &RawValue) -> Result<&RawValue, MessageFault> {
    match id.get().as_bytes().first() {
        Some(b'"' | b'-' | b'0'..=b'9') => Ok(id),
        Some(_) | None => Err(MessageFault::Id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> MessageFault {
        Message::parse(text.as_bytes()).expect_err(text)
    }

    #[test]
    fn the_three_shapes_are_told_apart() {
        let request = br#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"a"}}"#;
        assert!(matches!(Message::parse(request), Ok(Message::Request { id, method, .. })
            if id.get() == "\"x\"" && method == "tools/call"));
        let notification = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert!(matches!(Message::parse(notification), Ok(Message::Notification { .. })));
        let response = br#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#;
        assert!(matches!(Message::parse(response), Ok(Message::Response { outcome: Err(_), .. })));
    }

    #[test]
    fn every_violation_has_its_own_name() {
        assert_eq!(fault("[]"), MessageFault::NotAnObject);
        assert_eq!(fault(r#"{"id":1,"method":"x"}"#), MessageFault::Version);
        assert_eq!(fault(r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#), MessageFault::Version);
        assert_eq!(fault(r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#), MessageFault::Id);
        assert_eq!(fault(r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[]}"#), MessageFault::Params);
        assert_eq!(fault(r#"{"jsonrpc":"2.0","id":1}"#), MessageFault::Shape);
        assert_eq!(
            fault(r#"{"jsonrpc":"2.0","id":1,"method":"a","Method":"b"}"#),
            MessageFault::Imitation("Method".to_owned())
        );
        assert_eq!(
            fault(r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}"#),
            MessageFault::Scan(ScanFault::DuplicateKey { key: "id".to_owned() })
        );
    }
}
