//! What the system tells about the machine as a whole: that it woke, that it left the network and is back in it. Linux only
//! (D-Bus): logind and NetworkManager are listened to, nothing is asked again and again. Where one of them or the bus is
//! missing, which is ordinary, nothing is told.

/// What happened to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upheaval {
    /// It slept and is awake.
    Woke,
    /// It is in no network any more.
    NetworkAway,
    /// It is in a network again, in another one, or reaches more from the one that it is in.
    NetworkBack,
}

/// Tells each upheaval. Runs until there is nobody left to listen to; for ever on systems that are not listened to.
pub async fn follow_machine(tell: impl FnMut(Upheaval) + Send) {
    // That there is no bus is so in every container and on many a server.
    let _ = imp::follow(tell).await;
}

#[cfg(target_os = "linux")]
mod imp {
    use std::collections::HashMap;
    use std::time::Duration;

    use futures_util::StreamExt as _;
    use zbus::message::{Message, Type};
    use zbus::proxy::{CacheProperties, MethodFlags};
    use zbus::zvariant::{ObjectPath, OwnedValue};
    use zbus::{Connection, MatchRule, MessageStream, Proxy};

    use super::Upheaval;

    /// How often it is looked whether there is a network after all, while there is said to be none.
    const LOOK: Duration = Duration::from_secs(30);
    const LOGIND: &str = "org.freedesktop.login1";
    const LOGIND_PATH: &str = "/org/freedesktop/login1";
    const LOGIND_MANAGER: &str = "org.freedesktop.login1.Manager";
    const NETWORK: &str = "org.freedesktop.NetworkManager";
    const NETWORK_PATH: &str = "/org/freedesktop/NetworkManager";
    const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

    pub(super) async fn follow(mut tell: impl FnMut(Upheaval) + Send) -> zbus::Result<()> {
        let bus = crate::bus::system_bus().await?;
        let mut sleeps = heard(&bus, (LOGIND, LOGIND_PATH, LOGIND_MANAGER, "PrepareForSleep"), None).await?;
        let mut states = heard(&bus, (NETWORK, NETWORK_PATH, NETWORK, "StateChanged"), None).await?;
        let moves = (NETWORK, NETWORK_PATH, PROPERTIES, "PropertiesChanged");
        let mut moves = heard(&bus, moves, Some(NETWORK)).await?;
        let mut network = Network::default();
        if let Some(upheaval) = state(&bus).await.and_then(|state| network.is(state)) {
            tell(upheaval);
        }
        let end = tell_each(&mut sleeps, &mut states, &mut moves, &mut network, &mut tell).await;
        // Whether it still is nobody tells any more.
        network.found().into_iter().for_each(tell);
        end
    }

    async fn tell_each(
        sleeps: &mut MessageStream,
        states: &mut MessageStream,
        moves: &mut MessageStream,
        network: &mut Network,
        tell: &mut impl FnMut(Upheaval),
    ) -> zbus::Result<()> {
        loop {
            let upheaval = tokio::select! {
                Some(message) = sleeps.next() => woke(&message?),
                Some(message) = states.next() => {
                    message?.body().deserialize().ok().and_then(|state| network.is(state))
                }
                Some(message) = moves.next() => moved(&message?),
                // Interfaces that others manage come up without a word.
                () = tokio::time::sleep(LOOK), if network.away => {
                    crate::outward_address().and_then(|_| network.found())
                }
                else => return Ok(()),
            };
            network.away &= upheaval != Some(Upheaval::NetworkBack);
            upheaval.into_iter().for_each(&mut *tell);
        }
    }

    /// One signal of one sender: the bus hands over nothing else.
    async fn heard(
        bus: &Connection,
        (sender, path, interface, member): (&'static str, &'static str, &'static str, &'static str),
        about: Option<&'static str>,
    ) -> zbus::Result<MessageStream> {
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(sender)?
            .path(path)?
            .interface(interface)?
            .member(member)?;
        let rule = match about {
            Some(about) => rule.arg(0, about)?,
            None => rule,
        };
        MessageStream::for_match_rule(rule.build(), bus, None).await
    }

    /// The state now. Nobody is started for it.
    async fn state(bus: &Connection) -> Option<u32> {
        let of = zbus::proxy::Builder::<Proxy<'_>>::new(bus).destination(NETWORK).ok()?;
        let of = of.path(NETWORK_PATH).ok()?.interface(PROPERTIES).ok()?;
        let properties = of.cache_properties(CacheProperties::No).build().await.ok()?;
        let asked = (NETWORK, "State");
        let answer: Option<OwnedValue> =
            properties.call_with_flags("Get", MethodFlags::NoAutoStart.into(), &asked).await.ok()?;
        u32::try_from(answer?).ok()
    }

    /// `PrepareForSleep(false)` comes after waking (org.freedesktop.login1(5)).
    fn woke(message: &Message) -> Option<Upheaval> {
        let begins: bool = message.body().deserialize().ok()?;
        (!begins).then_some(Upheaval::Woke)
    }

    /// Another connection has the default route: what was open over the one before is dead.
    fn moved(message: &Message) -> Option<Upheaval> {
        let body = message.body();
        let (_, changed, _): (String, HashMap<String, OwnedValue>, Vec<String>) = body.deserialize().ok()?;
        let primary = ObjectPath::try_from(&**changed.get("PrimaryConnection")?).ok()?;
        (primary.as_str() != "/").then_some(Upheaval::NetworkBack)
    }

    /// The network as NetworkManager tells of it (`NMState`).
    #[derive(Debug, Default)]
    struct Network {
        state: u32,
        /// Whether it was told that there is none.
        away: bool,
    }

    impl Network {
        fn is(&mut self, state: u32) -> Option<Upheaval> {
            const ASLEEP: u32 = 10;
            const DISCONNECTING: u32 = 30;
            const LOCAL: u32 = 50;
            let before = std::mem::replace(&mut self.state, state);
            match state {
                // Interfaces that others manage are none to it: who has a default route is in a network all the same.
                ASLEEP..=DISCONNECTING if crate::outward_address().is_none() => {
                    self.away = true;
                    Some(Upheaval::NetworkAway)
                }
                LOCAL.. if self.away => self.found(),
                LOCAL.. if state > before && before != 0 => Some(Upheaval::NetworkBack),
                _ => None,
            }
        }

        /// There is a network, whoever said that there is none.
        fn found(&mut self) -> Option<Upheaval> {
            std::mem::take(&mut self.away).then_some(Upheaval::NetworkBack)
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_network_is_back_when_more_is_reached_than_before() {
            let mut network = Network::default();
            assert_eq!(network.is(70), None, "so it was when this began");
            assert_eq!(network.is(60), None, "less is reached");
            assert_eq!(network.is(70), Some(Upheaval::NetworkBack));
            network.is(20);
            assert_eq!(network.is(40), None, "it connects");
            assert_eq!(network.is(60), Some(Upheaval::NetworkBack));
            assert_eq!(network.is(70), Some(Upheaval::NetworkBack), "past a page that wanted a sign-in");
            assert_eq!(network.is(70), None);
        }

        #[test]
        fn who_was_told_that_there_is_none_is_told_when_there_is_one() {
            let mut network = Network { state: 20, away: true };
            assert_eq!(network.is(0), None, "it is not known");
            assert_eq!(network.is(70), Some(Upheaval::NetworkBack));
            assert_eq!(network.found(), None, "once");
            network.away = true;
            assert_eq!(network.found(), Some(Upheaval::NetworkBack), "by a way that nobody told of");
        }

        #[test]
        fn only_the_end_of_sleep_is_waking() {
            let signal = |begins: bool| {
                let signal = Message::signal(LOGIND_PATH, LOGIND_MANAGER, "PrepareForSleep").unwrap();
                signal.build(&begins).unwrap()
            };
            assert_eq!(woke(&signal(false)), Some(Upheaval::Woke));
            assert_eq!(woke(&signal(true)), None);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use super::Upheaval;

    pub(super) async fn follow(_tell: impl FnMut(Upheaval) + Send) -> Result<(), std::convert::Infallible> {
        std::future::pending().await
    }
}
