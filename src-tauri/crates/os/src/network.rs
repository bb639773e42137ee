//! Where this computer is in the network, as far as it says itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long an answer is good for.
const FRESH: Duration = Duration::from_secs(1);
/// An address for documentation (RFC 5737, section 3): nobody has it, so only the default route leads there.
const ELSEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);
/// The same for IPv6 (RFC 3849, section 2).
const ELSEWHERE_V6: SocketAddr =
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9);

/// The address from which this computer reaches whatever is elsewhere: that of its default route, so a VPN's where one takes all
/// traffic. `None` where there is no such route. Nothing is sent.
pub fn outward_address() -> Option<IpAddr> {
    towards(ELSEWHERE).or_else(|| towards(ELSEWHERE_V6))
}

// To connect a datagram socket chooses route and source address, and sends nothing (connect(2), ip(7)).
fn towards(target: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr =
        if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(target).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified() && !address.is_loopback()).then_some(address)
}

/// [`outward_address`] for whoever asks often: it is looked up once a second at most.
#[derive(Debug, Default)]
pub struct Whereabouts(Mutex<Option<(Duration, Option<IpAddr>)>>);

impl Whereabouts {
    /// The address as of `now`, on the clock that counts suspend ([`crate::Clock::boot_time`]).
    pub fn address(&self, now: Duration) -> Option<IpAddr> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some((at, address)) if now.saturating_sub(at) < FRESH => address,
            Some(_) | None => {
                let address = outward_address();
                *last = Some((now, address));
                address
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_towards_this_computer_itself_is_none() {
        assert_eq!(towards((Ipv4Addr::LOCALHOST, 9).into()), None);
    }

    #[test]
    fn an_address_is_this_computers_own_and_kept_for_a_moment() {
        let address = outward_address();
        if let Some(address) = address {
            UdpSocket::bind((address, 0)).expect("only an address of this computer can be bound");
        }
        let kept = Whereabouts::default();
        *kept.0.lock().expect("nobody panicked") = Some((Duration::ZERO, None));
        assert_eq!(kept.address(Duration::from_millis(999)), None);
        assert_eq!(kept.address(Duration::from_secs(1)), address);
    }
}
