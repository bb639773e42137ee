//! A thousand tools as real connectors describe theirs: 25 services with 8 kinds of things each, and 5 things to do with
//! each kind. The same every time.

use serde_json::{Map, Value, json};

/// How many tools there are.
pub(super) const TOOLS: usize = SERVICES.len() * KINDS * DEEDS_EACH;
const KINDS: usize = 8;
const DEEDS_EACH: usize = 5;

/// Id, title, and what it holds.
type Service = (&'static str, &'static str, [&'static str; KINDS]);

#[rustfmt::skip]
const SERVICES: [Service; 25] = [
    ("github", "GitHub", ["issue", "pull_request", "repository", "branch", "release", "workflow_run", "milestone", "code_review"]),
    ("gitlab", "GitLab", ["merge_request", "pipeline", "job", "snippet", "environment", "deploy_key", "wiki_page", "runner"]),
    ("jira", "Jira", ["ticket", "sprint", "epic", "board", "worklog", "component", "fix_version", "saved_filter"]),
    ("slack", "Slack", ["message", "channel", "thread", "reaction", "reminder", "user_group", "huddle", "canvas"]),
    ("gmail", "Gmail", ["email", "draft", "mail_label", "conversation", "attachment", "signature", "mail_filter", "vacation_responder"]),
    ("calendar", "Calendar", ["event", "attendee", "meeting_room", "calendar", "availability", "booking_page", "recurrence", "invitation"]),
    ("drive", "Drive", ["document", "folder", "spreadsheet", "presentation", "permission", "revision", "shared_drive", "shortcut"]),
    ("salesforce", "Salesforce", ["lead", "opportunity", "account", "contact", "campaign", "quote", "contract", "support_case"]),
    ("hubspot", "HubSpot", ["deal", "company", "marketing_form", "mailing_list", "landing_page", "sequence", "call_note", "segment"]),
    ("stripe", "Stripe", ["payment", "refund", "customer", "subscription", "invoice", "payout", "dispute", "coupon"]),
    ("zendesk", "Zendesk", ["support_ticket", "macro", "trigger", "satisfaction_rating", "help_article", "organization", "queue", "side_conversation"]),
    ("snowflake", "Snowflake", ["query", "table", "virtual_warehouse", "schema", "stage", "stream", "role", "data_share"]),
    ("postgres", "PostgreSQL", ["row", "index", "view", "database", "function", "extension", "backup", "slow_query"]),
    ("datadog", "Datadog", ["metric", "monitor", "dashboard", "log_query", "notebook", "service_level", "downtime", "synthetic_test"]),
    ("pagerduty", "PagerDuty", ["incident", "on_call_schedule", "escalation_policy", "service", "postmortem", "responder", "maintenance_window", "status_update"]),
    ("aws", "AWS", ["instance", "bucket", "lambda_function", "security_group", "load_balancer", "secret", "dns_record", "volume"]),
    ("kubernetes", "Kubernetes", ["pod", "deployment", "namespace", "config_map", "cron_job", "node", "ingress", "helm_release"]),
    ("workday", "Workday", ["employee", "leave_request", "payslip", "timesheet", "org_unit", "position", "performance_review", "expense_report"]),
    ("greenhouse", "Greenhouse", ["candidate", "job_opening", "interview", "scorecard", "offer", "referral", "application", "hiring_stage"]),
    ("docusign", "DocuSign", ["envelope", "signing_template", "recipient", "signing_group", "certificate", "brand", "power_form", "bulk_send"]),
    ("figma", "Figma", ["design_file", "design_comment", "component_set", "style", "prototype", "design_version", "team_library", "frame"]),
    ("confluence", "Confluence", ["page", "space", "blog_post", "page_comment", "page_template", "page_label", "whiteboard", "page_restriction"]),
    ("airtable", "Airtable", ["record", "base", "field", "form", "automation", "interface", "sync", "extension_block"]),
    ("notion", "Notion", ["note", "database_page", "block", "property", "workspace_member", "teamspace", "relation", "template_button"]),
    ("shopify", "Shopify", ["product", "order", "inventory_item", "discount", "collection", "shipment", "gift_card", "return_request"]),
];

/// Verb, how a description begins and ends, and the parameters beside the id: name, schema as JSON, whether it is required.
type Deed = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str, bool)]);

#[rustfmt::skip]
const DEEDS: [Deed; 8] = [
    ("create", "Creates a new", "Returns it with its id and its address. Fails when one of the same title exists and `allow_duplicate` is not set.", &[
        ("title", r#"{"type":"string","description":"A short title, at most 255 characters"}"#, true),
        ("body", r#"{"type":"string","description":"The text, in Markdown"}"#, false),
        ("labels", r#"{"type":"array","items":{"type":"string"},"description":"Labels to put on it"}"#, false),
        ("allow_duplicate", r#"{"type":"boolean","default":false}"#, false),
    ]),
    ("get", "Fetches one", "Gives all of its fields, and its history where `include` asks for it.", &[
        ("include", r#"{"type":"array","items":{"enum":["history","comments","watchers"]},"description":"What to add to the answer"}"#, false),
    ]),
    ("list", "Lists every", "Newest first, one page at a time; pass `cursor` to go on where the last page ended.", &[
        ("status", r#"{"enum":["open","closed","all"],"default":"open"}"#, false),
        ("created_after", r#"{"type":"string","format":"date-time","description":"Only what was created after this time"}"#, false),
        ("limit", r#"{"type":"integer","minimum":1,"maximum":100,"default":25}"#, false),
        ("cursor", r#"{"type":"string"}"#, false),
    ]),
    ("update", "Changes an existing", "Only the fields that are given are changed; the others stay as they are.", &[
        ("fields", r#"{"type":"object","additionalProperties":true,"description":"New values by name of the field"}"#, true),
        ("expected_version", r#"{"type":"integer","description":"Refuses the change when somebody else made one since this version"}"#, false),
    ]),
    ("delete", "Removes a", "It cannot be brought back. Asks for `confirm` so that nothing is lost by mistake.", &[
        ("confirm", r#"{"type":"boolean","description":"Must be true"}"#, true),
        ("reason", r#"{"type":"string","description":"Written to the audit trail"}"#, false),
    ]),
    ("search", "Looks for a matching", "Searches by free text with filters for owner and time, best match first.", &[
        ("query", r#"{"type":"string","description":"What to look for"}"#, true),
        ("owner", r#"{"type":"string","description":"Only what belongs to this person"}"#, false),
        ("order_by", r#"{"enum":["relevance","created","updated"],"default":"relevance"}"#, false),
        ("limit", r#"{"type":"integer","minimum":1,"maximum":50}"#, false),
    ]),
    ("assign", "Hands over a", "The person is notified unless `silent` is set; whoever had it before keeps watching it.", &[
        ("assignee", r#"{"type":"string","description":"User name or email address of the person"}"#, true),
        ("note", r#"{"type":"string","description":"A message to go with it"}"#, false),
        ("silent", r#"{"type":"boolean","default":false}"#, false),
    ]),
    ("export", "Downloads a", "Answers with an address that is good for an hour.", &[
        ("format", r#"{"enum":["csv","json","pdf"]}"#, true),
        ("time_zone", r#"{"type":"string","description":"IANA name, such as Europe/Berlin"}"#, false),
    ]),
];

/// A tool, and words with which somebody would look for it.
#[derive(Debug, Clone)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) definition: Value,
    pub(super) query: String,
}

/// All of them.
pub(super) fn tools() -> Vec<Tool> {
    let mut tools = Vec::with_capacity(TOOLS);
    for (of_service, service) in SERVICES.iter().enumerate() {
        for of_kind in 0..KINDS {
            for number in 0..DEEDS_EACH {
                let deed = &DEEDS[(of_service + of_kind + number) % DEEDS.len()];
                tools.push(tool(service, service.2[of_kind], deed, tools.len()));
            }
        }
    }
    tools
}

fn tool((id, title, _): &Service, kind: &str, deed: &Deed, number: usize) -> Tool {
    let (verb, begins, ends, more) = deed;
    let words = kind.replace('_', " ");
    let name = format!("{id}_{verb}_{kind}");
    let needs_id = !matches!(*verb, "create" | "list" | "search");
    let mut properties = Map::new();
    let mut required = Vec::new();
    let place = format!("Id of the {title} workspace; the default one where it is absent");
    properties.insert("workspace".to_owned(), json!({"type": "string", "description": place}));
    if needs_id {
        let about = format!("Id of the {words}, as {id}_list_{kind} gives it");
        properties.insert(format!("{kind}_id"), json!({"type": "string", "description": about}));
        required.push(format!("{kind}_id"));
    }
    for (parameter, schema, is_required) in *more {
        let schema = serde_json::from_str(schema).unwrap_or_default();
        properties.insert((*parameter).to_owned(), schema);
        if *is_required {
            required.push((*parameter).to_owned());
        }
    }
    let reads = matches!(*verb, "get" | "list" | "search" | "export");
    let definition = json!({
        "name": name,
        "title": format!("{title}: {verb} {words}"),
        "description": format!("{begins} {words} in {title}. {ends}"),
        "inputSchema": {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        },
        "annotations": {"readOnlyHint": reads, "destructiveHint": *verb == "delete", "openWorldHint": true},
    });
    let query = match number % 3 {
        0 => format!("{verb} {words} {title}"),
        1 => format!("I want to {verb} the {words} in {title}"),
        _ => format!("{} {words} {id}", begins.to_lowercase()),
    };
    Tool { name, definition, query }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_a_thousand_and_no_two_are_alike() {
        let all = tools();
        assert_eq!((all.len(), TOOLS), (1_000, 1_000));
        assert_eq!(all.iter().map(|tool| &tool.name).collect::<BTreeSet<_>>().len(), 1_000);
        assert_eq!(all.iter().map(|tool| &tool.query).collect::<BTreeSet<_>>().len(), 1_000);
        for tool in &all {
            // What models take for a name, with what assistants put before it.
            assert!(tool.name.len() + "mcp__search__".len() <= 64, "{}", tool.name);
            let schema = &tool.definition["inputSchema"];
            let required = schema["required"].as_array().expect("a list");
            assert!(
                required.iter().all(|name| schema["properties"][name.as_str().unwrap_or("")].is_object())
            );
            assert!(schema["properties"].as_object().expect("an object").values().all(Value::is_object));
        }
    }
}
