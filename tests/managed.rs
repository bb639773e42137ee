//! Machines on which IT has set something, around the real programs.

use serde_json::{Value, json};
use testkit::bench::Echo;
use testkit::{
    Access, Acme, Assistant, Desktop, Employee, Gateway, ManagedMachine, Opened, Program, SessionParts,
    Setup, Step, program, until,
};

use crate::common::{SOON, files_below, refusal_text, tells};
use crate::org::{acme, assistant, signs_in_to_acme};

/// A token that must not be seen anywhere.
const TOKEN: &str = "dge_canary-of-the-enrolment-token";

fn machine() -> ManagedMachine {
    ManagedMachine::around(&program(Program::Deskgate).expect("built")).expect("a machine")
}

fn of(acme: &Acme) -> Value {
    json!({
        "ConfigURL": acme.organisation.config_url().as_str(),
        "RootKeyFingerprint": acme.organisation.fingerprint(),
        "AllowTerminalAnswers": true,
        "EnrolmentToken": TOKEN,
    })
}

/// The organisation takes in only machines that it has prepared; gives a token for one.
pub(crate) async fn takes_in_prepared_machines(acme: &Acme) -> Value {
    let published = acme.organisation.publish(|folder| {
        let file = folder.join("org.toml");
        let text = std::fs::read_to_string(&file).expect("reads");
        std::fs::write(file, format!("{text}\n[enrolment]\nrequire_token = true\n")).expect("writes");
    });
    published.await.expect("published");
    acme.organisation.control_json(&["enrolment-token", "new", "--days", "1"]).await.expect("made")
}

/// A settings file in which the person has a connector and a virtual server of their own.
fn own_settings(echo: &Echo) -> String {
    format!(
        "answer_in_terminal = true\n[connectors.own]\ntitle = \"Own\"\nurl = \"http://{}/mcp\"\n\
         [servers.own]\ntitle = \"My own desk\"\nconnectors = [\"own\"]\n",
        echo.address()
    )
}

async fn gateway(machine: &ManagedMachine, opened: &Opened, settings: String) -> Gateway {
    let setup = Setup { settings, path: vec![opened.folder().to_owned()], ..Setup::default() };
    Gateway::start(&machine.program(), setup).await.expect("the gateway starts")
}

/// The virtual servers that it offers; none while it begins anew.
async fn servers(gateway: &Gateway) -> Option<Vec<String>> {
    let status = gateway.deskgate_json(&["status"]).await.ok()?;
    let servers = status["servers"].as_array()?.iter();
    servers.map(|server| server["id"].as_str().map(str::to_owned)).collect()
}

async fn audited(gateway: &Gateway, kind: &str) -> Vec<String> {
    let all = gateway.deskgate(&["audit", "export"]).await.expect("it runs").stdout;
    let all = String::from_utf8_lossy(&all).into_owned();
    all.lines().filter(|line| line.contains(&format!("\"{kind}\""))).map(str::to_owned).collect()
}

fn nothing_tells_the_token(gateway: &Gateway) {
    assert!(!gateway.log().contains(TOKEN), "in the log");
    for (path, bytes) in files_below(gateway.home()) {
        let found = bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes());
        assert!(!found, "in {}", path.display());
    }
}

#[tokio::test]
async fn a_managed_machine_belongs_to_its_organisation_whatever_its_user_writes() {
    let acme = acme().await;
    let echo = Echo::start().await.expect("an upstream");
    let mut opened = Opened::new().expect("a browser opener");
    let machine = machine();
    machine.set("10-acme.json", &of(&acme)).expect("set");
    let gateway = gateway(&machine, &opened, own_settings(&echo)).await;

    let told = tells(&gateway, "Set by IT on this computer (/etc/deskgate/managed.d)").await;
    assert!(told.contains("EnrolmentToken: set") && !told.contains(TOKEN), "{told}");
    let status = gateway.deskgate_json(&["status"]).await.expect("it runs");
    let url = acme.organisation.config_url();
    assert_eq!(status["manager"]["config_url"], url.as_str(), "{status:#}");
    let by = "IT (/etc/deskgate/managed.d/10-acme.json)";
    let settings = status["settings"].as_array().expect("a list");
    assert!(settings.iter().any(|it| it["value"] == url.as_str() && it["managed_by"] == by), "{settings:#?}");

    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let assistant = assistant(&gateway, "analyst").await;
    let listed = assistant.run(None, &[Step::ListTools]).await.expect("connected");
    assert!(!listed.tool_names(0).is_empty(), "{listed:?}");
    let offered = servers(&gateway).await.expect("it runs");
    assert!(!offered.contains(&"own".to_owned()), "what its user wrote counts for nothing");

    // Another organisation in the person's own file is not even looked at.
    std::fs::write(gateway.home().join("deskgate.toml"), "[organisation]\nsurprise = 1").expect("written");
    let again = assistant.run(None, &[Step::ListTools]).await.expect("connected");
    assert!(!again.tool_names(0).is_empty(), "{again:?}");
    let noted = audited(&gateway, "managed-changed").await;
    assert!(noted.iter().any(|line| line.contains("ConfigURL") && line.contains(url.as_str())), "{noted:?}");
    nothing_tells_the_token(&gateway);
}

#[tokio::test]
async fn what_cannot_be_used_opens_nothing_and_closes_nothing_that_was_in_force() {
    let acme = acme().await;
    let echo = Echo::start().await.expect("an upstream");
    let mut opened = Opened::new().expect("a browser opener");
    let machine = machine();
    machine.set("10-acme.json", &of(&acme)).expect("set");
    let mut gateway = gateway(&machine, &opened, own_settings(&echo)).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let assistant = assistant(&gateway, "analyst").await;

    machine.mode("10-acme.json", 0o666).expect("set");
    tells(&gateway, "10-acme.json can be written to by others than root").await;
    let listed = assistant.run(None, &[Step::ListTools]).await.expect("connected");
    assert!(!listed.tool_names(0).is_empty(), "the organisation decides as before: {listed:?}");

    gateway.restart().await.expect("it starts");
    let told = tells(&gateway, "10-acme.json can be written to by others than root").await;
    assert_eq!(servers(&gateway).await, Some(Vec::new()), "not the person's own either: {told}");
    assert!(!audited(&gateway, "managed-refused").await.is_empty());

    machine.mode("10-acme.json", 0o644).expect("set");
    until("the organisation again", SOON, async || {
        servers(&gateway).await?.contains(&"analyst".to_owned()).then_some(())
    })
    .await
    .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    let back = assistant.run(None, &[Step::ListTools]).await.expect("its access was not lost");
    assert!(!back.tool_names(0).is_empty(), "{back:?}");
    nothing_tells_the_token(&gateway);
}

#[tokio::test]
async fn a_machine_that_becomes_managed_is_taken_over_while_the_program_runs() {
    let acme = acme().await;
    let echo = Echo::start().await.expect("an upstream");
    let mut opened = Opened::new().expect("a browser opener");
    let machine = machine();
    let mut gateway = gateway(&machine, &opened, own_settings(&echo)).await;
    let personal = gateway.connect("own", "Test").await.expect("let in").tokens.access_token;
    let personal = Assistant::new(gateway.url("own").expect("a URL"), Access::Bearer(personal)).expect("one");
    let process = gateway.process().expect("it runs").id();

    machine.set("10-acme.json", &of(&acme)).expect("set");
    until("the organisation", SOON, async || {
        let status = gateway.deskgate_json(&["status"]).await.ok()?;
        (status["manager"]["organisation"] == "Acme").then_some(())
    })
    .await
    .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    assert!(gateway.log().contains("Your IT department has changed who decides"), "{}", gateway.log());
    assert_eq!(gateway.process().expect("it runs").id(), process, "whoever watches over it sees no end");
    let call = personal.run(None, &[Step::ListTools]).await;
    assert!(call.is_err(), "the person's own is gone: {call:?}");

    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let assistant = assistant(&gateway, "analyst").await;
    // The same organisation at another of its addresses: nobody has to begin anew.
    let mut moved = of(&acme);
    let address = acme.organisation.config_url().as_str().replace("127.0.0.1", "localhost");
    moved["ConfigURL"] = json!(address);
    machine.set("20-moved.json", &moved).expect("set");
    tells(&gateway, &format!("ConfigURL: {address}  [/etc/deskgate/managed.d/20-moved.json]")).await;
    let (note, text) = acme.note();
    let back = until("its access without being asked", SOON, async || {
        let calls = [Step::call("read_text_file", json!({"path": note}))];
        let back = assistant.run(None, &calls).await.ok()?;
        (back.text(0) == Some(text)).then_some(())
    })
    .await;
    back.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));

    machine.unset("20-moved.json").expect("unset");
    machine.set("10-acme.json", &json!({"AllowUserOverride": false})).expect("set");
    tells(&gateway, "has not set an organisation yet").await;
    let refused = assistant.run(None, &[Step::ListTools]).await;
    assert!(refused.is_err() || refused.is_ok_and(|it| !refusal_text(&it.answers[0]).is_empty()));
    machine.unset("10-acme.json").expect("unset");
    until("what the person wrote", SOON, async || {
        servers(&gateway).await?.contains(&"own".to_owned()).then_some(())
    })
    .await
    .expect("a machine that is free again is its user's");
}

#[tokio::test]
async fn a_machine_is_taken_in_by_the_token_that_it_has_set_and_by_no_link() {
    let acme = acme().await;
    let made = takes_in_prepared_machines(&acme).await;
    let token = made["token"].as_str().expect("a token").to_owned();
    let mut opened = Opened::new().expect("a browser opener");
    let machine = machine();
    let mut settings = of(&acme);
    machine.set("10-acme.json", &settings).expect("set");
    let gateway = gateway(&machine, &opened, String::new()).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    tells(&gateway, "Your organisation takes in only computers that it has prepared.").await;

    // No address and no argument takes it in; what IT sets on the machine does, while it runs.
    for link in [format!("deskgate://enrol?token={token}"), format!("--enrolment-token={token}")] {
        let told = gateway.deskgate(&[&link]).await.expect("it runs");
        assert!(!told.status.success(), "{}", String::from_utf8_lossy(&told.stdout));
    }
    let devices = async || acme.organisation.control_json(&["device", "list"]).await.expect("devices");
    assert_eq!(devices().await.as_array().map(Vec::len), Some(0));
    settings["EnrolmentToken"] = json!(token);
    machine.set("10-acme.json", &settings).expect("set");
    let device = until("the device", SOON, async || devices().await.as_array()?.first().cloned()).await;
    let device = device.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    assert_eq!((&device["key_protection"], &device["enrolment_token"]), (&json!("os"), &made["id"]));
    let assistant = assistant(&gateway, "analyst").await;
    let visits =
        Step::call("execute_sql", json!({"sql": "select sum(visits) as all_visits from analytics.visits"}));
    let answered = until("a call with a shared account", SOON, async || {
        let answer = assistant.run(None, std::slice::from_ref(&visits)).await.ok()?;
        answer.answers[0].to_string().contains("172").then_some(())
    });
    answered.await.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    assert!(!gateway.log().contains(&token), "in the log");
}

#[tokio::test]
async fn a_managed_desktop_starts_by_itself_hides_entries_and_knows_where_help_is() {
    let echo = Echo::start().await.expect("an upstream");
    let machine = ManagedMachine::around(&program(Program::Desktop).expect("built")).expect("a machine");
    let settings = |autostart: bool| json!({"Autostart": autostart, "HiddenMenuItems": ["quit", "pause"], "SupportURL": "https://help.acme.test/"});
    machine.set("10.json", &settings(true)).expect("set");
    let setup = Setup { settings: own_settings(&echo), ..Setup::default() };
    let mut desktop =
        Desktop::prepared(&machine.program(), setup, SessionParts::DESKTOP).await.expect("a session");
    desktop.launch(&["--background"]).expect("started");
    desktop.offers("own").await.expect("what its user wrote counts beside it");
    let tray = desktop.tray().await.expect("a tray");
    tray.entry("Get help").await.expect("help, without an organisation");
    let lines = tray.lines().await.expect("a menu");
    assert!(!lines.iter().any(|line| line.contains("Quit") || line == "Pause"), "{lines:#?}");

    let entry = desktop.session().home().join(".config/autostart/dev.deskgate.desktop.desktop");
    let text = until("an entry of the session", SOON, async || std::fs::read_to_string(&entry).ok()).await;
    let text = text.expect("written");
    assert!(text.contains("deskgate-desktop\" --background"), "{text}");
    machine.set("10.json", &settings(false)).expect("set");
    until("no entry", SOON, async || (!entry.exists()).then_some(())).await.expect("removed while it runs");
}
