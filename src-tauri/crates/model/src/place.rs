//! Where a URL leads.

use url::{Host, Url};

/// Whether a URL's host is this machine: `localhost`, 127.0.0.0/8 or ::1.
pub fn is_on_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_looks_like_this_machine_is_not() {
        let is_here = |url: &str| is_on_this_machine(&url.parse().unwrap());
        for here in ["http://localhost/", "https://127.0.0.1:8", "http://127.9.9.9/", "http://[::1]:1/"] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in
            ["http://localhost.evil.test/", "http://127.0.0.1.evil.test/", "http://192.0.2.1/", "about:blank"]
        {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }
}
