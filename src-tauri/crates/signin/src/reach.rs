//! Which addresses an authorization flow may lead to. A connector's metadata is written by strangers: it must not make
//! this machine talk to its own services or to the inside of the network (server-side request forgery).

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, PoisonError, RwLock};

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::{FaultKind, HttpFault};

/// Longest URL that is shown to a person or asked for, in bytes.
const LONGEST_URL: usize = 8 * 1024;

/// The hosts that IT or the person named themselves: only these may lie inside the network.
#[derive(Debug, Clone, Default)]
pub struct NamedHosts(Arc<RwLock<BTreeSet<String>>>);

impl NamedHosts {
    /// Replaces the names with the hosts of `urls`.
    pub fn replace<'a>(&self, urls: impl IntoIterator<Item = &'a Url>) {
        let hosts = urls.into_iter().filter_map(Url::host_str).map(normal).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = hosts;
    }

    /// Adds the host of `url`.
    pub fn add(&self, url: &Url) {
        if let Some(host) = url.host_str() {
            self.0.write().unwrap_or_else(PoisonError::into_inner).insert(normal(host));
        }
    }

    /// Whether the host of `url` is among them.
    pub(crate) fn is_of(&self, url: &Url) -> bool {
        url.host_str().is_some_and(|host| self.has(host))
    }

    fn has(&self, host: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(&normal(host))
    }
}

/// Whether the URL's host is this machine: `localhost`, 127.0.0.0/8 or ::1.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => normal(name) == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Checks that a URL may be opened for a person: parsed, `https` or `http` on loopback, no user name, not endless.
///
/// # Errors
/// [`FaultKind::NotAllowed`] otherwise.
pub fn presentable(url: &Url) -> Result<(), FaultKind> {
    let plain = url.scheme() == "http" && is_loopback(url);
    if url.as_str().len() > LONGEST_URL {
        return Err(FaultKind::NotAllowed("a URL of more than 8 KiB".to_owned()));
    }
    if !(url.scheme() == "https" || plain) || url.host().is_none() {
        return Err(FaultKind::NotAllowed(place(url)));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(FaultKind::NotAllowed(format!("{} with a user name", place(url))));
    }
    Ok(())
}

/// Checks a URL before it is asked for, seen from `base`, which IT or the person named.
pub(crate) fn reachable(base: &Url, named: &NamedHosts, url: &Url) -> Result<(), HttpFault> {
    presentable(url).map_err(|_| HttpFault::NotAllowed(place(url)))?;
    if is_loopback(url) {
        return if is_loopback(base) { Ok(()) } else { Err(HttpFault::NotAllowed(place(url))) };
    }
    let literal = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(_)) | None => return Ok(()),
    };
    let own = url.host() == base.host() || url.host_str().is_some_and(|host| named.has(host));
    match Area::of(literal) {
        Area::Public => Ok(()),
        Area::Private if own => Ok(()),
        Area::Private | Area::Loopback | Area::Never => Err(HttpFault::NotAllowed(place(url))),
    }
}

fn place(url: &Url) -> String {
    format!("{}://{}", url.scheme(), url.host_str().unwrap_or("?"))
}

fn normal(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// How a name is looked up. Blocks.
type LookUp = Arc<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// Resolves names and drops the addresses that the name may not have. The connection is made to what is left, so a name
/// that changes between check and use gains nothing.
pub(crate) struct GuardedResolver {
    named: NamedHosts,
    /// Through these everything goes; where they lie is whoever set up the computer's choice.
    proxies: NamedHosts,
    look_up: LookUp,
}

impl GuardedResolver {
    /// The system's resolver, guarded.
    pub(crate) fn new(named: NamedHosts, proxies: NamedHosts) -> Self {
        Self { named, proxies, look_up: Arc::new(|host| Ok((host, 0).to_socket_addrs()?.collect())) }
    }
}

/// The hosts of the proxies that this computer is set up with, where they have names: as the HTTP client finds them itself.
pub(crate) fn proxies() -> NamedHosts {
    through(&Matcher::from_system())
}

fn through(set_up: &Matcher) -> NamedHosts {
    let anywhere = ["https://somewhere.invalid/", "http://somewhere.invalid/"].map(Uri::from_static);
    let found = NamedHosts::default();
    for proxy in anywhere.iter().filter_map(|place| set_up.intercept(place)) {
        if let Ok(proxy) = Url::parse(&proxy.uri().to_string()) {
            found.add(&proxy);
        }
    }
    found
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (named, proxies) = (self.named.clone(), self.proxies.clone());
        let look_up = Arc::clone(&self.look_up);
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let asked = host.clone();
            let found = tokio::task::spawn_blocking(move || look_up(&asked)).await??;
            let allowed: Vec<SocketAddr> =
                found.into_iter().filter(|address| may_have(&named, &proxies, &host, address.ip())).collect();
            if allowed.is_empty() {
                return Err(Box::new(HttpFault::NotAllowed(host)) as Box<dyn std::error::Error + Send + Sync>);
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn may_have(named: &NamedHosts, proxies: &NamedHosts, host: &str, address: IpAddr) -> bool {
    if normal(host) == "localhost" {
        return Area::of(address) == Area::Loopback;
    }
    match Area::of(address) {
        Area::Public => true,
        Area::Private | Area::Loopback => named.has(host) || proxies.has(host),
        Area::Never => false,
    }
}

/// Where an address lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Area {
    Public,
    /// RFC 1918, RFC 6598, RFC 4193.
    Private,
    Loopback,
    /// Link-local, where clouds put their metadata, and what no server has.
    Never,
}

impl Area {
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) => embedded(v6).map_or_else(|| Self::of_v6(v6), Self::of_v4),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [a, b, ..] = address.octets();
        if address.is_loopback() {
            Self::Loopback
        } else if address.is_private() || (a == 100 && (64..128).contains(&b)) {
            Self::Private
        } else if address.is_link_local()
            || address.is_broadcast()
            || address.is_multicast()
            || a == 0
            || a >= 240
            || (a == 198 && (b == 18 || b == 19))
        {
            Self::Never
        } else {
            Self::Public
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let [first, second, third, ..] = address.segments();
        if address.is_loopback() {
            Self::Loopback
        } else if first & 0xfe00 == 0xfc00 {
            Self::Private
        } else if address.is_unspecified()
            || address.is_multicast()
            || first & 0xffc0 == 0xfe80
            || (first == 0x2001 && second == 0)
            || (first == 0x64 && second == 0xff9b && third == 1)
        {
            Self::Never
        } else {
            Self::Public
        }
    }
}

/// The IPv4 address inside a mapped, compatible, NAT64 or 6to4 address.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let last = Ipv4Addr::from_bits((u32::from(g) << 16) | u32::from(h));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => Some(last),
        [0, 0, 0, 0, 0, 0] if !address.is_loopback() && !address.is_unspecified() => Some(last),
        [0x2002, ..] => Some(Ipv4Addr::from_bits((u32::from(b) << 16) | u32::from(c))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(base: &str, url: &str) -> bool {
        let base = Url::parse(base).unwrap();
        let named = NamedHosts::default();
        named.add(&base);
        named.add(&Url::parse("https://10.1.2.3").unwrap());
        Url::parse(url).is_ok_and(|url| reachable(&base, &named, &url).is_ok())
    }

    #[test]
    fn a_public_server_cannot_lead_inside() {
        for inside in [
            "http://127.0.0.1:6379/",
            "https://127.0.0.1/",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://[::1]/",
            "https://169.254.169.254/latest/meta-data/",
            "https://10.0.0.1/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://[64:ff9b::a9fe:a9fe]/",
            "https://[fe80::1]/",
            "https://[fd00::1]/",
            "https://0.0.0.0/",
            "http://as.example/",
            "ftp://as.example/",
            "https://user@as.example/",
        ] {
            assert!(!allowed("https://mcp.example/mcp", inside), "{inside}");
        }
        assert!(allowed("https://mcp.example/mcp", "https://as.example/token"));
        assert!(allowed("https://mcp.example/mcp", "https://10.1.2.3/token"), "IT named this one");
    }

    #[test]
    fn a_server_on_this_machine_may_lead_to_this_machine() {
        assert!(allowed("http://127.0.0.1:3000/mcp", "http://127.0.0.1:4000/token"));
        assert!(allowed("http://localhost:3000/mcp", "http://[::1]:4000/token"));
        assert!(!allowed("http://127.0.0.1:3000/mcp", "https://10.0.0.1/token"));
        assert!(!allowed("http://127.0.0.1:3000/mcp", "http://as.example/token"));
    }

    #[test]
    fn a_name_may_have_inside_addresses_only_if_somebody_named_it() {
        let named = NamedHosts::default();
        named.add(&Url::parse("https://SSO.corp/").unwrap());
        let none = NamedHosts::default();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(may_have(&named, &none, "sso.corp.", ip("10.0.0.9")));
        assert!(!may_have(&named, &none, "sso.corp", ip("169.254.169.254")), "not even then");
        assert!(!may_have(&named, &none, "attacker.example", ip("10.0.0.9")));
        assert!(!may_have(&named, &none, "attacker.example", ip("127.0.0.1")));
        assert!(may_have(&named, &none, "as.example", ip("93.184.216.34")));
        assert!(!may_have(&named, &none, "localhost", ip("93.184.216.34")));
    }

    #[test]
    fn a_proxy_may_lie_inside_and_is_asked_for_nothing_itself() {
        let set_up = Matcher::builder().all("http://proxy.corp:3128").build();
        let (named, proxies) = (NamedHosts::default(), through(&set_up));
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(may_have(&named, &proxies, "proxy.corp", ip("10.0.0.9")));
        assert!(!may_have(&named, &proxies, "other.corp", ip("10.0.0.9")));
        assert!(!may_have(&named, &proxies, "proxy.corp", ip("169.254.169.254")));
        assert!(proxies.is_of(&Url::parse("https://PROXY.corp/token").unwrap()));
        assert!(!proxies.is_of(&Url::parse("https://as.example/token").unwrap()));
    }

    /// A name that has an address outside when it is looked at and one inside when it is used.
    #[tokio::test]
    async fn threat_6_the_address_that_is_connected_to_is_the_one_that_was_checked() {
        let inside = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        inside.set_nonblocking(true).unwrap();
        let loopback = inside.local_addr().unwrap();
        let outside = "198.51.100.7:0".parse().unwrap();
        let times = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = Arc::clone(&times);
        let flipping = GuardedResolver {
            named: NamedHosts::default(),
            proxies: NamedHosts::default(),
            look_up: Arc::new(move |_| {
                Ok(match counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                    0 => vec![loopback, outside],
                    _ => vec![loopback, "169.254.169.254:0".parse().unwrap(), "10.0.0.1:0".parse().unwrap()],
                })
            }),
        };
        let resolve = || flipping.resolve("as.example".parse().unwrap());
        let first: Vec<_> = resolve().await.unwrap().collect();
        assert_eq!(first, [outside], "what is inside is not even handed to the connection");
        assert!(resolve().await.is_err(), "each connection is looked at anew");

        // The resolver is the only one that the client has, and is asked once for a connection.
        let before = times.load(std::sync::atomic::Ordering::SeqCst);
        let client = reqwest::Client::builder().no_proxy().dns_resolver(Arc::new(flipping)).build().unwrap();
        let asked = client.get(format!("http://as.example:{}/", loopback.port())).send().await;
        assert!(asked.is_err());
        assert_eq!(times.load(std::sync::atomic::Ordering::SeqCst), before + 1);
        let came = inside.accept().map(|_| ()).map_err(|fault| fault.kind());
        assert_eq!(came, Err(io::ErrorKind::WouldBlock), "nobody came");
    }

    #[test]
    fn only_plain_web_addresses_are_opened() {
        for bad in [
            "file:///etc/passwd",
            "javascript:alert(1)",
            "ms-word:ofe|u|https://x",
            "http://as.example/authorize",
            "https://a:b@as.example/",
        ] {
            assert!(presentable(&Url::parse(bad).unwrap()).is_err(), "{bad}");
        }
        let long = format!("https://as.example/?{}", "x".repeat(64 * 1024));
        assert!(presentable(&Url::parse(&long).unwrap()).is_err());
        assert!(presentable(&Url::parse("https://as.example/authorize?x=$(calc)").unwrap()).is_ok());
    }
}
