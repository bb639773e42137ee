//! Peers that break the rules: a client that writes bytes instead of requests, a connector behind a URL and one that is
//! a program, whose answers the test chooses. And what the kernel says about the gateway's process.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The newest revision, in which headers repeat what the body says.
pub(crate) const MODERN: &str = "2026-07-28";

/// What came back over the wire.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The code of the JSON-RPC error, 0 where there is none.
    pub(crate) fn code(&self) -> i64 {
        self.json()["error"]["code"].as_i64().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// A client that sends exactly what it is told.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    pub(crate) port: u16,
    pub(crate) token: String,
}

impl Raw {
    /// The first lines of a POST to the virtual server `desk`, without the end of the head.
    pub(crate) fn head(&self, headers: &[(&str, &str)]) -> String {
        let (port, token) = (self.port, &self.token);
        let mut head = format!(
            "POST /s/desk/mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n\
             Accept: application/json, text/event-stream\r\n"
        );
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            head += "Content-Type: application/json\r\n";
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head
    }

    pub(crate) async fn post(&self, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
        let body = body.as_ref();
        let head = format!("{}Content-Length: {}\r\n\r\n", self.head(headers), body.len());
        self.send(&[head.as_bytes(), body].concat()).await
    }

    /// Sends these bytes on a connection of their own and reads what comes back.
    pub(crate) async fn send(&self, bytes: &[u8]) -> Answer {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("connected");
        let (mut reader, mut writer) = stream.into_split();
        let write = async {
            // Who is refused early may find the connection closed.
            let _refused = writer.write_all(bytes).await;
            std::future::pending::<Answer>().await
        };
        tokio::select! {
            answer = answer(&mut reader) => answer,
            never = write => never,
        }
    }
}

/// Reads one answer to its end.
pub(crate) async fn answer(reader: &mut (impl tokio::io::AsyncRead + Unpin)) -> Answer {
    let mut read = Vec::new();
    loop {
        if let Some(whole) = whole(&read) {
            return whole;
        }
        match reader.read_buf(&mut read).await {
            Ok(0) | Err(_) => return parsed(&read).unwrap_or_default(),
            Ok(_) => {}
        }
    }
}

fn parsed(read: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(read);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

fn whole(read: &[u8]) -> Option<Answer> {
    let answer = parsed(read)?;
    let length: usize = answer.header("content-length").map_or(Some(usize::MAX), |text| text.parse().ok())?;
    (answer.body.len() >= length || answer.status == 202).then_some(answer)
}

/// A request of the newest revision: its body, and the headers that agree with it.
pub(crate) fn modern(method: &str, mut params: Value) -> (Vec<(String, String)>, Value) {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let mut headers = vec![
        ("MCP-Protocol-Version".to_owned(), MODERN.to_owned()),
        ("Mcp-Method".to_owned(), method.to_owned()),
    ];
    if let Some(name) = params["name"].as_str() {
        headers.push(("Mcp-Name".to_owned(), name.to_owned()));
    }
    (headers, json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
}

/// A call in a revision with sessions, which needs no headers.
pub(crate) fn call(tool: &str, arguments: &Value) -> Value {
    request("tools/call", json!({"name": tool, "arguments": arguments}))
}

pub(crate) fn request(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

/// A connector behind a URL with one tool, `act`, whose answer to a call the test writes byte by byte. Ends when
/// dropped.
pub(crate) struct Upstream {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
    cancelled: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// How a call is answered, over the connection it came on; gets the request's head and its id.
type Act =
    Arc<dyn Fn(TcpStream, String, Value) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

impl Upstream {
    pub(crate) async fn start<F, Done>(act: F) -> Self
    where
        F: Fn(TcpStream, String, Value) -> Done + Send + Sync + 'static,
        Done: Future<Output = ()> + Send + 'static,
    {
        Self::offering(json!([tool("act")]), act).await
    }

    pub(crate) async fn offering<F, Done>(tools: Value, act: F) -> Self
    where
        F: Fn(TcpStream, String, Value) -> Done + Send + Sync + 'static,
        Done: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("known");
        let calls = Arc::new(AtomicUsize::new(0));
        let cancelled = Arc::new(AtomicUsize::new(0));
        let counted = [Arc::clone(&calls), Arc::clone(&cancelled)];
        let act: Act = Arc::new(move |stream, head, id| Box::pin(act(stream, head, id)));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(attend(stream, tools.clone(), Arc::clone(&act), counted.clone()));
            }
        });
        Self { address, calls, cancelled, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// How many calls have come.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// How many calls it was told that nobody waits for.
    pub(crate) fn cancelled(&self) -> usize {
        self.cancelled.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn tool(name: &str) -> Value {
    json!({"name": name, "description": "Acts.", "inputSchema": {"type": "object"}})
}

async fn attend(mut stream: TcpStream, tools: Value, act: Act, [calls, cancelled]: [Arc<AtomicUsize>; 2]) {
    while let Some((head, message)) = received(&mut stream).await {
        let result = match message["method"].as_str().unwrap_or_default() {
            "initialize" => json!({
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "upstream", "version": "1"},
            }),
            "tools/list" => json!({"tools": tools}),
            "tools/call" => {
                calls.fetch_add(1, Ordering::SeqCst);
                return act(stream, head, message["id"].clone()).await;
            }
            "notifications/cancelled" => {
                cancelled.fetch_add(1, Ordering::SeqCst);
                Value::Null
            }
            _ => Value::Null,
        };
        let sent = match (&message["id"], result) {
            (Value::Null, _) => stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").await,
            (id, Value::Null) => {
                let error = json!({"code": -32601, "message": "unknown"});
                let body = json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string();
                stream.write_all(response("404 Not Found", "", body.as_bytes()).as_slice()).await
            }
            (id, result) => {
                let body = json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
                stream.write_all(response("200 OK", "", body.as_bytes()).as_slice()).await
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// An HTTP answer with a JSON body; `more` are further header lines.
pub(crate) fn response(status: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// The answer of a tool that did its work.
pub(crate) fn done(id: &Value) -> String {
    let content = json!([{"type": "text", "text": "done"}]);
    json!({"jsonrpc": "2.0", "id": id, "result": {"content": content}}).to_string()
}

async fn received(stream: &mut TcpStream) -> Option<(String, Value)> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let body = &read[end + 4..];
            if body.len() >= length.unwrap_or(0) {
                return Some((head, serde_json::from_slice(body).unwrap_or_default()));
            }
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

/// A connector that is a shell script with one tool. `act` runs when it is called and finds the request's id in `$id`;
/// the words `done_` print the answer of a tool that did its work.
pub(crate) fn script(folder: &Path, name: &str, act: &str) -> Vec<String> {
    script_that(folder, name, "", act)
}

/// As [`script`], with what it does before it listens.
pub(crate) fn script_that(folder: &Path, name: &str, first: &str, act: &str) -> Vec<String> {
    let info = json!({
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {"listChanged": true}},
        "serverInfo": {"name": name, "version": "1"},
    });
    let tools = json!({"tools": [tool(name)]});
    let text = format!(
        r#"answer() {{ printf '{{"jsonrpc":"2.0","id":%s,%s}}\n' "$id" "$1"; }}
done_() {{ answer '"result":{{"content":[{{"type":"text","text":"done"}}]}}'; }}
{first}
while read -r line; do
  id=${{line#*\"id\":}}; id=${{id%%,*}}
  case $line in
    *'"method":"initialize"'*) answer '"result":{info}';;
    *'"method":"tools/list"'*) answer '"result":{tools}';;
    *'"method":"tools/call"'*) {act} ;;
    *'"method":"notifications/'*) ;;
    *) answer '"error":{{"code":-32601,"message":"unknown"}}';;
  esac
done
"#
    );
    let path = folder.join(format!("{name}.sh"));
    std::fs::write(&path, text).expect("written");
    vec!["/bin/sh".to_owned(), path.display().to_string()]
}

/// The memory that a process has in use, in MiB.
pub(crate) fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says so");
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().expect("a number");
    kib / 1024
}

/// How many file handles a process holds. Asked of the folder itself, which unlike its content anybody may ask.
pub(crate) fn handles(pid: u32) -> u64 {
    let folder = format!("/proc/{pid}/fd");
    match std::fs::metadata(&folder).expect("it runs").len() {
        // Linux before 6.2 does not count.
        0 => std::fs::read_dir(folder).map_or(0, |entries| entries.count() as u64),
        count => count,
    }
}

/// The processes whose parent is `pid`, zombies included.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    processes().into_iter().filter(|process| process.parent == pid).map(|process| process.id).collect()
}

/// The processes that run with this text in their command line; the dead among them do not count.
pub(crate) fn running(text: &str) -> Vec<u32> {
    let is_it = |id: u32| {
        std::fs::read(format!("/proc/{id}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).replace('\0', " ").contains(text))
    };
    let alive = processes().into_iter().filter(|process| !process.is_dead);
    alive.map(|process| process.id).filter(|id| is_it(*id)).collect()
}

struct ProcessLine {
    id: u32,
    parent: u32,
    is_dead: bool,
}

fn processes() -> Vec<ProcessLine> {
    let read = |entry: std::fs::DirEntry| {
        let id: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
        Some(ProcessLine { id, parent, is_dead: matches!(state, "Z" | "X") })
    };
    std::fs::read_dir("/proc").expect("Linux").flatten().filter_map(read).collect()
}
