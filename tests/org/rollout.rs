//! A change that reaches some desktops first.

use std::path::Path;

use model::DeviceId;
use org_protocol::{Envelope, Manifest};
use testkit::{Gateway, Program, Setup, program, until};

use super::acme;
use crate::common::{SOON, tells};

/// From which percent on a device is in the rollout.
fn percent_of(manifest: &Manifest, gateway: &Gateway) -> u32 {
    let id = std::fs::read_to_string(gateway.home().join("device")).expect("it has an id");
    let id: DeviceId = id.trim().parse().expect("an id");
    let is_in = |percent: &u32| {
        let mut rollout = manifest.rollout.clone().expect("a rollout");
        rollout.stages[0].share = percent * 100;
        rollout.stage_of(id).is_some()
    };
    (1..=100).find(is_in).expect("at a hundred percent everybody is")
}

fn manifest(folder: &Path) -> Manifest {
    let envelope = std::fs::read(folder.join("v1/manifest.json")).expect("signed");
    let payload = Envelope::parse(&envelope).and_then(|envelope| envelope.unverified_payload());
    serde_json::from_slice(&payload.expect("a payload")).expect("a manifest")
}

#[tokio::test]
async fn a_rollout_reaches_the_desktop_in_its_stage_and_then_the_other() {
    let acme = acme().await;
    let it = &acme.organisation;
    let sign = async |percent: u32| {
        let percent = percent.to_string();
        let sign = ["bundle", "sign", "org", "--root=root/1.json", "--key=keys/manifest.pem", "--out=public"];
        let done = it.control(&[&sign[..], &["--rollout", &percent]].concat()).await.expect("it runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let path = it.folder().join("org.toml");
    let text = std::fs::read_to_string(&path).expect("readable");
    std::fs::write(&path, text.replacen("\nname = \"Acme\"\n", "\nname = \"Ajax\"\n", 1)).expect("written");
    sign(1).await;
    let manifest = manifest(&it.home().join("public"));

    let start = async || {
        let setup = Setup { settings: it.settings(), ..Setup::default() };
        let gateway =
            Gateway::start(&program(Program::Deskgate).expect("built"), setup).await.expect("it starts");
        tells(&gateway, "Sign in to Acme").await;
        gateway
    };
    let (mut first, mut second) = (start().await, start().await);
    while percent_of(&manifest, &first) == percent_of(&manifest, &second) {
        second = start().await;
    }
    if percent_of(&manifest, &first) > percent_of(&manifest, &second) {
        std::mem::swap(&mut first, &mut second);
    }

    let follows = async |gateway: &mut Gateway, name: &str, version: &str| {
        gateway.restart().await.expect("it starts");
        tells(gateway, &format!("Sign in to {name}")).await;
        let is = async || {
            let status = gateway.deskgate_json(&["status"]).await.ok()?;
            (status["policy"]["version"] == version).then_some(())
        };
        until(version, SOON, is).await.expect("in force");
    };
    let percent = percent_of(&manifest, &first);
    sign(percent).await;
    let told = it.control_json(&["bundle", "publish", "public"]).await.expect("publishes");
    assert_eq!(told["rollout"][0]["share"], percent * 100, "{told}");
    let version = format!("acme {}", told["version"]);
    follows(&mut first, "Ajax", &version).await;
    follows(&mut second, "Acme", &version).await;

    sign(100).await;
    let told = it.control_json(&["bundle", "publish", "public"]).await.expect("publishes");
    assert!(told["rollout"].is_null(), "{told}");
    let version = format!("acme {}", told["version"]);
    follows(&mut first, "Ajax", &version).await;
    follows(&mut second, "Ajax", &version).await;
}
