//! An organisation whose documents lie on a static host, published there and back by `deskgate-control`.

use serde_json::json;
use testkit::{Collector, Employee, Gateway, Opened, Program, Setup, StaticHost, Step, program, until};

use super::{acme, assistant, signs_in_to_acme};
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

#[tokio::test]
async fn without_a_control_plane_a_desktop_delivers_its_records_to_a_collector_itself() {
    let acme = acme().await;
    let it = &acme.organisation;
    let mut collector = Collector::start().await.expect("a collector");
    let with_collector = |folder: &std::path::Path| {
        let path = folder.join("org.toml");
        let text = std::fs::read_to_string(&path).expect("readable");
        let table = format!("\n[audit]\ncollector = \"{}\"\n", collector.logs());
        std::fs::write(&path, text + &table).expect("written");
    };
    it.publish(with_collector).await.expect("signs the next version");
    it.control_json(&["bundle", "publish", "public", "--to", "host"]).await.expect("publishes");
    let host = StaticHost::start(&it.home().join("host")).await.expect("a static host");
    let at = it.settings().replace(it.config_url().as_str(), host.url().as_str());
    let mut opened = Opened::new().expect("a browser opener");
    let settings = format!("answer_in_terminal = true\n\n{at}");
    let setup = Setup { settings, path: vec![opened.folder().to_owned()], ..Setup::default() };
    let mut gateway =
        Gateway::start(&program(Program::Deskgate).expect("built"), setup).await.expect("it starts");
    tells(&gateway, "Sign in to Acme").await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let (note, text) = acme.note();
    let read = Step::call("read_text_file", json!({"path": note}));
    let said =
        assistant(&gateway, "analyst").await.run(None, &[Step::ListTools, read]).await.expect("connected");
    assert!(said.answers[1].to_string().contains(text.trim_end()), "{}", said.answers[1]);
    collector.receives("read_text_file", SOON).await.expect("delivered");

    let collected = async |gateway: &Gateway| {
        let told = gateway.deskgate(&["audit", "sent", "-n", "1000"]).await.ok()?;
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let all = told.lines().filter(|line| line.contains("read_text_file")).count();
        let had = |line: &&str| line.starts_with("collected") && line.contains("read_text_file");
        (all > 0 && told.lines().filter(had).count() == all).then_some(told)
    };
    let told = until("the employee is told", SOON, async || collected(&gateway).await).await;
    told.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));

    // It goes on from where it was.
    let before = collector.received().matches("read_text_file").count();
    gateway.restart().await.expect("it starts");
    let told = until("all is collected", SOON, async || {
        let told = gateway.deskgate(&["audit", "sent", "-n", "1"]).await.ok()?;
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        told.contains("; 0 wait to be sent").then_some(told)
    })
    .await;
    told.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    assert_eq!(collector.received().matches("read_text_file").count(), before, "nothing is delivered twice");
    let stored = it.records(&["--tool", "read_text_file"]).await.expect("records");
    assert!(stored.is_empty(), "the control plane, which nobody told, has none: {stored:?}");
}
