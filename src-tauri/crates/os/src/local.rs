//! The local socket between the command line and a running instance, and who this user is.

#[cfg(unix)]
use std::io;
#[cfg(unix)]
use std::path::Path;

#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

#[cfg(unix)]
use crate::InstanceLock;

/// Listens on a Unix socket at `path` that only its owner may connect to (0600 from its first moment on Linux). A socket
/// that an earlier instance left behind is removed: holding the lock proves that nobody serves it. Anything but a socket
/// is left alone. Must be called within a tokio runtime.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] where something that is no socket has the name; else whatever the kernel says, for
/// instance [`io::ErrorKind::InvalidInput`] for a path above about 100 bytes.
#[cfg(unix)]
pub fn bind_local(path: &Path, lock: &InstanceLock) -> io::Result<UnixListener> {
    let _ = lock;
    remove_socket(path)?;
    let listener = bind_private(path)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Listens on a new Unix socket at `path` that only its owner may connect to, as [`bind_local`] does. A socket that nobody listens at
/// any more is removed; whatever else has the name is left alone.
///
/// # Errors
/// [`io::ErrorKind::AddrInUse`] where somebody listens there, and as [`bind_local`].
#[cfg(unix)]
pub async fn bind_new_local(path: &Path) -> io::Result<UnixListener> {
    match UnixStream::connect(path).await {
        Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
        // What is no socket refuses likewise, and is not removed.
        Err(fault) if fault.kind() == io::ErrorKind::ConnectionRefused => remove_socket(path)?,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
        Err(fault) => return Err(fault),
    }
    let listener = bind_private(path)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// The user id of the process at the other end, as the kernel recorded it when the connection was made.
#[cfg(unix)]
pub fn peer_uid(stream: &UnixStream) -> Option<u32> {
    stream.peer_cred().ok().map(|credentials| credentials.uid())
}

/// The process that connected, as the kernel recorded it when the connection was made. It may have ended since, or have
/// handed the connection on.
#[cfg(unix)]
pub fn peer_pid(stream: &UnixStream) -> Option<u32> {
    stream.peer_cred().ok()?.pid()?.try_into().ok()
}

/// The real user id of this process and the user's name in the system's user database; the number where there is no
/// name. Never from the environment, which anybody may set. On Windows the id is 0: users there have no numbers.
pub fn current_user() -> (u32, String) {
    #[cfg(unix)]
    let id = rustix::process::getuid().as_raw();
    #[cfg(not(unix))]
    let id = 0;
    let name = whoami::username().ok().filter(|name| !name.is_empty());
    (id, name.unwrap_or_else(|| id.to_string()))
}

/// This machine's name, as its network knows it; `this computer` where there is none.
pub fn host_name() -> String {
    whoami::hostname().ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "this computer".to_owned())
}

/// Removes a socket's file, if there is one, and nothing else.
#[cfg(unix)]
fn remove_socket(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(fault) => Err(fault),
    }
}

// Linux creates the socket's file with the mode that the socket itself has when it is bound.
#[cfg(target_os = "linux")]
fn bind_private(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
    let address = SocketAddrUnix::new(path).map_err(|_| io::ErrorKind::InvalidInput)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::fs::fchmod(&socket, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
    bind(&socket, &address)?;
    listen(&socket, 128)?;
    Ok(socket.into())
}

#[cfg(all(unix, not(target_os = "linux")))]
fn bind_private(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::fs::PermissionsExt as _;
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use crate::lock_instance;

    #[tokio::test]
    async fn the_socket_is_its_owners_and_names_its_peer() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let lock = lock_instance(&dir.path().join("lock")).unwrap();
        let path = dir.path().join("control.sock");
        let listener = bind_local(&path, &lock).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let (client, accepted) = tokio::join!(UnixStream::connect(&path), listener.accept());
        let (served, _) = accepted.unwrap();
        assert_eq!(peer_uid(&served), Some(current_user().0));
        assert_eq!(peer_uid(&client.unwrap()), Some(current_user().0));
        assert_eq!(peer_pid(&served), Some(std::process::id()));
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let lock = lock_instance(&dir.path().join("lock")).unwrap();
        let path = dir.path().join("control.sock");
        drop(bind_local(&path, &lock).unwrap());
        assert!(path.exists(), "a socket's file outlives its listener");
        let listener = bind_local(&path, &lock).unwrap();
        let (client, _) = tokio::join!(UnixStream::connect(&path), listener.accept());
        client.unwrap();
        let file = dir.path().join("notes");
        std::fs::write(&file, "mine").unwrap();
        assert_eq!(bind_local(&file, &lock).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    }

    #[test]
    fn the_user_has_a_name() {
        let (id, name) = current_user();
        assert_eq!(id, rustix::process::getuid().as_raw());
        assert!(!name.is_empty());
    }

    #[tokio::test]
    async fn a_new_socket_takes_no_other_s_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let first = bind_new_local(&path).await.unwrap();
        assert_eq!(bind_new_local(&path).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        drop(bind_new_local(&path).await.unwrap());
        let file = dir.path().join("file");
        std::fs::write(&file, "mine").unwrap();
        assert_eq!(bind_new_local(&file).await.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    }
}
