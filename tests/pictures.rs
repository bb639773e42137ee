//! The pictures of the books, in `ui/pictures`. Each has its words in a file beside it: who changes what a window says sees that its
//! picture is old, and takes it anew by running the tests of windows with `DESKGATE_BLESS=1`.

use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui/pictures")
}

/// What a window says, without what is another thing each time or on another computer: numbers, days and times, ids, who tries it.
fn neutral(words: &str) -> String {
    let own = words.lines().find_map(|line| line.trim().strip_prefix("Personal, "));
    let lines = words.lines().map(|line| {
        let line = if Some(line.trim()) == own { "" } else { line };
        let kept = line.split_whitespace().filter(|word| Some(*word) != own && !is_passing(word));
        kept.map(|word| if word == "record," { "records," } else { word }).collect::<Vec<_>>().join(" ")
    });
    lines.filter(|line| !line.is_empty()).fold(String::new(), |text, line| text + &line + "\n")
}

/// Whether a word is a number, a time, an id or of a date.
fn is_passing(word: &str) -> bool {
    const OF_DATES: &str =
        "AM PM Mon Tue Wed Thu Fri Sat Sun Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec yesterday";
    let bare = word.trim_end_matches(',');
    OF_DATES.split(' ').any(|name| name == bare)
        || bare.chars().all(|letter| letter.is_ascii_digit() || ":.-·/".contains(letter))
        || bare.len() == 36 && bare.chars().all(|letter| letter.is_ascii_hexdigit() || letter == '-')
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
