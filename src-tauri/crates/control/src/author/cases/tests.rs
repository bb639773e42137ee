//! Cases that hold, and what is said of those that do not.

use crate::author::{examine, init};

const PEOPLE: &str = r#"
[people.ann]
groups = ["staff"]
[people.guest]
groups = ["guests"]
"#;

/// What is said of cases in the example organisation.
fn said(cases: &str) -> Result<usize, Vec<String>> {
    let dir = tempfile::tempdir().expect("a directory");
    let org = dir.path().join("org");
    init(&org, "example").expect("writes the example");
    std::fs::remove_dir_all(org.join("tests")).expect("the example has tests");
    std::fs::create_dir(org.join("tests")).expect("makes a folder");
    let forbid = "@id(\"no-secrets\")\n@reason(\"No.\")\nforbid (principal, action == Action::\"files/read_text_file\", resource) when { context.input.path like \"*secret*\" };\n";
    let tried = "@id(\"no-drafts\")\n@observe\nforbid (principal, action == Action::\"files/read_text_file\", resource) when { context.input.path like \"*draft*\" };\n";
    std::fs::write(org.join("policies/more.cedar"), format!("{forbid}{tried}")).expect("writes");
    std::fs::write(org.join("tests/mine.toml"), format!("{PEOPLE}{cases}")).expect("writes");
    let examined = examine(&org);
    examined.map(|found| found.cases).map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

fn case(who: &str, path: &str, rest: &str) -> String {
    format!(
        "[[case]]\nname = \"{who} {path}\"\nwho = \"{who}\"\nserver = \"office\"\nconnector = \"files\"\n\
         tool = \"read_text_file\"\narguments = {{ path = \"{path}\" }}\n{rest}\n"
    )
}

#[test]
fn cases_that_hold_are_counted() {
    let cases = [
        case("ann", "a.txt", "expect = \"permit\"\nby = [\"staff-office\"]"),
        case("ann", "secret.txt", "expect = \"deny\"\nby = [\"no-secrets\"]\nat = \"2026-11-02T09:00:00Z\""),
        case("guest", "a.txt", "expect = \"deny\""),
        case("ann", "draft.txt", "expect = \"permit\"\nobserved = [\"no-drafts\"]"),
    ];
    assert_eq!(said(&cases.concat()), Ok(4));
}

#[test]
fn a_case_that_does_not_hold_is_told_with_line_decision_and_policy() {
    let cases =
        case("ann", "a.txt", "expect = \"permit\"") + &case("ann", "secret.txt", "expect = \"permit\"");
    let found = said(&cases).expect_err("one does not hold");
    assert_eq!(
        found,
        [
            "tests/mine.toml:15: case \"ann secret.txt\" expects the call to be permitted, but policy refuses it \
          (forbidden at the question call tool read_text_file), by \"no-secrets\""
        ]
    );
    let found = said(&case("ann", "a.txt", "expect = \"deny\"\nby = [\"x\"]")).expect_err("permitted");
    assert!(
        found[0]
            .ends_with("expects the call to be refused by \"x\", but policy permits it, by \"staff-office\""),
        "{found:?}"
    );
    let found = said(&case("ann", "a.txt", "expect = \"permit\"\nby = [\"other\"]")).expect_err("by another");
    assert!(
        found[0].contains("to be permitted by \"other\", but policy permits it, by \"staff-office\""),
        "{found:?}"
    );
    let found = said(&case("ann", "a.txt", "expect = \"permit\"\ncredential = \"x\"")).expect_err("without");
    assert!(found[0].contains("with credential x, but policy permits it, by"), "{found:?}");
    let observed = "expect = \"permit\"\nobserved = [\"no-drafts\"]";
    let found = said(&case("ann", "a.txt", observed)).expect_err("no draft");
    assert!(
        found[0].contains("permitted and observed by \"no-drafts\", but policy permits it, by"),
        "{found:?}"
    );
    let found = said(&case("ann", "draft.txt", "expect = \"deny\"")).expect_err("only observed");
    assert!(found[0].ends_with("by \"staff-office\", observed by \"no-drafts\""), "{found:?}");
}

#[test]
fn what_no_case_can_mean_is_refused() {
    let found = said(&case("bob", "a.txt", "expect = \"deny\"")).expect_err("nobody");
    assert!(found[0].contains("names \"bob\", who is none"), "{found:?}");
    let found = said(&case("ann", "a.txt", "expect = \"deny\"\nprompt = \"x\"")).expect_err("two things");
    assert!(found[0].contains("none or several"), "{found:?}");
    let found = said(&case("ann", "a.txt", "expect = \"perhaps\"")).expect_err("no expectation");
    assert!(found[0].starts_with("tests/mine.toml:13: unknown variant `perhaps`"), "{found:?}");
    let claims = "[people.eve.claims]\nlevel = 3\n";
    let found =
        said(&format!("{claims}{}", case("eve", "a.txt", "expect = \"deny\""))).expect_err("undeclared");
    assert!(found[0].contains("whose claim \"level\""), "{found:?}");
}
