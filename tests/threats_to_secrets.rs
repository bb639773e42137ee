//! Attacks on signing in, on tokens and on what the process holds, by their number in the table of SECURITY.md.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use serde_json::json;
use testkit::bench::Echo;
use testkit::{
    Access, Assistant, Browser, Employee, Gateway, Idp, IdpSettings, Mail, OAuthClient, Opened, Process,
    Program, Spec, Step, program, until,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::common::{Personal, SOON, files_below};
use crate::hostile::{Raw, call, script};
use crate::threats::{acting, in_front_of, sent};

/// Connectors that each name an authorization endpoint of their own. Ends when dropped.
pub(crate) struct Naming {
    pub(crate) base: String,
    task: tokio::task::JoinHandle<()>,
}

impl Naming {
    /// `{base}` in an endpoint is this server; what lies below `/leads/google` there leads on to a provider.
    pub(crate) async fn start(endpoints: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("known"));
        let here = |endpoint: String| endpoint.replace("{base}", &base);
        let (shared, endpoints) = (base.clone(), Arc::new(endpoints.into_iter().map(here).collect()));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Self::attend(stream, shared.clone(), Arc::clone(&endpoints)));
            }
        });
        Self { base, task }
    }

    async fn attend(mut stream: TcpStream, base: String, endpoints: Arc<Vec<String>>) {
        let mut read = Vec::new();
        while !read.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let head = String::from_utf8_lossy(&read).into_owned();
        let path = head.split(' ').nth(1).unwrap_or_default();
        let number = path.rsplit('/').next().unwrap_or_default();
        let endpoint = number.parse().ok().and_then(|number: usize| endpoints.get(number));
        let (status, more, body) = if path.starts_with("/mcp/") {
            let more = format!("WWW-Authenticate: Bearer resource_metadata=\"{base}/about/{number}\"\r\n");
            ("401 Unauthorized", more, json!({}))
        } else if path.starts_with("/leads/google") {
            let more = "Location: https://accounts.google.com/o/oauth2/v2/auth?state=theirs\r\n".to_owned();
            ("302 Found", more, json!({}))
        } else if path == "/register" {
            (
                "201 Created",
                String::new(),
                json!({"client_id": "somebody", "redirect_uris": ["http://127.0.0.1/callback"]}),
            )
        } else if path.starts_with("/about/") {
            let about = json!({
                "resource": format!("{base}/mcp/{number}"),
                "authorization_servers": [format!("{base}/as/{number}")],
            });
            ("200 OK", String::new(), about)
        } else if path.starts_with("/.well-known/oauth-authorization-server/") && endpoint.is_some() {
            let metadata = json!({
                "issuer": format!("{base}/as/{number}"),
                "authorization_endpoint": endpoint,
                "token_endpoint": format!("{base}/token"),
                "registration_endpoint": format!("{base}/register"),
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
            });
            ("200 OK", String::new(), metadata)
        } else {
            ("404 Not Found", String::new(), json!({}))
        };
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}Connection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let _gone = stream.write_all(format!("{head}{body}").as_bytes()).await;
    }
}

impl Drop for Naming {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A stand-in for `xdg-open` that notes every argument on a line of its own, and how many there were. Gives the list.
fn recorder(folder: &Path) -> PathBuf {
    let list = folder.join("started");
    let script = format!(
        "#!/bin/sh\n{{ echo \"$#\"; for it in \"$@\"; do printf '%s\\n' \"$it\"; done; }} >'{0}.part'\nmv '{0}.part' '{0}'\n",
        list.display()
    );
    let opener = folder.join("xdg-open");
    std::fs::write(&opener, script).expect("written");
    std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).expect("executable");
    list
}

#[tokio::test]
async fn threat_5_what_a_connector_names_as_its_sign_in_page_starts_nothing_else() {
    let refused = [
        "$(calc)",
        "--flag",
        r"\\host\share\calc.exe",
        "file:///etc/passwd",
        "file://host/share/calc.exe",
        "javascript:alert(1)",
        "ms-word:ofe|u|https://x",
        "http://as.example/authorize",
        "http://10.0.0.1/authorize",
        "https://user:password@as.example/authorize",
    ];
    let long = format!("https://as.example/{}", "x".repeat(64 * 1024));
    let cunning = "https://as.example/$(touch x);`touch y`|calc&'a'\"b\"\n--flag?$HOME;--flag&a='b c'";
    let mut endpoints: Vec<String> = refused.iter().map(|endpoint| (*endpoint).to_owned()).collect();
    endpoints.extend([long, cunning.to_owned()]);
    let last = endpoints.len() - 1;
    let naming = Naming::start(endpoints).await;
    let folder = tempfile::tempdir().expect("a folder");
    let started = recorder(folder.path());
    let names: Vec<String> = (0..=last).map(|number| format!("k{number}")).collect();
    let mut personal = Personal::default();
    for (number, name) in names.iter().enumerate() {
        let url = Url::parse(&format!("{}/mcp/{number}", naming.base)).expect("a URL");
        personal = personal.http_with_own_account(name, &url);
    }
    let mut setup = personal.server("desk", &names.iter().map(String::as_str).collect::<Vec<_>>()).setup();
    setup.path.push(folder.path().to_owned());
    let deskgate = program(Program::Deskgate).expect("built");
    let gateway = Gateway::start(&deskgate, setup).await.expect("it starts");

    for name in &names[..last] {
        let asked = gateway.deskgate(&["sign-in", name]).await.expect("it runs");
        assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
        let word = format!("connector={name} ");
        let said =
            |log: &str| log.lines().any(|line| line.contains("was not signed in") && line.contains(&word));
        let ended = until(name, SOON, async || said(&gateway.log()).then_some(())).await;
        ended.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    }
    assert!(!started.exists(), "nothing was started: {:?}", std::fs::read_to_string(&started));

    let asked = gateway.deskgate(&["sign-in", &names[last]]).await.expect("it runs");
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let list = until("the opener", SOON, async || std::fs::read_to_string(&started).ok()).await;
    let list = list.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!((lines[0], lines.len()), ("1", 2), "one argument, which no shell took apart: {list}");
    assert!(lines[1].starts_with("https://as.example/$(touch%20x);%60touch%20y%60|calc&"), "{list}");
}

#[tokio::test]
async fn threat_8_an_answer_ends_the_sign_in_that_it_belongs_to_once_and_no_other() {
    let idp = Idp::start(&IdpSettings::default()).await.expect("the identity provider starts");
    let mail = Mail::start(&idp).await.expect("the mail starts");
    let desk = async || {
        let opened = Opened::new().expect("a browser opener");
        let personal =
            Personal::default().http_with_own_account("mail", mail.url()).server("desk", &["mail"]);
        let gateway = personal.browser(&opened).start().await;
        let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
        let url = gateway.url("desk").expect("a URL");
        (gateway, opened, Assistant::new(url, Access::Bearer(token)).expect("an assistant"))
    };
    let ((_one, mut opened, assistant), (_other, mut other_opened, other)) = tokio::join!(desk(), desk());
    let call = [Step::call("list_messages", json!({}))];
    let people = async {
        let page = opened.next(SOON).await.expect("a page is opened");
        let other_page = other_opened.next(SOON).await.expect("a page is opened");
        let mut browser = Browser::new(Employee::alice()).expect("a browser");
        let back = browser.sign_in(&page).await.expect("she approves");

        // What she approved, at the port of the other's sign-in.
        let redirect = |page: &Url| {
            let (_, redirect) = page.query_pairs().find(|(name, _)| name == "redirect_uri").expect("one");
            Url::parse(&redirect).expect("a URL")
        };
        let mut replayed = redirect(&other_page);
        replayed.set_query(back.query());
        let answer = reqwest::get(replayed).await.expect("somebody listens");
        assert_eq!(answer.status(), 404, "it is not the other's");

        let answer = reqwest::get(back.clone()).await.expect("somebody listens");
        assert_eq!(answer.status(), 200);
        let gone = until("the end of the listener", SOON, async || {
            // It may take a moment to close; until then it answers with the same page and does nothing.
            reqwest::get(back.clone()).await.is_err().then_some(())
        });
        gone.await.expect("nobody listens any more");
        let mut browser = Browser::new(Employee::bob()).expect("a browser");
        browser.sign_in_and_return(&other_page).await.expect("the other one still waits");
    };
    let (first, second, ()) = tokio::join!(assistant.run(None, &call), other.run(None, &call), people);
    assert_eq!(first.expect("connected").answers[0]["structuredContent"]["account"], "alice");
    assert_eq!(second.expect("connected").answers[0]["structuredContent"]["account"], "bob");
    assert_eq!(idp.sign_ins().len(), 2, "nobody else's code was redeemed: {:?}", idp.sign_ins());
}

#[tokio::test]
async fn threat_9_no_token_but_the_one_of_this_virtual_server_is_taken() {
    let upstream = acting().await;
    let (gateway, raw) = in_front_of(&upstream).await;
    let url = gateway.url("desk").expect("a URL");
    let client = OAuthClient::register(&url, "Another").await.expect("registered");
    let page = client.authorize_url(None).expect("a page");
    let mut browser = Browser::new(Employee::alice()).expect("a browser");
    let (_, back, asked) = tokio::join!(browser.open(&page), client.redirected(SOON), gateway.answer(true));
    asked.expect("the person is asked");
    let code = back.expect("redirected")["code"].clone();
    let own = format!("Host: 127.0.0.1:{}\r\nContent-Type: application/json\r\n", raw.port);
    let body = call("act", &json!({})).to_string();
    let status = async |token: &str| {
        let mut statuses = Vec::new();
        for method in ["POST", "GET", "DELETE"] {
            let lines = [own.clone(), format!("Authorization: Bearer {token}\r\n")];
            statuses.push(sent(&raw, method, "/s/desk/mcp", &lines, &body).await.status);
        }
        statuses
    };
    let refused = [401, 401, 401];
    assert_eq!(status(&code).await, refused, "a code is no token");
    let tokens = client.redeem(&code).await.expect("redeemed");
    let lines = [own.clone(), credential(&tokens.access_token)];
    assert_eq!(sent(&raw, "POST", "/s/desk/mcp", &lines, &body).await.status, 200, "the right one is");
    let before = upstream.calls();
    let refresh = tokens.refresh_token.clone().expect("one is issued");
    let half = &tokens.access_token[..tokens.access_token.len() - 1];
    let foreign = [
        // What identity providers and connectors issue: unsigned, signed with somebody's secret, opaque.
        "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2lkcCIsInN1YiI6ImFsaWNlIiwiYXVkIjoiZGVza2dhdGUifQ.",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "ya29.a0AfH6SMBx",
        "gho_16C7e42F292c6912E7710c838347Ae178B4a",
        "dga_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        &refresh,
        half,
        &tokens.access_token.to_ascii_uppercase(),
        &format!("{0} {0}", tokens.access_token),
        &format!("{0},{0}", tokens.access_token),
    ];
    for token in foreign {
        assert_eq!(status(token).await, refused, "{token}");
    }
    let twice = [own.clone(), "Authorization: Bearer x\r\n".to_owned(), credential(&tokens.access_token)];
    assert_eq!(sent(&raw, "POST", "/s/desk/mcp", &twice, &body).await.status, 401, "two credentials");
    let elsewhere = ["X-Api-Key", "Cookie", "Proxy-Authorization", "X-Forwarded-Authorization"];
    for name in elsewhere {
        let lines = [own.clone(), format!("{name}: Bearer {}\r\n", tokens.access_token)];
        assert_eq!(sent(&raw, "POST", "/s/desk/mcp", &lines, &body).await.status, 401, "{name}");
    }
    assert_eq!(upstream.calls(), before, "no connector was called");
}

fn credential(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// Stands before a server and keeps every byte that it is sent. Ends when dropped.
struct Wire {
    address: std::net::SocketAddr,
    seen: Arc<Mutex<Vec<u8>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Wire {
    async fn before(server: std::net::SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("known");
        let seen: Arc<Mutex<Vec<u8>>> = Arc::default();
        let kept = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (kept, server) = (Arc::clone(&kept), TcpStream::connect(server).await);
                let Ok(server) = server else { continue };
                tokio::spawn(Self::carry(client, server, kept));
            }
        });
        Self { address, seen, task }
    }

    async fn carry(client: TcpStream, server: TcpStream, kept: Arc<Mutex<Vec<u8>>>) {
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
        let mut bytes = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
            kept.lock().expect("not poisoned").extend_from_slice(&bytes[..count]);
            if to_server.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
        drop(to_server);
        let _ended = back.await;
    }

    fn seen(&self) -> Vec<u8> {
        self.seen.lock().expect("not poisoned").clone()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn threat_9_no_byte_of_an_assistant_s_token_reaches_a_connector() {
    let echo = Echo::start().await.expect("an upstream");
    let wire = Wire::before(echo.address()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let [environment, lines] = ["environment", "lines"].map(|name| folder.path().join(name));
    let behind = script(folder.path(), "noted", "done_").pop().expect("its file");
    let shell = format!("env >{}; tee {} | /bin/sh {behind}", environment.display(), lines.display());
    let personal = Personal::default()
        .http("echo", &format!("http://{}/mcp", wire.address))
        .stdio("noted", &["/bin/sh".to_owned(), "-c".to_owned(), shell])
        .server("desk", &["echo", "noted"]);
    let gateway = personal.start().await;
    let tokens = gateway.connect("desk", "Test").await.expect("let in").tokens;
    let url = gateway.url("desk").expect("a URL");
    let calls = [Step::call("echo", json!({"message": "sent"})), Step::call("noted", json!({}))];
    for era in ["legacy", "auto"] {
        let access = Access::Bearer(tokens.access_token.clone());
        let assistant = Assistant::new(url.clone(), access).expect("an assistant").speaking(era);
        let done = assistant.run(None, &calls).await.expect("connected");
        assert_eq!((done.text(0), done.text(1)), (Some("sent"), Some("done")), "{era}: {done:?}");
    }
    // An assistant that says its token wherever it can.
    let raw = Raw { port: gateway.port(), token: tokens.access_token.clone() };
    let names = ["X-Api-Key", "Cookie", "Proxy-Authorization", "Mcp-Param-Token", "Baggage", "Traceparent"];
    let said = tokens.access_token.as_str();
    let headers: Vec<_> = names.iter().map(|name| (*name, said)).collect();
    let answer = raw.post(&headers, call("echo", &json!({"message": "headers"})).to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");

    let read = |path: &Path| std::fs::read(path).expect("written");
    let (sent, environment, lines) = (wire.seen(), read(&environment), read(&lines));
    let has = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has(&sent, "tools/call") && has(&sent, "headers"), "it was looked at what is sent");
    assert!(has(&lines, "tools/call") && has(&environment, "PATH="), "and at what a program is given");
    let refresh = tokens.refresh_token.expect("one is issued");
    for place in [&sent, &environment, &lines] {
        for token in [said, refresh.as_str(), "dga_", "dgr_", "Bearer"] {
            assert!(!has(place, token), "{token}: {}", String::from_utf8_lossy(place));
        }
    }
}

#[tokio::test]
async fn threat_10_each_token_opens_its_own_virtual_server_and_no_other() {
    let upstream = acting().await;
    let servers = ["desk", "lab", "desk-2"];
    let personal = Personal::default().http("acts", &upstream.url());
    let personal = servers.iter().fold(personal, |personal, server| personal.server(server, &["acts"]));
    let gateway = personal.start().await;
    let mut tokens = Vec::new();
    for server in servers {
        tokens.push(gateway.connect(server, "Test").await.expect("let in").tokens.access_token);
    }
    let raw = Raw { port: gateway.port(), token: String::new() };
    let own = format!("Host: 127.0.0.1:{}\r\nContent-Type: application/json\r\n", raw.port);
    let body = call("act", &json!({})).to_string();
    for (of, token) in servers.iter().zip(&tokens) {
        for at in servers {
            for path in [format!("/s/{at}/mcp"), format!("/s/{at}/mcp?server={of}")] {
                let answer = sent(&raw, "POST", &path, &[own.clone(), credential(token)], &body).await;
                let expected = if *of == at { 200 } else { 401 };
                assert_eq!(answer.status, expected, "a token of {of} at {path}: {answer:?}");
            }
        }
        for path in [format!("/s/{of}/mcp/"), format!("/s//{of}/mcp"), format!("/s/lab/../{of}/mcp")] {
            let answer = sent(&raw, "POST", &path, &[own.clone(), credential(token)], &body).await;
            assert!([401, 404].contains(&answer.status), "{path}: {answer:?}");
        }
    }
    assert_eq!(upstream.calls(), 2 * servers.len(), "each at its own");
}

/// The user `nobody` of every Linux.
const NOBODY: u32 = 65534;

fn is_root() -> bool {
    std::fs::metadata("/proc/self").expect("Linux").uid() == 0
}

/// A command that another program of `nobody` runs where this test is root, else of the same user.
fn as_nobody(program: &str, arguments: &[&str]) -> Output {
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(SETPRIV).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(arguments).current_dir("/").output().expect("it runs")
}

const SETPRIV: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];

/// A program of `nobody`'s, whose environment holds a mark.
fn of_nobody(program: &Path, arguments: &[&str], home: &Path) -> Process {
    let spec = if is_root() {
        Spec::new("nobody's", "/usr/bin/setpriv").args(SETPRIV).arg(program)
    } else {
        Spec::new("nobody's", program)
    };
    let spec = spec.args(arguments).folder("/").env("HOME", home).env("DESKGATE_HOME", home);
    spec.env("CANARY", MARK).start().expect("it starts")
}

const MARK: &str = "a-mark-that-is-looked-for";

#[tokio::test]
async fn threat_30_other_programs_of_the_same_user_cannot_read_the_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let (copy, home) = (folder.path().join("deskgate"), folder.path().join("home"));
    // The build's own folder may be closed to others.
    std::fs::copy(program(Program::Deskgate).expect("built"), &copy).expect("copied");
    std::fs::create_dir(&home).expect("a home");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("open");
    if is_root() {
        std::os::unix::fs::chown(&home, Some(NOBODY), Some(NOBODY)).expect("given away");
    }
    let mut gateway = of_nobody(&copy, &["serve"], &home);
    gateway.ready_line("Deskgate takes calls at ", SOON).await.expect("it runs");
    let ordinary = of_nobody(Path::new("/bin/sleep"), &["600"], &home);
    let ready = until("the ordinary program", SOON, async || {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", ordinary.id())).ok()?;
        (name.trim() == "sleep").then_some(())
    });
    ready.await.expect("it runs");

    // What needs the right to look into a process (ptrace(2), PTRACE_MODE_READ), whatever else a system forbids.
    for file in ["environ", "maps", "auxv"] {
        let read = |process: &Process| as_nobody("cat", &[&format!("/proc/{}/{file}", process.id())]);
        let (open, closed) = (read(&ordinary), read(&gateway));
        assert!(
            open.status.success() && !open.stdout.is_empty(),
            "{file}: it could have been read: {open:?}"
        );
        assert!(!closed.status.success() && closed.stdout.is_empty(), "{file}: {closed:?}");
    }
    let environment = as_nobody("cat", &[&format!("/proc/{}/environ", ordinary.id())]).stdout;
    assert!(String::from_utf8_lossy(&environment).contains(MARK), "one sees what is there to see");
    for file in ["mem", "exe", "cwd", "root"] {
        let path = format!("/proc/{}/{file}", gateway.id());
        let reading =
            if file == "mem" { ("head", vec!["-c1", &path]) } else { ("readlink", vec![path.as_str()]) };
        let closed = as_nobody(reading.0, &reading.1);
        assert!(!closed.status.success() && closed.stdout.is_empty(), "{file}: {closed:?}");
    }
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.id())).expect("readable");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(core.split_ascii_whitespace().nth(4), Some("0"), "and it leaves no core file: {core}");
}

/// What another user of this computer tries at a gateway. Prints one line for each attempt.
const STRANGER: &str = r#"
import json, os, socket, sys, threading, urllib.request, urllib.error
port, home = int(sys.argv[1]), sys.argv[2]
base = f"http://127.0.0.1:{port}"
def post(path, body, kind="application/json"):
    request = urllib.request.Request(base + path, body.encode(), {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request) as answer: return answer.status, answer.read()
    except urllib.error.HTTPError as fault: return fault.code, fault.read()
print("call", post("/s/desk/mcp", '{"jsonrpc":"2.0","id":1,"method":"tools/list"}')[0])
listener = socket.create_server(("127.0.0.1", 0))
redirect = f"http://127.0.0.1:{listener.getsockname()[1]}/callback"
_, client = post("/oauth/register", json.dumps({"client_name": "Sly", "redirect_uris": [redirect]}))
client = json.loads(client)["client_id"]
query = urllib.parse.urlencode({"response_type": "code", "client_id": client, "redirect_uri": redirect,
    "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method": "S256",
    "resource": base + "/s/desk/mcp", "state": "x"})
class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_): return None
try: print("asked", urllib.request.build_opener(Stay).open(base + "/oauth/authorize?" + query).status)
except urllib.error.HTTPError as fault: print("asked", fault.code)
def tried(name, work):
    try: work(); print(name, "open")
    except PermissionError: print(name, "closed")
tried("home", lambda: os.listdir(home))
tried("journal", lambda: os.listdir(home + "/journal"))
tried("settings", lambda: open(home + "/deskgate.toml").read())
tried("socket", lambda: socket.socket(socket.AF_UNIX).connect(home + "/control.sock"))
"#;

#[tokio::test]
async fn threat_31_another_user_of_this_computer_gets_nowhere() {
    let upstream = acting().await;
    let (gateway, _raw) = in_front_of(&upstream).await;
    let before = upstream.calls();
    let mode = |path: &Path| std::fs::symlink_metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(gateway.home()), 0o700);
    for (path, _) in files_below(gateway.home()) {
        // What a person wrote themselves is theirs to open or close; the folder keeps it anyway.
        if !path.starts_with(gateway.home().join("policies")) && !path.ends_with("deskgate.toml") {
            assert_eq!(mode(&path) & 0o077, 0, "{} is its owner's", path.display());
        }
    }
    assert_eq!(mode(&gateway.home().join("control.sock")) & 0o077, 0, "the local socket too");
    if !is_root() {
        // Only root has a second user at hand; continuous integration is root.
        return;
    }
    let (port, home) = (gateway.port().to_string(), gateway.home().display().to_string());
    // The system's own: one that was installed for this test's user may be closed to the other.
    let tried = as_nobody("/usr/bin/python3", &["-c", STRANGER, &port, &home]);
    let said = String::from_utf8_lossy(&tried.stdout).into_owned();
    let lines: Vec<&str> = said.lines().collect();
    let expected =
        ["call 401", "asked 400", "home closed", "journal closed", "settings closed", "socket closed"];
    assert_eq!(lines, expected, "{}", String::from_utf8_lossy(&tried.stderr));
    let pending = gateway.deskgate_json(&["pending"]).await.expect("it runs");
    assert_eq!(pending, json!([]), "nobody is even asked");
    assert_eq!(upstream.calls(), before);
}
