//! Has the person at this computer prove to the operating system who they are. What the system asks for, a password or a finger, is its
//! own affair, and nothing of it comes here.
//!
//! Linux only so far: polkit (`org.freedesktop.PolicyKit1.Authority`, `CheckAuthorization`). The action is described by
//! `src-tauri/linux/dev.deskgate.approve.policy`, which packages install; where it is not installed, polkit refuses.

/// Why nothing is proved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unproved {
    /// The person did not prove it, or the system's own rules refuse it.
    #[error("the operating system did not confirm it")]
    Refused,
    /// The system could not ask anybody.
    #[error("the operating system could not ask: {0}")]
    Unasked(String),
}

/// Waits until the person has proved who they are; dropping it withdraws the question. For root polkit asks nobody.
///
/// # Errors
/// [`Unproved`]; whatever fails, nothing is proved.
pub async fn prove_person() -> Result<(), Unproved> {
    imp::prove_person().await
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use super::Unproved;

    pub(super) async fn prove_person() -> Result<(), Unproved> {
        Err(Unproved::Unasked("this is not done on this system yet".to_owned()))
    }
}

#[cfg(target_os = "linux")]
mod imp {
    use std::collections::HashMap;

    use zbus::zvariant::Value;

    use super::Unproved;

    const ACTION: &str = "dev.deskgate.approve";
    const AUTHORITY: &str = "org.freedesktop.PolicyKit1";
    const PATH: &str = "/org/freedesktop/PolicyKit1/Authority";
    const INTERFACE: &str = "org.freedesktop.PolicyKit1.Authority";
    /// `AllowUserInteraction`.
    const INTERACTION: u32 = 1;

    pub(super) async fn prove_person() -> Result<(), Unproved> {
        let unasked = |fault: zbus::Error| Unproved::Unasked(fault.to_string());
        let started = started().ok_or_else(|| Unproved::Unasked("/proc cannot be read".to_owned()))?;
        let bus = crate::bus::system_bus().await.map_err(unasked)?;
        let user = i32::try_from(crate::current_user().0).unwrap_or(-1);
        let process = HashMap::from([
            ("pid", Value::U32(std::process::id())),
            ("start-time", Value::U64(started)),
            ("uid", Value::I32(user)),
        ]);
        // Details are for the system's own programs: polkit takes none from others.
        let details = HashMap::<&str, &str>::new();
        let asked = (("unix-process", process), ACTION, details, INTERACTION, "");
        let answer = bus
            .call_method(Some(AUTHORITY), PATH, Some(INTERFACE), "CheckAuthorization", &asked)
            .await
            .map_err(unasked)?;
        let body = answer.body();
        let (authorized, challenge, details): (bool, bool, HashMap<String, String>) =
            body.deserialize().map_err(unasked)?;
        match (authorized, challenge) {
            (true, _) => Ok(()),
            (false, true) if !details.contains_key("polkit.dismissed") => {
                Err(Unproved::Unasked("no agent of polkit runs in this session".to_owned()))
            }
            (false, _) => Err(Unproved::Refused),
        }
    }

    /// When this process was started: field 22 of proc(5) stat, which with the id names it for good.
    fn started() -> Option<u64> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    use std::path::Path;
    use std::process::{Child, Command};
    use std::time::Duration;

    use super::*;
    use crate::Clock as _;

    const POLKITD: &str = "/usr/lib/polkit-1/polkitd";
    const POLICY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../linux/dev.deskgate.approve.policy");
    const RULES: &str = r#"polkit.addRule(function(action, subject) {
        if (action.id != "dev.deskgate.approve") return polkit.Result.NOT_HANDLED;
        if (subject.user == "games") return polkit.Result.YES;
        if (subject.user == "man") return polkit.Result.NO;
    });"#;

    /// The test's own name, and the variable by which it is told to be the process that asks.
    const THIS: &str = "proof::tests::polkit_says_who_proved_it_who_did_not_and_whom_it_could_not_ask";
    const ASKING: &str = "DESKGATE_TEST_PROVES";

    struct Ended(Child);

    impl Drop for Ended {
        fn drop(&mut self) {
            let _gone = self.0.kill();
            let _gone = self.0.wait();
        }
    }

    /// A system bus of its own with the real polkitd on it, which knows our action and these rules.
    fn polkit(folder: &Path) -> (String, [Ended; 2]) {
        let open = |path: &Path| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        for part in ["actions", "rules"] {
            std::fs::create_dir(folder.join(part)).unwrap();
            open(&folder.join(part));
        }
        std::fs::copy(POLICY, folder.join("actions/dev.deskgate.approve.policy")).unwrap();
        std::fs::write(folder.join("rules/10-test.rules"), RULES).unwrap();
        open(folder);
        let address = format!("unix:path={}/bus", folder.display());
        let config = format!(
            r#"<busconfig><type>system</type><listen>{address}</listen><auth>EXTERNAL</auth>
            <policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/>
            <allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>"#
        );
        std::fs::write(folder.join("bus.conf"), config).unwrap();
        let bus = Command::new("dbus-daemon")
            .arg(format!("--config-file={}/bus.conf", folder.display()))
            .arg("--nofork")
            .spawn()
            .unwrap();
        let within = format!(
            "mount --bind {0}/actions /usr/share/polkit-1/actions && mount --bind {0}/rules /etc/polkit-1/rules.d && exec {POLKITD} --no-debug",
            folder.display()
        );
        wait_for("the bus", || folder.join("bus").exists());
        let authority = Command::new("unshare")
            .args(["--mount", "sh", "-c", &within])
            .env("DBUS_SYSTEM_BUS_ADDRESS", &address)
            .spawn()
            .unwrap();
        let ended = [Ended(authority), Ended(bus)];
        wait_for("polkit", || {
            let known = Command::new("pkaction").env("DBUS_SYSTEM_BUS_ADDRESS", &address).output().unwrap();
            String::from_utf8_lossy(&known.stdout).contains("dev.deskgate.approve")
        });
        (address, ended)
    }

    fn wait_for(what: &str, is_there: impl Fn() -> bool) {
        let begun = crate::SystemClock.boot_time();
        while !is_there() {
            assert!(crate::SystemClock.boot_time() - begun < Duration::from_secs(20), "{what} does not come");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What a process of this user is told.
    fn asked_as(user: u32, address: &str) -> String {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", THIS, "--nocapture"])
            .env("DBUS_SYSTEM_BUS_ADDRESS", address)
            .env(ASKING, "1")
            .current_dir("/")
            .uid(user)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        told.lines()
            .find_map(|line| line.split_once("proved: "))
            .unwrap_or_else(|| panic!("{told}"))
            .1
            .to_owned()
    }

    #[tokio::test]
    async fn polkit_says_who_proved_it_who_did_not_and_whom_it_could_not_ask() {
        if std::env::var_os(ASKING).is_some() {
            let proved = format!("\nproved: {:?}\n", prove_person().await);
            return std::io::stdout().write_all(proved.as_bytes()).unwrap();
        }
        // Who is not root cannot have polkitd become its own user.
        if crate::current_user().0 != 0 {
            return;
        }
        assert!(Path::new(POLKITD).exists(), "polkitd is not installed: cargo xtask setup");
        let folder = tempfile::tempdir().unwrap();
        let (address, _ended) = polkit(folder.path());
        let [games, man, nobody] = [5, 6, 65534];
        assert_eq!(asked_as(games, &address), "Ok(())");
        assert_eq!(asked_as(man, &address), "Err(Refused)");
        assert!(
            asked_as(nobody, &address).starts_with("Err(Unasked(\"no agent"),
            "auth_self, and nobody can be asked"
        );
        let nowhere = format!("unix:path={}/nothing", folder.path().display());
        assert!(
            asked_as(games, &nowhere).starts_with("Err(Unasked("),
            "where there is no polkit, nothing is proved"
        );
    }
}
