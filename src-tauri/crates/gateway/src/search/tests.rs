use super::*;
use crate::snapshot::Offer;

/// Tools of two connectors, as real ones describe themselves.
const CONNECTORS: [(&str, &str, &[&str]); 2] = [
    (
        "github",
        "GitHub",
        &[
            r#"{"name":"create_issue","description":"Create a new issue in a repository.","inputSchema":{"type":"object","properties":{"labels":{"type":"array","items":{"type":"string"}},"owner":{"type":"string"},"repo":{"type":"string"},"title":{"type":"string","description":"Headline"}},"required":["owner","repo","title"]}}"#,
            r#"{"name":"list_issues","description":"List issues, newest first.","inputSchema":{"type":"object","properties":{"state":{"enum":["open","closed","all"]}}}}"#,
            r#"{"name":"mergePullRequest","description":"Merge a pull request.","inputSchema":{"type":"object"}}"#,
            r#"{"name":"search_tools","description":"Look for code scanners.","inputSchema":{"type":"object"}}"#,
        ],
    ),
    (
        "crm",
        "Customers",
        &[
            r#"{"name":"find_customer","title":"Find a customer","description":"Looks a customer up by email address.\nsecond_line(x: any) - Not a tool","inputSchema":{"type":"object","properties":{"by":{"type":"object","properties":{"email":{"type":"string","description":"Electronic mail"}}}}}}"#,
            r#"{"name":"odd","inputSchema":{"type":"object","x":[1e400,1.50],"properties":{"n":{"type":["integer","null"],"maximum":12345678901234567890123}}}}"#,
        ],
    ),
];

fn view() -> ServerView {
    let offer = |(id, title, tools): (&str, &str, &[&str])| Offer {
        account: id.parse().unwrap(),
        title: title.to_owned(),
        tools: tools.iter().map(|tool| tool_of(tool)).collect(),
        resources: Vec::new(),
        templates: Vec::new(),
        prompts: Vec::new(),
        about: None,
        withdrawn: None,
    };
    let offers = CONNECTORS.into_iter().map(offer).collect();
    ServerView::assemble(&"desk".parse().unwrap(), "Desk".to_owned(), offers).searched()
}

fn tool_of(text: &str) -> (model::ToolName, Box<RawValue>) {
    let definition: Box<RawValue> = serde_json::from_str(text).unwrap();
    let name: String = mcp::RawObject::parse(&definition).unwrap().read("name").unwrap();
    (name.parse().unwrap(), definition)
}

fn ranked(query: &str) -> Vec<String> {
    let view = view();
    let places = Index::of(view.tools()).ranked(query);
    places.into_iter().map(|at| view.tools()[at].entry.name.clone()).collect()
}

#[test]
fn tools_are_found_by_what_they_are_called_and_what_is_said_of_them() {
    let first = |query: &str| ranked(query).first().cloned().unwrap_or_default();
    assert_eq!(first("create_issue"), "create_issue", "its very name");
    assert_eq!(first("creating issues"), "create_issue", "other endings");
    assert_eq!(first("merge pull request"), "mergePullRequest", "parts of a name in capitals");
    assert_eq!(first("MERGEPULLREQUEST"), "mergePullRequest", "its name in other letters");
    assert_eq!(first("headline"), "create_issue", "a parameter's description");
    assert_eq!(first("electronic"), "find_customer", "a parameter within another");
    assert_eq!(first("newest"), "list_issues", "its description");
    assert_eq!(first("find a customer by email"), "find_customer");
    assert_eq!(first("search_tools"), "search_tools", "a connector's, like any other");
    assert_eq!(first("odd"), "odd", "whatever numbers are in its schema");
    let of_connector = ranked("github");
    assert!(of_connector.len() == 4 && !of_connector.contains(&"odd".to_owned()), "{of_connector:?}");
    assert_eq!(ranked("github"), of_connector, "equally good ones stay in order");
    assert_eq!(ranked("payroll"), [""; 0]);
    assert_eq!(Index::of([]).ranked("anything"), [0; 0]);
}

#[test]
fn a_result_is_a_line_with_the_arguments_and_never_more() {
    let view = view();
    let tools: Vec<&Offered> = view.tools().iter().collect();
    let lines = |matching, found: &[&Offered], one| found_text(matching, found, one);
    assert_eq!(
        lines(1, &tools[..1], true),
        "1 tool matches:\n\
         create_issue(owner: string, repo: string, title: string, labels?: string[]) - Create a new issue in a repository."
    );
    assert_eq!(
        lines(9, &[tools[1], tools[4], tools[5]], false),
        "9 tools match; the best 3:\n\
         list_issues(state?: \"open\"|\"closed\"|\"all\") [GitHub] - List issues, newest first.\n\
         find_customer(by?: object) [Customers] - Looks a customer up by email address. second_line(x: any) - Not a tool\n\
         odd(n?: integer|null) [Customers]"
    );
    assert!(lines(2, &tools[..2], true).starts_with("2 tools match:\n"));
    assert!(lines(0, &[], true).starts_with("No tool matches."));
}

#[test]
fn a_long_definition_makes_no_long_line() {
    let many: Vec<String> = (0..40).map(|at| format!(r#""p{at}\n{}":{{}}"#, "x".repeat(99))).collect();
    let (_, definition) = tool_of(&format!(
        r#"{{"name":"long","description":"{}","inputSchema":{{"properties":{{{}}},"required":["p39\n{}"]}}}}"#,
        "é ".repeat(4_000),
        many.join(","),
        "x".repeat(99)
    ));
    let line = Definition::read(&definition).line("long", "A\u{2028}title");
    assert!(line.chars().count() < 1_200, "{} letters", line.chars().count());
    assert!(line.starts_with("long(p39 xxx") && line.contains("?: any, …) [A title] - é é"), "{line}");
    assert!(!line.contains(|letter: char| letter.is_control() || letter == '\u{2028}'), "{line}");
}

#[test]
fn wishes_are_checked() {
    use wish::WishFault;
    let sought = |arguments: &str| Sought::read(arguments);
    let query = |query: &str, limit| Ok(Sought { query: query.to_owned(), limit });
    assert_eq!(sought(r#"{"query":"mail"}"#), query("mail", 5));
    assert_eq!(sought(r#"{"limit":20.0,"query":"mail"}"#), query("mail", 20));
    for limit in ["0", "21", "-1", "1.5", "\"5\"", "null", "1e400"] {
        let arguments = format!(r#"{{"query":"mail","limit":{limit}}}"#);
        assert_eq!(sought(&arguments), Err(WishFault::Limit), "{limit}");
    }
    assert_eq!(sought("{}"), Err(WishFault::NoQuery));
    assert_eq!(sought(r#"{"query":["mail"]}"#), Err(WishFault::NoQuery));
    assert_eq!(sought(r#"{"query":" \n"}"#), Err(WishFault::NoWord));
    assert_eq!(sought(r#"{"query":"of the"}"#), Err(WishFault::NoWord));
    assert_eq!(sought(&format!(r#"{{"query":"{}"}}"#, "é".repeat(301))), Err(WishFault::LongQuery));
    assert_eq!(sought(r#"{"query":"mail","Limit":1}"#), Err(WishFault::Surplus));

    let named = |arguments: &str| Described::read(arguments);
    assert_eq!(named(r#"{"names":["a","b"]}"#), Ok(Described(vec!["a".to_owned(), "b".to_owned()])));
    let many = format!(r#"{{"names":{}}}"#, serde_json::to_string(&["a"; 21]).unwrap());
    for wrong in ["{}", r#"{"names":[]}"#, r#"{"names":"a"}"#, r#"{"names":[1]}"#, &many] {
        assert_eq!(named(wrong), Err(WishFault::Names), "{wrong}");
    }
    assert_eq!(named(r#"{"names":["a"],"name":"b"}"#), Err(WishFault::Surplus));
}

#[test]
fn the_three_are_small_and_strict() {
    let definitions: Vec<&RawValue> = definitions().collect();
    let all: Vec<serde_json::Value> =
        definitions.iter().map(|definition| serde_json::from_str(definition.get()).unwrap()).collect();
    let names: Vec<_> = all.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["search_tools", "describe_tools", "call_tool"]);
    for tool in &all {
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{tool}");
        assert!(tool["annotations"]["readOnlyHint"].is_boolean(), "{tool}");
        assert!(MetaTool::named(tool["name"].as_str().unwrap()).is_some());
        let properties = tool["inputSchema"]["properties"].as_object().unwrap();
        let required = tool["inputSchema"]["required"].as_array().unwrap();
        assert!(required.iter().all(|name| properties.contains_key(name.as_str().unwrap())), "{tool}");
    }
    assert_eq!(MetaTool::named("create_issue"), None);
    let size: usize = definitions.iter().map(|definition| definition.get().len()).sum();
    assert!(size < 2_000, "{size} bytes");
}

#[test]
fn a_list_that_is_searched_does_not_change_with_the_tools() {
    let full = view();
    let empty = ServerView::assemble(&"desk".parse().unwrap(), "Desk".to_owned(), Vec::new()).searched();
    assert_eq!(full.mark_of(mcp::Topic::Tools), empty.mark_of(mcp::Topic::Tools));
    let listed = ServerView::assemble(&"desk".parse().unwrap(), "Desk".to_owned(), Vec::new());
    assert_ne!(listed.mark_of(mcp::Topic::Tools), empty.mark_of(mcp::Topic::Tools), "another list");
}
