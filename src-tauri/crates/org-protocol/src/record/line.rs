//! Text that stays on one line, and the digest at its end.

use std::io;

use model::Digest;
use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer};

const BEFORE: &str = r#","digest":""#;
const AFTER: &str = "\"}";
const DIGEST_LENGTH: usize = "sha256:".len() + 64;

/// Closes the open JSON object that begins at `start` of `text` with its digest: the SHA-256 of all its bytes before
/// `,"digest":"`. To check a line by hand, take off its personal fields, if it has any (from `,"personal":[` to the last brace), then its
/// last 84 bytes, and hash the rest.
pub fn seal(text: &mut String, start: usize) -> Digest {
    let digest = Digest::of(text.as_bytes().get(start..).unwrap_or_default());
    text.push_str(BEFORE);
    text.push_str(&digest.to_string());
    text.push_str(AFTER);
    digest
}

/// The digest at the end of a line that was closed by [`seal`] and has not been changed since, to the last byte.
pub fn sealed_digest(line: &str) -> Option<Digest> {
    open_digest(line.strip_suffix('}')?)
}

/// The same for a line without its last brace.
pub(super) fn open_digest(line: &str) -> Option<Digest> {
    let (open, end) = line.split_at_checked(line.len().checked_sub(BEFORE.len() + DIGEST_LENGTH + 1)?)?;
    let digest = Digest::of(open.as_bytes());
    let claimed = end.strip_prefix(BEFORE)?.strip_suffix('"')?;
    (claimed == digest.to_string()).then_some(digest)
}

/// The JSON of `value` on one line that is safe to print: line ends, control characters (C0, DEL, C1), the Unicode line
/// and paragraph separators, and characters that change the direction of text or are invisible are escaped.
///
/// # Errors
/// What the value's own `Serialize` reports.
pub fn to_one_line<T: Serialize + ?Sized>(value: &T) -> Result<String, serde_json::Error> {
    let mut bytes = Vec::with_capacity(512);
    value.serialize(&mut Serializer::with_formatter(&mut bytes, OneLine(CompactFormatter)))?;
    String::from_utf8(bytes).map_err(serde::ser::Error::custom)
}

struct OneLine(CompactFormatter);

impl Formatter for OneLine {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, found)) = rest.char_indices().find(|(_, c)| is_unsafe(*c)) {
            let (before, from) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            for unit in found.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = from.get(found.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        self.0.write_char_escape(writer, escape)
    }
}

/// What serde_json leaves as it is although it ends a line, moves a terminal or deceives a reader.
fn is_unsafe(c: char) -> bool {
    !c.is_ascii_graphic()
        && matches!(c,
            '\u{7f}'..='\u{9f}' // DEL and C1, among them NEL and CSI
            | '\u{ad}' // soft hyphen
            | '\u{61c}' | '\u{200b}'..='\u{200f}' // zero width, direction marks
            | '\u{2028}'..='\u{202e}' // line and paragraph separator, direction overrides
            | '\u{2060}'..='\u{206f}' | '\u{feff}' // invisible operators, direction isolates, byte order mark
            | '\u{fff9}'..='\u{fffb}' // interlinear annotation
            | '\u{e0000}'..='\u{e007f}') // tags
}
