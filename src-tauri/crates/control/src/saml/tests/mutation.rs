//! Thousands of damaged responses, none of which may sign in anybody else.

use std::collections::BTreeSet;

use testkit::Employee;

use super::*;
use crate::saml::service_provider::Seen;

/// Printed with the figures: the same seed and the same response make the same mutants.
const SEED: u64 = 0x5eed_de5c_6a7e_0001;

/// SplitMix64: enough for choosing what to damage, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        let most = u64::try_from(most.max(1)).expect("a number");
        usize::try_from(self.next() % most).expect("a number")
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// What is put somewhere.
const PIECES: &[&str] = &[
    "<!-- -->",
    "<!---->bob<!---->",
    "<![CDATA[bob]]>",
    "<?x y?>",
    "&amp;",
    "&#98;",
    "&lt;",
    " ",
    "\n",
    "\t",
    "bob",
    "<saml:NameID>bob</saml:NameID>",
    "<saml:Issuer>evil</saml:Issuer>",
    "<saml:Attribute Name=\"groups\"><saml:AttributeValue>finance</saml:AttributeValue></saml:Attribute>",
    "<saml:AttributeValue>finance</saml:AttributeValue>",
    "<saml:AttributeStatement/>",
    "<saml:Advice/>",
    "<samlp:Extensions/>",
    "<ds:Object/>",
    " xmlns:saml=\"urn:x\"",
    " xmlns=\"urn:oasis:names:tc:SAML:2.0:assertion\"",
    " ID=\"_x\"",
    " xml:id=\"_x\"",
    "]]>",
    "'",
    "\"",
    ">",
    "/>",
];

/// One of them is put in the place of another.
const WORDS: &[&str] = &[
    "alice",
    "bob",
    "analysts",
    "employees",
    "finance",
    "groups",
    "uid",
    "mail",
    "saml:",
    "samlp:",
    "ds:",
    "NameID",
    "Assertion",
    "Response",
    "Signature",
    "Attribute",
    "2.0",
    "sha256",
    "sha1",
    "persistent",
    "Success",
    "2026",
    "127",
    "URI",
    "ID",
    "Algorithm",
    "Recipient",
    "Audience",
    "InResponseTo",
    "NotOnOrAfter",
    "\"",
    "<",
    ">",
    "=",
];

fn mutant(xml: &str, random: &mut Random) -> String {
    let mut text = xml.to_owned();
    for _ in 0..=random.below(3) {
        text = damaged(&text, random);
    }
    text
}

fn damaged(text: &str, random: &mut Random) -> String {
    if text.is_empty() {
        return String::new();
    }
    let elements = elements(text);
    match random.below(14) {
        0 => {
            let mut bytes = text.as_bytes().to_vec();
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(7);
            String::from_utf8(bytes).unwrap_or_default()
        }
        1 => replaced(text, near(text, random.below(text.len())), random.one::<&str>(PIECES)),
        2 => {
            let at = tag(text, random);
            replaced(text, at..at, random.one::<&str>(PIECES))
        }
        3 => replaced_word(text, random),
        4 => replaced(text, random.one(&elements).clone(), ""),
        5 => {
            let range = random.one(&elements).clone();
            let twice = text[range.clone()].repeat(2);
            replaced(text, range, &twice)
        }
        6 => {
            let moved = text[random.one(&elements).clone()].to_owned();
            let at = tag(text, random);
            replaced(text, at..at, &moved)
        }
        7 => {
            let other = text[random.one(&elements).clone()].to_owned();
            replaced(text, random.one(&elements).clone(), &other)
        }
        8 => {
            // An element goes into a copy of itself of another person.
            let range = random.one(&elements).clone();
            let inside = text[range.clone()].to_owned();
            let evil = inside.replace("alice", "bob");
            let end = evil.rfind("</").unwrap_or(evil.len());
            replaced(text, range, &format!("{}{inside}{}", &evil[..end], &evil[end..]))
        }
        9..=12 => other_character(text, random),
        _ => {
            let from = near(text, random.below(text.len()));
            let to = near(text, (from.start + random.below(40)).min(text.len() - 1));
            replaced(text, from.start..to.start.max(from.start), "")
        }
    }
}

/// A letter or digit becomes another: still well-formed, and mostly not what was signed.
fn other_character(text: &str, random: &mut Random) -> String {
    let places: Vec<usize> =
        text.match_indices(|c: char| c.is_ascii_alphanumeric()).map(|(at, _)| at).collect();
    if places.is_empty() {
        return text.to_owned();
    }
    let at = *random.one(&places);
    replaced(text, at..at + 1, random.one::<&str>(&["a", "b", "Z", "0", "7", "_"]))
}

/// The character at or after an offset.
fn near(text: &str, at: usize) -> std::ops::Range<usize> {
    let start = (at..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let length = text[start..].chars().next().map_or(0, char::len_utf8);
    start..start + length
}

fn tag(text: &str, random: &mut Random) -> usize {
    let places: Vec<usize> = text
        .match_indices(['<', '>', '"'])
        .map(|(at, found)| if found == "<" { at } else { at + 1 })
        .collect();
    if places.is_empty() { 0 } else { *random.one(&places) }
}

fn replaced(text: &str, range: std::ops::Range<usize>, by: &str) -> String {
    format!("{}{by}{}", &text[..range.start], &text[range.end..])
}

fn replaced_word(text: &str, random: &mut Random) -> String {
    let (from, to) = (random.one::<&str>(WORDS), random.one::<&str>(WORDS));
    let places: Vec<usize> = text.match_indices(from).map(|(at, _)| at).collect();
    if places.is_empty() {
        return text.to_owned();
    }
    let at = *random.one(&places);
    replaced(text, at..at + from.len(), to)
}

/// Where elements begin and end; the whole where there is none.
fn elements(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut open: Vec<(usize, &str)> = Vec::new();
    let mut found = Vec::new();
    for (start, _) in text.match_indices('<') {
        let Some(length) = text[start..].find('>') else { break };
        let (end, inside) = (start + length + 1, &text[start + 1..start + length]);
        if let Some(name) = inside.strip_prefix('/') {
            if let Some(at) = open.iter().rposition(|(_, opened)| *opened == name) {
                found.push(open[at].0..end);
                open.truncate(at);
            }
        } else if inside.ends_with('/') {
            found.push(start..end);
        } else {
            open.push((start, inside.split([' ', '\n']).next().unwrap_or_default()));
        }
    }
    if found.is_empty() {
        found.push(0..text.len());
    }
    found
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the figures are what a person wants to see of it")]
async fn no_mutant_of_a_response_signs_in_anybody_else() {
    let scene = Scene::new().await;
    let brought = scene.sign_in(&Employee::alice()).await;
    let genuine = scene.accept(&brought, &brought.xml).expect("accepted");
    let wanted = if testkit::full_size() { 5_000 } else { 500 };

    let mut random = Random(SEED);
    let mut tried = BTreeSet::new();
    let (mut same, mut unread, mut unverified, mut alone) = (0, 0, 0, 0);
    while tried.len() < wanted {
        let mutant = mutant(&brought.xml, &mut random);
        if mutant == brought.xml || !tried.insert(mutant.clone()) {
            continue;
        }
        match scene.accept(&brought, &mutant) {
            Ok(accepted) => {
                assert_eq!(accepted, genuine, "seed {SEED:#x}: another person or other claims: {mutant}");
                same += 1;
            }
            Err(SamlFault::Refused(_) | SamlFault::Ambiguous(_)) => unverified += 1,
            Err(_) => unread += 1,
        }
        // The verifier without the strict reading before it: the second wall has to hold by itself.
        let verdict = scene.sp.verified(&brought.asked, &mutant, RELAY, brought.at, &mut Seen::default());
        if let Ok(session) = verdict {
            assert_eq!(session.name_id().value(), "alice", "seed {SEED:#x}: by the verifier alone: {mutant}");
            alone += 1;
        }
    }
    println!(
        "seed {SEED:#x}: {wanted} mutants: {unread} refused unread, {unverified} refused by the verifier, \
         {same} accepted as the same person with the same claims, 0 as anybody else; the verifier alone accepts {alone}, \
         none as anybody else"
    );
    assert!(unread > 0 && unverified > 0, "both walls were tried");
}
