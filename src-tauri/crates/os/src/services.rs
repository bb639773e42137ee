//! What a desktop session offers to its programs by name: a place for tray icons, notifications. Linux only (D-Bus).

use std::time::Duration;

/// How long the session may take to answer.
const DEADLINE: Duration = Duration::from_secs(3);

/// A service of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// It is there.
    Running,
    /// It is started as soon as somebody asks it.
    OnDemand,
    /// There is none.
    Absent,
}

/// Looks for services of these names, in their order, and starts none. `None` where there is no session that could be asked,
/// or where it does not answer.
pub async fn session_services(names: &[&str]) -> Option<Vec<Service>> {
    tokio::time::timeout(DEADLINE, imp::look(names)).await.ok().flatten()
}

#[cfg(target_os = "linux")]
mod imp {
    use super::Service;

    pub(super) async fn look(names: &[&str]) -> Option<Vec<Service>> {
        let session = zbus::Connection::session().await.ok()?;
        let bus = zbus::fdo::DBusProxy::new(&session).await.ok()?;
        let running = bus.list_names().await.ok()?;
        let startable = bus.list_activatable_names().await.ok()?;
        let look = |name: &&str| {
            if running.iter().any(|there| there.as_str() == *name) {
                Service::Running
            } else if startable.iter().any(|there| there.as_str() == *name) {
                Service::OnDemand
            } else {
                Service::Absent
            }
        };
        Some(names.iter().map(look).collect())
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use super::Service;

    pub(super) async fn look(_names: &[&str]) -> Option<Vec<Service>> {
        None
    }
}
