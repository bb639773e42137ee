//! The pictures of the books, in `ui/pictures`. Each has its words in a file beside it: who changes what a window says sees that its
//! picture is old, and takes it anew by running the tests of windows with `DESKGATE_BLESS=1`.

use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui/pictures")
}

/// What a window says, without what is another thing each time: digits, names of months, halves of the day, lengths of time.
fn neutral(words: &str) -> String {
    let mut text = String::new();
    for word in words.split_inclusive([' ', '\n', '\u{202f}', '\u{a0}']) {
        let bare = word.trim().trim_end_matches(',');
        let is_of_time = ["AM", "PM"].contains(&bare)
            || ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
                .contains(&bare);
        if is_of_time {
            continue;
        }
        for letter in word.chars() {
            let letter = if letter.is_ascii_digit() { '#' } else { letter };
            if letter != '#' || !text.ends_with('#') {
                text.push(letter);
            }
        }
    }
    text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n") + "\n"
}

/// What is wrong with the committed picture of this name, if there is one. Where pictures are to be taken anew, it is replaced by
/// the one that was taken.
pub(crate) fn differs(taken: &Path, words: &str, name: &str, is_dark: bool) -> Option<String> {
    let name = name.to_lowercase();
    let picture = folder().join(format!("{name}{}.png", if is_dark { "-dark" } else { "" }));
    let beside = folder().join(format!("{name}.txt"));
    let words = neutral(words);
    if picture.exists() && std::env::var_os("DESKGATE_BLESS").is_some() {
        std::fs::copy(taken, &picture).expect("copied");
        std::fs::write(&beside, &words).expect("written");
    }
    let committed = std::fs::read_to_string(&beside).ok()?;
    (picture.exists() && committed != words).then(|| {
        format!(
            "ui/pictures/{name}.png shows what the window does not say any more; run the tests of windows with DESKGATE_BLESS=1.\n\
             It said:\n{committed}\nIt says:\n{words}"
        )
    })
}
