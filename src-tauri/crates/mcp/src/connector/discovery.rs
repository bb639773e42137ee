//! Which revision a connector speaks, told from its answer to `server/discover` (MCP 2026-07-28, basic/versioning,
//! "Backward Compatibility").

use serde_json::value::RawValue;

use super::about::About;
use crate::assistant::Dialect;
use crate::error::{RpcError, code_of};
use crate::raw::RawObject;
use crate::revision::{Era, Revision};

/// What an answer to `server/discover` says of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discovery {
    /// It speaks the stateless revision.
    Stateless {
        /// How to speak to it.
        dialect: Dialect,
        /// What it says of itself.
        about: About,
    },
    /// It wants `initialize` first.
    Sessions,
    /// It speaks only revisions that are not known; these.
    Unknown(String),
}

/// Reads the answer, be it result or error.
pub fn discovery(answer: Result<&RawValue, &RawValue>) -> Discovery {
    match answer {
        Ok(result) => of_result(result),
        Err(error) => of_error(error),
    }
}

fn of_result(result: &RawValue) -> Discovery {
    let Some(object) = RawObject::parse(result) else { return Discovery::Sessions };
    // Without the list it is no such answer, whatever it is.
    let Some(supported) = object.read::<Vec<String>>("supportedVersions") else { return Discovery::Sessions };
    chosen(&supported, About::of(&object))
}

fn of_error(error: &RawValue) -> Discovery {
    match code_of(error) {
        Some(RpcError::UNSUPPORTED_REVISION) => {
            let object = RawObject::parse(error);
            let data = object.as_ref().and_then(|object| object.member("data")).and_then(RawObject::parse);
            let supported: Vec<String> = data.and_then(|data| data.read("supported")).unwrap_or_default();
            chosen(&supported, About::default())
        }
        Some(RpcError::HEADER_MISMATCH | RpcError::MISSING_CAPABILITY) => {
            Discovery::Stateless { dialect: Dialect::of(Revision::MODERN), about: About::default() }
        }
        // Older servers answer with whatever error they have for what they do not know.
        Some(_) | None => Discovery::Sessions,
    }
}

fn chosen(supported: &[String], about: About) -> Discovery {
    let known = || supported.iter().filter_map(|date| Revision::known(date));
    if known().any(|revision| revision == Revision::MODERN) {
        Discovery::Stateless { dialect: Dialect::of(Revision::MODERN), about }
    } else if known().any(|revision| revision.era() == Era::Legacy) {
        Discovery::Sessions
    } else {
        Discovery::Unknown(supported.join(", ").chars().take(200).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(text: &str) -> Discovery {
        discovery(Ok(&serde_json::from_str::<Box<RawValue>>(text).unwrap()))
    }

    fn error(text: &str) -> Discovery {
        discovery(Err(&serde_json::from_str::<Box<RawValue>>(text).unwrap()))
    }

    fn stateless(about: &str) -> Discovery {
        let about: Box<RawValue> = serde_json::from_str(about).unwrap();
        let about = About::of(&RawObject::parse(&about).unwrap());
        Discovery::Stateless { dialect: Dialect::of(Revision::MODERN), about }
    }

    #[test]
    fn results_name_the_revisions() {
        assert_eq!(
            result(r#"{"supportedVersions":["2026-07-28"],"capabilities":{}}"#),
            stateless(r#"{"capabilities":{}}"#)
        );
        assert_eq!(
            result(
                r#"{"supportedVersions":["2025-11-25","2026-07-28","2099-01-01"],"capabilities":{"tools":{"listChanged":true}}}"#
            ),
            stateless(r#"{"capabilities":{"tools":{"listChanged":true}}}"#)
        );
        assert_eq!(result(r#"{"supportedVersions":["2025-06-18"]}"#), Discovery::Sessions);
        assert_eq!(
            result(r#"{"supportedVersions":["2099-01-01"]}"#),
            Discovery::Unknown("2099-01-01".into())
        );
        assert_eq!(result(r#"{"ok":true}"#), Discovery::Sessions);
    }

    #[test]
    fn only_errors_of_the_stateless_revision_speak_for_it() {
        let unsupported = |list: &str| {
            error(&format!(
                r#"{{"code":-32022,"message":"m","data":{{"supported":[{list}],"requested":"x"}}}}"#
            ))
        };
        assert_eq!(unsupported(r#""2026-07-28""#), stateless("{}"));
        assert_eq!(unsupported(r#""2025-11-25""#), Discovery::Sessions);
        assert_eq!(unsupported(r#""2099-01-01""#), Discovery::Unknown("2099-01-01".into()));
        assert_eq!(error(r#"{"code":-32020,"message":"m"}"#), stateless("{}"));
        for code in ["-32601", "-32602", "-32000", "-32600", "0"] {
            let told = error(&format!(r#"{{"code":{code},"message":"m"}}"#));
            assert_eq!(told, Discovery::Sessions, "{code}");
        }
    }
}
