//! Text from outside, before anybody reads it.

/// Whether a character hides text or turns the direction of reading: a formatting character (Unicode category Cf) that is
/// no part of how a word is written.
pub fn is_deceiving(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}
