//! Updates from a folder of the organisation's: offered, pinned, switched off, and refused where the publisher has not signed them.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use testkit::{Interceptor, ManagedMachine, Publisher};

use super::*;

/// A folder of releases, and who may publish in it.
struct Releases {
    publisher: Publisher,
    folder: TempDir,
    host: StaticHost,
}

impl Releases {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let host = StaticHost::start(folder.path()).await.expect("a static host");
        Self { publisher: Publisher::new().expect("a key"), folder, host }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The publisher's key instead of the one that is compiled in, and packages of Debian's as the form of this program: debug builds
    /// alone take that from their environment.
    fn setup(&self, acme: &Acme) -> Setup {
        let environment = [
            ("DESKGATE_DEBUG_UPDATE_KEY", self.publisher.key()),
            ("DESKGATE_DEBUG_UPDATE_FORM", "deb".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Setup { settings: acme.organisation.settings(), environment, ..Setup::default() }
    }
}

/// Has the organisation say this of updates, and nothing else.
async fn says(acme: &Acme, updates: &str) {
    let change = |folder: &Path| {
        let path = folder.join("org.toml");
        let text = std::fs::read_to_string(&path).expect("readable");
        let before = text.split("\n[updates]\n").next().unwrap_or_default();
        std::fs::write(&path, format!("{before}\n[updates]\n{updates}")).expect("written");
    };
    acme.organisation.publish(change).await.expect("published");
}

async fn at(acme: &Acme, releases: &Releases, more: &str) {
    says(acme, &format!("url = \"{}\"\n{more}", releases.host.url())).await;
}

async fn gateway(acme: &Acme, releases: &Releases) -> Gateway {
    let deskgate = program(Program::Deskgate).expect("built");
    Gateway::start(&deskgate, releases.setup(acme)).await.expect("it starts")
}

/// What `deskgate update` finds, once it is this.
async fn finds(gateway: &Gateway, state: &str) -> Value {
    let found = until(state, SOON, async || {
        let said = gateway.deskgate(&["update", "--json"]).await.ok()?;
        let found: Value = serde_json::from_slice(&said.stdout).ok()?;
        (found["state"] == state).then_some(found)
    });
    found.await.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()))
}

async fn recorded(gateway: &Gateway, kind: &str) -> Vec<String> {
    let all = gateway.deskgate(&["audit", "export"]).await.expect("it runs").stdout;
    let all = String::from_utf8_lossy(&all).into_owned();
    all.lines().filter(|line| line.contains(&format!("\"{kind}\""))).map(str::to_owned).collect()
}

fn package_of(found: &Value) -> std::path::PathBuf {
    found["package"].as_str().expect("a package").into()
}

#[tokio::test]
async fn an_update_is_offered_pinned_gone_back_from_and_switched_off() {
    let (acme, releases) = (acme().await, Releases::start().await);
    let gateway = gateway(&acme, &releases).await;
    tells(&gateway, "Sign in to Acme").await;
    finds(&gateway, "elsewhere").await;
    assert!(!gateway.home().join("updates").exists(), "nothing is fetched unless the organisation says so");

    releases.publisher.releases(releases.path(), "0.0.1", b"the first").expect("published");
    releases.publisher.releases(releases.path(), "0.3.0", b"the newest").expect("published");
    releases.publisher.releases(releases.path(), "0.2.0", b"the one that IT tried").expect("published");
    at(&acme, &releases, "").await;
    let found = finds(&gateway, "ready").await;
    assert_eq!(
        (&found["version"], &found["older"]),
        (&json!("0.2.0"), &json!(false)),
        "the one that is the latest"
    );
    let package = package_of(&found);
    assert_eq!(std::fs::read(&package).expect("a package"), b"the one that IT tried");
    let said = gateway.deskgate(&["update"]).await.expect("it runs");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let line = format!("sudo deskgate update --install {}", package.display());
    assert!(said.contains("Version 0.2.0 is ready.") && said.contains(&line), "{said}");
    assert_eq!(recorded(&gateway, "update-offered").await.len(), 1, "once, however often it is looked at");

    at(&acme, &releases, "version = \"0.3.0\"\n").await;
    let pinned = until("the pinned one", SOON, async || {
        let found = finds(&gateway, "ready").await;
        (found["version"] == "0.3.0").then_some(found)
    });
    let pinned = package_of(&pinned.await.expect("the pinned one"));
    assert!(pinned.exists() && !package.exists(), "what is not wanted any more is gone");

    at(&acme, &releases, "version = \"0.0.1\"\n").await;
    let back = until("the earlier one", SOON, async || {
        let found = finds(&gateway, "ready").await;
        (found["version"] == "0.0.1").then_some(found)
    });
    assert_eq!(back.await.expect("the earlier one")["older"], true);
    let said = gateway.deskgate(&["update"]).await.expect("it runs");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("goes back to version 0.0.1") && said.contains("--allow-older"), "{said}");

    at(&acme, &releases, "mode = \"off\"\n").await;
    finds(&gateway, "off").await;
    let left = std::fs::read_dir(gateway.home().join("updates")).expect("a folder").count();
    assert_eq!(left, 0, "nothing is kept");
}

#[tokio::test]
async fn without_a_pin_nobody_goes_back() {
    let (acme, releases) = (acme().await, Releases::start().await);
    releases.publisher.releases(releases.path(), "0.0.1", b"the first").expect("published");
    at(&acme, &releases, "").await;
    let gateway = gateway(&acme, &releases).await;
    finds(&gateway, "current").await;
}

#[tokio::test]
async fn what_the_publisher_has_not_signed_is_refused_and_recorded() {
    let (acme, releases) = (acme().await, Releases::start().await);
    let (folder, publisher) = (releases.path().to_owned(), &releases.publisher);
    let stranger = Publisher::new().expect("a key");
    let platform = format!("linux-{}-deb", std::env::consts::ARCH);
    stranger.releases(&folder, "0.2.0", b"of somebody else").expect("published");
    at(&acme, &releases, "").await;
    let gateway = gateway(&acme, &releases).await;
    let refused = async |why: &str| {
        let told = until(why, SOON, async || {
            let found = finds(&gateway, "failed").await;
            found["advice"]["happened"].as_str().is_some_and(|said| said.contains(why)).then_some(())
        });
        told.await.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
        let recorded = recorded(&gateway, "update-refused").await;
        assert!(recorded.iter().any(|line| line.contains(why)), "{why}: {recorded:?}");
    };
    refused("the publisher has not signed it").await;

    // An earlier release, served as a later one.
    let old = Publisher::statement("0.1.0", &platform, "old.deb", b"old");
    publisher.states(&folder, "0.2.0", &old).expect("stated");
    refused("version 0.2.0 was asked for, and 0.1.0 is there").await;

    let other = Publisher::statement("0.2.0", "plan9-mips-tgz", "deskgate.tgz", b"other");
    publisher.states(&folder, "0.2.0", &other).expect("stated");
    refused("it has no package for").await;

    // The very size, and one byte otherwise.
    publisher.releases(&folder, "0.2.0", b"good").expect("published");
    std::fs::write(folder.join("0.2.0/deskgate_0.2.0.deb"), b"g00d").expect("written");
    refused("the package is not the one that the publisher has signed").await;

    std::fs::write(folder.join("0.2.0/deskgate_0.2.0.deb"), b"good and more").expect("written");
    let said = until("that it is too long", SOON, async || {
        let found = finds(&gateway, "failed").await;
        (found["advice"]["code"] == "update-unreachable").then_some(())
    });
    said.await.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    let kept = std::fs::read_dir(gateway.home().join("updates/0.2.0")).expect("a folder").count();
    assert_eq!(kept, 0, "nothing of what was refused is kept");
    assert!(recorded(&gateway, "update-offered").await.is_empty(), "nothing was offered");

    std::fs::write(folder.join("0.2.0/deskgate_0.2.0.deb"), b"good").expect("written");
    finds(&gateway, "ready").await;
}

#[tokio::test]
async fn it_on_the_machine_has_the_last_word_and_the_system_says_whose_certificate_is_good() {
    let (acme, mut releases) = (acme().await, Releases::start().await);
    releases.publisher.releases(releases.path(), "0.2.0", b"package").expect("published");
    let proxy = Interceptor::before(releases.host.url()).await.expect("TLS");
    let machine = ManagedMachine::around(&program(Program::Deskgate).expect("built")).expect("a machine");
    machine
        .set("10-updates.json", &json!({"AutomaticUpdates": false, "AllowUserOverride": true}))
        .expect("set");
    says(&acme, &format!("url = \"{}\"\n", proxy.url())).await;
    let mut gateway = Gateway::start(&machine.program(), releases.setup(&acme)).await.expect("it starts");
    finds(&gateway, "off").await;
    assert!(!releases.host.process().log().contains("GET"), "nothing is asked for");

    machine
        .set("10-updates.json", &json!({"AutomaticUpdates": true, "AllowUserOverride": true}))
        .expect("set");
    let found = finds(&gateway, "failed").await;
    assert_eq!(
        found["advice"]["code"], "update-unreachable",
        "this computer does not know the authority: {found}"
    );
    machine.believes(&proxy.authority()).expect("the company's authority");
    gateway.restart().await.expect("it starts");
    finds(&gateway, "ready").await;
}

#[tokio::test]
async fn a_version_that_was_installed_meanwhile_is_noticed() {
    let (acme, releases) = (acme().await, Releases::start().await);
    let folder = tempfile::tempdir().expect("a folder");
    let (real, place) = (program(Program::Deskgate).expect("built"), folder.path().join("deskgate"));
    std::fs::copy(&real, &place).expect("copied");
    let gateway = Gateway::start(&place, releases.setup(&acme)).await.expect("it starts");
    finds(&gateway, "elsewhere").await;
    let real = real.display();
    let later = format!(
        "#!/bin/sh\ncase \"$1\" in --version) echo deskgate 9.9.9 ;; *) exec '{real}' \"$@\" ;; esac\n"
    );
    // In the same folder, so that the file is replaced in one step, as by dpkg.
    let new = folder.path().join("new");
    std::fs::write(&new, later).expect("written");
    std::fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a program");
    std::fs::rename(&new, &place).expect("replaced");
    let found = finds(&gateway, "installed").await;
    assert_eq!(found["version"], "9.9.9");
}
