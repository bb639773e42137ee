//! JSON-RPC 2.0 messages, with their payloads left as text.

use std::borrow::Cow;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::raw::{BorrowedText, RawObject};
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

/// The members of a message, read in one pass. `null` is absence.
#[derive(Default)]
struct Members<'a> {
    jsonrpc: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    params: Option<&'a RawValue>,
    result: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    /// The first member that imitates a known one.
    imitation: Option<String>,
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
        let members: Members<'a> = serde_json::from_str(text).map_err(|_| MessageFault::Shape)?;
        members.into_message()
    }
}

impl<'a> Members<'a> {
    fn into_message(self) -> Result<Message<'a>, MessageFault> {
        if let Some(imitation) = self.imitation {
            return Err(MessageFault::Imitation(imitation));
        }
        let (version, method) = (text_of(self.jsonrpc)?, text_of(self.method)?);
        if version.as_deref() != Some("2.0") {
            return Err(MessageFault::Version);
        }
        let id = self.id.map(checked_id).transpose()?;
        let params = match self.params {
            None => RawObject::default(),
            Some(params) => RawObject::parse(params).ok_or(MessageFault::Params)?,
        };
        match (method, id, self.result, self.error) {
            (Some(method), Some(id), None, None) => Ok(Message::Request { id, method, params }),
            (Some(method), None, None, None) => Ok(Message::Notification { method, params }),
            (None, Some(id), Some(result), None) => Ok(Message::Response { id, outcome: Ok(result) }),
            (None, Some(id), None, Some(error)) => Ok(Message::Response { id, outcome: Err(error) }),
            _ => Err(MessageFault::Shape),
        }
    }

    fn take(&mut self, key: &str, value: &'a RawValue) {
        let slot = match key {
            "jsonrpc" => &mut self.jsonrpc,
            "id" => &mut self.id,
            "method" => &mut self.method,
            "params" => &mut self.params,
            "result" => &mut self.result,
            "error" => &mut self.error,
            _ => {
                if self.imitation.is_none() && KNOWN.iter().any(|known| known.eq_ignore_ascii_case(key)) {
                    self.imitation = Some(key.to_owned());
                }
                return;
            }
        };
        *slot = Some(value).filter(|value| value.get() != "null");
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;

        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a message")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Members::default();
                while let Some((BorrowedText(key), value)) =
                    map.next_entry::<BorrowedText<'de>, &'de RawValue>()?
                {
                    members.take(&key, value);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Each)
    }
}

fn text_of(value: Option<&RawValue>) -> Result<Option<Cow<'_, str>>, MessageFault> {
    let Some(value) = value else { return Ok(None) };
    let BorrowedText(text) = serde_json::from_str(value.get()).map_err(|_| MessageFault::Shape)?;
    Ok(Some(text))
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
        assert_eq!(fault(r#"{"jsonrpc":"2.0","id":1,"result":null}"#), MessageFault::Shape);
        assert_eq!(fault(r#"{"jsonrpc":2.0,"id":1,"method":"x"}"#), MessageFault::Shape);
        assert_eq!(fault(r#"{"jsonrpc":"2.0","id":1,"method":7}"#), MessageFault::Shape);
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
