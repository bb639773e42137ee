//! The control plane as a service of systemd: the unit is understood, shuts the service in, and is told what it waits for.

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::commands::Desk;

const UNIT: &str = include_str!("../../deskgate-control.service");
/// What `systemd-analyze security` may find at most, from 0 to 100.
const EXPOSURE: &str = "15";

#[test]
fn systemd_understands_the_unit_and_finds_it_shut_in() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("deskgate-control.service");
    let unit = UNIT.replace("/usr/bin/deskgate-control", env!("CARGO_BIN_EXE_deskgate-control"));
    std::fs::write(&path, unit).expect("writes");
    let threshold = format!("--threshold={EXPOSURE}");
    for words in [vec!["verify", "--man=no"], vec!["security", "--offline=true", "--no-pager", &threshold]] {
        let analyzed = Command::new("systemd-analyze").args(&words).arg(&path).output();
        let analyzed = analyzed.expect("systemd-analyze is installed");
        let said = String::from_utf8_lossy(&analyzed.stdout) + String::from_utf8_lossy(&analyzed.stderr);
        assert!(analyzed.status.success(), "{words:?}: {said}");
        assert!(words[0] != "verify" || said.is_empty(), "there is nothing to mend: {said}");
    }
}

#[test]
fn the_service_manager_hears_that_the_server_is_ready_lives_and_ends() {
    let desk = Desk::new();
    desk.prepare();
    let socket = desk.dir.path().join("notify");
    let manager = UnixDatagram::bind(&socket).expect("binds");
    manager.set_read_timeout(Some(Duration::from_secs(60))).expect("sets");
    let words = "serve --data data --master-key master.key --receipts-key receipts.pem --listen 127.0.0.1:0";
    let mut server = desk
        .command(words)
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "300000")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let hears = |wanted: &str| {
        loop {
            let mut bytes = [0; 256];
            let length = manager.recv(&mut bytes).expect("says something");
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if text.lines().any(|line| line == wanted) {
                return;
            }
        }
    };
    hears("READY=1");
    assert!(desk.dir.path().join("data/admin.sock").exists(), "who is ready can be asked");
    hears("WATCHDOG=1");
    let term = Command::new("kill").args(["-TERM", &server.id().to_string()]).status();
    assert!(term.expect("runs").success());
    hears("STOPPING=1");
    assert!(server.wait().expect("ends").success());
}

/// systemd may hand out credentials with an access control list, which shows as a group's right to read.
#[test]
fn a_key_that_the_service_manager_hands_out_is_read_and_another_that_is_open_is_not() {
    use std::os::unix::fs::PermissionsExt as _;
    let desk = Desk::new();
    desk.says("key master master.key");
    let path = desk.dir.path().join("master.key");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).expect("opens it to a group");
    let words = "serve --data data --master-key master.key --receipts-key nowhere.pem";
    assert!(desk.complains(words).contains("master.key"));
    let handed_out =
        desk.command(words).env("CREDENTIALS_DIRECTORY", desk.dir.path()).output().expect("runs");
    let complaint = String::from_utf8_lossy(&handed_out.stderr);
    assert!(complaint.contains("nowhere.pem"), "the master key was read: {complaint}");
}
