//! An organisation whose documents lie on a static host, published there and back by `deskgate-control`.

use testkit::{Gateway, Program, Setup, StaticHost, program, until};

use super::acme;
use crate::common::{SOON, tells};

#[tokio::test]
async fn a_desktop_follows_what_is_published_to_a_folder_and_back() {
    let acme = acme().await;
    let it = &acme.organisation;
    let publish = async || {
        let told =
            it.control_json(&["bundle", "publish", "public", "--to", "host"]).await.expect("publishes");
        (told["version"].as_u64(), told["bundle"].as_str().expect("a digest").to_owned())
    };
    let (version, first) = publish().await;
    assert_eq!(version, Some(1));
    let host = StaticHost::start(&it.home().join("host")).await.expect("a static host");
    let settings = it.settings().replace(it.config_url().as_str(), host.url().as_str());
    let setup = Setup { settings, ..Setup::default() };
    let mut gateway =
        Gateway::start(&program(Program::Deskgate).expect("built"), setup).await.expect("it starts");
    tells(&gateway, "Sign in to Acme").await;
    // Who signs people in is known a moment before the policy is in force.
    let in_force = async |gateway: &Gateway, version: &str| {
        let is = async || {
            let status = gateway.deskgate_json(&["status"]).await.ok()?;
            (status["policy"]["version"] == version).then_some(())
        };
        until(version, SOON, is).await.expect("in force");
    };
    in_force(&gateway, "acme 1").await;

    let rename = |folder: &std::path::Path| {
        let path = folder.join("org.toml");
        let text = std::fs::read_to_string(&path).expect("readable");
        let named = text.replacen("\nname = \"Acme\"\n", "\nname = \"Ajax\"\n", 1);
        assert_ne!(named, text, "it has another name");
        std::fs::write(&path, named).expect("written");
    };
    it.publish(rename).await.expect("signs the next version");
    assert_eq!(publish().await.0, Some(2));
    gateway.restart().await.expect("it starts");
    tells(&gateway, "Sign in to Ajax").await;
    in_force(&gateway, "acme 2").await;

    let keys = ["--root", "root/1.json", "--key", "keys/manifest.pem"];
    let back = ["bundle", "rollback", "public", "--to", first.as_str()];
    let told = it.control_json(&[&back[..], &keys[..]].concat()).await.expect("signs the first again");
    assert_eq!(told["content_of"]["version"], 1);
    assert_eq!(publish().await, (Some(3), first));
    gateway.restart().await.expect("it starts");
    tells(&gateway, "Sign in to Acme").await;
    in_force(&gateway, "acme 3").await;
}
