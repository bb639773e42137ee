//! Walks through a JSON text: every string and number, where it stands and how one gets there.

use std::ops::Range;

/// How deep is looked; what is deeper passes no strict reader.
const DEEPEST: usize = 256;
/// The longest pointer, in bytes.
const LONGEST_POINTER: usize = 256;

/// A string or a number in a JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where the token stands in the JSON text, with its quotes.
    pub(crate) token: Range<usize>,
    /// What it is.
    pub(crate) kind: PlaceKind,
    /// The members and places in lists on the way to it; of a member's name, those on the way to the object.
    pub(crate) way: Vec<Step>,
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

/// A step on the way to a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Into a member, whose name is this token.
    Member(Range<usize>),
    /// To a place in a list.
    Item(usize),
}

impl Place {
    /// The name of the member whose value it is.
    pub(crate) fn name(&self) -> Option<Range<usize>> {
        match (self.kind, self.way.last()) {
            (PlaceKind::Text | PlaceKind::Number, Some(Step::Member(name))) => Some(name.clone()),
            (PlaceKind::Name, _) | (_, Some(Step::Item(_)) | None) => None,
        }
    }

    /// The JSON pointer (RFC 6901), with `*` for the names in which something was found.
    pub(crate) fn pointer(&self, json: &str, is_found: impl Fn(&Range<usize>) -> bool) -> String {
        let mut pointer = String::new();
        let own = (self.kind == PlaceKind::Name).then(|| Step::Member(self.token.clone()));
        for step in self.way.iter().chain(own.as_ref()) {
            pointer.push('/');
            match step {
                Step::Item(at) => pointer.push_str(&at.to_string()),
                Step::Member(name) if is_found(name) => pointer.push('*'),
                Step::Member(name) => {
                    let name = text(json, name).unwrap_or_else(|| "*".to_owned());
                    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                }
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

enum Frame {
    Object { name: Option<Range<usize>> },
    Array { at: usize },
}

/// Every string and number of a JSON text, in its order. Of what is no JSON, as far as it can be followed.
pub(crate) fn places(json: &str) -> Vec<Place> {
    let bytes = json.as_bytes();
    let mut found = Vec::new();
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
                found.push(Place { token: at..end, kind, way: way(&frames) });
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
                found.push(Place { token: at..at + length, kind: PlaceKind::Number, way: way(&frames) });
                at += length;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The way to what is about to come. The frame of an object whose next name is not known yet is no step.
fn way(frames: &[Frame]) -> Vec<Step> {
    frames
        .iter()
        .filter_map(|frame| match frame {
            Frame::Object { name } => name.clone().map(Step::Member),
            Frame::Array { at } => Some(Step::Item(*at)),
        })
        .collect()
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

    fn pointers(json: &str) -> Vec<String> {
        let shown = |place: &Place| format!("{:?} {}", place.kind, place.pointer(json, |_| false));
        places(json).iter().map(shown).collect()
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
        let all = places(json);
        let told: Vec<String> = all.iter().map(|place| place.pointer(json, |name| name.start == 1)).collect();
        assert_eq!(told, ["/*", "/*/x", "/*/x"]);
    }

    #[test]
    fn what_is_no_json_ends() {
        for text in ["{", "\"", "\"\\", "[[[[", "}}]", "{\"a\":", "-", "1e"] {
            places(text);
        }
    }
}
