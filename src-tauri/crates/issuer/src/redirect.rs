//! Redirect URIs: which may be registered, and which registered one a request means.
//!
//! URIs are compared as text, never normalised. The only difference that is forgiven is the port of a loopback URI
//! (RFC 8252, section 7.3; RFC 9700, section 2.1).

use url::Url;

/// Custom-scheme redirects that are known to belong to an assistant. All others are refused: any program may claim a scheme.
/// Visual Studio Code needs none: beside its pages on the web, which are left out, it registers `http://127.0.0.1/` and
/// comes back there.
const CUSTOM: &[&str] = &["cursor://anysphere.cursor-mcp/oauth/callback"];
const LOOPBACK_HOSTS: &[&str] = &["127.0.0.1", "localhost", "[::1]"];
/// Parameters that the answer adds: a redirect URI that brings its own could confuse the client.
const ANSWER_PARAMETERS: &[&str] =
    &["code", "state", "iss", "error", "error_description", "error_uri", "access_token"];
const LENGTH_LIMIT: usize = 512;

/// A redirect URI that code may be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RedirectUri {
    /// `http` on loopback.
    Loopback {
        /// One of `127.0.0.1`, `localhost`, `[::1]`, as written.
        host: &'static str,
        port: Option<u16>,
        /// Path and query as written; empty or with a leading slash.
        rest: String,
    },
    /// One of the known custom-scheme URIs.
    Custom(&'static str),
}

/// Why a text is not a redirect URI that code may be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RedirectFault {
    #[error("it is empty or too long")]
    Length,
    #[error("it has a character that URIs do not have")]
    Character,
    #[error("only http on loopback and the known custom schemes are accepted")]
    Scheme,
    #[error("the host is not 127.0.0.1, localhost or [::1]")]
    Host,
    #[error("it holds a user name or password")]
    UserInfo,
    #[error("the port is not a number between 1 and 65535")]
    Port,
    #[error("it has a fragment")]
    Fragment,
    #[error("its path has dot segments")]
    DotSegment,
    #[error("its query has a parameter that the answer adds")]
    AnswerParameter,
}

impl RedirectUri {
    /// The URI without a port, which stands for all ports.
    pub(crate) fn without_port(&self) -> String {
        match self {
            Self::Loopback { host, rest, .. } => format!("http://{host}{rest}"),
            Self::Custom(text) => (*text).to_owned(),
        }
    }

    /// The port that the browser will connect to; `None` for custom schemes.
    pub(crate) fn listening_port(&self) -> Option<u16> {
        match self {
            Self::Loopback { port, .. } => Some(port.unwrap_or(80)),
            Self::Custom(_) => None,
        }
    }

    /// Whether a request that names `asked` means this registered URI.
    pub(crate) fn covers(&self, asked: &Self) -> bool {
        match (self, asked) {
            (
                Self::Loopback { host, rest, .. },
                Self::Loopback { host: asked_host, rest: asked_rest, .. },
            ) => host == asked_host && rest == asked_rest,
            (Self::Custom(text), Self::Custom(asked_text)) => text == asked_text,
            (Self::Loopback { .. }, Self::Custom(_)) | (Self::Custom(_), Self::Loopback { .. }) => false,
        }
    }

    /// The URI as a URL, for display.
    pub(crate) fn url(&self) -> Option<Url> {
        Url::parse(&self.to_string()).ok()
    }

    /// The URI with the answer's parameters.
    pub(crate) fn answer(&self, parameters: &[(&str, &str)]) -> String {
        let text = self.to_string();
        let separator = if text.contains('?') { '&' } else { '?' };
        let query =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters.iter()).finish();
        format!("{text}{separator}{query}")
    }
}

impl std::fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Loopback { host, port: Some(port), rest } => write!(f, "http://{host}:{port}{rest}"),
            Self::Loopback { host, port: None, rest } => write!(f, "http://{host}{rest}"),
            Self::Custom(text) => f.write_str(text),
        }
    }
}

impl std::str::FromStr for RedirectUri {
    type Err = RedirectFault;

    fn from_str(text: &str) -> Result<Self, RedirectFault> {
        if text.is_empty() || text.len() > LENGTH_LIMIT {
            return Err(RedirectFault::Length);
        }
        if !text.bytes().all(is_uri_byte) {
            return Err(RedirectFault::Character);
        }
        if let Some(known) = CUSTOM.iter().find(|known| **known == text) {
            return Ok(Self::Custom(known));
        }
        let after = text.strip_prefix("http://").ok_or(RedirectFault::Scheme)?;
        if after.contains('#') {
            return Err(RedirectFault::Fragment);
        }
        let at = after.find(['/', '?']).unwrap_or(after.len());
        let (authority, rest) = after.split_at(at);
        let (host, port) = split_authority(authority)?;
        check_rest(rest)?;
        Ok(Self::Loopback { host, port, rest: rest.to_owned() })
    }
}

/// The redirect URIs that code may be sent to. What is not acceptable is left out as long as another is (RFC 7591, section
/// 3.2.1 lets a server replace values): editors name a web redirect beside the loopback one.
///
/// # Errors
/// What is wrong with the last one, if none is left; nothing if there were none.
pub(crate) fn acceptable(uris: &[String]) -> Result<Vec<RedirectUri>, Option<RedirectFault>> {
    let (mut accepted, mut refused) = (Vec::new(), None);
    for uri in uris {
        match uri.parse() {
            Ok(uri) => accepted.push(uri),
            Err(fault) => refused = Some(fault),
        }
    }
    if accepted.is_empty() { Err(refused) } else { Ok(accepted) }
}

/// The characters of RFC 3986, section 2, without those that browsers reinterpret.
fn is_uri_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

fn split_authority(authority: &str) -> Result<(&'static str, Option<u16>), RedirectFault> {
    if authority.contains('@') {
        return Err(RedirectFault::UserInfo);
    }
    let (host, after) = LOOPBACK_HOSTS
        .iter()
        .find_map(|host| authority.strip_prefix(host).map(|after| (*host, after)))
        .ok_or(RedirectFault::Host)?;
    if after.is_empty() {
        return Ok((host, None));
    }
    let digits = after.strip_prefix(':').ok_or(RedirectFault::Host)?;
    let canonical = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.parse().ok().filter(|port| canonical && *port != 0).ok_or(RedirectFault::Port)?;
    Ok((host, Some(port)))
}

fn check_rest(rest: &str) -> Result<(), RedirectFault> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let dots = path.to_ascii_lowercase().replace("%2e", ".");
    if dots.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(RedirectFault::DotSegment);
    }
    let mut names = url::form_urlencoded::parse(query.as_bytes());
    if names.any(|(name, _)| ANSWER_PARAMETERS.contains(&name.as_ref())) {
        return Err(RedirectFault::AnswerParameter);
    }
    Ok(())
}

#[cfg(test)]
#[path = "redirect_tests.rs"]
mod tests;
