//! What assistants do, and what comes of it.

use std::future::Future;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{
    Access, Acme, Assistant, Claude, Desktop, Opened, PeerFault, Program, Step, Transcript, beside, until,
};
use url::Url;

use crate::desk::{SOON, expect, lets_in};

/// What an assistant has time for after the person has done their part.
const SHORTLY: Duration = Duration::from_secs(10);

const DROP: &str = "drop table analytics.visits";

/// The policy that refuses it.
const POLICY: &str = "warehouse-is-only-read";

pub(crate) async fn is_connected(claude: &Claude) -> Result<(), PeerFault> {
    let listed = claude.list().await?;
    expect(listed.contains("Connected"), "claude mcp list", || listed)
}

/// An assistant that was let in.
pub(crate) struct Colleague(Assistant);

impl Colleague {
    /// Registers at a virtual server and asks to be let in; the person at the desk allows it.
    pub(crate) async fn arrives(desktop: &mut Desktop, server: &str) -> Result<Self, PeerFault> {
        let url = desktop.offers(server).await?;
        let (assistant, mut opened) = (Assistant::new(url, Access::OAuth)?, Opened::new()?);
        let path = opened.path();
        let person = async {
            let page = opened.next(SOON).await?;
            lets_in(desktop, &page, "python").await.map(drop)
        };
        together(assistant.run(Some(path), &[Step::ListTools]), person).await?;
        Ok(Self(assistant))
    }

    /// Its token is good for one virtual server, in the name of one person.
    pub(crate) async fn is_refused_at(&self, desktop: &mut Desktop, server: &str) -> Result<(), PeerFault> {
        let url = desktop.offers(server).await?;
        let token = self.0.token().ok_or_else(|| PeerFault::answer("assistant", "it has no token"))?;
        let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}});
        let status = ask(&url, &token, &list).await?;
        expect(status == 401, "the virtual server", || format!("it answers with {status}"))
    }

    pub(crate) async fn reads_salaries(&self) -> Result<(), PeerFault> {
        let sql = "select login, euros from finance.salaries order by login";
        let answer = self.call("execute_sql", json!({ "sql": sql })).await?;
        expect(answer.to_string().contains("61000"), "warehouse", || answer.to_string())
    }

    async fn call(&self, tool: &str, arguments: Value) -> Result<Value, PeerFault> {
        let mut transcript = self.0.run(None, &[Step::call(tool, arguments)]).await?;
        transcript.answers.pop().ok_or_else(|| PeerFault::answer("assistant", "no answer"))
    }

    async fn tools(&self) -> Result<Vec<String>, PeerFault> {
        Ok(self.0.run(None, &[Step::ListTools]).await?.tool_names(0))
    }
}

/// An assistant at work in Alice's name.
pub(crate) struct Work<'a> {
    pub(crate) acme: &'a Acme,
    pub(crate) desktop: &'a Desktop,
    pub(crate) assistant: &'a Colleague,
}

impl Work<'_> {
    pub(crate) async fn sees_tools(&self) -> Result<(), PeerFault> {
        let tools = self.assistant.tools().await?;
        let has = |name: &str| tools.iter().any(|tool| tool == name);
        let offered = has("read_text_file") && has("list_messages") && has("execute_sql");
        expect(offered && !has("write_file"), "the list of tools", || format!("{tools:?}"))
    }

    pub(crate) async fn reads_a_file(&self) -> Result<(), PeerFault> {
        let (path, says) = self.acme.note();
        let answer = self.assistant.call("read_text_file", json!({ "path": path })).await?;
        expect(answer["content"][0]["text"] == says, "files", || answer.to_string())
    }

    pub(crate) async fn is_asked_for_mail(&self) -> Result<(), PeerFault> {
        const WINDOW: &str = "Sign in to Mail";
        let screen = self.desktop.screen().await?;
        let call = [Step::call("list_messages", json!({}))];
        let person = async { screen.press(WINDOW, "Allow").await };
        let transcript = together(self.assistant.0.run(None, &call), person).await?;
        self.is_hers(&transcript.answers[0])?;
        screen.gone(WINDOW).await?;
        let passwords = self.acme.idp.sign_ins();
        let once = passwords.iter().filter(|login| *login == "alice").count() == 1;
        expect(once, "identity provider", || format!("passwords were typed by {passwords:?}"))
    }

    pub(crate) async fn reads_mail_silently(&self) -> Result<(), PeerFault> {
        let answer = self.assistant.call("list_messages", json!({})).await?;
        self.is_hers(&answer)
    }

    pub(crate) async fn counts_visits(&self) -> Result<(), PeerFault> {
        let answer = self.sql("select sum(visits) as visits from analytics.visits").await?;
        expect(!is_refused(&answer) && answer.to_string().contains("172"), "warehouse", || answer.to_string())
    }

    pub(crate) async fn is_kept_from_finance(&self) -> Result<(), PeerFault> {
        let answer = self.sql("select * from finance.salaries").await?;
        let by_policy = answer.to_string().contains("schemas-of-the-warehouse");
        expect(is_refused(&answer) && by_policy, "policy", || answer.to_string())
    }

    pub(crate) async fn changes_nothing(&self) -> Result<(), PeerFault> {
        let answer = self.sql(DROP).await?;
        let by_policy = answer.to_string().contains(POLICY);
        expect(is_refused(&answer) && by_policy, "policy", || answer.to_string())
    }

    pub(crate) async fn is_explained(&self) -> Result<(), PeerFault> {
        let arguments = json!({ "sql": DROP }).to_string();
        let words = ["explain", "analyst", "execute_sql", "--args", &arguments];
        let output = self.desktop.deskgate(&program()?, &words).await?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        expect(said.contains(POLICY), "deskgate explain", || said)
    }

    pub(crate) async fn loses_mail(&self) -> Result<(), PeerFault> {
        until("a list of tools without list_messages", SOON, async || {
            let tools = self.assistant.tools().await.ok()?;
            let has = |name: &str| tools.iter().any(|tool| tool == name);
            (has("execute_sql") && !has("list_messages")).then_some(())
        })
        .await?;
        let answer = self.assistant.call("list_messages", json!({})).await?;
        expect(is_refused(&answer), "mail", || answer.to_string())
    }

    fn is_hers(&self, answer: &Value) -> Result<(), PeerFault> {
        expect(answer["structuredContent"]["account"] == "alice", "mail", || answer.to_string())
    }

    async fn sql(&self, sql: &str) -> Result<Value, PeerFault> {
        self.assistant.call("execute_sql", json!({ "sql": sql })).await
    }
}

/// An assistant's work in which a person takes part. Whichever fails ends both; an assistant that needs no person is
/// an error too.
async fn together(
    work: impl Future<Output = Result<Transcript, PeerFault>>,
    person: impl Future<Output = Result<(), PeerFault>>,
) -> Result<Transcript, PeerFault> {
    tokio::pin!(work, person);
    tokio::select! {
        done = &mut person => { done?; work.await }
        transcript = &mut work => {
            let transcript = transcript?;
            let unasked = || PeerFault::answer("assistant", format!("it asked nobody: {transcript:?}"));
            tokio::time::timeout(SHORTLY, person).await.map_err(|_| unasked())??;
            Ok(transcript)
        }
    }
}

/// The status of the answer to one request.
async fn ask(url: &Url, token: &str, request: &Value) -> Result<u16, PeerFault> {
    let http = reqwest::Client::new();
    let request = http.post(url.clone()).bearer_auth(token).json(request);
    let answer = request.header("accept", "application/json, text/event-stream").send().await?;
    Ok(answer.status().as_u16())
}

/// Whether an answer to a call is a refusal, in either of the forms that MCP has.
fn is_refused(answer: &Value) -> bool {
    answer["isError"] == true || answer["error"].is_object()
}

fn program() -> Result<std::path::PathBuf, PeerFault> {
    beside(Program::Deskgate)
}
