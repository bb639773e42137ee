//! Reading what an assistant says over standard input and output (MCP 2026-07-28, basic/transports, "stdio"; 2025-11-25
//! likewise): one message a line, both ways. There are no headers, so what they would say is in the message itself, or
//! was agreed on when the conversation began.

use super::answer::Answer;
use super::incoming::{
    Asked, Dialect, Incoming, Notification, Refusal, Request, Response, bad_request, has_capabilities, means,
    notification, request, stated, unreadable, unstated, unsupported,
};
use crate::error::RpcError;
use crate::message::Message;
use crate::raw::RawObject;
use crate::revision::{Era, Revision};

/// What a conversation has agreed on so far. Requests of 2026-07-28 stand alone and need no agreement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conversation {
    revision: Option<Revision>,
}

impl Conversation {
    /// Reads one line.
    ///
    /// # Errors
    /// A [`Refusal`] to be sent back; nothing has had an effect.
    pub fn read<'a>(&mut self, line: &'a [u8]) -> Result<Incoming<'a>, Refusal> {
        match Message::parse(line).map_err(|fault| unreadable(&fault))? {
            Message::Response { id, outcome } => Ok(Incoming::Response(Response { id, outcome })),
            Message::Notification { method, params } => {
                Ok(Incoming::Notification(match notification(&method, &params) {
                    Notification::Initialized if self.revision.is_none() => Notification::Other,
                    told @ (Notification::Initialized | Notification::Cancelled(_) | Notification::Other) => {
                        told
                    }
                }))
            }
            Message::Request { id, method, params } => {
                let meta = params.borrowed("_meta").and_then(RawObject::parse);
                let read = self.dialect(&method, meta.as_ref()).and_then(|dialect| {
                    let request = request(dialect, method, params)?;
                    Ok(Asked { id, dialect, means: means(dialect, meta.as_ref()), request })
                });
                let asked = read.map_err(|error| bad_request(id.get(), error))?;
                if let Request::Initialize { revision, .. } = asked.request {
                    self.revision = Some(revision);
                }
                Ok(Incoming::Request(asked))
            }
        }
    }

    fn dialect(&self, method: &str, meta: Option<&RawObject<'_>>) -> Result<Dialect, RpcError> {
        if let Some(date) = stated(meta) {
            let revision = Revision::known(&date).ok_or_else(|| unsupported(&date))?;
            if revision.era() == Era::Modern {
                has_capabilities(meta)?;
            }
            return Ok(Dialect::of(revision));
        }
        match (self.revision, method) {
            (Some(revision), _) => Ok(Dialect::of(revision)),
            // Allowed before anything is agreed on (2025-11-25, basic/lifecycle).
            (None, "initialize" | "ping") => Ok(Dialect::of(Revision::LATEST_LEGACY)),
            (None, _) => Err(unstated()),
        }
    }
}

/// The answer to a line of somebody who is not let in: these words, where the line is a request. It is read in no dialect,
/// for nothing of it is obeyed.
pub fn refused(line: &[u8], words: &str) -> Option<Vec<u8>> {
    match Message::parse(line) {
        Ok(Message::Request { id, .. }) => {
            let error = RpcError::new(RpcError::NOT_ADMITTED, words);
            Some(Answer::passed_error(Dialect::default(), id, &error.to_raw()).into_line())
        }
        Ok(Message::Notification { .. } | Message::Response { .. }) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    const INITIALIZE: &str =
        r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#;

    fn dialect(conversation: &mut Conversation, line: &str) -> String {
        match conversation.read(line.as_bytes()) {
            Ok(Incoming::Request(Asked { dialect, .. })) => dialect.revision().to_owned(),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn code(conversation: &mut Conversation, line: &str) -> (String, i32) {
        let refusal = conversation.read(line.as_bytes()).expect_err(line);
        (refusal.id, refusal.error.code)
    }

    #[test]
    fn initialize_decides_for_the_requests_after_it() {
        let mut conversation = Conversation::default();
        let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        assert_eq!(code(&mut conversation, list), ("1".to_owned(), RpcError::INVALID_PARAMS));
        assert_eq!(dialect(&mut conversation, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#), "2025-11-25");
        dialect(&mut conversation, INITIALIZE);
        assert_eq!(dialect(&mut conversation, list), "2025-06-18");
    }

    #[test]
    fn a_request_that_stands_alone_needs_no_beginning() {
        let mut conversation = Conversation::default();
        let discover =
            format!(r#"{{"jsonrpc":"2.0","id":"a","method":"server/discover","params":{{{META}}}}}"#);
        assert_eq!(dialect(&mut conversation, &discover), "2026-07-28");
        assert_eq!(conversation, Conversation::default(), "and begins nothing");
        dialect(&mut conversation, INITIALIZE);
        assert_eq!(dialect(&mut conversation, &discover), "2026-07-28", "whatever was agreed on before");
        let unknown = discover.replace("2026-07-28", "2030-01-01");
        assert_eq!(code(&mut conversation, &unknown), (r#""a""#.to_owned(), RpcError::UNSUPPORTED_REVISION));
        let silent = discover.replace("clientCapabilities", "clientName");
        assert_eq!(code(&mut conversation, &silent), (r#""a""#.to_owned(), RpcError::INVALID_PARAMS));
    }

    #[test]
    fn methods_belong_to_their_era() {
        let mut conversation = Conversation::default();
        let modern =
            |method: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{META}}}}}"#);
        for method in ["initialize", "ping"] {
            let line = modern(method);
            let said = conversation.read(line.as_bytes()).expect(method);
            assert!(
                matches!(said, Incoming::Request(Asked { request: Request::Unknown(_), .. })),
                "{method}: {said:?}"
            );
        }
        assert_eq!(conversation, Conversation::default());
    }

    #[test]
    fn notifications_are_told_apart() {
        let mut conversation = Conversation::default();
        let ready = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let told = |told| matches!(told, Ok(Incoming::Notification(Notification::Other)));
        assert!(told(conversation.read(ready)), "nothing was begun");
        dialect(&mut conversation, INITIALIZE);
        assert!(matches!(conversation.read(ready), Ok(Incoming::Notification(Notification::Initialized))));
        let cancelled =
            br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x 1"}}"#;
        assert!(matches!(
            conversation.read(cancelled),
            Ok(Incoming::Notification(Notification::Cancelled(id))) if id.get() == r#""x 1""#
        ));
        let response = br#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        assert!(matches!(
            conversation.read(response),
            Ok(Incoming::Response(Response { outcome: Ok(_), .. }))
        ));
    }

    #[test]
    fn lines_that_are_no_message_answer_to_null() {
        let mut conversation = Conversation::default();
        for line in ["nonsense", "{", r#"{"a":1,"a":2}"#] {
            assert_eq!(code(&mut conversation, line), ("null".to_owned(), RpcError::PARSE), "{line}");
        }
        assert_eq!(code(&mut conversation, "[]"), ("null".to_owned(), RpcError::INVALID_REQUEST));
    }

    #[test]
    fn only_a_request_is_refused_in_words() {
        let answer = refused(INITIALIZE.as_bytes(), "Not \"now\".\nLater.").expect("a request");
        let answer = String::from_utf8(answer).expect("text");
        assert_eq!(
            answer,
            r#"{"jsonrpc":"2.0","id":0,"error":{"code":4010,"message":"Not \"now\".\nLater."}}"#
        );
        assert!(refused(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, "x").is_none());
        assert!(refused(b"nonsense", "x").is_none());
    }

    #[test]
    fn an_answer_is_one_line_and_means_the_same() {
        let id: Box<RawValue> = serde_json::from_str("1").expect("a number");
        let text = "{\n\t\"a\": \"x\\ny\",\r\n \"n\": 1.50\n}";
        let result: Box<RawValue> = serde_json::from_str(text).expect("an object");
        let line = Answer::result(Dialect::of(Revision::V2025_11_25), &id, &result).into_line();
        assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
        let read: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
        assert_eq!(read["result"]["a"], "x\ny");
        assert!(String::from_utf8_lossy(&line).contains("1.50"), "to the digit");
    }
}
