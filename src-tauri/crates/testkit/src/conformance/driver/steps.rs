//! What each scenario wants done.

use serde_json::{Map, Value, json};
use testkit::PeerFault;

use super::assistant::{Assistant, retry};

/// Does it.
///
/// # Errors
/// If a step fails, or nobody has said what the scenario wants.
pub(crate) async fn perform(
    scenario: &str,
    context: &Value,
    assistant: &mut Assistant,
) -> Result<(), PeerFault> {
    assistant.open().await?;
    let tools = assistant.tools().await?;
    match scenario {
        "initialize" | "request-metadata" | "json-schema-ref-no-deref" => Ok(()),
        "tools_call" => call(assistant, "add_numbers", json!({"a": 5, "b": 3})).await,
        "elicitation-sep1034-client-defaults" => {
            call(assistant, "test_client_elicitation_defaults", json!({})).await
        }
        "sse-retry" => call(assistant, "test_reconnection", json!({})).await,
        "sep-2322-client-request-state" => rounds(assistant).await,
        "http-standard-headers" => everything(assistant, &tools).await,
        "http-custom-headers" => listed(assistant, context).await,
        "http-invalid-tool-headers" => every_tool(assistant, &tools).await,
        "json-schema-2020-12-preservation" => echo(assistant, &tools).await,
        other => Err(PeerFault::answer(other, "nobody has said what it wants done")),
    }
}

async fn call(assistant: &mut Assistant, tool: &str, arguments: Value) -> Result<(), PeerFault> {
    let result = assistant.call(tool, arguments).await?;
    if result["isError"] == true {
        return Err(PeerFault::answer(tool, result.to_string()));
    }
    Ok(())
}

/// Another call comes between the two rounds of one.
async fn rounds(assistant: &mut Assistant) -> Result<(), PeerFault> {
    let params = json!({"name": "test_mrtr_echo_state", "arguments": {}});
    let asked = assistant.request("tools/call", params.clone()).await?;
    call(assistant, "test_mrtr_unrelated", json!({})).await?;
    // In the older era it was asked and has answered while the call was under way.
    if let Some(again) = retry(&params, &asked) {
        assistant.request("tools/call", again).await?;
    }
    call(assistant, "test_mrtr_no_state", json!({})).await?;
    call(assistant, "test_mrtr_no_result_type", json!({})).await
}

async fn everything(assistant: &mut Assistant, tools: &[Value]) -> Result<(), PeerFault> {
    every_tool(assistant, tools).await?;
    for resource in assistant.list("resources/list", "resources").await? {
        assistant.request("resources/read", json!({"uri": resource["uri"]})).await?;
    }
    for prompt in assistant.list("prompts/list", "prompts").await? {
        assistant.request("prompts/get", json!({"name": prompt["name"]})).await?;
    }
    Ok(())
}

/// The calls that the suite lists.
async fn listed(assistant: &mut Assistant, context: &Value) -> Result<(), PeerFault> {
    let calls = context["toolCalls"].as_array();
    for listed in calls.ok_or_else(|| PeerFault::answer("context", "it lists no calls"))? {
        call(assistant, listed["name"].as_str().unwrap_or_default(), listed["arguments"].clone()).await?;
    }
    Ok(())
}

async fn every_tool(assistant: &mut Assistant, tools: &[Value]) -> Result<(), PeerFault> {
    for tool in tools {
        let arguments = some_arguments(&tool["inputSchema"]);
        call(assistant, tool["name"].as_str().unwrap_or_default(), arguments).await?;
    }
    Ok(())
}

/// Something for each property.
fn some_arguments(schema: &Value) -> Value {
    let properties = schema["properties"].as_object();
    let some = |property: &Value| match property["type"].as_str() {
        Some("string") => json!("x"),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => json!({}),
        Some(_) | None => Value::Null,
    };
    let filled: Map<String, Value> =
        properties.into_iter().flatten().map(|(name, property)| (name.clone(), some(property))).collect();
    Value::Object(filled)
}

/// Gives a schema back as it was listed.
async fn echo(assistant: &mut Assistant, tools: &[Value]) -> Result<(), PeerFault> {
    let tool = tools.iter().find(|tool| tool["name"] == "json_schema_2020_12_tool");
    let tool = tool.ok_or_else(|| PeerFault::answer("tools/list", "the tool with the schema is missing"))?;
    call(assistant, "json_schema_echo", json!({"schema": tool["inputSchema"]})).await
}
