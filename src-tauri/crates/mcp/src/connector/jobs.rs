//! Tools that answer with a task in sessions (MCP 2025-11-25, basic/utilities/tasks). Assistants are told nothing of it: the
//! task's result is the answer.

use serde_json::json;
use serde_json::value::RawValue;

use super::about::About;
use super::request::{Outgoing, in_session};
use crate::assistant::Dialect;
use crate::raw::RawObject;

/// What ties a result to its task; it means nothing to whoever does not know the task.
const RELATED: &str = "io.modelcontextprotocol/related-task";

/// Whether tools may be called as tasks.
pub fn takes_tasks(about: &About) -> bool {
    let all = about.capabilities();
    let tasks = all.member("tasks").and_then(RawObject::parse);
    let requests = tasks.as_ref().and_then(|tasks| tasks.member("requests")).and_then(RawObject::parse);
    let tools = requests.as_ref().and_then(|all| all.member("tools")).and_then(RawObject::parse);
    tools.is_some_and(|tools| tools.member("call").is_some())
}

/// The id of the task that a call began.
pub fn task_of(result: &RawValue) -> Option<String> {
    let result = RawObject::parse(result)?;
    result.member("task").and_then(RawObject::parse)?.read("taskId")
}

/// `tasks/result`, which is answered when the task is at its end.
pub fn task_result(dialect: Dialect, id: u64, task: &str) -> Outgoing {
    in_session(dialect, id, "tasks/result", &json!({"taskId": task}))
}

/// `tasks/cancel`.
pub fn cancel_task(dialect: Dialect, id: u64, task: &str) -> Outgoing {
    in_session(dialect, id, "tasks/cancel", &json!({"taskId": task}))
}

/// A task's result as the answer to the call that began it.
pub fn without_task(result: &RawValue) -> Box<RawValue> {
    let Some(mut object) = RawObject::parse(result) else { return result.to_owned() };
    let Some(mut meta) = object.member("_meta").and_then(RawObject::parse).map(RawObject::into_owned) else {
        return result.to_owned();
    };
    meta.retain(|key| key != RELATED);
    if meta.is_empty() {
        object.retain(|key| key != "_meta");
    } else {
        object.set("_meta", meta.to_raw());
    }
    object.to_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_task_leaves_no_trace_in_its_result() {
        let related = r#""io.modelcontextprotocol/related-task":{"taskId":"t"}"#;
        let without = |meta: &str| {
            without_task(&value(&format!(r#"{{"content":[],"x":1.50,"_meta":{{{meta}}}}}"#))).get().to_owned()
        };
        assert_eq!(without(related), r#"{"content":[],"x":1.50}"#);
        assert_eq!(
            without(&format!(r#"{related},"vendor":1e3"#)),
            r#"{"content":[],"x":1.50,"_meta":{"vendor":1e3}}"#
        );
        assert_eq!(without_task(&value("[1]")).get(), "[1]");
        assert_eq!(task_of(&value(r#"{"task":{"taskId":"t","status":"working"}}"#)).as_deref(), Some("t"));
        assert_eq!(task_of(&value(r#"{"content":[]}"#)), None);
    }
}
