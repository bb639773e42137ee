//! Reads the redirect that ends an authorization request (RFC 6749, section 4.1.2) and gives the code out only if it
//! belongs to the question: the right place, `state`, and issuer (RFC 9207).

use model::SignInOutcome;
use url::Url;

use crate::FaultKind;

/// Longest code that is taken, in bytes.
const LONGEST_CODE: usize = 8 * 1024;

/// What was asked.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    /// The redirect URI of the attempt.
    pub redirect_uri: &'a Url,
    /// The `state` of the attempt.
    pub state: &'a str,
    /// The issuer that was asked, compared as text.
    pub issuer: &'a str,
    /// Whether that issuer announced `authorization_response_iss_parameter_supported`: then `iss` must be there.
    pub issuer_announced: bool,
}

/// The authorization code of the answer.
///
/// # Errors
/// [`FaultKind::Mismatch`] for an answer to another question, [`FaultKind::Refused`] with the server's error code,
/// [`FaultKind::Unreadable`] for an answer without a code.
pub fn code(outcome: &SignInOutcome, expected: &Expected<'_>) -> Result<String, FaultKind> {
    let answer = &outcome.redirected_to;
    let mut place = answer.clone();
    place.set_query(None);
    place.set_fragment(None);
    if place != *expected.redirect_uri {
        return Err(FaultKind::Mismatch("it came to another redirect URI".to_owned()));
    }
    if one(answer, "state")?.as_deref() != Some(expected.state) {
        return Err(FaultKind::Mismatch("state".to_owned()));
    }
    match one(answer, "iss")? {
        Some(issuer) if issuer == expected.issuer => {}
        Some(_) => return Err(FaultKind::Mismatch("issuer".to_owned())),
        None if expected.issuer_announced => return Err(FaultKind::Mismatch("issuer missing".to_owned())),
        None => {}
    }
    if let Some(error) = one(answer, "error")? {
        return Err(FaultKind::Refused(error_code(&error)));
    }
    match one(answer, "code")? {
        Some(code) if !code.is_empty() && code.len() <= LONGEST_CODE => Ok(code),
        Some(_) | None => Err(FaultKind::Unreadable("no usable code".to_owned())),
    }
}

/// An OAuth error code that is safe to show: the characters of RFC 6749, appendix A.7, at most 64 of them.
pub fn error_code(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '<' | '>' | '&'))
        .take(64)
        .collect()
}

fn one(url: &Url, name: &str) -> Result<Option<String>, FaultKind> {
    let mut values = url.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let first = values.next();
    match values.next() {
        Some(_) => Err(FaultKind::Mismatch(format!("{name} is there twice"))),
        None => Ok(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://as.example";

    fn check(answer: &str, announced: bool) -> Result<String, FaultKind> {
        let redirect_uri = Url::parse("http://127.0.0.1:4000/callback").unwrap();
        let outcome = SignInOutcome { redirected_to: Url::parse(answer).unwrap() };
        let expected = Expected {
            redirect_uri: &redirect_uri,
            state: "s1",
            issuer: ISSUER,
            issuer_announced: announced,
        };
        code(&outcome, &expected)
    }

    fn mismatch(why: &str) -> Result<String, FaultKind> {
        Err(FaultKind::Mismatch(why.to_owned()))
    }

    #[test]
    fn a_fitting_answer_gives_its_code() {
        assert_eq!(
            check("http://127.0.0.1:4000/callback?code=c%2F1&state=s1&iss=https%3A%2F%2Fas.example", true),
            Ok("c/1".to_owned())
        );
        assert_eq!(check("http://127.0.0.1:4000/callback?code=c&state=s1", false), Ok("c".to_owned()));
    }

    #[test]
    fn an_answer_to_another_question_is_refused() {
        let base = "http://127.0.0.1:4000/callback";
        assert_eq!(check(&format!("{base}?code=c&state=s2"), false), mismatch("state"));
        assert_eq!(check(&format!("{base}?code=c"), false), mismatch("state"));
        assert_eq!(
            check(&format!("{base}?code=c&state=s1&state=s1"), false),
            mismatch("state is there twice")
        );
        assert_eq!(check(&format!("{base}?code=c&state=s1"), true), mismatch("issuer missing"));
        assert_eq!(
            check(&format!("{base}?code=c&state=s1&iss=https://evil.example"), false),
            mismatch("issuer")
        );
        assert_eq!(
            check(&format!("{base}?code=c&state=s1&iss=https://as.example/"), true),
            mismatch("issuer"),
            "issuers are compared as text (RFC 9207, section 2.4)"
        );
        assert_eq!(
            check("http://127.0.0.1:4001/callback?code=c&state=s1", false),
            mismatch("it came to another redirect URI")
        );
    }

    #[test]
    fn an_error_is_told_only_with_the_right_state_and_without_markup() {
        let base = "http://127.0.0.1:4000/callback";
        assert_eq!(
            check(&format!("{base}?error=access_denied&state=s1"), false),
            Err(FaultKind::Refused("access_denied".to_owned()))
        );
        assert_eq!(check(&format!("{base}?error=access_denied&state=x"), false), mismatch("state"));
        assert_eq!(
            check(&format!("{base}?error=%3Cscript%3E%0A&state=s1"), false),
            Err(FaultKind::Refused("script".to_owned()))
        );
    }
}
