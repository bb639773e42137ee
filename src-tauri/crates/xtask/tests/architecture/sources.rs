//! Rules for source files.

use std::path::Path;

use crate::{files, none, read, root};

const LONGEST: usize = 600;

/// Where a secret may be taken out of its wrapper. The controller does it only to hand the issuer its sealed state.
const MAY_EXPOSE: &[&str] = &["vault", "upstream", "connector", "signin", "org", "control", "controller"];

/// Where protocol revisions of MCP may be written down.
const MAY_KNOW_REVISIONS: &[&str] = &["mcp", "testkit"];

const REVISIONS: &[&str] =
    &["\"2024-11-05\"", "\"2025-03-26\"", "\"2025-06-18\"", "\"2025-11-25\"", "\"2026-07-28\""];

/// The crate that a file belongs to: the folder's name, or the place beside the crates.
fn crate_of(shown: &str) -> &str {
    let rest = shown.strip_prefix("src-tauri/crates/").unwrap_or(shown);
    rest.split('/').next().unwrap_or(rest)
}

/// The lines of a file that are shipped code: no comments, nothing from the first test module on.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .take_while(|line| line.trim() != "#[cfg(test)]")
        .enumerate()
        .map(|(number, line)| (number + 1, line.trim()))
        .filter(|(_, line)| !line.starts_with("//"))
}

/// A kind of event that nothing writes answers no question.
#[test]
fn every_kind_of_event_is_written_somewhere() {
    let (kinds, _) = read(&root().join("src-tauri/crates/org-protocol/src/record/body.rs"));
    let kinds =
        kinds.split_once("event_kinds! {\n").expect("the kinds").1.split_once("\n}").expect("their end").0;
    let kinds: Vec<&str> = kinds.lines().filter_map(|line| Some(line.trim().split_once(" = ")?.0)).collect();
    assert!(kinds.len() > 40, "{kinds:?}");
    let mut unwritten: Vec<&str> = kinds.clone();
    for path in files(&[".rs"]) {
        let (text, shown) = read(&path);
        let defines =
            shown.starts_with("src-tauri/crates/org-protocol/") || shown.contains("/audit/src/siem/");
        if is_test_file(&shown) || defines || unwritten.is_empty() {
            continue;
        }
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(&text);
        unwritten.retain(|kind| {
            !code
                .match_indices(&format!("AuditEvent::{kind}"))
                .any(|(at, found)| !code[at + found.len()..].starts_with(char::is_alphanumeric))
        });
    }
    let unwritten: Vec<String> = unwritten.into_iter().map(str::to_owned).collect();
    none("kinds of events that nothing writes", &unwritten);
}

fn is_test_file(shown: &str) -> bool {
    ["/tests/", "/testing/"].iter().any(|folder| shown.contains(folder))
        || shown.starts_with("tests/")
        || shown.ends_with("tests.rs")
}

/// What a debug build takes from its environment for trials would let whoever starts a released program decide in its place.
#[test]
fn what_only_a_debug_build_obeys_is_not_in_a_release() {
    let mut violations = Vec::new();
    let mut seen = 0;
    for path in files(&[".rs"]) {
        let (text, shown) = read(&path);
        if is_test_file(&shown) || shown.starts_with("src-tauri/crates/xtask/") {
            continue;
        }
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (number, _) in lines.iter().enumerate().filter(|(_, line)| line.contains("\"DESKGATE_DEBUG_")) {
            seen += 1;
            let before = &lines[number.saturating_sub(3)..number];
            if !before.contains(&"#[cfg(debug_assertions)]") {
                violations.push(format!("{shown}:{}", number + 1));
            }
        }
    }
    none("variables that a release would obey", &violations);
    assert!(seen > 1, "the sources were read");
}

#[test]
fn no_source_file_is_too_long() {
    let mut violations = Vec::new();
    for path in files(&[".rs", ".ts", ".svelte", ".mjs", ".py", ".css"]) {
        let (text, shown) = read(&path);
        let lines = text.lines().count();
        // Written by a program, for programs.
        if lines > LONGEST && !["bindings.ts", "catalogue.ts"].iter().any(|it| shown.ends_with(it)) {
            violations.push(format!("{shown}: {lines} lines"));
        }
    }
    none(&format!("files of more than {LONGEST} lines"), &violations);
}

#[test]
fn every_crate_root_forbids_unsafe_code_except_one() {
    let mut violations = Vec::new();
    for path in files(&["lib.rs", "main.rs"]) {
        let (text, shown) = read(&path);
        let inner = shown.matches('/').count() > if shown.starts_with("src-tauri/crates/") { 4 } else { 2 };
        if inner || crate_of(&shown) == "os" {
            continue;
        }
        if !text.lines().any(|line| line == "#![forbid(unsafe_code)]") {
            violations.push(shown);
        }
    }
    none("crate roots without #![forbid(unsafe_code)]", &violations);
}

#[test]
fn unsafe_code_is_in_one_crate_and_says_why_it_is_sound() {
    let mut violations = Vec::new();
    let beginnings = [concat!("unsafe", " {"), concat!("unsafe", " fn"), concat!("unsafe", " impl")];
    for path in files(&[".rs"]) {
        let (text, shown) = read(&path);
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in code(&text) {
            if !beginnings.iter().any(|beginning| line.contains(beginning)) {
                continue;
            }
            let before = lines.get(number.saturating_sub(5)..number).unwrap_or_default();
            let explained = before.iter().any(|line| line.contains("SAFETY:"));
            if crate_of(&shown) != "os" || !explained {
                violations.push(format!("{shown}:{number}"));
            }
        }
    }
    none("unsafe code outside the crate os, or without a SAFETY comment", &violations);
}

#[test]
fn no_test_is_switched_off() {
    let mut violations = Vec::new();
    let attribute = concat!("#[", "ignore");
    // What another test starts as a process of its own.
    let child = format!("{attribute} = \"the child of");
    for path in files(&[".rs"]) {
        let (text, shown) = read(&path);
        violations.extend(
            text.lines()
                .enumerate()
                .filter(|(_, line)| {
                    line.trim_start().starts_with(attribute) && !line.trim_start().starts_with(&child)
                })
                .map(|(number, _)| format!("{shown}:{}", number + 1)),
        );
    }
    none("tests that are switched off", &violations);
}

#[test]
fn secrets_are_exposed_only_where_they_are_used() {
    let call = concat!("expose", "_secret(");
    let violations = mentions(&[call], MAY_EXPOSE);
    none("secrets taken out of their wrapper", &violations);
}

#[test]
fn only_one_crate_knows_protocol_revisions() {
    let violations = mentions(REVISIONS, MAY_KNOW_REVISIONS);
    none("revisions of MCP outside the crate mcp", &violations);
}

fn mentions(words: &[&str], may: &[&str]) -> Vec<String> {
    let mut violations = Vec::new();
    for path in files(&[".rs"]) {
        let (text, shown) = read(&path);
        if is_test_file(&shown) || may.contains(&crate_of(&shown)) {
            continue;
        }
        for (number, line) in code(&text) {
            if words.iter().any(|word| line.contains(word)) {
                violations.push(format!("{shown}:{number}"));
            }
        }
    }
    violations
}

#[test]
fn every_member_takes_the_workspace_lints_and_licence() {
    let mut violations = Vec::new();
    for path in files(&["Cargo.toml"]) {
        let (text, shown) = read(&path);
        if !text.contains("[lints]\nworkspace = true") {
            violations.push(format!("{shown}: lints"));
        }
        if !text.contains("license.workspace = true") {
            violations.push(format!("{shown}: licence"));
        }
    }
    none("members that do not take the workspace's lints or licence", &violations);
    let licence = read(Path::new(&root().join("LICENSE"))).0;
    assert!(licence.contains("Apache License") && licence.contains("Version 2.0, January 2004"));
}

#[test]
fn every_test_that_the_security_page_names_exists() {
    let sources: String = files(&[".rs"]).iter().map(|path| read(path).0).collect();
    let (page, _) = read(&root().join("SECURITY.md"));
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let names = rows
        .filter_map(|row| row.trim_end_matches(" |").rsplit_once(" | "))
        .flat_map(|(_, tests)| tests.split('`').map(str::trim).filter(|name| !name.is_empty()));
    let mut violations = Vec::new();
    let mut seen = 0;
    for name in names {
        seen += 1;
        if !sources.contains(&format!("fn {name}(")) {
            violations.push(name.to_owned());
        }
    }
    none("tests that SECURITY.md names and nobody wrote", &violations);
    assert!(seen > 40, "the page was read: {seen}");
}
