//! Which program is at the other end of a loopback socket or of a local one, and which program started it. A name that a
//! program claims proves nothing; this does.
//!
//! Linux only so far: `/proc/net/tcp{,6}` gives the socket's inode, `/proc/<pid>/fd` the process that holds it. Processes
//! of other users and those that forbid inspection stay unknown.

use std::net::SocketAddr;

use model::ListeningProcess;

/// The program that listens on `port` of this machine's loopback addresses, in its own name or through a wildcard.
/// `None` where it cannot be told, also where different programs listen on the IPv4 and the IPv6 side: a browser may
/// then reach either. Reads all of `/proc` (milliseconds): not for an async task's own thread.
pub fn owner_of_listener(port: u16) -> Option<ListeningProcess> {
    imp::owner_of_listener(port)
}

/// The program at the `peer` end of a TCP connection on this machine whose other end is `local` (as `accept` and
/// `local_addr` gave them). `None` where it cannot be told. Reads all of `/proc` (milliseconds).
pub fn owner_of_connection(peer: SocketAddr, local: SocketAddr) -> Option<ListeningProcess> {
    imp::owner_of_connection(peer, local)
}

/// The program that a process runs. `None` where it cannot be told: the process is gone, another user's, or forbids
/// inspection.
pub fn program_of(pid: u32) -> Option<ListeningProcess> {
    imp::program_of(pid)
}

/// The program that started a process and still runs: its parent. `None` where it cannot be told, as for
/// [`program_of`]. A process whose starter has ended belongs to whichever process adopts orphans.
pub fn starter_of(pid: u32) -> Option<ListeningProcess> {
    imp::starter_of(pid)
}

/// Whose the `peer` end of a TCP connection on this machine is, whatever program it is: a user id. `None` where it cannot be
/// told.
pub fn user_of_connection(peer: SocketAddr, local: SocketAddr) -> Option<u32> {
    imp::user_of_connection(peer, local)
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use super::{ListeningProcess, SocketAddr};

    pub(super) fn user_of_connection(_peer: SocketAddr, _local: SocketAddr) -> Option<u32> {
        None
    }

    pub(super) fn program_of(_pid: u32) -> Option<ListeningProcess> {
        None
    }

    pub(super) fn starter_of(_pid: u32) -> Option<ListeningProcess> {
        None
    }

    pub(super) fn owner_of_listener(_port: u16) -> Option<ListeningProcess> {
        None
    }

    pub(super) fn owner_of_connection(_peer: SocketAddr, _local: SocketAddr) -> Option<ListeningProcess> {
        None
    }
}

#[cfg(target_os = "linux")]
mod imp {
    use std::collections::BTreeSet;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use std::path::Path;

    use super::{ListeningProcess, SocketAddr};

    const ESTABLISHED: u8 = 0x01;
    const LISTEN: u8 = 0x0A;

    pub(super) fn owner_of_listener(port: u16) -> Option<ListeningProcess> {
        let inodes: BTreeSet<u64> = sockets()
            .filter(|socket| socket.state == LISTEN && socket.local.port() == port)
            .filter(|socket| socket.local.ip().is_loopback() || socket.local.ip().is_unspecified())
            .map(|socket| socket.inode)
            .collect();
        let mut owners = inodes.into_iter().map(holder);
        let first = owners.next()??;
        owners.all(|other| other.is_some_and(|other| other.pid == first.pid)).then_some(first)
    }

    pub(super) fn owner_of_connection(peer: SocketAddr, local: SocketAddr) -> Option<ListeningProcess> {
        holder(connected(peer, local)?.inode)
    }

    pub(super) fn user_of_connection(peer: SocketAddr, local: SocketAddr) -> Option<u32> {
        Some(connected(peer, local)?.user_id)
    }

    fn connected(peer: SocketAddr, local: SocketAddr) -> Option<Socket> {
        let (peer, local) = (plain(peer), plain(local));
        sockets().find(|socket| socket.state == ESTABLISHED && socket.local == peer && socket.remote == local)
    }

    pub(super) fn program_of(pid: u32) -> Option<ListeningProcess> {
        let since = stat(pid, STARTED)?;
        let executable = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let program = ListeningProcess {
            pid,
            executable: executable.to_string_lossy().into_owned(),
            user_id: owner(pid)?,
        };
        // The id may have been reused between two looks.
        (stat(pid, STARTED)? == since).then_some(program)
    }

    pub(super) fn starter_of(pid: u32) -> Option<ListeningProcess> {
        let since = stat(pid, STARTED)?;
        let parent = stat(pid, PARENT)?;
        let program = program_of(parent.try_into().ok()?)?;
        // A parent that ended is replaced: as long as it is the same, the program looked at is the one that started this.
        (stat(pid, PARENT)? == parent && stat(pid, STARTED)? == since).then_some(program)
    }

    struct Socket {
        local: SocketAddr,
        remote: SocketAddr,
        state: u8,
        user_id: u32,
        inode: u64,
    }

    fn sockets() -> impl Iterator<Item = Socket> {
        ["/proc/self/net/tcp", "/proc/self/net/tcp6"].into_iter().flat_map(|table| {
            let text = std::fs::read_to_string(table).unwrap_or_default();
            text.lines().skip(1).filter_map(parse).collect::<Vec<_>>()
        })
    }

    // proc(5): "sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode"
    fn parse(line: &str) -> Option<Socket> {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let local = address(fields.next()?)?;
        let remote = address(fields.next()?)?;
        let state = u8::from_str_radix(fields.next()?, 16).ok()?;
        let user_id = fields.nth(3)?.parse().ok()?;
        let inode = fields.nth(1)?.parse().ok()?;
        Some(Socket { local, remote, state, user_id, inode })
    }

    // The address is printed as 32-bit words in the machine's byte order.
    fn address(text: &str) -> Option<SocketAddr> {
        let (ip, port) = text.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let words: Vec<[u8; 4]> = ip
            .as_bytes()
            .chunks(8)
            .map(|word| {
                let word = std::str::from_utf8(word).ok()?;
                u32::from_str_radix(word, 16).ok().map(u32::to_ne_bytes)
            })
            .collect::<Option<_>>()?;
        let ip = match *words.as_slice() {
            [word] => IpAddr::V4(Ipv4Addr::from(word)),
            [_, _, _, _] => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?)),
            _ => return None,
        };
        Some(plain(SocketAddr::new(ip, port)))
    }

    fn plain(address: SocketAddr) -> SocketAddr {
        SocketAddr::new(address.ip().to_canonical(), address.port())
    }

    // A descriptor may be inherited by children; the process that started first is the one that opened it.
    fn holder(inode: u64) -> Option<ListeningProcess> {
        let wanted = format!("socket:[{inode}]");
        let pid = std::fs::read_dir("/proc")
            .ok()?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
            .filter(|pid| holds(*pid, &wanted))
            .min_by_key(|pid| (stat(*pid, STARTED).unwrap_or(u64::MAX), *pid))?;
        let executable = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let owner = owner(pid)?;
        // The process may have ended and its id been reused since: what was read must still belong together.
        holds(pid, &wanted).then(|| ListeningProcess {
            pid,
            executable: executable.to_string_lossy().into_owned(),
            user_id: owner,
        })
    }

    fn holds(pid: u32, wanted: &str) -> bool {
        let Ok(descriptors) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        descriptors
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .any(|target| target == Path::new(wanted))
    }

    // Fields 4 and 22 of proc(5) stat, counted after the name, which may hold blanks and parentheses.
    const PARENT: usize = 1;
    const STARTED: usize = 19;

    fn stat(pid: u32, field: usize) -> Option<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(field)?.parse().ok()
    }

    fn owner(pid: u32) -> Option<u32> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_kernels_own_lines_are_read() {
            let line = "   0: 0100007F:1E25 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 91234 1 \
                        0000000000000000 100 0 0 10 0";
            let socket = parse(line).unwrap();
            assert_eq!(socket.local, "127.0.0.1:7717".parse().unwrap());
            assert_eq!(socket.remote, "0.0.0.0:0".parse().unwrap());
            assert_eq!((socket.state, socket.user_id, socket.inode), (LISTEN, 1000, 91234));
            assert_eq!(address("00000000000000000000000001000000:0050"), Some("[::1]:80".parse().unwrap()));
            assert_eq!(
                address("0000000000000000FFFF00000100007F:0050"),
                Some("127.0.0.1:80".parse().unwrap()),
                "a mapped address is the IPv4 address that it maps"
            );
            assert_eq!(address("0100007F"), None);
            assert!(parse("  sl  local_address rem_address").is_none());
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::net::{Ipv6Addr, TcpListener, TcpStream};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn our_own_listener_and_connection_are_ours() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let us = ListeningProcess {
            pid: std::process::id(),
            executable: std::env::current_exe().unwrap().to_string_lossy().into_owned(),
            user_id: crate::current_user().0,
        };
        assert_eq!(owner_of_listener(address.port()), Some(us.clone()));
        let client = TcpStream::connect(address).unwrap();
        let (_served, peer) = listener.accept().unwrap();
        assert_eq!(user_of_connection(peer, address), Some(us.user_id));
        assert_eq!(owner_of_connection(peer, address), Some(us));
        drop(client);
        assert_eq!(owner_of_connection(address, "127.0.0.1:1".parse().unwrap()), None);
    }

    #[test]
    fn another_programs_listener_is_named() {
        // The test binary would be "us": a real other program listens.
        let script = "import socket,sys\ns=socket.socket();s.bind(('127.0.0.1',0));s.listen()\n\
                      print(s.getsockname()[1],flush=True);sys.stdin.read()";
        let Ok(mut python) =
            Command::new("python3").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
        else {
            panic!("python3 is part of every machine that the tests run on");
        };
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(python.stdout.take().unwrap()), &mut line)
            .unwrap();
        // A program that forbids inspection of itself must still be able to inspect others.
        crate::harden_process().unwrap();
        let owner = owner_of_listener(line.trim().parse().unwrap()).unwrap();
        assert_eq!(owner.pid, python.id());
        assert!(owner.executable.contains("python3"), "{}", owner.executable);
        drop(python.stdin.take());
        python.wait().unwrap();
    }

    #[test]
    fn a_process_is_told_with_the_program_that_started_it() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Before that the child may still be this test's copy.
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"x").unwrap();
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let program = program_of(child.id()).unwrap();
        assert!(program.executable.ends_with("cat") || program.executable.contains("busybox"), "{program:?}");
        let starter = starter_of(child.id()).unwrap();
        assert_eq!(starter.pid, std::process::id());
        assert_eq!(starter.executable, std::env::current_exe().unwrap().to_string_lossy());
        assert_eq!(starter.user_id, crate::current_user().0);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(program_of(child.id()), None);
        assert_eq!(starter_of(child.id()), None);
    }

    #[test]
    fn two_programs_on_one_port_are_nobody() {
        let script = "import socket,sys\ns=socket.socket(socket.AF_INET6)\n\
                      s.setsockopt(socket.IPPROTO_IPV6,socket.IPV6_V6ONLY,1)\n\
                      s.bind(('::1',int(sys.argv[1])));s.listen()\nprint('up',flush=True);sys.stdin.read()";
        if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
            return; // A machine without IPv6 cannot have this confusion.
        }
        let ours = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = ours.local_addr().unwrap().port();
        let mut python = Command::new("python3")
            .args(["-c", script, &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(python.stdout.take().unwrap()), &mut line)
            .unwrap();
        assert_eq!(line, "up\n");
        assert_eq!(owner_of_listener(port), None);
        drop(python.stdin.take());
        python.wait().unwrap();
        assert_eq!(owner_of_listener(port).map(|owner| owner.pid), Some(std::process::id()));
    }

    #[test]
    fn nobody_listens_where_nobody_listens() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert_eq!(owner_of_listener(port), None);
    }
}
