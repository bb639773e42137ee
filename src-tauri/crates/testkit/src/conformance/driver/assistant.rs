//! A scripted assistant that writes its messages itself.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use testkit::PeerFault;
use url::Url;

use super::headers;
use super::stream::Messages;
use crate::era::Era;

/// A connector that asks again and again is not followed further.
const ROUNDS: usize = 5;

/// An assistant of one era.
pub(crate) struct Assistant {
    http: reqwest::Client,
    url: Url,
    token: String,
    era: Era,
    session: Option<String>,
    sent: u64,
    tools: BTreeMap<String, Value>,
}

impl Assistant {
    /// One that has not said anything yet.
    pub(crate) fn new(url: Url, token: String, era: Era) -> Self {
        let (session, tools) = (None, BTreeMap::new());
        Self { http: reqwest::Client::new(), url, token, era, session, sent: 0, tools }
    }

    /// Opens the conversation.
    ///
    /// # Errors
    /// If it is refused.
    pub(crate) async fn open(&mut self) -> Result<Value, PeerFault> {
        if self.era == Era::Modern {
            return self.request("server/discover", json!({})).await;
        }
        let params = json!({
            "protocolVersion": self.era.revision(),
            "capabilities": capabilities(),
            "clientInfo": {"name": "conformance", "version": "1"},
        });
        let opened = self.request("initialize", params).await?;
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        self.post(&initialized, &[]).await?;
        Ok(opened)
    }

    /// The tools, all pages of them.
    ///
    /// # Errors
    /// If they are refused.
    pub(crate) async fn tools(&mut self) -> Result<Vec<Value>, PeerFault> {
        let tools = self.list("tools/list", "tools").await?;
        for tool in &tools {
            self.tools
                .insert(tool["name"].as_str().unwrap_or_default().to_owned(), tool["inputSchema"].clone());
        }
        Ok(tools)
    }

    /// A whole list.
    ///
    /// # Errors
    /// If it is refused.
    pub(crate) async fn list(&mut self, method: &str, member: &str) -> Result<Vec<Value>, PeerFault> {
        let mut all = Vec::new();
        let mut params = json!({});
        loop {
            let page = self.request(method, params).await?;
            all.extend(page[member].as_array().into_iter().flatten().cloned());
            let Some(cursor) = page["nextCursor"].as_str() else { return Ok(all) };
            params = json!({"cursor": cursor});
        }
    }

    /// Calls a tool, and answers what is asked on the way.
    ///
    /// # Errors
    /// If the call is refused.
    pub(crate) async fn call(&mut self, tool: &str, arguments: Value) -> Result<Value, PeerFault> {
        let mut params = json!({"name": tool, "arguments": arguments});
        for _ in 0..ROUNDS {
            let result = self.request("tools/call", params.clone()).await?;
            let Some(again) = retry(&params, &result) else { return Ok(result) };
            params = again;
        }
        Err(PeerFault::answer(tool, "it asks without end"))
    }

    /// Sends a request and waits for its result; what is asked in the meantime is answered.
    ///
    /// # Errors
    /// If there is an error instead.
    pub(crate) async fn request(&mut self, method: &str, params: Value) -> Result<Value, PeerFault> {
        self.sent += 1;
        let id = self.sent;
        let extra = self.headers(method, &params);
        let params = self.with_meta(params);
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let response = self.post(&message, &extra).await?;
        let status = response.status();
        if method == "initialize" {
            let session = response.headers().get("mcp-session-id").and_then(|id| id.to_str().ok());
            self.session = session.map(str::to_owned);
        }
        let mut messages = Messages::of(response);
        while let Some(message) = messages.next().await? {
            if message["method"].is_string() && !message["id"].is_null() {
                let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": answer(&message)});
                self.post(&answer, &[]).await?;
            } else if message["id"] == id {
                let refused = || PeerFault::answer(method, format!("{status}: {}", message["error"]));
                return message.get("result").cloned().ok_or_else(refused);
            }
        }
        Err(PeerFault::answer(method, format!("{status} without an answer")))
    }

    fn headers(&self, method: &str, params: &Value) -> Vec<(String, String)> {
        if self.era == Era::Legacy {
            return Vec::new();
        }
        let mut all = vec![("Mcp-Method".to_owned(), method.to_owned())];
        all.extend(headers::name(method, params).map(|name| ("Mcp-Name".to_owned(), headers::encoded(name))));
        if let Some(schema) = params["name"].as_str().and_then(|tool| self.tools.get(tool)) {
            all.extend(headers::parameters(schema, &params["arguments"]));
        }
        all
    }

    fn with_meta(&self, mut params: Value) -> Value {
        if self.era == Era::Modern {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": self.era.revision(),
                "io.modelcontextprotocol/clientInfo": {"name": "conformance", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": capabilities(),
            });
        }
        params
    }

    async fn post(
        &self,
        message: &Value,
        extra: &[(String, String)],
    ) -> Result<reqwest::Response, PeerFault> {
        let mut request = self
            .http
            .post(self.url.clone())
            .bearer_auth(&self.token)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(message.to_string());
        if message["method"] != "initialize" {
            request = request.header("mcp-protocol-version", self.era.revision());
        }
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        for (name, value) in extra {
            request = request.header(name, value);
        }
        Ok(request.send().await?)
    }
}

/// What this assistant can be asked for.
fn capabilities() -> Value {
    json!({"elicitation": {"form": {}}, "roots": {}, "sampling": {}})
}

/// The same request with what was asked for; `None` if nothing was.
pub(crate) fn retry(params: &Value, result: &Value) -> Option<Value> {
    if result["resultType"] != "input_required" {
        return None;
    }
    let asked = result["inputRequests"].as_object();
    let answers: Map<String, Value> =
        asked.into_iter().flatten().map(|(key, request)| (key.clone(), answer(request))).collect();
    let mut again = params.clone();
    again["inputResponses"] = Value::Object(answers);
    if let Some(state) = result.get("requestState") {
        again["requestState"] = state.clone();
    }
    Some(again)
}

/// What it answers: a form is filled in with its defaults.
fn answer(request: &Value) -> Value {
    match request["method"].as_str() {
        Some("elicitation/create") => {
            let fields = request["params"]["requestedSchema"]["properties"].as_object();
            let content: Map<String, Value> = fields
                .into_iter()
                .flatten()
                .filter_map(|(name, field)| Some((name.clone(), field.get("default")?.clone())))
                .collect();
            json!({"action": "accept", "content": content})
        }
        Some("sampling/createMessage") => json!({
            "role": "assistant", "model": "none", "content": {"type": "text", "text": "An answer."},
        }),
        Some("roots/list") => json!({"roots": [{"uri": "file:///root"}]}),
        Some(_) | None => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_given_back_as_it_came_and_only_if_it_came() {
        let asked = json!({"a": {"method": "elicitation/create", "params": {"requestedSchema": {"properties": {
            "n": {"type": "integer", "default": 30}, "o": {"type": "string"},
        }}}}});
        let params = json!({"name": "t"});
        let answers = json!({"a": {"action": "accept", "content": {"n": 30}}});
        let with = json!({"resultType": "input_required", "inputRequests": asked, "requestState": "s"});
        let again = json!({"name": "t", "inputResponses": answers, "requestState": "s"});
        assert_eq!(retry(&params, &with), Some(again));
        let without = json!({"resultType": "input_required", "inputRequests": asked});
        assert_eq!(retry(&params, &without), Some(json!({"name": "t", "inputResponses": answers})));
        assert_eq!(retry(&params, &json!({"content": []})), None);
    }
}
