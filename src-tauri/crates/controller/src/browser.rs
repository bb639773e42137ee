//! The one way to the system's browser. What is opened may come from strangers, such as a connector's metadata: it is
//! looked at once more here, and handed over as one argument of the opener. No shell sees it.

use signin::{FaultKind, presentable};
use url::Url;

/// Why a page was not opened.
#[derive(Debug, thiserror::Error)]
pub enum BrowserFault {
    /// The address is not one for a browser; nothing was started.
    #[error("it is no address for a browser")]
    Refused(#[source] FaultKind),
    /// No opener could be started.
    #[error("the system's opener could not be started")]
    NotStarted(#[source] std::io::Error),
}

/// Whether a page that is opened here can be seen by anybody: there is a display, or the user has named a browser that needs
/// none. Over a remote shell there is neither.
pub fn can_open_browser() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !cfg!(target_os = "linux") || ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"].into_iter().any(set)
}

/// Opens a page: `https`, or `http` on this computer.
///
/// # Errors
/// [`BrowserFault`].
pub fn open_browser(url: &Url) -> Result<(), BrowserFault> {
    presentable(url).map_err(BrowserFault::Refused)?;
    open::that_detached(url.as_str()).map_err(BrowserFault::NotStarted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is refused starts nothing, so this needs no browser.
    #[test]
    fn threat_5_only_web_addresses_come_to_the_opener() {
        for bad in [
            "file:///etc/passwd",
            "file://host/share/calc.exe",
            "javascript:alert(1)",
            "data:text/html,hi",
            "ms-word:ofe|u|https://x",
            "ms-msdt:/id",
            "search-ms:query=x",
            "vbscript:x",
            "ssh://host/",
            "mailto:a@b.test",
            "http://as.example/authorize",
            "http://127.0.0.1.evil.test/",
            "https://user@as.example/",
            "https://user:password@as.example/",
        ] {
            let refused = open_browser(&bad.parse().unwrap());
            assert!(matches!(refused, Err(BrowserFault::Refused(_))), "{bad}");
        }
        let long = format!("https://as.example/?{}", "x".repeat(64 * 1024));
        assert!(matches!(open_browser(&long.parse().unwrap()), Err(BrowserFault::Refused(_))));
        // What is no address does not even become one.
        for none in ["$(calc)", "--flag", "-a Calculator", "\\\\host\\share", "calc.exe", "", "\n"] {
            assert!(none.parse::<Url>().is_err(), "{none:?}");
        }
        for same in ["https://as.example/a\nb", "https://as.example/\t--flag", " https://as.example/ x"] {
            let url: Url = same.parse().unwrap();
            assert!(!url.as_str().contains(char::is_whitespace), "{url}");
        }
    }
}
