//! One call as a person sees it who is asked about it, and what they have allowed for more than one.

use model::{ApprovalRequest, ApprovalScope, ApprovalTarget, visible};
use serde_json::value::RawValue;

use super::shapes::{ApprovalView, ArgumentView, CallKind, ChangeView, StandingView};
use super::{connector_title, millis, program, server_title};
use crate::state::{AppState, StandingApproval};
use crate::words;

pub(super) fn approval(state: &AppState, request: &ApprovalRequest, count: usize) -> ApprovalView {
    ApprovalView {
        assistant: words::name(&request.client_name),
        program: request.program.as_deref().map(program),
        server_title: server_title(state, &request.server),
        connector_title: connector_title(state, &request.server, &request.connector),
        tool: visible(request.target.name()),
        call_kind: kind(&request.target),
        reason: request.reason.clone(),
        arguments: compared(&request.arguments, request.earlier.as_deref()),
        compared: request.earlier.is_some(),
        for_session: request.most >= ApprovalScope::Session,
        always: request.most >= ApprovalScope::Always,
        count: u32::try_from(count).unwrap_or(u32::MAX),
    }
}

fn kind(target: &ApprovalTarget) -> CallKind {
    match target {
        ApprovalTarget::Tool(_) => CallKind::Tool,
        ApprovalTarget::Resource(_) => CallKind::Resource,
        ApprovalTarget::Prompt(_) => CallKind::Prompt,
    }
}

pub(super) fn standing(state: &AppState, it: &StandingApproval) -> StandingView {
    let what = match &it.target {
        ApprovalTarget::Tool(tool) => tool.as_str().to_owned(),
        ApprovalTarget::Resource(uri) => visible(&org_protocol::bare_uri(uri)),
        ApprovalTarget::Prompt(prompt) => say::call_the_prompt(&visible(prompt)),
    };
    StandingView {
        id: it.id.clone(),
        assistant: words::name(&it.client_name),
        server_title: server_title(state, &it.server),
        connector_title: connector_title(state, &it.server, &it.connector),
        what,
        always: it.scope == ApprovalScope::Always,
        answered: millis(it.answered),
    }
}

/// The arguments as a form, with what differs from those of the last approved call.
fn compared(json: &str, earlier: Option<&str>) -> Vec<ArgumentView> {
    let mut lines = arguments(json);
    let Some(earlier) = earlier.map(arguments) else { return lines };
    for line in &mut lines {
        let before = earlier.iter().find(|before| before.name == line.name);
        line.change = match before {
            None => Some(ChangeView::New),
            Some(before) if before.value == line.value => None,
            Some(before) => Some(ChangeView::Other { before: before.value.clone() }),
        };
    }
    let gone = earlier.into_iter().filter(|before| lines.iter().all(|line| line.name != before.name));
    let gone: Vec<_> = gone.map(|before| ArgumentView { change: Some(ChangeView::Gone), ..before }).collect();
    lines.extend(gone);
    lines
}

/// The arguments as a form: one line for each value, nothing left out, numbers to the digit. A text that is no JSON object
/// is shown as it is.
fn arguments(json: &str) -> Vec<ArgumentView> {
    let mut lines = Vec::new();
    match serde_json::from_str::<Members<'_>>(json) {
        Ok(Members(members)) => {
            for (name, value) in members {
                flatten(name, value.get(), &mut lines);
            }
        }
        Err(_) => lines.push(line(String::new(), json)),
    }
    lines
}

fn flatten(name: String, json: &str, lines: &mut Vec<ArgumentView>) {
    if let Ok(Members(members)) = serde_json::from_str(json)
        && !members.is_empty()
    {
        for (key, value) in members {
            flatten(format!("{name}.{key}"), value.get(), lines);
        }
        return;
    }
    if let Ok(values) = serde_json::from_str::<Vec<&RawValue>>(json)
        && !values.is_empty()
    {
        for (at, value) in values.iter().enumerate() {
            flatten(format!("{name}[{at}]"), value.get(), lines);
        }
        return;
    }
    let value = serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned());
    lines.push(line(name, &value));
}

fn line(name: String, value: &str) -> ArgumentView {
    ArgumentView { name: visible(&name), value: visible(value), change: None }
}

/// A JSON object's members in their order, the values as they were written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> serde::de::Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(json: &str, earlier: Option<&str>) -> Vec<(String, String, Option<ChangeView>)> {
        compared(json, earlier).into_iter().map(|line| (line.name, line.value, line.change)).collect()
    }

    #[test]
    fn what_differs_from_the_last_approved_call_is_marked() {
        let earlier = r#"{"to":["a@x.test"],"subject":"s","cc":"c"}"#;
        let found = shown(r#"{"to":["b@x.test","a@x.test"],"subject":"s"}"#, Some(earlier));
        let other = ChangeView::Other { before: "a@x.test".to_owned() };
        assert_eq!(
            found,
            [
                ("to[0]".to_owned(), "b@x.test".to_owned(), Some(other)),
                ("to[1]".to_owned(), "a@x.test".to_owned(), Some(ChangeView::New)),
                ("subject".to_owned(), "s".to_owned(), None),
                ("cc".to_owned(), "c".to_owned(), Some(ChangeView::Gone)),
            ]
        );
        assert!(shown(earlier, None).iter().all(|(_, _, change)| change.is_none()));
    }

    #[test]
    fn nothing_hides_in_an_argument() {
        for (hidden, seen) in [
            ("a\u{202e}b", "a⟨U+202E⟩b"),
            ("a\u{200b}b", "a⟨U+200B⟩b"),
            ("\u{e0041}", "⟨U+E0041⟩"),
            ("\u{1b}[2J", "⟨U+001B⟩[2J"),
            ("two\nlines\tand Zoë, 日本語, 🙂", "two\nlines\tand Zoë, 日本語, 🙂"),
        ] {
            let json = serde_json::json!({ "text": hidden }).to_string();
            assert_eq!(shown(&json, None), [("text".to_owned(), seen.to_owned(), None)]);
            let as_name = serde_json::json!({ hidden: 1 }).to_string();
            assert_eq!(shown(&as_name, None)[0].0, seen);
        }
    }

    #[test]
    fn arguments_become_a_form_and_nothing_is_left_out() {
        let form: Vec<_> = arguments(
            r#"{"to":["ada@acme.test","bob@acme.test"],"message":{"subject":"Hi","body":"a\nb"},"n":1.50,"list":[{"x":null},2],"empty":{}}"#,
        )
        .into_iter()
        .map(|it| format!("{}={}", it.name, it.value))
        .collect();
        assert_eq!(
            form,
            [
                "to[0]=ada@acme.test",
                "to[1]=bob@acme.test",
                "message.subject=Hi",
                "message.body=a\nb",
                "n=1.50",
                "list[0].x=null",
                "list[1]=2",
                "empty={}",
            ]
        );
        assert_eq!(
            arguments("not json"),
            [ArgumentView { name: String::new(), value: "not json".to_owned(), change: None }]
        );
    }
}
