//! The system's bus (D-Bus).

/// Where it is (D-Bus Specification, "Well-known Message Bus Instances").
#[cfg(not(debug_assertions))]
const SYSTEM_BUS: &str = "unix:path=/var/run/dbus/system_bus_socket";

/// A program of the person's own could name another bus, on which whoever it likes answers: only tests do.
#[cfg(debug_assertions)]
pub(crate) async fn system_bus() -> zbus::Result<zbus::Connection> {
    zbus::Connection::system().await
}

#[cfg(not(debug_assertions))]
pub(crate) async fn system_bus() -> zbus::Result<zbus::Connection> {
    zbus::connection::Builder::address(SYSTEM_BUS)?.build().await
}
