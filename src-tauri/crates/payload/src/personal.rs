//! Personal data that has a form of its own. What has a check digit is checked, so that not every number is somebody's.

use std::ops::Range;
use std::sync::LazyLock;

use org_protocol::PersonalData;
use regex::Regex;

/// Every place at which a text has data of this kind.
pub(crate) fn find(kind: PersonalData, text: &str) -> Vec<Range<usize>> {
    match kind {
        PersonalData::Email => emails(text),
        PersonalData::Phone => phones(text),
        PersonalData::PaymentCard => cards(text),
        PersonalData::Iban => ibans(text),
        PersonalData::UsSsn => social_security_numbers(text),
        PersonalData::IpAddress => addresses(text),
    }
}

/// An expression of this module's own; one that does not compile finds nothing, and a test sees it.
fn expression(text: &str) -> Option<Regex> {
    Regex::new(text).ok()
}

fn matches(regex: Option<&Regex>, text: &str) -> Vec<Range<usize>> {
    regex.map(|regex| regex.find_iter(text).map(|found| found.range()).collect()).unwrap_or_default()
}

fn before(text: &str, at: usize) -> Option<char> {
    text.get(..at)?.chars().next_back()
}

fn after(text: &str, at: usize) -> Option<char> {
    text.get(at..)?.chars().next()
}

fn is_part_of_word(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_alphanumeric() || c == '_')
}

static EMAIL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    expression(
        r"(?i-u:\b[a-z0-9][a-z0-9._%+'-]{0,63})@(?i-u:(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,8}[a-z]{2,24}\b)",
    )
});

fn emails(text: &str) -> Vec<Range<usize>> {
    // Most texts have none, and to see that is cheap.
    if !text.contains('@') {
        return Vec::new();
    }
    let mut words = Words::of(text);
    let is_address = |range: &Range<usize>| {
        let is_of_url = words.is_of_url(range.start);
        let found = text.get(range.clone()).unwrap_or_default();
        let domain = found.rsplit_once('@').map_or("", |(_, domain)| domain);
        // `git@host:path` and `ssh://git@host` are places of code, `image@2x.png` is a file.
        let is_of_code = found.starts_with("git@");
        let is_scaled = domain.split_once('.').is_some_and(|(first, _)| {
            first
                .strip_suffix('x')
                .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        });
        // What stands before `@` in `scheme://user:password@host` is no mailbox.
        let is_in_url = is_of_url && before(text, range.start).is_some_and(|c| c == ':' || c == '/');
        !is_of_code && !is_scaled && !is_in_url
    };
    matches(EMAIL.as_ref(), text).into_iter().filter(is_address).collect()
}

/// Goes through a text once, and knows of each place whether `://` stands before it in the same word.
struct Words<'t> {
    text: &'t str,
    /// How far it went.
    at: usize,
    /// Where the word begins that goes on there.
    word: usize,
    is_of_url: bool,
}

impl<'t> Words<'t> {
    fn of(text: &'t str) -> Self {
        Self { text, at: 0, word: 0, is_of_url: false }
    }

    /// Of a place that is not before the last that was asked for.
    fn is_of_url(&mut self, place: usize) -> bool {
        let passed = self.text.get(self.at..place).unwrap_or_default();
        if let Some(gap) = passed.rfind(|c: char| c.is_whitespace() || c == '"') {
            self.word = self.at + gap;
            self.is_of_url = false;
        }
        // Two bytes of `://` may stand before what was passed.
        let from = self.word.max(self.at.saturating_sub(2));
        let new = self.text.as_bytes().get(from..place).unwrap_or_default();
        self.is_of_url |= new.windows(3).any(|part| part == b"://");
        self.at = place;
        self.is_of_url
    }
}

static PHONE: LazyLock<Option<Regex>> = LazyLock::new(|| expression(r"\+[1-9](?:[ .()/-]{0,2}[0-9]){8,14}"));

/// The countries' codes that begin with another digit than 1 and 7 (ITU-T E.164, annex): of two digits, and what three-digit ones begin with.
const TWO_DIGITS: &[&str] = &[
    "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48",
    "49", "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81",
    "82", "84", "86", "90", "91", "92", "93", "94", "95", "98",
];
const THREE_DIGITS: &[&str] = &[
    "21", "22", "23", "24", "25", "26", "29", "35", "37", "38", "42", "50", "59", "67", "68", "69", "80",
    "85", "87", "88", "96", "97", "99",
];

fn phones(text: &str) -> Vec<Range<usize>> {
    if !text.contains('+') {
        return Vec::new();
    }
    let is_number = |range: &Range<usize>| {
        let digits: String =
            text.get(range.clone()).unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
        let country = digits.get(..2).unwrap_or_default();
        let is_known = match digits.as_bytes().first() {
            // North America has ten digits behind its 1, none of whose first is 0 or 1; Russia and Kazakhstan have ten behind their 7.
            Some(b'1') => digits.len() == 11 && digits.as_bytes().get(1).is_some_and(|byte| *byte >= b'2'),
            Some(b'7') => digits.len() == 11,
            _ => TWO_DIGITS.contains(&country) || THREE_DIGITS.contains(&country),
        };
        let stands_alone = !is_part_of_word(before(text, range.start))
            && before(text, range.start) != Some('+')
            && !is_part_of_word(after(text, range.end));
        is_known && stands_alone && digits.len() <= 15
    };
    matches(PHONE.as_ref(), text).into_iter().filter(is_number).collect()
}

static CARD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    expression(
        r"[0-9]{4}(?: [0-9]{4}){3}(?: [0-9]{1,3})?|[0-9]{4}(?:-[0-9]{4}){3}|[0-9]{4} [0-9]{6} [0-9]{4,5}|[0-9]{4}-[0-9]{6}-[0-9]{4,5}|[0-9]{13,19}",
    )
});

fn cards(text: &str) -> Vec<Range<usize>> {
    let is_card = |range: &Range<usize>| {
        let digits: Vec<u8> =
            text.get(range.clone()).unwrap_or_default().bytes().filter(u8::is_ascii_digit).collect();
        let joins = |c: Option<char>| is_part_of_word(c) || matches!(c, Some('-' | '.' | '+'));
        let ends = match after(text, range.end) {
            Some('.') => text
                .get(range.end + 1..)
                .and_then(|rest| rest.chars().next())
                .is_some_and(|c| c.is_ascii_digit()),
            c => joins(c),
        };
        !joins(before(text, range.start)) && !ends && is_issued(&digits) && is_luhn(&digits)
    };
    let Some(regex) = CARD.as_ref() else { return Vec::new() };
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(candidate) = regex.find_at(text, at).map(|candidate| candidate.range()) {
        // The last group may be something else: a house, a code.
        let groups = text.get(candidate.clone()).unwrap_or_default();
        let shorter = groups.rsplit_once(' ').map(|(head, _)| candidate.start..candidate.start + head.len());
        let card = [Some(candidate.clone()), shorter].into_iter().flatten().find(|range| is_card(range));
        // And so may the first: what is no card is tried again without it.
        let group = groups.find([' ', '-']).map_or(candidate.end, |length| candidate.start + length + 1);
        at = card.as_ref().map_or(group, |card| card.end);
        found.extend(card);
    }
    found
}

/// Whether a card's issuer has numbers that begin so, of this length.
fn is_issued(digits: &[u8]) -> bool {
    let first = |count: usize| {
        let head = digits.get(..count).unwrap_or_default();
        head.iter().fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0'))
    };
    let length = digits.len();
    match (first(1), first(2), first(3), first(4)) {
        (4, ..) => matches!(length, 13 | 16 | 19),
        (_, 34 | 37, ..) => length == 15,
        (_, 51..=55, ..) | (_, _, _, 2221..=2720) => length == 16,
        (_, _, 300..=305, _) | (_, 36 | 38 | 39, ..) => (14..=19).contains(&length),
        (_, _, _, 3528..=3589) | (_, _, _, 6011) | (_, 65, ..) | (_, _, 644..=649, _) | (_, 62, ..) => {
            (16..=19).contains(&length)
        }
        (_, 50 | 56..=58, ..) | (_, _, _, 6304 | 6759 | 6761 | 6762 | 6763) => (13..=19).contains(&length),
        _ => false,
    }
}

/// The check digit of ISO/IEC 7812-1, annex B.
fn is_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(digit - b'0');
            match (place % 2, digit * 2) {
                (0, _) => digit,
                (_, double) if double > 9 => double - 9,
                (_, double) => double,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

static IBAN: LazyLock<Option<Regex>> =
    LazyLock::new(|| expression(r"(?i-u:\b[a-z]{2}[0-9]{2}[ -]?[a-z0-9]{4})"));

/// Countries with bank account numbers of this kind, and how long they are (ISO 13616, registry of SWIFT).
const LENGTHS: &[(&str, usize)] = &[
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BI", 27),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HN", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("RU", 33),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("SO", 23),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
    ("YE", 30),
];

fn ibans(text: &str) -> Vec<Range<usize>> {
    let whole = |begun: Range<usize>| {
        if is_part_of_word(before(text, begun.start)) {
            return None;
        }
        let country = text.get(begun.start..begun.start + 2)?.to_ascii_uppercase();
        let (_, length) = LENGTHS.iter().find(|(code, _)| *code == country)?;
        let mut characters = Vec::with_capacity(*length);
        let mut end = begun.start;
        let mut gap = false;
        for (at, c) in text.get(begun.start..)?.char_indices().take(length * 2) {
            match c {
                c if c.is_ascii_alphanumeric() => {
                    characters.push(c.to_ascii_uppercase());
                    end = begun.start + at + 1;
                    gap = false;
                }
                ' ' | '-' if !gap => gap = true,
                _ => break,
            }
            if characters.len() == *length {
                break;
            }
        }
        let is_whole = characters.len() == *length && !is_part_of_word(after(text, end));
        (is_whole && is_mod_97(&characters)).then_some(begun.start..end)
    };
    matches(IBAN.as_ref(), text).into_iter().filter_map(whole).collect()
}

/// The check digits of ISO/IEC 7064, MOD 97-10, as ISO 13616 has them.
fn is_mod_97(characters: &[char]) -> bool {
    let (head, tail) = characters.split_at(characters.len().min(4));
    let rest = tail.iter().chain(head).try_fold(0_u32, |rest, c| {
        let value = c.to_digit(36)?;
        Some(if value > 9 { (rest * 100 + value) % 97 } else { (rest * 10 + value) % 97 })
    });
    rest == Some(1)
}

static SSN: LazyLock<Option<Regex>> = LazyLock::new(|| expression(r"[0-9]{3}-[0-9]{2}-[0-9]{4}"));

/// Social security numbers as they are written, but for those that were never given out: area 000, 666 and from 900, group 00,
/// serial 0000 (SSA, randomization of 2011), and the three that are known from advertisements.
fn social_security_numbers(text: &str) -> Vec<Range<usize>> {
    let is_given = |range: &Range<usize>| {
        let found = text.get(range.clone()).unwrap_or_default();
        let (area, group, serial) = (found.get(..3), found.get(4..6), found.get(7..));
        let joins = |c: Option<char>| is_part_of_word(c) || c == Some('-');
        !matches!(area, Some("000" | "666") | None)
            && !found.starts_with('9')
            && group != Some("00")
            && serial != Some("0000")
            && !matches!(found, "078-05-1120" | "219-09-9999" | "123-45-6789")
            && !joins(before(text, range.start))
            && !joins(after(text, range.end))
    };
    matches(SSN.as_ref(), text).into_iter().filter(is_given).collect()
}

static ADDRESS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    expression(
        r"(?i-u:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?:\.[0-9]{1,3}){0,3})",
    )
});

fn addresses(text: &str) -> Vec<Range<usize>> {
    let is_address = |range: &Range<usize>| {
        let found = text.get(range.clone()).unwrap_or_default();
        let joins = |c: Option<char>| is_part_of_word(c) || matches!(c, Some('.' | ':'));
        let ends = match after(text, range.end) {
            // An address at the end of a sentence, or before its port.
            Some('.' | ':') => text.get(range.end + 1..).is_some_and(|rest| {
                rest.starts_with(|c: char| c.is_ascii_digit())
                    && text.get(range.end..).is_some_and(|rest| rest.starts_with('.'))
            }),
            c => is_part_of_word(c),
        };
        !joins(before(text, range.start))
            && !ends
            && found != "::"
            && found.parse::<std::net::IpAddr>().is_ok()
    };
    matches(ADDRESS.as_ref(), text).into_iter().filter(is_address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(kind: PersonalData, text: &str) -> Vec<&str> {
        find(kind, text)
            .into_iter()
            .map(|range| text.get(range).expect("on boundaries of characters"))
            .collect()
    }

    #[test]
    fn every_expression_compiles() {
        for one in [&EMAIL, &PHONE, &CARD, &IBAN, &SSN, &ADDRESS] {
            assert!(one.is_some());
        }
    }

    #[test]
    fn each_kind_is_found_as_it_stands_and_no_more() {
        for (kind, text, expected) in [
            (
                PersonalData::Email,
                "To: Ann <ann.o'neil@mail.example.org>, bob@x.de.",
                vec!["ann.o'neil@mail.example.org", "bob@x.de"],
            ),
            (
                PersonalData::Phone,
                "call +49 (0)30 901820 or +1-415-555-2671.",
                vec!["+49 (0)30 901820", "+1-415-555-2671"],
            ),
            (
                PersonalData::PaymentCard,
                "4111 1111 1111 1111, 378282246310005. 2026 4111 1111 1111 1111 123 Main Street",
                vec!["4111 1111 1111 1111", "378282246310005", "4111 1111 1111 1111"],
            ),
            (
                PersonalData::Iban,
                "pay DE89 3704 0044 0532 0130 00 and GB82WEST12345698765432",
                vec!["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432"],
            ),
            (PersonalData::UsSsn, "SSN 536-90-4399", vec!["536-90-4399"]),
            (
                PersonalData::IpAddress,
                "from 10.1.2.3:80 and 2001:db8::1, 192.0.2.7.",
                vec!["10.1.2.3", "2001:db8::1", "192.0.2.7"],
            ),
        ] {
            assert_eq!(found(kind, text), expected, "{kind:?}");
        }
    }

    #[test]
    fn what_stands_in_a_url_is_known_however_many_there_are() {
        let text = "see ssh://a:b@c.co/d:e@f.co \"g:h@i.co\"\u{a0}:/k@l.co é://m@n.co:o@p.co q://r@s.co";
        assert_eq!(found(PersonalData::Email, text), ["h@i.co", "k@l.co"]);
        assert_eq!(emails(&":a@b.co".repeat(200_000)).len(), 200_000);
        assert_eq!(emails(&format!("x://{}", ":a@b.co".repeat(200_000))).len(), 0);
    }

    #[test]
    fn what_only_looks_like_it_is_left_alone() {
        for (kind, text) in [
            (
                PersonalData::Email,
                "git@github.com:a/b.git icon@2x.png npm i pkg@1.2.3 @scope/name https://u:p@host.example/x",
            ),
            (
                PersonalData::Phone,
                "2026-01-01T00:00:00+01:00 x+12025550123 +1 (123) 456-7890 ++4930901820 +999",
            ),
            (
                PersonalData::PaymentCard,
                "4111 1111 1111 1112 1764201600123456 9783161484100 0.4111111111111111 id-4111111111111111",
            ),
            (PersonalData::Iban, "DE88370400440532013000 XX89370400440532013000 DE89370400440532013000X"),
            (
                PersonalData::UsSsn,
                "000-12-3456 666-12-3456 912-12-3456 123-00-4567 123-45-0000 1536-90-4399 536-90-43991",
            ),
            (PersonalData::IpAddress, "1.2.3.4.5 300.1.1.1 12:30:45 v1.2.3.4 ::"),
        ] {
            assert_eq!(found(kind, text), Vec::<&str>::new(), "{kind:?}");
        }
    }
}
