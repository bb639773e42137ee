//! Walks through a JSON text: every string and number, where it stands and how one gets there.

use std::ops::{ControlFlow, Range};

/// How deep is looked; what is deeper passes no strict reader.
const DEEPEST: usize = 256;
/// The longest pointer, in bytes.
const LONGEST_POINTER: usize = 256;
/// A name whose token is longer, in bytes, is not told in pointers.
const LONGEST_TOLD: usize = 1024;

/// A string or a number in a JSON text.
#[derive(Debug)]
pub(crate) struct Place<'w> {
    /// Where the token stands in the JSON text, with its quotes.
    pub(crate) token: Range<usize>,
    /// What it is.
    pub(crate) kind: PlaceKind,
    /// The objects and lists in which it stands: of a walk through millions of places, there is one way at a time.
    way: &'w [Frame],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlaceKind {
    /// The name of a member.
    Name,
    /// A text.
    Text,
    /// A number.
    Number,
}

impl Place<'_> {
    /// The name of the member whose value it is.
    pub(crate) fn name(&self) -> Option<Range<usize>> {
        match (self.kind, self.way.last()) {
            (PlaceKind::Text | PlaceKind::Number, Some(Frame::Object { name })) => name.clone(),
            (PlaceKind::Name, _) | (_, Some(Frame::Array { .. }) | None) => None,
        }
    }

    /// The JSON pointer (RFC 6901), with `*` for the names in which something was found.
    pub(crate) fn pointer(&self, json: &str, is_found: impl Fn(&Range<usize>) -> bool) -> String {
        let mut pointer = String::new();
        let own = (self.kind == PlaceKind::Name).then(|| Frame::Object { name: Some(self.token.clone()) });
        for frame in self.way.iter().chain(own.as_ref()) {
            let step = match frame {
                // Its next name is not known yet: it is what comes, or nothing.
                Frame::Object { name: None } => continue,
                Frame::Array { at } => at.to_string(),
                Frame::Object { name: Some(name) } if is_found(name) || name.len() > LONGEST_TOLD => {
                    "*".to_owned()
                }
                Frame::Object { name: Some(name) } => {
                    text(json, name).map_or("*".to_owned(), |name| name.replace('~', "~0").replace('/', "~1"))
                }
            };
            pointer.push('/');
            pointer.push_str(&step);
            if pointer.len() >= LONGEST_POINTER {
                break;
            }
        }
        pointer.truncate(pointer.floor_char_boundary(LONGEST_POINTER));
        pointer
    }
}

/// The text of a string's token, as it reads.
pub(crate) fn text(json: &str, token: &Range<usize>) -> Option<String> {
    serde_json::from_str(json.get(token.clone())?).ok()
}

/// What a place can stand in.
#[derive(Debug)]
enum Frame {
    Object { name: Option<Range<usize>> },
    Array { at: usize },
}

/// Visits every string and number of a JSON text, in its order, until the visitor has seen enough. Of what is no JSON, as far as it can
/// be followed.
pub(crate) fn walk(json: &str, mut visit: impl FnMut(&Place<'_>) -> ControlFlow<()>) {
    let bytes = json.as_bytes();
    let mut frames: Vec<Frame> = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' if frames.len() < DEEPEST => frames.push(Frame::Object { name: None }),
            b'[' if frames.len() < DEEPEST => frames.push(Frame::Array { at: 0 }),
            b'}' | b']' => {
                frames.pop();
            }
            b',' => match frames.last_mut() {
                Some(Frame::Object { name }) => *name = None,
                Some(Frame::Array { at }) => *at += 1,
                None => {}
            },
            b'"' => {
                let end = end_of_string(bytes, at);
                let is_name = matches!(frames.last(), Some(Frame::Object { name: None }));
                let kind = if is_name { PlaceKind::Name } else { PlaceKind::Text };
                if visit(&Place { token: at..end, kind, way: &frames }).is_break() {
                    return;
                }
                if let (true, Some(Frame::Object { name })) = (is_name, frames.last_mut()) {
                    *name = Some(at..end);
                }
                at = end;
                continue;
            }
            b'-' | b'0'..=b'9' => {
                let length = bytes
                    .get(at..)
                    .unwrap_or_default()
                    .iter()
                    .take_while(|byte| is_of_number(**byte))
                    .count();
                let place = Place { token: at..at + length, kind: PlaceKind::Number, way: &frames };
                if visit(&place).is_break() {
                    return;
                }
                at += length;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
}

/// Behind the closing quote of the string that begins at `start`; the end of the text where there is none.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(json: &str, mut shown: impl FnMut(&Place<'_>) -> String) -> Vec<String> {
        let mut all = Vec::new();
        walk(json, |place| {
            all.push(shown(place));
            ControlFlow::Continue(())
        });
        all
    }

    fn pointers(json: &str) -> Vec<String> {
        each(json, |place| format!("{:?} {}", place.kind, place.pointer(json, |_| false)))
    }

    #[test]
    fn every_string_and_number_has_its_pointer() {
        assert_eq!(
            pointers(r#"{"a/b":"x","l":[1,{"~":"y"},[-1.5e3]],"e":{},"n":null,"t":"\"}{\\"}"#),
            [
                "Name /a~1b",
                "Text /a~1b",
                "Name /l",
                "Number /l/0",
                "Name /l/1/~0",
                "Text /l/1/~0",
                "Number /l/2/0",
                "Name /e",
                "Name /n",
                "Name /t",
                "Text /t",
            ]
        );
        assert_eq!(pointers(r#""alone""#), ["Text "]);
        assert_eq!(pointers(r#"[["a"],"b"]"#), ["Text /0/0", "Text /1"]);
    }

    #[test]
    fn names_in_which_something_was_found_are_not_told() {
        let json = r#"{"canary":{"x":"1"}}"#;
        let told = each(json, |place| place.pointer(json, |name| name.start == 1));
        assert_eq!(told, ["/*", "/*/x", "/*/x"]);
        let long = format!(r#"{{"{}":[1]}}"#, "n".repeat(LONGEST_TOLD));
        assert_eq!(pointers(&long), ["Name /*", "Number /*/0"]);
    }

    #[test]
    fn who_has_seen_enough_is_not_shown_more() {
        let mut seen = 0;
        walk(r#"["a","b",3]"#, |_| {
            seen += 1;
            if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(seen, 2);
    }

    #[test]
    fn what_is_no_json_ends() {
        for text in ["{", "\"", "\"\\", "[[[[", "}}]", "{\"a\":", "-", "1e"] {
            pointers(text);
        }
    }
}
