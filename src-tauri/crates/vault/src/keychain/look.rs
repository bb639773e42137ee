//! How the keychain of this session is, found out without asking it for anything: no entry is read or written, and no person
//! is asked for a password. Linux only (Secret Service API).

use std::time::Duration;

use super::KeychainState;

/// How long it may take to answer.
const DEADLINE: Duration = Duration::from_secs(3);

/// How it is; `None` where that cannot be told without starting it or asking it for something.
pub async fn look_at_keychain() -> Option<KeychainState> {
    // One that hangs is as good as locked: the vault treats it so.
    tokio::time::timeout(DEADLINE, imp::look()).await.unwrap_or(Some(KeychainState::Locked))
}

#[cfg(target_os = "linux")]
mod imp {
    use zbus::fdo::DBusProxy;
    use zbus::zvariant::OwnedObjectPath;
    use zbus::{Connection, Proxy};

    use super::KeychainState;

    const NAME: &str = "org.freedesktop.secrets";
    const SERVICE: (&str, &str) = ("/org/freedesktop/secrets", "org.freedesktop.Secret.Service");
    const COLLECTION: &str = "org.freedesktop.Secret.Collection";

    pub(super) async fn look() -> Option<KeychainState> {
        let Ok(session) = Connection::session().await else { return Some(KeychainState::Absent) };
        let bus = DBusProxy::new(&session).await.ok()?;
        if !bus.name_has_owner(NAME.try_into().ok()?).await.ok()? {
            let startable = bus.list_activatable_names().await.ok()?;
            let on_demand = startable.iter().any(|name| name.as_str() == NAME);
            return if on_demand { None } else { Some(KeychainState::Absent) };
        }
        Some(match locked(&session).await {
            Ok(false) => KeychainState::Available,
            Ok(true) => KeychainState::Locked,
            Err(_) => KeychainState::Denied,
        })
    }

    /// Whether the collection that programs use is locked, or was never set up.
    async fn locked(session: &Connection) -> zbus::Result<bool> {
        let service = Proxy::new(session, NAME, SERVICE.0, SERVICE.1).await?;
        let default: OwnedObjectPath = service.call("ReadAlias", &"default").await?;
        if default.as_str() == "/" {
            return Ok(true);
        }
        Proxy::new(session, NAME, default, COLLECTION).await?.get_property("Locked").await
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use super::KeychainState;

    pub(super) async fn look() -> Option<KeychainState> {
        None
    }
}
