use proptest::prelude::*;

use super::*;

#[test]
fn loopback_and_known_custom_schemes_are_accepted_as_written() {
    for good in [
        "http://127.0.0.1/callback",
        "http://127.0.0.1:1/callback",
        "http://127.0.0.1:65535/",
        "http://127.0.0.1:33418",
        "http://localhost:8080/mcp/oauth/callback",
        "http://localhost/callback?flow=1",
        "http://localhost?flow=1",
        "http://[::1]:5000/callback",
        "http://[::1]/",
        "cursor://anysphere.cursor-mcp/oauth/callback",
    ] {
        let parsed = good.parse::<RedirectUri>();
        assert_eq!(parsed.map(|uri| uri.to_string()), Ok(good.to_owned()), "{good}");
    }
}

#[test]
fn everything_else_is_refused_for_its_reason() {
    use RedirectFault::*;
    let long = format!("http://127.0.0.1/{}", "a".repeat(500));
    let corpus = [
        ("", Length),
        (long.as_str(), Length),
        ("https://127.0.0.1/callback", Scheme),
        ("HTTP://127.0.0.1/callback", Scheme),
        ("https://evil.example/callback", Scheme),
        ("javascript:alert(1)", Scheme),
        ("data:text/html,x", Scheme),
        ("file:///etc/passwd", Scheme),
        ("custom://callback", Scheme),
        ("cursor://anysphere.cursor-mcp/oauth/callback/", Scheme),
        ("cursor://anysphere.cursor-mcp/oauth/callback?x=1", Scheme),
        ("cursor://evil/oauth/callback", Scheme),
        ("//127.0.0.1/callback", Scheme),
        ("http:/127.0.0.1/callback", Scheme),
        ("http:127.0.0.1/callback", Scheme),
        (" http://127.0.0.1/callback", Character),
        ("http://127.0.0.1/callback ", Character),
        ("http://127.0.0.1/call back", Character),
        ("http://127.0.0.1/\r\nSet-Cookie:x", Character),
        ("http://127.0.0.1\\@evil.example/", Character),
        ("http://127.0.0.1/<script>", Character),
        ("http://127.0.0.1/caf\u{e9}", Character),
        ("http://\u{ff4c}ocalhost/callback", Character),
        ("http://127.0.0.1/\u{202e}", Character),
        ("http://evil.example/callback", Host),
        ("http://127.0.0.1.evil.example/callback", Host),
        ("http://localhost.evil.example/callback", Host),
        ("http://localhost./callback", Host),
        ("http://LOCALHOST/callback", Host),
        ("http://127.0.0.2/callback", Host),
        ("http://127.1/callback", Host),
        ("http://2130706433/callback", Host),
        ("http://0x7f.0.0.1/callback", Host),
        ("http://0.0.0.0/callback", Host),
        ("http://[::]/callback", Host),
        ("http://[::ffff:127.0.0.1]/callback", Host),
        ("http://[0:0:0:0:0:0:0:1]/callback", Host),
        ("http://192.168.0.1/callback", Host),
        ("http:///callback", Host),
        ("http://127.0.0.1evil/callback", Host),
        ("http://%3127.0.0.1/callback", Host),
        ("http://user@127.0.0.1/callback", UserInfo),
        ("http://127.0.0.1@evil.example/callback", UserInfo),
        ("http://127.0.0.1:80@evil.example/callback", UserInfo),
        ("http://127.0.0.1:/callback", Port),
        ("http://127.0.0.1:0/callback", Port),
        ("http://127.0.0.1:080/callback", Port),
        ("http://127.0.0.1:65536/callback", Port),
        ("http://127.0.0.1:+80/callback", Port),
        ("http://127.0.0.1:8a/callback", Port),
        ("http://127.0.0.1:80:80/callback", Port),
        ("http://127.0.0.1:*/callback", Port),
        ("http://127.0.0.1/callback#x", Fragment),
        ("http://127.0.0.1#@evil.example/", Fragment),
        ("http://127.0.0.1/a/../callback", DotSegment),
        ("http://127.0.0.1/./callback", DotSegment),
        ("http://127.0.0.1/a/%2e%2E/callback", DotSegment),
        ("http://127.0.0.1/a/.%2e", DotSegment),
        ("http://127.0.0.1/callback?code=x", AnswerParameter),
        ("http://127.0.0.1/callback?a=b&stat%65=x", AnswerParameter),
    ];
    for (text, fault) in corpus {
        assert_eq!(text.parse::<RedirectUri>(), Err(fault), "{text}");
    }
}

#[test]
fn only_the_port_is_forgiven() {
    let registered: RedirectUri = "http://127.0.0.1/callback?a=1".parse().unwrap();
    for (asked, covered) in [
        ("http://127.0.0.1/callback?a=1", true),
        ("http://127.0.0.1:4000/callback?a=1", true),
        ("http://localhost:4000/callback?a=1", false),
        ("http://[::1]/callback?a=1", false),
        ("http://127.0.0.1/callback", false),
        ("http://127.0.0.1/callback?a=2", false),
        ("http://127.0.0.1/callback/?a=1", false),
        ("http://127.0.0.1/Callback?a=1", false),
        ("http://127.0.0.1/callback?a=%31", false),
        ("http://127.0.0.1/callback?a=1&b=2", false),
        ("cursor://anysphere.cursor-mcp/oauth/callback", false),
    ] {
        assert_eq!(registered.covers(&asked.parse().unwrap()), covered, "{asked}");
    }
}

#[test]
fn an_empty_path_and_a_slash_are_two_things() {
    let registered: RedirectUri = "http://127.0.0.1:33418".parse().unwrap();
    assert!(!registered.covers(&"http://127.0.0.1:33418/".parse().unwrap()));
}

#[test]
fn the_answer_is_appended_and_encoded() {
    let uri: RedirectUri = "http://127.0.0.1:1/cb?a=1".parse().unwrap();
    assert_eq!(
        uri.answer(&[("code", "x"), ("state", "a b&c\r\n")]),
        "http://127.0.0.1:1/cb?a=1&code=x&state=a+b%26c%0D%0A"
    );
    let uri: RedirectUri = "http://localhost/cb".parse().unwrap();
    assert_eq!(uri.answer(&[("error", "access_denied")]), "http://localhost/cb?error=access_denied");
}

proptest! {
    /// The law behind the corpus: whatever is accepted, every URL parser sends the browser to loopback.
    #[test]
    fn what_is_accepted_is_loopback_for_a_browser_too(
        text in "http://(127\\.0\\.0\\.1|localhost|\\[::1\\])?[-a-z0-9.:@/?#\\\\%\\[\\]*]{0,24}"
    ) {
        if let Ok(uri) = text.parse::<RedirectUri>() {
            let url = Url::parse(&text).expect("an accepted URI is a URL");
            prop_assert_eq!(url.scheme(), "http");
            prop_assert!(matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")), "{}", text);
            prop_assert_eq!(url.port_or_known_default(), uri.listening_port());
            prop_assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
        }
    }

    #[test]
    fn any_text_is_read_back_or_refused(text in "\\PC{0,60}") {
        if let Ok(uri) = text.parse::<RedirectUri>() {
            prop_assert_eq!(uri.to_string(), text);
        }
    }

    #[test]
    fn any_change_but_the_port_is_not_covered(path in "/[a-z]{1,8}", other in "/[a-z]{1,8}", port in 1u16.., asked in 1u16..) {
        let registered: RedirectUri = format!("http://localhost:{port}{path}").parse().unwrap();
        let request: RedirectUri = format!("http://localhost:{asked}{other}").parse().unwrap();
        prop_assert_eq!(registered.covers(&request), path == other);
    }
}
