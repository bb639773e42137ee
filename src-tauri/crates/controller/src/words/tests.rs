use super::*;

const THEN: Timestamp = Timestamp::from_seconds(1_000_000);

#[test]
fn times_are_rough_and_readable() {
    for (seconds, words) in [
        (0, "just now"),
        (50, "1 minute ago"),
        (119, "2 minutes ago"),
        (3_600, "60 minutes ago"),
        (7_200, "2 hours ago"),
        (172_800, "2 days ago"),
    ] {
        assert_eq!(ago(THEN, THEN.plus(Duration::from_secs(seconds))), words, "{seconds} s");
    }
    assert_eq!(left(THEN.plus(Duration::from_secs(300)), THEN), "5 minutes");
    assert_eq!(left(THEN.plus(Duration::from_secs(1)), THEN), "1 second");
    assert_eq!(left(THEN, THEN.plus(Duration::from_secs(9))), "0 seconds", "never negative");
}

#[test]
fn foreign_texts_fit_one_line() {
    assert_eq!(foreign("  a\n\u{0} b\u{202e} ", 10), "a b");
    assert_eq!(foreign("abcdef", 4), "abc…");
    assert_eq!(foreign("", 4), "");
}
