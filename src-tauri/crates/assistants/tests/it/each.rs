//! Each assistant: found by what is there, connected where nothing was, and gone without a trace.

use std::os::unix::fs::PermissionsExt as _;

use assistants::{ASSISTANTS, Format, FoundBy, Platform, Verified, find};
use serde_json::Value;

use crate::{Desk, below, target};

/// The entry, and the names of its members in the order of the alphabet.
fn entry_of(format: Format, text: &str, name: &str) -> (Value, Vec<String>) {
    let whole: Value = match format {
        Format::Json | Format::Jsonc => serde_json::from_str(text).expect("JSON"),
        Format::Toml => toml::from_str(text).expect("TOML"),
        Format::Yaml => return (Value::from(text), members_in_yaml(text)),
    };
    let entry = whole.as_object().expect("an object").values().next().expect("servers")[name].clone();
    let mut members: Vec<String> = entry.as_object().expect("an entry").keys().cloned().collect();
    members.sort();
    (entry, members)
}

/// What stands one level below the entry.
fn members_in_yaml(text: &str) -> Vec<String> {
    let members = text.lines().filter_map(|line| line.strip_prefix("    ")?.split(':').next());
    let mut members: Vec<String> = members.map(str::to_owned).collect();
    members.sort();
    members
}

/// What an entry has, and nothing that could let anybody in.
fn members_of(assistant: &str) -> &'static [&'static str] {
    match assistant {
        "claude-code" | "vscode" | "cline" => &["type", "url"],
        "claude-desktop" => &["args", "command"],
        "codex" | "cursor" | "zed" | "kiro" => &["url"],
        "windsurf" => &["serverUrl"],
        "goose" => &["description", "enabled", "name", "timeout", "type", "uri"],
        "gemini" | "qwen" => &["httpUrl"],
        "opencode" => &["enabled", "type", "url"],
        "copilot" => &["tools", "type", "url"],
        other => panic!("say what an entry of {other} has"),
    }
}

#[test]
fn each_is_connected_where_nothing_was_and_leaves_nothing() {
    assert!(ASSISTANTS.len() >= 12);
    for platform in [Platform::Linux, Platform::MacOs, Platform::Windows] {
        for assistant in ASSISTANTS {
            let desk = Desk::on(platform);
            desk.connect(assistant.id, "desk").unwrap_or_else(|fault| panic!("{}: {fault}", assistant.id));
            let text = desk.read(assistant.id);
            let (entry, members) = entry_of(assistant.format, &text, "deskgate-desk");
            let url = target("desk").url;
            let leads = if assistant.is_bridged() { "/opt/deskgate/deskgate" } else { url.as_str() };
            assert!(entry.to_string().contains(leads), "{}: {text}", assistant.id);
            assert_eq!(members, members_of(assistant.id), "{}: {text}", assistant.id);
            let named = ("deskgate-desk".to_owned(), "desk".to_owned());
            assert_eq!(desk.connected(assistant.id), [named], "{}", assistant.id);
            let mode = desk.file(assistant.id).metadata().expect("a file").permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "a file of ours is its owner's");
            assert!(desk.disconnect(assistant.id, "desk").expect("undone"), "{}", assistant.id);
            assert_eq!(below(&desk.machine.home), Vec::<std::path::PathBuf>::new(), "{}", assistant.id);
            assert!(desk.ledger().records().is_empty());
        }
    }
}

#[test]
fn each_is_found_by_its_program_its_folder_and_its_file() {
    let mut desk = Desk::new();
    assert!(find(&desk.machine).iter().all(|it| it.by.is_empty() && it.connected.is_empty()));
    let programs = desk.folder.path().join("bin");
    std::fs::create_dir(&programs).expect("made");
    desk.machine.path.push(programs.clone());
    std::fs::write(programs.join("codex"), "").expect("written");
    let by = |desk: &Desk| {
        find(&desk.machine).into_iter().find(|it| it.assistant.id == "codex").expect("known").by
    };
    assert_eq!(by(&desk), [], "what cannot be started is no program");
    let program = programs.join("codex");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set");
    let file = desk.write("codex", "");
    let folder = file.parent().expect("a folder").to_owned();
    assert_eq!(by(&desk), [FoundBy::Program(program), FoundBy::Folder(folder), FoundBy::File(file)]);
}

#[test]
fn a_variable_of_the_environment_moves_the_file() {
    let mut desk = Desk::new();
    desk.write("codex", "");
    let moved = desk.folder.path().join("moved");
    desk.machine.variables.insert("CODEX_HOME".to_owned(), moved.clone());
    assert_eq!(desk.file("codex"), moved.join("config.toml"));
    desk.machine.variables.insert("XDG_CONFIG_HOME".to_owned(), moved.clone());
    assert_eq!(desk.file("zed"), moved.join("zed/settings.json"));
}

#[test]
fn servers_outside_deskgate_are_known_by_name_only() {
    let desk = Desk::new();
    desk.write(
        "cursor",
        r#"{"mcpServers": {"a": {"url": "https://x/?key=secret"}, "b": {"command": "secret"}}}"#,
    );
    desk.connect("cursor", "desk").expect("connected");
    desk.write("goose", "extensions:\n  developer:\n    enabled: true\n  c:\n    cmd: secret\n");
    desk.write(
        "claude-code",
        r#"{"projects": {"/p": {"mcpServers": {"d": {"command": "secret"}}}, "/q": {}}, "mcpServers": {"e": {"command": "secret"}}}"#,
    );
    let others = |id: &str| {
        let found = find(&desk.machine).into_iter().find(|it| it.assistant.id == id).expect("known");
        assert!(!format!("{found:?}").contains("secret"));
        found.others.iter().map(|it| it.place.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(others("cursor"), ["a", "b"]);
    assert_eq!(others("goose"), ["c"]);
    assert_eq!(others("claude-code"), ["e", "d (in /p)"]);
}

#[test]
fn the_file_that_is_there_is_taken() {
    let desk = Desk::new();
    let other = desk.machine.home.join(".config/opencode/opencode.jsonc");
    std::fs::create_dir_all(other.parent().expect("a folder")).expect("made");
    std::fs::write(&other, "{}").expect("written");
    assert_eq!(desk.file("opencode"), other);
}

#[test]
fn the_table_of_the_documents_is_the_table_of_the_code() {
    let readme = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../README.md");
    let text = std::fs::read_to_string(readme).expect("the README");
    let table = assistants::markdown();
    assert!(text.contains(&table), "the README has not this table:\n{table}");
    let guide = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../ADMIN.md");
    let text = std::fs::read_to_string(guide).expect("the guide");
    let table = assistants::managed_markdown();
    assert!(text.contains(&table), "the guide has not this table:\n{table}");
    assert!(assistants::MANAGED.iter().all(|it| it.source.starts_with("https://")));
    assert!(ASSISTANTS.iter().any(|it| it.verified == Verified::Run), "some are run");
    assert!(ASSISTANTS.iter().all(|it| it.source.starts_with("https://")));
}
