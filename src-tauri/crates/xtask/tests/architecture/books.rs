//! Rules for the books that people read.

use std::collections::BTreeSet;

use crate::{files, none, read, root};

const BOOKS: [&str; 7] =
    ["README.md", "EMPLOYEE.md", "ADMIN.md", "SECURITY.md", "ARCHITECTURE.md", "LIMITS.md", "CHANGELOG.md"];

/// The books whose blocks of commands are typed by tests.
const TYPED: [&str; 4] = ["README.md", "EMPLOYEE.md", "ADMIN.md", "SECURITY.md"];

/// What a block may be: commands that a test types, or something that is no command.
const LANGUAGES: [&str; 5] = ["sh", "toml", "json", "cedar", "text"];

fn text_of(book: &str) -> String {
    read(&root().join(book)).0
}

/// The lines of a book that are not in a block.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_block = false;
    text.lines().filter(move |line| {
        let is_fence = line.starts_with("```");
        is_block ^= is_fence;
        !is_block && !is_fence
    })
}

/// Where the links of a line lead, pictures included.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0))
}

/// A heading's name in an address, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

#[test]
fn every_link_of_the_books_leads_somewhere() {
    let mut violations = Vec::new();
    let mut seen = 0;
    for book in BOOKS {
        let text = text_of(book);
        for target in prose(&text).flat_map(links).filter(|target| !target.starts_with("https://")) {
            seen += 1;
            let (file, name) = target.split_once('#').unwrap_or((target, ""));
            let there = if file.is_empty() { book } else { file };
            let is_there = root().join(there).exists();
            if !is_there || !(name.is_empty() || anchors(&text_of(there)).contains(name)) {
                violations.push(format!("{book}: {target}"));
            }
        }
    }
    none("links that lead nowhere", &violations);
    assert!(seen > 60, "the books were read: {seen}");
}

#[test]
fn every_picture_is_shown_and_has_its_words_beside_it() {
    let shown: BTreeSet<String> = BOOKS
        .iter()
        .flat_map(|book| prose(&text_of(book)).flat_map(links).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let mut violations = Vec::new();
    for path in files(&[".png", ".txt"]).iter().filter(|path| path.starts_with(root().join("ui/pictures"))) {
        let name = path.strip_prefix(root()).unwrap_or(path).display().to_string();
        match name.strip_suffix(".png") {
            Some(_) if !shown.contains(&name) => violations.push(format!("{name} is in no book")),
            Some(stem) => {
                let words = format!("{}.txt", stem.trim_end_matches("-dark"));
                if !root().join(&words).exists() {
                    violations.push(format!("{name} has no {words}"));
                }
            }
            None => {
                let stem = name.trim_end_matches(".txt");
                if ![format!("{stem}.png"), format!("{stem}-dark.png")]
                    .iter()
                    .any(|it| root().join(it).exists())
                {
                    violations.push(format!("{name} is of no picture"));
                }
            }
        }
    }
    none("pictures that nobody sees or nobody compares", &violations);
}

#[test]
fn every_block_of_a_typed_book_says_what_it_is() {
    let mut violations = Vec::new();
    for book in TYPED {
        let text = text_of(book);
        let fences = text
            .lines()
            .enumerate()
            .filter_map(|(number, line)| Some((number + 1, line.strip_prefix("```")?)));
        let opening = fences.step_by(2).filter(|(_, language)| !LANGUAGES.contains(language));
        violations.extend(opening.map(|(number, language)| format!("{book}:{number}: {language:?}")));
    }
    none("blocks that no test types and that are nothing else", &violations);
}

/// What the employee's book says in bold is what stands in the window, so that it is found there.
#[test]
fn the_employees_book_speaks_the_words_of_the_window() {
    let (words, _) = read(&root().join("ui/words/en.ftl"));
    let said: BTreeSet<&str> = words
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "))
        .map(|(_, said)| said.split(" {").next().unwrap_or(said).trim())
        .collect();
    let text = text_of("EMPLOYEE.md").replace('\n', " ");
    let bold: Vec<&str> = text.split("**").skip(1).step_by(2).collect();
    let unknown = bold.iter().filter(|phrase| !said.contains(**phrase)).map(|phrase| (*phrase).to_owned());
    none("words in bold that no window says", &unknown.collect::<Vec<_>>());
    assert!(bold.len() > 30, "the book was read: {}", bold.len());
}
