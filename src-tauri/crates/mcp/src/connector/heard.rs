//! What connectors say: answers, questions, notices.

use serde_json::value::RawValue;

use crate::ask::Ask;
use crate::error::RpcError;
use crate::level::LogLevel;
use crate::list::Topic;
use crate::message::{Message, MessageFault};
use crate::raw::{RawObject, one_line, raw};

/// What a connector sent.
#[derive(Debug)]
pub enum FromConnector {
    /// The answer to the request with this number.
    Answer {
        /// The request's number.
        id: u64,
        /// Result or error object.
        outcome: Result<Box<RawValue>, Box<RawValue>>,
    },
    /// A question for an assistant.
    Question(Question),
    /// A request that is answered without asking anybody: a `ping`, or a method that does not exist here.
    Reply(String),
    /// Something that it tells.
    Notice(Notice),
    /// Anything else.
    Other,
}

/// A question, with the id to answer to.
#[derive(Debug)]
pub struct Question {
    /// Whatever the connector wrote.
    id: Box<RawValue>,
    /// What it asks.
    pub ask: Ask,
}

/// Something that a connector tells.
#[derive(Debug, Clone)]
pub enum Notice {
    /// A resource that was subscribed to changed.
    Updated {
        /// Its URI.
        uri: String,
        /// The parameters, as they were sent.
        params: Box<RawValue>,
    },
    /// How far a request has come.
    Progress {
        /// The request's number.
        of: u64,
        /// The parameters, as they were sent.
        params: Box<RawValue>,
    },
    /// A log message.
    Log {
        /// How grave it is; one that is not known is taken for the gravest.
        level: LogLevel,
        /// The parameters, as they were sent.
        params: Box<RawValue>,
    },
    /// A list changed.
    Changed(Topic),
}

impl Question {
    /// The reply with what the assistant answered: a result, or an error object.
    pub fn reply(&self, answer: Result<&RawValue, &RawValue>) -> String {
        let (member, value) = match answer {
            Ok(result) => ("result", result),
            Err(error) => ("error", error),
        };
        one_line(format!(r#"{{"jsonrpc":"2.0","id":{},"{member}":{}}}"#, self.id.get(), value.get()))
    }

    /// The reply when nobody can be asked.
    pub fn refusal(&self, why: &str) -> String {
        let error = RpcError::new(RpcError::METHOD_NOT_FOUND, why).to_raw();
        self.reply(Err(&error))
    }
}

impl FromConnector {
    /// Reads one message.
    ///
    /// # Errors
    /// A [`MessageFault`] when it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageFault> {
        Ok(match Message::parse(bytes)? {
            Message::Response { id, outcome } => match id.get().parse() {
                Ok(id) => {
                    Self::Answer { id, outcome: outcome.map(ToOwned::to_owned).map_err(ToOwned::to_owned) }
                }
                Err(_) => Self::Other,
            },
            Message::Request { id, method, params } => asked(id, &method, &params),
            Message::Notification { method, params } => {
                notice(&method, &params).map_or(Self::Other, Self::Notice)
            }
        })
    }
}

fn asked(id: &RawValue, method: &str, params: &RawObject<'_>) -> FromConnector {
    let question = Ask::read(method, params).map(|ask| Question { id: id.to_owned(), ask });
    match (question, method) {
        (Some(question), _) => FromConnector::Question(question),
        (None, "ping") => {
            FromConnector::Reply(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, id.get()))
        }
        (None, _) => {
            let error = RpcError::new(RpcError::METHOD_NOT_FOUND, "not declared").to_raw();
            FromConnector::Reply(format!(r#"{{"jsonrpc":"2.0","id":{},"error":{}}}"#, id.get(), error.get()))
        }
    }
}

fn notice(method: &str, params: &RawObject<'_>) -> Option<Notice> {
    match method {
        "notifications/progress" => {
            Some(Notice::Progress { of: params.read("progressToken")?, params: params.to_raw() })
        }
        "notifications/resources/updated" => {
            Some(Notice::Updated { uri: params.read("uri")?, params: params.to_raw() })
        }
        "notifications/message" => {
            let level = params.read("level").unwrap_or(LogLevel::Emergency);
            Some(Notice::Log { level, params: params.to_raw() })
        }
        _ => Topic::of_notice(method).map(Notice::Changed),
    }
}

/// The parameters of a progress notification under the name that the assistant gave its request.
pub(crate) fn progress_of(params: &RawValue, token: &RawValue) -> Box<RawValue> {
    let mut object = RawObject::parse(params).unwrap_or_default();
    object.set("progressToken", token.to_owned());
    raw(&object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::AskKind;

    fn parse(text: &str) -> FromConnector {
        FromConnector::parse(text.as_bytes()).expect(text)
    }

    #[test]
    fn pings_are_answered_and_unknown_requests_refused() {
        let reply = |text: &str| {
            let FromConnector::Reply(reply) = parse(text) else { panic!("{text}") };
            reply
        };
        assert!(reply(r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#).contains(r#""result":{}"#));
        assert!(reply(r#"{"jsonrpc":"2.0","id":2,"method":"tools/call"}"#).contains("-32601"));
        assert!(reply(r#"{"jsonrpc":"2.0","id":1e400,"method":"ping"}"#).contains(r#""id":1e400,"#));
    }

    #[test]
    fn questions_are_answered_to_their_id_and_to_the_digit() {
        let FromConnector::Question(question) =
            parse(r#"{"jsonrpc":"2.0","id":"q 1","method":"roots/list"}"#)
        else {
            panic!("a question")
        };
        assert_eq!(question.ask.kind(), AskKind::Roots);
        let answer: Box<RawValue> = serde_json::from_str("{\n\"roots\": [1.50]}").unwrap();
        assert_eq!(question.reply(Ok(&answer)), r#"{"jsonrpc":"2.0","id":"q 1","result":{"roots": [1.50]}}"#);
        assert!(question.refusal("no").contains(r#""error":{"code":-32601,"message":"no"}"#));
    }

    #[test]
    fn notices_are_told_apart() {
        let FromConnector::Notice(Notice::Progress { of: 7, params }) = parse(
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1.50}}"#,
        ) else {
            panic!("progress")
        };
        let token: Box<RawValue> = serde_json::from_str(r#""mine""#).unwrap();
        assert_eq!(progress_of(&params, &token).get(), r#"{"progressToken":"mine","progress":1.50}"#);
        let log = parse(
            r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"notice","data":1e400}}"#,
        );
        assert!(matches!(log, FromConnector::Notice(Notice::Log { level: LogLevel::Notice, .. })), "{log:?}");
        for other in ["notifications/other", "notifications/progress"] {
            let other = parse(&format!(r#"{{"jsonrpc":"2.0","method":"{other}"}}"#));
            assert!(matches!(other, FromConnector::Other), "{other:?}");
        }
    }
}
