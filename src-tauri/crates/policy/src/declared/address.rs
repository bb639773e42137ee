//! What a URL leads to, where a path ends, and whose mailbox an address is. Only what every reader reads alike is told.

use std::collections::BTreeSet;

use url::{Host, Url};

use super::unknown::Unknown;

/// An absolute URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) scheme: String,
    /// In lower case and in ASCII, without a dot at its end.
    pub(super) host: String,
    /// The scheme's own where none is written.
    pub(super) port: u16,
    /// Without `.` and `..`, and with letters, digits and `-._~` never encoded (RFC 3986, section 6.2.2).
    pub(super) path: String,
}

/// Reads an absolute URL, as the URL Standard of the WHATWG does, and refuses what RFC 3986 reads otherwise.
pub(super) fn url(text: &str) -> Result<Target, Unknown> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    if text.contains(odd) {
        return Err(Unknown::AmbiguousUrl);
    }
    let parsed = Url::parse(text).map_err(|_| Unknown::NotAUrl)?;
    if !matches!(parsed.scheme(), "http" | "https" | "ws" | "wss" | "ftp") {
        return Err(Unknown::Scheme);
    }
    // Some readers take `https:/host` and `https:host` for a path.
    let written = text.get(parsed.scheme().len()..).and_then(|rest| rest.strip_prefix("://"));
    if written.is_none_or(|rest| rest.starts_with('/'))
        || !parsed.username().is_empty()
        || parsed.password().is_some()
    {
        return Err(Unknown::AmbiguousUrl);
    }
    // An empty user name is gone from what was parsed.
    let authority = written.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    let host = match parsed.host().ok_or(Unknown::NotAUrl)? {
        Host::Domain(name) => name.strip_suffix('.').unwrap_or(name).to_owned(),
        address @ (Host::Ipv4(_) | Host::Ipv6(_)) => address.to_string(),
    };
    if authority.contains(['@', '%']) || host.split('.').any(str::is_empty) {
        return Err(Unknown::AmbiguousUrl);
    }
    Ok(Target {
        scheme: parsed.scheme().to_owned(),
        host,
        port: parsed.port_or_known_default().ok_or(Unknown::NotAUrl)?,
        path: url_path(parsed.path())?,
    })
}

/// A URL's path with its plain characters decoded. An encoded delimiter or percent sign is one thing to some and another to others, and
/// so are an empty segment and the parameters of a dot segment.
fn url_path(path: &str) -> Result<String, Unknown> {
    let mut found = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        found.push_str(before);
        let code = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code.ok_or(Unknown::AmbiguousUrl)? {
            b'/' | b'\\' | b'%' | 0..=0x1f | 0x7f => return Err(Unknown::AmbiguousUrl),
            plain if plain.is_ascii_alphanumeric() || b"-._~".contains(&plain) => {
                found.push(char::from(plain))
            }
            other => found.push_str(&format!("%{other:02X}")),
        }
        rest = after.get(2..).unwrap_or_default();
    }
    found.push_str(rest);
    let leads = |segment: &str| segment.split(';').next().is_some_and(|name| matches!(name, "." | ".."));
    if found.contains("//") || found.split('/').any(leads) {
        return Err(Unknown::AmbiguousUrl);
    }
    Ok(found)
}

/// A path without `.` and `..`, as far as its text alone tells: what a link leads to is not known.
pub(super) fn path(text: &str) -> Result<(String, bool), Unknown> {
    let odd = |c: char| c.is_control() || matches!(c, '\\' | '%' | ':');
    let expanded = text.starts_with(['~', '$']) || text.contains("${") || text.contains("//");
    if text.is_empty() || text.contains(odd) || expanded || text.trim() != text {
        return Err(Unknown::AmbiguousPath);
    }
    let absolute = text.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for segment in text.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop().ok_or(Unknown::Above)?),
            other => kept.push(other),
        }
    }
    let joined = kept.join("/");
    Ok(match (absolute, joined.is_empty()) {
        (true, _) => (format!("/{joined}"), true),
        (false, true) => (".".to_owned(), false),
        (false, false) => (joined, false),
    })
}

/// The domains of mail addresses in lower case and in ASCII, and how many addresses there are. One text may have several, with
/// commas between them.
pub(super) fn email(texts: &[String]) -> Result<(BTreeSet<String>, usize), Unknown> {
    let mut domains = BTreeSet::new();
    let mut count = 0;
    for address in texts.iter().flat_map(|text| text.split(',')) {
        domains.insert(domain(address.trim_matches(' ')).ok_or(Unknown::Address)?);
        count += 1;
    }
    Ok((domains, count))
}

/// The domain of `local@domain`, or of `Name <local@domain>` where the name is nothing but words (RFC 5322, section 3.4, without
/// quotes, comments, routes and literals).
fn domain(address: &str) -> Option<String> {
    let bare = match address.split_once('<') {
        None => address,
        Some((name, rest)) => {
            let is_word = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '.' | '-' | '\'' | '_');
            name.chars().all(is_word).then_some(())?;
            rest.strip_suffix('>')?
        }
    };
    let (local, domain) = bare.split_once('@')?;
    // `%` and `!` send on to another host at some servers.
    let atom = |byte: u8| byte.is_ascii_alphanumeric() || b".#$&'*+/=?^_`{|}~-".contains(&byte);
    let dots = local.split('.').all(|part| !part.is_empty());
    let named = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
    let labels = domain.contains('.') && domain.split('.').all(|label| !label.is_empty());
    if !local.bytes().all(atom) || !dots || !domain.chars().all(named) || !labels {
        return None;
    }
    match Host::parse(domain) {
        Ok(Host::Domain(name)) => Some(name),
        Ok(Host::Ipv4(_) | Host::Ipv6(_)) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_told_as_it_is_reached() {
        for (text, scheme, host, port, path) in [
            ("https://Corp.Example/a/../b", "https", "corp.example", 443, "/b"),
            ("HTTP://corp.example:8080", "http", "corp.example", 8080, "/"),
            ("https://corp.example:443/?q=/../x#//", "https", "corp.example", 443, "/"),
            (
                "https://b\u{fc}cher.example/%41dmin/%c3%a9",
                "https",
                "xn--bcher-kva.example",
                443,
                "/Admin/%C3%A9",
            ),
            ("http://0x7f.1/x", "http", "127.0.0.1", 80, "/x"),
            ("http://2130706433/", "http", "127.0.0.1", 80, "/"),
            ("http://[::FFFF:127.0.0.1]/", "http", "[::ffff:7f00:1]", 80, "/"),
            ("https://corp.example./a", "https", "corp.example", 443, "/a"),
            ("wss://corp.example/a/%2e%2e/b", "wss", "corp.example", 443, "/b"),
        ] {
            let found = url(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(
                (found.scheme.as_str(), found.host.as_str(), found.port, found.path.as_str()),
                (scheme, host, port, path),
                "{text}"
            );
        }
    }

    #[test]
    fn a_url_that_readers_could_disagree_on_is_unknown() {
        for (text, expected) in [
            ("", Unknown::NotAUrl),
            ("corp.example/a", Unknown::NotAUrl),
            ("//corp.example/a", Unknown::NotAUrl),
            ("file:///etc/passwd", Unknown::Scheme),
            ("javascript:alert(1)", Unknown::Scheme),
            ("data:text/plain,x", Unknown::Scheme),
            ("custom://Corp.Example/", Unknown::Scheme),
            ("https://corp.example@evil.test/", Unknown::AmbiguousUrl),
            ("https://@evil.test/", Unknown::AmbiguousUrl),
            ("https://:@evil.test/", Unknown::AmbiguousUrl),
            ("https://evil.test\\@corp.example/", Unknown::AmbiguousUrl),
            ("https:/evil.test/", Unknown::AmbiguousUrl),
            ("https:evil.test", Unknown::AmbiguousUrl),
            ("https:///evil.test/", Unknown::AmbiguousUrl),
            ("https://evil.test/\n", Unknown::AmbiguousUrl),
            (" https://evil.test/", Unknown::AmbiguousUrl),
            ("https://evil\t.test/", Unknown::AmbiguousUrl),
            ("https://evil..test/", Unknown::AmbiguousUrl),
            ("https://%65vil.test/", Unknown::AmbiguousUrl),
            ("https://corp.example/a%2fb", Unknown::AmbiguousUrl),
            ("https://corp.example/a%5Cb", Unknown::AmbiguousUrl),
            ("https://corp.example/%252e%252e/", Unknown::AmbiguousUrl),
            ("https://corp.example/%00", Unknown::AmbiguousUrl),
            ("https://corp.example/%zz", Unknown::AmbiguousUrl),
            ("https://corp.example//admin", Unknown::AmbiguousUrl),
            ("https://corp.example/x/..;/admin", Unknown::AmbiguousUrl),
        ] {
            assert_eq!(url(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn a_path_is_told_without_its_detours() {
        for (text, expected, absolute) in [
            ("/srv/public/a.txt", "/srv/public/a.txt", true),
            ("/srv/./public/../private/a", "/srv/private/a", true),
            ("/srv/", "/srv", true),
            ("/", "/", true),
            ("notes/a.txt", "notes/a.txt", false),
            ("./notes/../a", "a", false),
            ("a/..", ".", false),
            ("/srv/...", "/srv/...", true),
            ("/srv/~ann", "/srv/~ann", true),
        ] {
            assert_eq!(path(text), Ok((expected.to_owned(), absolute)), "{text}");
        }
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_unknown() {
        for text in ["/..", "/srv/../../etc", "..", "../a", "a/../../b"] {
            assert_eq!(path(text), Err(Unknown::Above), "{text}");
        }
        for text in [
            "",
            "~/a",
            "~root",
            "$HOME/a",
            "/a/${X}",
            "//server/share",
            "/a//b",
            "a\\..\\b",
            "/a%2e%2e/b",
            "/a\0b",
            "/a\n",
            "C:/a",
            "file:///a",
            " /a",
            "/a ",
        ] {
            assert_eq!(path(text), Err(Unknown::AmbiguousPath), "{text:?}");
        }
    }

    fn domains(texts: &[&str]) -> Result<(Vec<String>, usize), Unknown> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        email(&texts).map(|(domains, count)| (domains.into_iter().collect(), count))
    }

    #[test]
    fn addresses_are_told_by_their_domains() {
        let found = |domains: &[&str], count| Ok((domains.iter().map(|d| (*d).to_owned()).collect(), count));
        assert_eq!(domains(&["a@Acme.test"]), found(&["acme.test"], 1));
        assert_eq!(
            domains(&["a@acme.test, b.c+d@evil.test", "a@acme.test"]),
            found(&["acme.test", "evil.test"], 3)
        );
        assert_eq!(domains(&["Ann O'Neil <ann@b\u{fc}cher.test>"]), found(&["xn--bcher-kva.test"], 1));
        assert_eq!(domains(&[]), found(&[], 0));
    }

    #[test]
    fn an_address_that_is_not_plain_is_unknown() {
        for text in [
            "",
            "a",
            "a@",
            "@acme.test",
            "a@acme",
            "a@b@acme.test",
            "\"x@evil.test\"@acme.test",
            "\"a@acme.test\" <x@evil.test>",
            "a@acme.test <x@evil.test>",
            "a@(c)acme.test",
            "a@acme.test\nbcc: x@evil.test",
            "x%evil.test@acme.test",
            "evil.test!x@acme.test",
            "@acme.test:x@evil.test",
            "a@[192.0.2.1]",
            "a@192.0.2.1",
            "a@acme.test;x@evil.test",
            "a@acme.test,",
            "a@acme.test.",
            ".a@acme.test",
            "a@acme..test",
            "<a@acme.test> x",
        ] {
            assert_eq!(domains(&[text]), Err(Unknown::Address), "{text:?}");
        }
    }
}
