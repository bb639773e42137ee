//! The name that an assistant claims. It proves nothing, but a person reads it: it must not be able to deceive by its letters.

/// A name of 1 to 80 characters: printable, and of Latin or East Asian letters, which do not imitate each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientName(String);

/// Why a name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameFault {
    #[error("client_name is empty or longer than 80 characters")]
    Length,
    #[error("client_name has the character U+{0:04X}, which is invisible or could be taken for another")]
    Character(u32),
}

impl ClientName {
    /// The name of an assistant that gives none.
    pub(crate) fn unnamed() -> Self {
        Self("Unnamed assistant".to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for ClientName {
    type Err = NameFault;

    fn from_str(text: &str) -> Result<Self, NameFault> {
        let name = text.trim_matches(' ');
        if name.is_empty() || name.chars().count() > 80 {
            return Err(NameFault::Length);
        }
        match name.chars().find(|c| !is_plain(*c)) {
            Some(c) => Err(NameFault::Character(u32::from(c))),
            None => Ok(Self(name.to_owned())),
        }
    }
}

/// Printable ASCII, Latin letters with accents, Kana, Hangul and Han. No controls, no format characters, no lookalikes
/// of Latin (Greek, Cyrillic, full-width and mathematical letters).
fn is_plain(c: char) -> bool {
    matches!(c,
        ' '..='~'
        | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{17f}'
        | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{30fc}'
        | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_kept() {
        for name in ["Claude Code (analyst)", "Codex", "MCP CLI Proxy", "Éditeur", "助手", "コード", "x"]
        {
            assert_eq!(name.parse::<ClientName>().map(|n| n.0), Ok(name.to_owned()));
        }
        assert_eq!(" padded ".parse::<ClientName>().map(|n| n.0), Ok("padded".to_owned()));
    }

    #[test]
    fn deceiving_names_are_refused() {
        let corpus = [
            "Cl\u{430}ude",            // Cyrillic a
            "\u{421}ursor",            // Cyrillic Es
            "C\u{3b1}laude",           // Greek alpha
            "\u{ff23}laude",           // full-width C
            "\u{1d402}laude",          // mathematical bold C
            "Claude\u{200b}",          // zero-width space
            "Claude\u{202e}edoc",      // right-to-left override
            "Claude\u{2066}x\u{2069}", // isolates
            "Claude\u{ad}",            // soft hyphen
            "Claude\u{a0}Code",        // no-break space
            "Claude\nCode",
            "Claude\rCode",
            "Claude\0",
            "Claude\u{1b}[31m",
            "Claude\u{7f}",
            "Claude\u{85}",
            "Claude\u{2028}Code",
            "Claude\u{feff}",
            "Claude\u{e0041}",    // tag letter
            "C\u{6c}\u{301}aude", // combining accent
            "Claude \u{2713}",    // a check mark, as if verified
            "\u{1f512} Claude",   // a padlock
        ];
        for name in corpus {
            assert!(matches!(name.parse::<ClientName>(), Err(NameFault::Character(_))), "{name:?}");
        }
        for name in ["", "   ", &"a".repeat(81)] {
            assert_eq!(name.parse::<ClientName>(), Err(NameFault::Length), "{name:?}");
        }
    }
}
