//! A statement's words, quotes and brackets, as PostgreSQL's own scanner finds them (SQL Syntax, "Lexical Structure").
//!
//! The parser has a scanner of its own. Where the two read a text differently, somebody could hide a table in what one of them takes
//! for a comment or a text; so both read it, and only what both read alike is looked into. What is rare and often read wrongly is
//! refused outright: escapes of Unicode, prefixed texts, parameters, and whatever is not ASCII outside quotes.

use sqlparser::tokenizer::Token;

use super::unknown::Unknown;

/// How many bytes PostgreSQL keeps of a name; what is longer becomes another name (NAMEDATALEN).
const NAME_LIMIT: usize = 63;
/// How deep brackets nest.
const DEPTH_LIMIT: usize = 24;
/// How many operators and words that join conditions there may be: each may be one level of the tree that is made of it.
const JOINT_LIMIT: usize = 600;

/// A part of a statement that could change what it reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// A keyword, or a name without quotes.
    Word(String),
    /// A name in double quotes.
    Quoted(String),
    /// A text in single quotes or dollars.
    Text(String),
    /// A text with C-style escapes, which are not looked at.
    Escaped,
    /// A bracket, a comma or a semicolon.
    Mark(char),
}

/// Reads a statement's pieces in order.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, Unknown> {
    let mut scan = Scan { rest: text, found: Vec::new(), texts: 0, after_text: false, depth: 0, joints: 0 };
    while let Some(next) = scan.rest.chars().next() {
        scan.piece(next)?;
    }
    Ok(scan.found)
}

/// Whether the parser's scanner finds the same.
#[expect(clippy::wildcard_enum_match_arm, reason = "there are a hundred operators")]
pub(super) fn agree<'a>(pieces: &[Piece], tokens: impl Iterator<Item = &'a Token>) -> bool {
    let mut theirs = Vec::with_capacity(pieces.len());
    for token in tokens {
        theirs.push(match token {
            Token::Word(word) if word.quote_style == Some('"') => Piece::Quoted(word.value.clone()),
            Token::Word(word) if word.quote_style.is_none() => Piece::Word(word.value.clone()),
            Token::SingleQuotedString(text) => Piece::Text(text.clone()),
            Token::DollarQuotedString(text) => Piece::Text(text.value.clone()),
            Token::EscapedStringLiteral(_) => Piece::Escaped,
            Token::LParen => Piece::Mark('('),
            Token::RParen => Piece::Mark(')'),
            Token::LBracket => Piece::Mark('['),
            Token::RBracket => Piece::Mark(']'),
            Token::Comma => Piece::Mark(','),
            Token::SemiColon => Piece::Mark(';'),
            Token::Word(_)
            | Token::Char(_)
            | Token::Placeholder(_)
            | Token::DoubleQuotedString(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::DoubleQuotedByteStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_) => return false,
            // Numbers, white space, comments, dots and operators name nothing.
            _ => continue,
        });
    }
    theirs == pieces
}

struct Scan<'a> {
    rest: &'a str,
    found: Vec<Piece>,
    /// How many texts were found.
    texts: usize,
    /// Whether the last thing that was found is a text.
    after_text: bool,
    depth: usize,
    joints: usize,
}

impl<'a> Scan<'a> {
    fn piece(&mut self, next: char) -> Result<(), Unknown> {
        match next {
            ' ' | '\t' | '\n' | '\r' => {
                self.skip(1);
                return Ok(());
            }
            '-' if self.rest.starts_with("--") => return self.line_comment(),
            '/' if self.rest.starts_with("/*") => return self.block_comment(),
            _ => {}
        }
        let texts = self.texts;
        self.thing(next)?;
        self.after_text = self.texts > texts;
        Ok(())
    }

    fn thing(&mut self, next: char) -> Result<(), Unknown> {
        match next {
            '\'' => {
                self.skip(1);
                let text = self.quoted('\'')?;
                self.text(Piece::Text(text))?;
            }
            '"' => {
                self.skip(1);
                let name = self.quoted('"')?;
                self.name(Piece::Quoted(name.clone()), &name)?;
            }
            '$' => self.dollars()?,
            '0'..='9' => self.number()?,
            '.' if self.rest.get(1..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) => {
                self.number()?;
            }
            'a'..='z' | 'A'..='Z' | '_' => self.word()?,
            '(' | '[' => {
                self.depth += 1;
                if self.depth > DEPTH_LIMIT {
                    return Err(Unknown::TooLong);
                }
                self.mark(next);
            }
            ')' | ']' => {
                self.depth = self.depth.saturating_sub(1);
                self.mark(next);
            }
            ',' | ';' => self.mark(next),
            '.' => self.skip(1),
            '+' | '-' | '*' | '/' | '<' | '>' | '=' | '~' | '!' | '@' | '#' | '%' | '^' | '&' | '|' | '?'
            | ':' => {
                self.skip(1);
                self.joint()?;
            }
            _ => return Err(Unknown::Spelling),
        }
        Ok(())
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn mark(&mut self, mark: char) {
        self.skip(1);
        self.found.push(Piece::Mark(mark));
    }

    fn joint(&mut self) -> Result<(), Unknown> {
        self.joints += 1;
        if self.joints > JOINT_LIMIT { Err(Unknown::TooLong) } else { Ok(()) }
    }

    /// A text. Two in a row are one to PostgreSQL if a line ends between them, with the escapes of the first.
    fn text(&mut self, text: Piece) -> Result<(), Unknown> {
        if self.after_text {
            return Err(Unknown::Spelling);
        }
        self.texts += 1;
        self.found.push(text);
        Ok(())
    }

    fn name(&mut self, piece: Piece, name: &str) -> Result<(), Unknown> {
        if name.is_empty() || name.len() > NAME_LIMIT {
            return Err(Unknown::Spelling);
        }
        self.found.push(piece);
        Ok(())
    }

    /// Ends with the line, whichever way that ends.
    fn line_comment(&mut self) -> Result<(), Unknown> {
        let end = self.rest.find(['\n', '\r']).unwrap_or(self.rest.len());
        let comment = self.take(end);
        plain(comment)
    }

    /// Comments nest.
    fn block_comment(&mut self) -> Result<(), Unknown> {
        let mut depth = 0_usize;
        loop {
            if self.rest.starts_with("/*") {
                depth += 1;
                self.skip(2);
            } else if self.rest.starts_with("*/") {
                depth -= 1;
                self.skip(2);
                if depth == 0 {
                    return Ok(());
                }
            } else {
                let next = self.rest.chars().next().ok_or(Unknown::NotUnderstood)?;
                plain(self.take(next.len_utf8()))?;
            }
        }
    }

    /// What stands between quotes of which the first was read; a doubled one stands for itself.
    fn quoted(&mut self, quote: char) -> Result<String, Unknown> {
        let mut found = String::new();
        loop {
            let end = self.rest.find(quote).ok_or(Unknown::NotUnderstood)?;
            found.push_str(self.take(end));
            self.skip(1);
            if !self.rest.starts_with(quote) {
                plain(&found)?;
                return Ok(found);
            }
            self.skip(1);
            found.push(quote);
        }
    }

    /// `E'..'`: a backslash takes away the meaning of whatever follows.
    fn escaped(&mut self) -> Result<(), Unknown> {
        loop {
            let mut characters = self.rest.chars();
            match (characters.next().ok_or(Unknown::NotUnderstood)?, characters.next()) {
                ('\\', Some(taken)) => {
                    plain(self.take(1 + taken.len_utf8()))?;
                }
                ('\'', Some('\'')) => self.skip(2),
                ('\'', _) => {
                    self.skip(1);
                    return self.text(Piece::Escaped);
                }
                (other, _) => plain(self.take(other.len_utf8()))?,
            }
        }
    }

    /// `$tag$..$tag$`. A parameter has no place in a statement that is sent as a whole.
    fn dollars(&mut self) -> Result<(), Unknown> {
        let end = self.rest.get(1..).and_then(|rest| rest.find('$')).ok_or(Unknown::Spelling)?;
        let delimiter = self.take(end + 2);
        let tag = delimiter.get(1..end + 1).unwrap_or_default();
        let is_tag = tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !tag.starts_with(|c: char| c.is_ascii_digit());
        if !is_tag {
            return Err(Unknown::Spelling);
        }
        let end = self.rest.find(delimiter).ok_or(Unknown::NotUnderstood)?;
        let text = self.take(end);
        self.skip(delimiter.len());
        plain(text)?;
        self.text(Piece::Text(text.to_owned()))
    }

    /// Digits with a dot and an exponent, and nothing that runs into them.
    fn number(&mut self) -> Result<(), Unknown> {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_' && c != '$');
        let number = self.take(end.unwrap_or(self.rest.len()));
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, ""));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if digits(whole) && digits(fraction) && digits(exponent) { Ok(()) } else { Err(Unknown::Spelling) }
    }

    fn word(&mut self) -> Result<(), Unknown> {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '$');
        let word = self.take(end.unwrap_or(self.rest.len()));
        let is = |one: &str| word.eq_ignore_ascii_case(one);
        if self.rest.starts_with('\'') && is("e") {
            self.skip(1);
            return self.escaped();
        }
        let prefixes = self.rest.starts_with('\'') && ["b", "x", "n"].into_iter().any(is);
        let of_unicode = is("u") && (self.rest.starts_with("&'") || self.rest.starts_with("&\""));
        if prefixes || of_unicode || self.rest.starts_with(|c: char| !c.is_ascii()) {
            return Err(Unknown::Spelling);
        }
        if JOINTS.into_iter().any(is) {
            self.joint()?;
        }
        self.name(Piece::Word(word.to_owned()), word)
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }
}

/// Words that join two things to one, or stand behind one.
const JOINTS: [&str; 16] = [
    "and",
    "or",
    "not",
    "is",
    "in",
    "like",
    "ilike",
    "similar",
    "between",
    "union",
    "intersect",
    "except",
    "collate",
    "at",
    "isnull",
    "notnull",
];

/// Refuses control characters other than white space, which some readers drop.
fn plain(text: &str) -> Result<(), Unknown> {
    let odd = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    if text.contains(odd) { Err(Unknown::Spelling) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let found = pieces(text).unwrap_or_else(|why| panic!("{text}: {why}"));
        found
            .into_iter()
            .map(|piece| match piece {
                Piece::Word(word) => word,
                Piece::Quoted(name) => format!("\"{name}\""),
                Piece::Text(text) => format!("'{text}'"),
                Piece::Escaped => "E".to_owned(),
                Piece::Mark(mark) => mark.to_string(),
            })
            .collect()
    }

    #[test]
    fn words_are_found_where_postgresql_finds_them() {
        for (text, expected) in [
            ("select a.b", vec!["select", "a", "b"]),
            ("1 --x\ny", vec!["y"]),
            ("a/*b/*c*/d*/e", vec!["a", "e"]),
            ("a--b\rc", vec!["a", "c"]),
            ("a+--b\nc", vec!["a", "c"]),
            ("a*/*b*/c", vec!["a", "c"]),
            ("'a''b' c", vec!["'a'b'", "c"]),
            (r"'a\' b", vec![r"'a\'", "b"]),
            (r"E'a\' b' c", vec!["E", "c"]),
            (r"e'\\' b", vec!["E", "b"]),
            ("$$a'b$$ c", vec!["'a'b'", "c"]),
            ("$x$a$$b$x$ c", vec!["'a$$b'", "c"]),
            ("a$b$c d", vec!["a$b$c", "d"]),
            ("\"a\"\"b\" c", vec!["\"a\"b\"", "c"]),
            ("1.5e10 .5 1e-5 a", vec!["a"]),
            ("f(a, b)[1];", vec!["f", "(", "a", ",", "b", ")", "[", "]", ";"]),
            ("'a'||'b'", vec!["'a'", "'b'"]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_often_read_wrongly_is_refused() {
        for text in [
            "U&'\\0041'",
            "u&\"\\0041\"",
            "b'1'",
            "X'1F'",
            "n'a'",
            "$1",
            "'a' 'b'",
            "E'a'\n'b\\'",
            "'a' /**/ $$b$$",
            "a\u{a0}b",
            "\u{e9}",
            "a\u{e9}",
            "a\u{b}b",
            "a\u{0}b",
            "'a\u{0}b'",
            "-- a\u{8}",
            "/*\u{7f}*/",
            "a\\b",
            "{a}",
            "`a`",
            "0x1F",
            "1_000",
            "1a",
            "\"\"",
            &format!("\"{}\"", "a".repeat(64)),
            &"a".repeat(64),
        ] {
            assert_eq!(pieces(text), Err(Unknown::Spelling), "{text:?}");
        }
        for text in ["'a", "\"a", "/* /* */", "$$a", "E'a\\'"] {
            assert_eq!(pieces(text), Err(Unknown::NotUnderstood), "{text:?}");
        }
        assert_eq!(pieces(&"(".repeat(25)), Err(Unknown::TooLong));
        assert_eq!(pieces(&"1+".repeat(601)), Err(Unknown::TooLong));
        assert_eq!(pieces(&"a and ".repeat(601)), Err(Unknown::TooLong));
    }
}
