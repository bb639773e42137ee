//! Whether a URI can come of a template (RFC 6570, all four levels), to find whose it is.
//!
//! The template is compiled to parts, and the URI is walked once for each of them with the set of places that the parts
//! before it can end at: what a connector writes as its template never makes that take longer.

/// The longest template that is matched, in bytes, and the most expressions in it.
const LONGEST: usize = 1_024;
const MOST_EXPRESSIONS: usize = 16;
/// The longest URI that is matched, in bytes.
const LONGEST_URI: usize = 4_096;

/// A template that can be matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// Letters of one kind, after `lead` where there is one; then all of it may be missing.
    Run {
        lead: Option<u8>,
        of: Letters,
    },
    /// `lead name=value separator name=value`, or nothing of it. `None`: with any names.
    Pairs {
        lead: u8,
        separator: u8,
        names: Option<Vec<String>>,
    },
}

/// What values are written with. Wider than what RFC 6570 expands to, as clients are that write values unescaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Letters {
    /// Within one segment of a path.
    Segment,
    /// Anything that can be in a path.
    Path,
    /// Anything that can be in a URI.
    Reserved,
}

impl Letters {
    fn has(self, byte: u8) -> bool {
        let is_text = byte > b' ' && byte != 0x7f;
        is_text
            && match self {
                Self::Segment => !matches!(byte, b'/' | b'?' | b'#'),
                Self::Path => !matches!(byte, b'?' | b'#'),
                Self::Reserved => true,
            }
    }
}

impl Template {
    /// Reads a template; `None` for one that is malformed or more than is matched.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let (mut parts, mut rest, mut expressions) = (Vec::new(), text, 0);
        while let Some(open) = rest.find(['{', '}']) {
            let (literal, from) = rest.split_at(open);
            let (expression, after) = from.strip_prefix('{')?.split_once('}')?;
            expressions += 1;
            if expressions > MOST_EXPRESSIONS {
                return None;
            }
            push_literal(&mut parts, literal);
            push_expression(&mut parts, expression)?;
            rest = after;
        }
        push_literal(&mut parts, rest);
        Some(Self(parts))
    }

    /// Whether the URI can come of it.
    pub(super) fn matches(&self, uri: &str) -> bool {
        let uri = uri.as_bytes();
        if uri.len() > LONGEST_URI {
            return false;
        }
        let mut reached = Places::none(uri.len());
        reached.0[0] = true;
        for part in &self.0 {
            reached = part.after(uri, &reached);
            if !reached.any() {
                return false;
            }
        }
        reached.0[uri.len()]
    }
}

fn push_literal(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Literal(text.to_owned()));
    }
}

/// `None` for what is no expression (RFC 6570, section 2.2).
fn push_expression(parts: &mut Vec<Part>, expression: &str) -> Option<()> {
    let operator = expression.bytes().next()?;
    let has_operator = b"+#./;?&".contains(&operator);
    let variables = expression[usize::from(has_operator)..].split(',');
    let variables = variables.map(Variable::parse).collect::<Option<Vec<_>>>()?;
    let any_exploded = variables.iter().any(|variable| variable.exploded);
    let run = |lead, of| Part::Run { lead, of };
    match (operator, any_exploded) {
        (b'+', _) => parts.push(run(None, Letters::Reserved)),
        (b'#', _) => parts.push(run(Some(operator), Letters::Reserved)),
        (b'.', _) => parts.push(run(Some(operator), Letters::Segment)),
        (b'/', true) => parts.push(run(Some(operator), Letters::Path)),
        (b'/', false) => parts.extend(variables.iter().map(|_| run(Some(operator), Letters::Segment))),
        (b';' | b'?' | b'&', _) => {
            let mut names: Vec<String> = variables.into_iter().map(|variable| variable.name).collect();
            names.sort();
            let separator = if operator == b';' { b';' } else { b'&' };
            parts.push(Part::Pairs { lead: operator, separator, names: (!any_exploded).then_some(names) });
        }
        (_, _) => parts.push(run(None, Letters::Segment)),
    }
    Some(())
}

struct Variable {
    name: String,
    exploded: bool,
}

impl Variable {
    /// RFC 6570, sections 2.3 and 2.4.
    fn parse(text: &str) -> Option<Self> {
        let (name, exploded) = match (text.strip_suffix('*'), text.split_once(':')) {
            (Some(name), _) => (name, true),
            (None, Some((name, length))) => {
                let is_length = matches!(length.len(), 1..=4) && length.bytes().all(|b| b.is_ascii_digit());
                (is_length.then_some(name)?, false)
            }
            (None, None) => (text, false),
        };
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'%' | b'.' | b'-');
        let is_name = !name.is_empty() && name.bytes().all(fits);
        is_name.then(|| Self { name: name.to_owned(), exploded })
    }
}

/// Places in a URI, from before its first byte to behind its last.
#[derive(Clone)]
struct Places(Vec<bool>);

impl Places {
    fn none(length: usize) -> Self {
        Self(vec![false; length + 1])
    }

    fn any(&self) -> bool {
        self.0.contains(&true)
    }

    fn each(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().filter(|(_, is)| **is).map(|(at, _)| at)
    }
}

impl Part {
    /// Where this part can end when it begins at one of these places.
    fn after(&self, uri: &[u8], from: &Places) -> Places {
        match self {
            Self::Literal(text) => {
                let mut ends = Places::none(uri.len());
                for at in from.each().filter(|at| uri[*at..].starts_with(text.as_bytes())) {
                    ends.0[at + text.len()] = true;
                }
                ends
            }
            Self::Run { lead: None, of } => run(uri, from, *of),
            Self::Run { lead: Some(lead), of } => {
                let led = led(uri, from, *lead);
                let mut ends = run(uri, &led, *of);
                for at in from.each().chain(led.each()) {
                    ends.0[at] = true;
                }
                ends
            }
            Self::Pairs { lead, separator, names } => {
                let mut ends = from.clone();
                let mut begins = led(uri, from, *lead);
                for at in 0..uri.len() {
                    if begins.0[at] {
                        pair(uri, at, *separator, names.as_deref(), &mut begins, &mut ends);
                    }
                }
                ends
            }
        }
    }
}

/// The places behind this byte.
fn led(uri: &[u8], from: &Places, lead: u8) -> Places {
    let mut behind = Places::none(uri.len());
    for at in from.each().filter(|at| uri.get(*at) == Some(&lead)) {
        behind.0[at + 1] = true;
    }
    behind
}

/// The places behind one such letter or more.
fn run(uri: &[u8], from: &Places, of: Letters) -> Places {
    let mut ends = Places::none(uri.len());
    for (at, byte) in uri.iter().enumerate() {
        ends.0[at + 1] = (from.0[at] || ends.0[at]) && of.has(*byte);
    }
    ends
}

/// One `name=value` or `name` at `at`: where it can end, and where the next one begins.
fn pair(
    uri: &[u8],
    at: usize,
    separator: u8,
    names: Option<&[String]>,
    begins: &mut Places,
    ends: &mut Places,
) {
    let ends_value = |byte: u8| byte == separator || byte == b'#' || (separator == b';' && byte == b'/');
    let length_to = |from: usize, stops: &dyn Fn(u8) -> bool| {
        uri[from..].iter().position(|byte| stops(*byte)).unwrap_or(uri.len() - from)
    };
    let name_end = at + length_to(at, &|byte| byte == b'=' || ends_value(byte));
    let is_known = |name: &[u8]| match names {
        Some(names) => names.binary_search_by(|known| known.as_bytes().cmp(name)).is_ok(),
        None => !name.is_empty(),
    };
    if !is_known(&uri[at..name_end]) {
        return;
    }
    let mut end = name_end;
    ends.0[end] = true;
    if uri.get(end) == Some(&b'=') {
        let value = length_to(end + 1, &|byte| ends_value(byte) || !Letters::Reserved.has(byte));
        for place in end + 1..=end + 1 + value {
            ends.0[place] = true;
        }
        end += 1 + value;
    }
    if uri.get(end) == Some(&separator) {
        begins.0[end + 1] = true;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(template: &str, uri: &str) -> bool {
        Template::parse(template).expect(template).matches(uri)
    }

    #[test]
    fn what_servers_use_is_matched() {
        for (template, uri) in [
            ("test://template/{id}/data", "test://template/7/data"),
            ("note://{name}", "note://caf\u{e9}%20a"),
            ("user://{email}", "user://a@example.com"),
            ("file:///{+path}", "file:///a/b.txt"),
            ("repo://{owner}/{repo}{/path*}", "repo://o/r/a/b/c"),
            ("repo://{owner}/{repo}{/path*}", "repo://o/r"),
            ("repo://{owner}{/repo,path}", "repo://o/r/p"),
            ("search://all{?q,limit}", "search://all"),
            ("search://all{?q,limit}", "search://all?q=a+b"),
            ("search://all{?q,limit}", "search://all?limit=1&q="),
            ("search://all?x=1{&q}", "search://all?x=1&q=2"),
            ("search://all{?all*}", "search://all?a=1&b=2"),
            ("a:x{;k}", "a:x;k=1"),
            ("a:x{#part}", "a:x#y/z"),
            ("a:x{.ext}", "a:x.tar.gz"),
            ("a:{x,y}", "a:1,2"),
            ("a:{x:3}", "a:123"),
            ("plain:uri", "plain:uri"),
        ] {
            assert!(matches(template, uri), "{template} {uri}");
        }
    }

    #[test]
    fn what_a_template_does_not_make_is_not_matched() {
        for (template, uri) in [
            ("test://template/{id}/data", "test://template/7/8/data"),
            ("test://template/{id}/data", "test://template//data"),
            ("test://template/{id}/data", "test://template/7/data/"),
            ("note://{name}", "note://a?b"),
            ("note://{name}", "notes://a"),
            ("repo://{owner}{/repo}", "repo://o/r/p"),
            ("search://all{?q,limit}", "search://all?other=1"),
            ("search://all{?q,limit}", "search://all?q=1#x"),
            ("search://all{?q,limit}", "search://all&q=1"),
            ("a:{x}", "a:b c"),
            ("a:{+x}", "a:\u{7f}"),
            ("plain:uri", "plain:uri2"),
        ] {
            assert!(!matches(template, uri), "{template} {uri}");
        }
    }

    #[test]
    fn what_is_no_template_is_none() {
        let many = "{x}".repeat(MOST_EXPRESSIONS + 1);
        let long = "x".repeat(LONGEST + 1);
        for text in ["a:{", "a:}", "a:{}", "a:{x", "a:{{x}}", "a:{x y}", "a:{+}", "a:{x:}", &many, &long] {
            assert_eq!(Template::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_hostile_template_costs_no_more_than_its_length() {
        let template = Template::parse(&"{+x}".repeat(MOST_EXPRESSIONS)).expect("one");
        let uri = format!("{} ", "a".repeat(LONGEST_URI - 1));
        assert!(!template.matches(&uri));
        assert!(!template.matches(&"a".repeat(LONGEST_URI + 1)), "longer than any");
    }

    proptest! {
        /// What is expanded from values of the simplest kind is matched, with anything behind it is not.
        #[test]
        fn an_expansion_is_matched(
            (scheme, one, two, query) in ("[a-z]{1,8}", "[a-zA-Z0-9._~-]{1,12}", "[a-z0-9/]{1,20}", "[a-z0-9%]{0,9}")
        ) {
            let template = Template::parse(&format!("{scheme}://{{one}}/x/{{+two}}{{?query}}")).expect("one");
            let uri = format!("{scheme}://{one}/x/{two}?query={query}");
            prop_assert!(template.matches(&uri));
            let (spaced, other) = (format!("{uri} "), format!("x{uri}"));
            prop_assert!(!template.matches(&spaced) && !template.matches(&other));
        }

        /// No template and no URI, however odd, make it panic.
        #[test]
        fn nothing_makes_it_panic(template in "[a:/{}+?&;#.,*é]{0,40}", uri in "[a:/?&;#.,=é]{0,40}") {
            if let Some(template) = Template::parse(&template) {
                template.matches(&uri);
            }
        }
    }
}
