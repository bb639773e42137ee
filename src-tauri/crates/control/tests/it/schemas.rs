//! The JSON Schemas, as a validator that is not ours reads them.

use std::path::{Path, PathBuf};
use std::process::Command;

use control::author::{init, write_schemas};
use testkit::{Marked, marked};

/// Reads TOML files and validates each by the schema in its place. Prints the keywords that did not hold.
const VALIDATE: &str = r#"
import json, sys, tomllib
from jsonschema import Draft7Validator
schema = json.load(open(sys.argv[1]))
Draft7Validator.check_schema(schema)
for path in sys.argv[2:]:
    with open(path, "rb") as file:
        document = tomllib.load(file)
    for error in Draft7Validator(schema).iter_errors(document):
        print(error.json_path, error.validator)
"#;

fn validate(schema: &Path, files: &[PathBuf]) -> Vec<String> {
    let python = testkit::tools().join("venv/bin/python");
    let output = Command::new(python).args(["-c", VALIDATE]).arg(schema).args(files).output();
    let output = output.expect("Python runs: `cargo xtask setup` installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").lines().map(ToOwned::to_owned).collect()
}

/// The TOML files below an authored folder, by the part that they belong to.
fn authored(org: &Path, part: &str) -> Vec<PathBuf> {
    if part == "org" {
        return vec![org.join("org.toml")];
    }
    let folder = org.join(part);
    let entries =
        std::fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect()
}

/// The organisation of the project's own tests, with something in each place that is filled in when they run.
fn filled_in(dir: &Path) -> PathBuf {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/peers/org");
    let own = dir.join("own");
    for file in ["org", "connectors", "servers"].iter().flat_map(|part| authored(&template, part)) {
        let text = std::fs::read_to_string(&file)
            .expect("reads")
            .replace("= @FILES@", "= [\"x\"]")
            .replace("= @WAREHOUSE@", "= [\"x\"]");
        let copy = own.join(file.strip_prefix(&template).expect("below it"));
        std::fs::create_dir_all(copy.parent().expect("a folder")).expect("makes a folder");
        std::fs::write(copy, text).expect("writes");
    }
    own
}

const PARTS: [(&str, &str); 4] = [
    ("org", "org.schema.json"),
    ("connectors", "connector.schema.json"),
    ("servers", "server.schema.json"),
    ("tests", "tests.schema.json"),
];

#[test]
fn the_example_and_the_tests_own_organisation_are_valid_by_the_schemas() {
    let dir = tempfile::tempdir().expect("a directory");
    write_schemas(dir.path()).expect("writes");
    let example = dir.path().join("org");
    init(&example, "example").expect("writes the example");
    let own = filled_in(dir.path());
    for (part, schema) in PARTS {
        let files = [authored(&example, part), authored(&own, part)].concat();
        assert!(!files.is_empty(), "{part}");
        assert_eq!(validate(&dir.path().join(schema), &files), [""; 0], "{part}");
    }
}

#[test]
fn what_bundle_check_refuses_for_its_keys_is_marked_by_the_schemas() {
    let dir = tempfile::tempdir().expect("a directory");
    write_schemas(dir.path()).expect("writes");
    let found = |schema: &str, text: &str| {
        let file = dir.path().join("file.toml");
        std::fs::write(&file, text).expect("writes");
        validate(&dir.path().join(schema), &[file])
    };
    let connector = |rest: &str| found("connector.schema.json", &format!("title = \"T\"\n{rest}"));
    assert_eq!(connector("command = [\"x\"]"), [""; 0]);
    assert_eq!(connector("command = [\"x\"]\ncolour = 1"), ["$ additionalProperties"]);
    assert_eq!(connector(""), ["$ oneOf"]);
    assert_eq!(connector("command = [\"x\"]\nurl = \"https://x.test/\""), ["$ oneOf"]);
    assert_eq!(connector("command = [\"x\"]\ncredential = { kind = \"usr_oauth\" }"), ["$.credential oneOf"]);
    let server = |rest: &str| found("server.schema.json", &format!("title = \"T\"\n{rest}"));
    assert_eq!(server("connectors = [\"Bad Id\"]"), ["$.connectors[0] pattern"]);
    assert_eq!(server("connectors = []\n[tools]\n\"Bad Id\" = []"), ["$.tools additionalProperties"]);
    let tests = "[[case]]\nname = \"n\"\nwho = \"w\"\nserver = \"s\"\nconnector = \"c\"\nexpect = \"deny\"\n";
    assert_eq!(found("tests.schema.json", tests), ["$.case[0] oneOf"]);
}

/// The example as `init` writes it, in the engine of the commonest extension for editors.
#[test]
fn an_editor_follows_the_first_line_of_each_file_and_marks_mistakes_where_they_are() {
    let dir = tempfile::tempdir().expect("a directory");
    let org = dir.path().join("org");
    init(&org, "example").expect("writes the example");
    let files: Vec<PathBuf> = PARTS.iter().flat_map(|(part, _)| authored(&org, part)).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    assert_eq!(marked(dir.path(), &files).expect("looks"), Marked::Nothing);

    // File, what stands there, what is written instead, and what is said of it; each in a copy beside the file.
    let mistakes = [
        ("connectors/files.toml", "title = ", "titel = ", "'titel' was unexpected"),
        ("connectors/files.toml", "title = \"Shared files\"", "title = 7", "7 is not of type \"string\""),
        (
            "connectors/files.toml",
            "kind = \"none\"",
            "kind = \"nobody\"",
            "not valid under any of the schemas",
        ),
        ("servers/office.toml", "title = ", "titel = ", "'titel' was unexpected"),
        ("servers/office.toml", "[\"files\"]", "[\"Our Files\"]", "\"Our Files\" does not match"),
        ("org.toml", "name = ", "nmae = ", "'nmae' was unexpected"),
        ("tests/office.toml", "expect = \"permit\"", "expect = \"perhaps\"", "\"perhaps\" is not valid"),
        (
            "tests/office.toml",
            "groups = [\"staff\"]",
            "groups = \"staff\"",
            "\"staff\" is not of type \"array\"",
        ),
    ];
    let expected = mistakes.iter().enumerate().map(|(number, (file, good, bad, words))| {
        let text = std::fs::read_to_string(org.join(file)).expect("reads");
        assert!(text.contains(good), "{file} has no {good}");
        let wrong = text.replacen(good, bad, 1);
        let line = wrong.lines().position(|line| line.contains(bad)).expect("it is there") + 1;
        let copy = org.join(file.replace(".toml", &format!("-{number}.toml")));
        std::fs::write(&copy, wrong).expect("writes");
        (copy, line, *words)
    });
    let expected: Vec<(PathBuf, usize, &str)> = expected.collect();
    let copies: Vec<PathBuf> = expected.iter().map(|(copy, ..)| copy.clone()).collect();
    let Marked::Mistakes(found) = marked(dir.path(), &copies).expect("looks") else {
        panic!("nothing is marked")
    };
    for (copy, line, words) in expected {
        let place = format!("{}:{line}:", copy.display());
        let is_marked = |(at, said): &(String, String)| at.starts_with(&place) && said.contains(words);
        let of_it: Vec<_> = found.iter().filter(|(at, _)| at.contains(&*copy.to_string_lossy())).collect();
        assert!(found.iter().any(is_marked), "{place} {words}: {of_it:#?}");
    }
}
