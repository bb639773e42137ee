//! What single resources, prompts and completions are, directly and through the gateway, in every pairing: the same, value
//! by value, in the same order and to the digit.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use testkit::{OddEra, Process, Program, Spec, program};

use super::pairings::{ERAS, Pairings, body, name, post};
use crate::common::{Personal, SOON};

/// Members of a result that only 2026-07-28 has.
const MODERN_MEMBERS: [&str; 3] = ["resultType", "ttlMs", "cacheScope"];

/// An object's members in their order, as they were written.
fn in_order(object: &str) -> Vec<(String, &str)> {
    let members: BTreeMap<String, &RawValue> =
        serde_json::from_str(object).unwrap_or_else(|error| panic!("{error}: {object}"));
    let mut members: Vec<_> = members.into_iter().map(|(name, value)| (name, value.get())).collect();
    // They are borrowed from the text, so they lie in its order.
    members.sort_by_key(|(_, value)| value.as_ptr());
    members
}

/// A result or error as it was written, and what of it only the newer revision has.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    is_error: bool,
    members: Vec<(String, String)>,
    modern: BTreeMap<String, String>,
}

impl Said {
    /// What an answer says, be it one message or a stream of them.
    fn read(answer: &str) -> Self {
        let message = if answer.starts_with('{') {
            answer
        } else {
            let mut data = answer.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start);
            data.rfind(|data| data.contains(r#""id":7"#)).unwrap_or_else(|| panic!("{answer}"))
        };
        let mut outcome =
            in_order(message).into_iter().filter(|(name, _)| name == "result" || name == "error");
        let (outcome, value) = outcome.next().unwrap_or_else(|| panic!("no outcome: {answer}"));
        let members = in_order(value).into_iter().map(|(name, value)| (name, value.to_owned()));
        let (modern, members): (Vec<_>, Vec<_>) =
            members.partition(|(name, _)| MODERN_MEMBERS.contains(&name.as_str()));
        Self { is_error: outcome == "error", members, modern: modern.into_iter().collect() }
    }

    /// What an assistant of this era has to get of what its connector says.
    fn to(mut self, assistant: OddEra, connector: OddEra, method: &str) -> Self {
        match (assistant, connector) {
            (OddEra::Legacy, _) => self.modern.clear(),
            (OddEra::Modern, _) if self.is_error => {
                // The one code that the newer revision has given up (2026-07-28, server/resources, "Error Handling").
                let codes =
                    self.members.iter_mut().filter(|(name, value)| name == "code" && value == "-32002");
                codes.for_each(|(_, value)| "-32602".clone_into(value));
            }
            (OddEra::Modern, OddEra::Legacy) => {
                let mut own = vec![("resultType", r#""complete""#)];
                if method == "resources/read" {
                    own.extend([("ttlMs", "0"), ("cacheScope", r#""private""#)]);
                }
                self.modern =
                    own.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            }
            (OddEra::Modern, OddEra::Modern) => {}
        }
        self
    }
}

/// Method, what a header repeats, parameters.
type Asked = (&'static str, &'static str, &'static str);

const ODD: [Asked; 10] = [
    (
        "resources/read",
        "odd://two",
        r#""uri":"odd://two","vendor":{"n":12345678901234567890123,"z":1.50,"a":-0.0}"#,
    ),
    ("resources/read", "odd://item/7?q=%C3%A9", r#""vendor":null,"uri":"odd:\/\/item\/7?q=%C3%A9""#),
    ("resources/read", "odd://fails", r#""uri":"odd://fails""#),
    ("resources/read", "odd://none", r#""uri":"odd://none""#),
    (
        "prompts/get",
        "review",
        r#""name":"review","arguments":{"code":"caf\u00e9 \ud83d\ude00 \u2028","":"z"},"vendor":[1e400]"#,
    ),
    ("prompts/get", "review", r#""vendor":1.50,"name":"rev\u0069ew""#),
    ("prompts/get", "review", r#""name":"review","arguments":{"fail":"yes"}"#),
    (
        "completion/complete",
        "",
        r#""ref":{"type":"ref/prompt","name":"review","vendor":1.50},"argument":{"name":"code","value":"caf\u00e9"},"context":{"arguments":{"z":"1","a":"\ud83d\ude00"},"n":12345678901234567890123},"vendor":[]"#,
    ),
    (
        "completion/complete",
        "",
        r#""argument":{"value":"","name":"id"},"ref":{"uri":"odd://item/{id}{?q}","type":"ref/resource"}"#,
    ),
    (
        "completion/complete",
        "",
        r#""ref":{"type":"ref/prompt","name":"review"},"argument":{"name":"code","value":"fail"}"#,
    ),
];

#[tokio::test]
async fn resources_prompts_and_completions_pass_to_the_digit_in_every_pairing() {
    let pairings = Pairings::start("").await;
    let check = async |at: &Pairings, assistant, connector, server: &str| {
        for (method, subject, params) in ODD {
            let direct = at.directly(connector, method, subject, body(connector, method, params)).await;
            let says = if params.contains("fail") || params.contains("none") { "1.50" } else { "00-trace" };
            assert!(direct.contains(says), "the odd server answers: {direct}");
            let through =
                at.through(server, assistant, method, subject, body(assistant, method, params)).await;
            let expected = Said::read(&direct).to(assistant, connector, method);
            assert_eq!(Said::read(&through), expected, "{method} {params}: {assistant:?} over {server}");
        }
    };
    pairings.each(check).await;
}

/// The fixture, spoken to directly, in one of the eras.
struct Direct {
    url: String,
    era: OddEra,
    session: Option<String>,
    _process: Process,
}

impl Direct {
    async fn start(era: OddEra) -> Self {
        let fixture = program(Program::Fixture).expect("built");
        let spec = Spec::new(name(era), &fixture).args(["--era", name(era), "--transport", "http"]);
        let mut process = spec.start().expect("it starts");
        let url = process.ready_line("ready ", SOON).await.expect("it is ready");
        let mut direct = Self { url, era, session: None, _process: process };
        if era == OddEra::Legacy {
            let params =
                r#""protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}"#;
            let opened = direct.post("initialize", "", body(era, "initialize", params)).await;
            let session = opened.headers()["mcp-session-id"].to_str().expect("text").to_owned();
            direct.session = Some(session);
            let ready = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned();
            assert!(direct.post("", "", ready).await.status().is_success());
        }
        direct
    }

    async fn post(&self, method: &str, subject: &str, body: String) -> reqwest::Response {
        let mut request = reqwest::Client::new()
            .post(&self.url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(body);
        request = match self.era {
            OddEra::Legacy => request.header("mcp-protocol-version", "2025-11-25"),
            OddEra::Modern => {
                request.header("mcp-protocol-version", "2026-07-28").header("mcp-method", method)
            }
        };
        if self.era == OddEra::Modern && !subject.is_empty() {
            request = request.header("mcp-name", subject);
        }
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        request.send().await.expect("an answer")
    }

    async fn asked(&self, (method, subject, params): Asked) -> String {
        self.post(method, subject, body(self.era, method, params)).await.text().await.expect("text")
    }
}

const FIXTURE: [Asked; 14] = [
    ("resources/read", "test://static-text", r#""uri":"test://static-text""#),
    ("resources/read", "test://static-binary", r#""uri":"test://static-binary""#),
    ("resources/read", "test://watched-resource", r#""uri":"test://watched-resource""#),
    ("resources/read", "test://template/7%20b/data", r#""uri":"test://template/7%20b/data""#),
    ("resources/read", "test://no-such-thing", r#""uri":"test://no-such-thing""#),
    ("prompts/get", "test_simple_prompt", r#""name":"test_simple_prompt""#),
    (
        "prompts/get",
        "test_prompt_with_arguments",
        r#""name":"test_prompt_with_arguments","arguments":{"arg2":"caf\u00e9 \ud83d\ude00","arg1":"1.50 \"quoted\"\n"}"#,
    ),
    (
        "prompts/get",
        "test_prompt_with_embedded_resource",
        r#""name":"test_prompt_with_embedded_resource","arguments":{"resourceUri":"test://static-text"}"#,
    ),
    ("prompts/get", "test_prompt_with_image", r#""name":"test_prompt_with_image""#),
    (
        "completion/complete",
        "",
        r#""ref":{"type":"ref/prompt","name":"test_prompt_with_arguments"},"argument":{"name":"arg1","value":"par"}"#,
    ),
    (
        "completion/complete",
        "",
        r#""ref":{"type":"ref/prompt","name":"test_prompt_with_arguments"},"argument":{"name":"arg2","value":""},"context":{"arguments":{"arg1":"paris"}}"#,
    ),
    (
        "completion/complete",
        "",
        r#""ref":{"type":"ref/prompt","name":"test_prompt_with_arguments"},"argument":{"name":"arg1","value":"no such word"}"#,
    ),
    (
        "completion/complete",
        "",
        r#""ref":{"type":"ref/resource","uri":"test://template/{id}/data"},"argument":{"name":"id","value":"t"}"#,
    ),
    ("resources/templates/list", "", ""),
];

#[tokio::test]
async fn the_fixture_says_the_same_directly_and_through_the_gateway_in_every_pairing() {
    let fixture = program(Program::Fixture).expect("built");
    let mut personal = Personal::default();
    let mut all = Vec::new();
    for era in ERAS {
        let direct = Direct::start(era).await;
        let (http, stdio) = (format!("{}-http", name(era)), format!("{}-stdio", name(era)));
        let command = [fixture.to_str().expect("text"), "--era", name(era), "--transport", "stdio"];
        personal = personal
            .http(&http, &direct.url)
            .stdio(&stdio, &command.map(str::to_owned))
            .server(&http, &[&http])
            .server(&stdio, &[&stdio]);
        all.push((direct, [http, stdio]));
    }
    let gateway = personal.start().await;
    for (direct, servers) in &all {
        for server in servers {
            let token = gateway.connect(server, "Differ").await.expect("let in").tokens.access_token;
            let url = gateway.url(server).expect("a URL");
            for assistant in ERAS {
                for asked in FIXTURE {
                    let (method, subject, params) = asked;
                    let said = Said::read(&direct.asked(asked).await);
                    assert_eq!(said.is_error, subject == "test://no-such-thing", "{asked:?}: {said:?}");
                    let body = body(assistant, method, params);
                    let through = post(url.as_str(), Some(&token), assistant, method, subject, body).await;
                    let through = Said::read(&through);
                    if method == "resources/templates/list" {
                        // The gateway's own list, of one page and as fresh as it says itself.
                        assert_eq!(through.members, said.members, "{assistant:?} over {server}");
                        continue;
                    }
                    let expected = said.to(assistant, direct.era, method);
                    assert_eq!(through, expected, "{asked:?}: {assistant:?} over {server}");
                }
            }
        }
    }
}
