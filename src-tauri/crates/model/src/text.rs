//! Text from outside, before anybody reads it.

/// Whether a character hides text or turns the direction of reading: a formatting character (Unicode category Cf) that is
/// no part of how a word is written.
pub fn is_deceiving(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether a character deceives, or has no shape of its own: models and programs read it, people do not. Beside those that deceive these are
/// prepended and invisible marks, fillers, separators that look like line ends, and variation selectors but for the one that emoji are
/// written with.
pub fn is_hidden(c: char) -> bool {
    is_deceiving(c)
        || matches!(
            u32::from(c),
            0x34F
                | 0x600..=0x605
                | 0x6DD
                | 0x70F
                | 0x115F..=0x1160
                | 0x17B4..=0x17B5
                | 0x180B..=0x180F
                | 0x2028..=0x2029
                | 0x2800
                | 0x3164
                | 0xFE00..=0xFE0E
                | 0xFFA0
                | 0xFFF0..=0xFFFB
                | 0x1D173..=0x1D17A
                | 0xE0080..=0xE0FFF
        )
}

/// A text in which what nobody would see is written out, and so are control characters but for line ends and tabs.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) || (c.is_control() && !matches!(c, '\n' | '\t')) {
            shown.push_str(&format!("⟨U+{:04X}⟩", u32::from(c)));
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_written_out() {
        assert_eq!(visible("a\u{200b}b\u{e0041}\u{7}\n\tc"), "a⟨U+200B⟩b⟨U+E0041⟩⟨U+0007⟩\n\tc");
        assert_eq!(visible("größer ❤\u{fe0f}"), "größer ❤\u{fe0f}");
    }
}
