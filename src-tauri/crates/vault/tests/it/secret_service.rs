//! The vault on a real GNOME Keyring.
//!
//! The session bus belongs to the whole process, so each test runs itself again, in a process of its own under a private
//! bus with a home directory of its own. Needs Debian's `dbus` and `gnome-keyring`.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ::vault::{Finding, Keychain, KeychainFault, KeychainState, Kind, SecretBytes, SystemKeychain, Vault};
use os::SystemClock;

const TEST: &str = "DESKGATE_TEST";
const STEP: &str = "DESKGATE_TEST_STEP";

/// What serves secrets on the private bus.
#[derive(Clone, Copy)]
enum Service {
    /// Nothing, and not even a bus.
    NoBus,
    /// A bus without a keyring.
    NoKeyring,
    /// A keyring unlocked with its password.
    Unlocked,
    /// A keyring that nobody unlocked, and nobody to ask for the password.
    Locked,
}

// No service directories: nothing is started on demand, neither a keyring nor a password prompt.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=HOME</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>"#;

const WITH_KEYRING: &str = r#"
ask() { dbus-send --session --print-reply --dest="$1" "$2" "$3" "string:$4" 2>/dev/null; }
case "$SERVICE" in
  unlocked)
    printf password | gnome-keyring-daemon --foreground --unlock --components=secrets >/dev/null 2>&1 & DAEMON=$!
    until ask org.freedesktop.secrets /org/freedesktop/secrets org.freedesktop.Secret.Service.ReadAlias default \
      | grep -q /collection/; do kill -0 $DAEMON || exit 99; sleep 0.05; done ;;
  locked)
    gnome-keyring-daemon --foreground --components=secrets >/dev/null 2>&1 & DAEMON=$!
    until ask org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus.NameHasOwner org.freedesktop.secrets \
      | grep -q true; do kill -0 $DAEMON || exit 99; sleep 0.05; done ;;
esac
export DAEMON
"$@"
code=$?
kill -KILL $DAEMON
wait $DAEMON 2>/dev/null
exit $code
"#;

/// Runs the test `name` again on `service`, in `home`, as the given step of the test.
fn run_inside(name: &str, step: &str, service: Service, home: &Path) {
    let mut command = match service {
        Service::NoBus => Command::new("env"),
        Service::NoKeyring | Service::Unlocked | Service::Locked => {
            let config = home.join("bus.conf");
            std::fs::write(&config, BUS.replace("HOME", home.to_str().unwrap())).unwrap();
            let mut command = Command::new("dbus-run-session");
            command.arg("--config-file").arg(config).arg("--");
            command
        }
    };
    let runtime = home.join("run");
    os::create_private_dir(&runtime).unwrap();
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home).env("XDG_RUNTIME_DIR", runtime);
    command.env(TEST, name).env(STEP, step);
    match service {
        Service::NoBus | Service::NoKeyring => &mut command,
        Service::Unlocked => command.env("SERVICE", "unlocked").args(["sh", "-c", WITH_KEYRING, "sh"]),
        Service::Locked => command.env("SERVICE", "locked").args(["sh", "-c", WITH_KEYRING, "sh"]),
    };
    command.arg(std::env::current_exe().unwrap());
    let output = command.args(["--exact", &format!("secret_service::{name}"), "--nocapture"]).output();
    let output = output.expect("Debian's dbus and gnome-keyring are installed");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "step {step}: {}\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "the step did not run: {out}");
}

/// The step that this process is to run of the test `name`; `None` in the process that drives the steps.
fn step_of(name: &str) -> Option<String> {
    std::env::var(STEP).ok().filter(|_| std::env::var(TEST).is_ok_and(|test| test == name))
}

fn home() -> PathBuf {
    std::env::var_os("HOME").unwrap().into()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

async fn open(dir: &str) -> Vault {
    Vault::open(&home().join(dir), Arc::new(SystemKeychain), Arc::new(SystemClock)).await
}

async fn read(vault: &Vault, key: &str) -> Option<String> {
    vault.get(Kind::Grant, key).await.unwrap().map(|secret| secret.expose_text().unwrap().to_owned())
}

fn sealed_files(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("grant")).map_or(0, Iterator::count)
}

#[test]
fn secrets_survive_a_restart_and_a_new_login() {
    const NAME: &str = "secrets_survive_a_restart_and_a_new_login";
    let Some(step) = step_of(NAME) else {
        let home = tempfile::tempdir().unwrap();
        run_inside(NAME, "store", Service::Unlocked, home.path());
        run_inside(NAME, "after a new login", Service::Unlocked, home.path());
        return;
    };
    block_on(async {
        if step == "store" {
            let vault = open("vault").await;
            assert_eq!((vault.state(), vault.is_durable()), (KeychainState::Available, true));
            vault.put(Kind::Grant, "mail", b"refresh-token").await.unwrap();
            vault.put(Kind::Grant, "chat", b"other").await.unwrap();
            vault.delete(Kind::Grant, "chat").await.unwrap();
        }
        let vault = open("vault").await;
        assert_eq!(vault.state(), KeychainState::Available);
        assert_eq!(read(&vault, "mail").await.as_deref(), Some("refresh-token"));
        assert_eq!(vault.list(Kind::Grant).await.unwrap(), ["mail"]);
        assert_eq!(vault.found(), []);
    });
}

#[test]
fn two_homes_on_one_keychain_have_a_key_each() {
    const NAME: &str = "two_homes_on_one_keychain_have_a_key_each";
    if step_of(NAME).is_none() {
        let home = tempfile::tempdir().unwrap();
        run_inside(NAME, "only", Service::Unlocked, home.path());
        return;
    }
    block_on(async {
        let (one, two) = (open("one").await, open("two").await);
        assert_ne!(one.mac_key("test"), two.mac_key("test"));
        one.put(Kind::Grant, "mail", b"one").await.unwrap();
        two.put(Kind::Grant, "mail", b"two").await.unwrap();
        assert_eq!(read(&open("one").await, "mail").await.as_deref(), Some("one"));
        assert_eq!(read(&open("two").await, "mail").await.as_deref(), Some("two"));
    });
}

#[test]
fn a_locked_keyring_loses_nothing() {
    const NAME: &str = "a_locked_keyring_loses_nothing";
    let Some(step) = step_of(NAME) else {
        let home = tempfile::tempdir().unwrap();
        run_inside(NAME, "store", Service::Unlocked, home.path());
        run_inside(NAME, "locked", Service::Locked, home.path());
        run_inside(NAME, "unlocked again", Service::Unlocked, home.path());
        return;
    };
    block_on(async {
        let vault = open("vault").await;
        match step.as_str() {
            "store" => vault.put(Kind::Grant, "mail", b"kept").await.unwrap(),
            "locked" => {
                assert_eq!((vault.state(), vault.is_durable()), (KeychainState::Locked, false));
                assert_eq!(vault.found(), [], "locked is no loss");
                assert_eq!(read(&vault, "mail").await, None);
                vault.put(Kind::Grant, "chat", b"in memory").await.unwrap();
                assert_eq!(read(&vault, "chat").await.as_deref(), Some("in memory"));
                assert_eq!(vault.retry().await, KeychainState::Locked);
                assert_eq!(sealed_files(&home().join("vault")), 1, "nothing is added and nothing set aside");
            }
            _ => {
                assert_eq!(vault.state(), KeychainState::Available);
                assert_eq!(read(&vault, "mail").await.as_deref(), Some("kept"));
                assert_eq!(read(&vault, "chat").await, None, "what was in memory is gone");
                assert_eq!(vault.found(), []);
            }
        }
    });
}

#[test]
fn a_keyring_that_was_never_set_up_counts_as_locked() {
    const NAME: &str = "a_keyring_that_was_never_set_up_counts_as_locked";
    if step_of(NAME).is_none() {
        let home = tempfile::tempdir().unwrap();
        run_inside(NAME, "only", Service::Locked, home.path());
        return;
    }
    block_on(async {
        let vault = open("vault").await;
        assert_eq!((vault.state(), vault.is_durable()), (KeychainState::Locked, false));
    });
}

#[test]
fn without_a_keyring_secrets_stay_in_memory() {
    const NAME: &str = "without_a_keyring_secrets_stay_in_memory";
    if step_of(NAME).is_none() {
        for service in [Service::NoKeyring, Service::NoBus] {
            let home = tempfile::tempdir().unwrap();
            run_inside(NAME, "only", service, home.path());
        }
        return;
    }
    block_on(async {
        let vault = open("vault").await;
        assert_eq!((vault.state(), vault.is_durable()), (KeychainState::Absent, false));
        vault.put(Kind::Grant, "mail", b"in memory").await.unwrap();
        assert_eq!(read(&vault, "mail").await.as_deref(), Some("in memory"));
        assert_eq!(sealed_files(&home().join("vault")), 0);
        assert_eq!(read(&open("vault").await, "mail").await, None);
    });
}

#[test]
fn sealed_files_whose_key_was_lost_are_set_aside() {
    const NAME: &str = "sealed_files_whose_key_was_lost_are_set_aside";
    let Some(step) = step_of(NAME) else {
        let home = tempfile::tempdir().unwrap();
        run_inside(NAME, "store", Service::Unlocked, home.path());
        std::fs::remove_dir_all(home.path().join(".local/share/keyrings")).unwrap();
        run_inside(NAME, "lost", Service::Unlocked, home.path());
        return;
    };
    block_on(async {
        let vault = open("vault").await;
        assert_eq!(vault.state(), KeychainState::Available);
        if step == "store" {
            vault.put(Kind::Grant, "mail", b"sealed").await.unwrap();
            return;
        }
        let aside = home().join("vault.damaged-1");
        let findings: Vec<_> = vault.found().into_iter().map(|found| found.finding).collect();
        assert_eq!(findings, [Finding::KeyLost { aside: aside.clone() }]);
        assert_eq!(sealed_files(&aside), 1, "the old files are kept");
        assert_eq!(read(&vault, "mail").await, None);
        vault.put(Kind::Grant, "mail", b"new").await.unwrap();
        assert_eq!(read(&open("vault").await, "mail").await.as_deref(), Some("new"));
    });
}

/// The real keychain, given less time than a test should take.
struct Impatient;

impl Keychain for Impatient {
    fn read(&self, account: &str) -> Result<Option<SecretBytes>, KeychainFault> {
        SystemKeychain.read(account)
    }

    fn write(&self, account: &str, secret: &SecretBytes) -> Result<(), KeychainFault> {
        SystemKeychain.write(account, secret)
    }

    fn remove(&self, account: &str) -> Result<(), KeychainFault> {
        SystemKeychain.remove(account)
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(2)
    }
}

#[test]
fn a_keyring_that_hangs_is_waited_for_in_the_background() {
    const NAME: &str = "a_keyring_that_hangs_is_waited_for_in_the_background";
    if step_of(NAME).is_none() {
        let home = tempfile::tempdir().unwrap();
        run_inside(NAME, "only", Service::Unlocked, home.path());
        return;
    }
    let daemon = std::env::var("DAEMON").unwrap();
    let send = |signal: &str| {
        assert!(
            Command::new("sh").args(["-c", &format!("kill -{signal} {daemon}")]).status().unwrap().success()
        );
    };
    block_on(async {
        send("STOP");
        let dir = home().join("vault");
        let vault = Vault::open(&dir, Arc::new(Impatient), Arc::new(SystemClock)).await;
        assert_eq!((vault.state(), vault.is_durable()), (KeychainState::Locked, false));
        vault.put(Kind::Grant, "mail", b"meanwhile").await.unwrap();

        let mut state = vault.watch();
        send("CONT");
        let available = state.wait_for(|state| *state == KeychainState::Available);
        tokio::time::timeout(Duration::from_secs(60), available).await.unwrap().unwrap();
        assert!(vault.is_durable());
        assert_eq!(
            read(&open("vault").await, "mail").await.as_deref(),
            Some("meanwhile"),
            "it is sealed now"
        );
    });
}
