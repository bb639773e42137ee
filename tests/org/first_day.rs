//! The story "first day": a new employee works a minute after the start, on a machine that IT has prepared, and types no address.

use serde_json::Value;
use testkit::{Desktop, Driver, ManagedMachine, SessionParts};

use super::*;
use crate::desktop::asks;
use crate::managed::takes_in_prepared_machines;

/// From the start of the program to the first answer: what is promised.
const WORKING: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_new_employee_works_within_a_minute_on_a_managed_desktop() {
    let acme = acme().await;
    let it = &acme.organisation;
    let made = takes_in_prepared_machines(&acme).await;
    let machine = ManagedMachine::around(&program(Program::Desktop).expect("built")).expect("a machine");
    let settings = json!({
        "ConfigURL": it.config_url().as_str(),
        "RootKeyFingerprint": it.fingerprint(),
        "EnrolmentToken": made["token"],
    });
    machine.set("10-acme.json", &settings).expect("set");

    let begun = tokio::time::Instant::now();
    let mut desktop = Desktop::prepared(&machine.program(), Setup::default(), SessionParts::DESKTOP)
        .await
        .expect("a session");
    desktop.launch(&["--background"]).expect("started");
    let tray = desktop.tray().await.expect("a tray");
    tray.choose("Sign in to Acme").await.expect("the tray knows whose machine this is");
    desktop.sign_in("Sign in to Acme", &Employee::alice()).await.expect("signed in");
    let url = desktop.offers("analyst").await.expect("offered");
    let client = asks(&url, "Test").await;
    let screen = desktop.screen().await.expect("a screen");
    screen.press("Test wants to use Analyst", "Allow").await.expect("allowed");
    let back = client.redirected(SOON).await.expect("redirected");
    let token = client.redeem(&back["code"]).await.expect("redeemed").access_token;
    let assistant = Assistant::new(url, Access::Bearer(token.clone())).expect("an assistant");
    let answer = assistant.run(None, &[sql(VISITS)]).await.expect("connected");
    assert!(answer.answers[0].to_string().contains("172"), "{answer:?}");
    let took = begun.elapsed();
    assert!(took <= WORKING, "{took:?}");

    let devices = it.control_json(&["device", "list"]).await.expect("devices");
    assert_eq!(devices.as_array().map(Vec::len), Some(1), "{devices:#}");
    assert_eq!(devices[0]["enrolment_token"], made["id"], "taken in as the machine that IT prepared");
    let deskgate = program(Program::Deskgate).expect("built");
    let looked = desktop.deskgate(&deskgate, &["doctor", "--json"]).await.expect("it runs");
    let looked: Value = serde_json::from_slice(&looked.stdout).expect("JSON");
    for name in ["organisation", "clock", "policy", "contact", "sign-in", "tray", "notifications"] {
        let check = crate::doctor::check(&looked, name);
        assert_eq!(check["state"], "ok", "{check:#}");
    }
    no_secret_is_handed_over(&desktop, &made, &token).await;
    let own = std::fs::read_to_string(desktop.home().join("deskgate.toml")).unwrap_or_default();
    assert_eq!(own, "", "nothing was written by hand");
}

#[tokio::test]
async fn a_new_employee_is_shown_around_in_one_window_in_under_a_minute() {
    let acme = acme().await;
    let it = &acme.organisation;
    let machine = ManagedMachine::around(&program(Program::Desktop).expect("built")).expect("a machine");
    let settings = json!({"ConfigURL": it.config_url().as_str(), "RootKeyFingerprint": it.fingerprint()});
    machine.set("10-acme.json", &settings).expect("set");
    let desktop = Desktop::prepared(&machine.program(), Setup::default(), SessionParts::DESKTOP)
        .await
        .expect("a session");
    let file = desktop.session().home().join(".cursor/mcp.json");
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    std::fs::write(&file, "{}\n").expect("written");

    let begun = tokio::time::Instant::now();
    let window = Driver::start(desktop.session(), desktop.spec(), &[]).await.expect("the window opens");
    window.shows("asks who you are").await.expect("whose it is, and what comes next");
    window.shows(it.fingerprint()).await.expect("and by what it is known");
    window.picture("welcome-managed").await.expect("taken");
    window.click("Sign in to Acme").await.expect("clicked");
    desktop.sign_in("Sign in to Acme", &Employee::alice()).await.expect("signed in");
    window.turns_to("index.html", "Your assistants").await.expect("the main window");
    window.click("Connect Cursor to Analyst").await.expect("found here");
    window.click("Make this change").await.expect("clicked");
    window.click("Try it").await.expect("the last step");
    window.shows("list_allowed_directories of Files answered in").await.expect("a green tick");
    let took = begun.elapsed();
    window.picture("welcome-managed-works").await.expect("taken");
    assert!(took <= WORKING, "{took:?}");
    window.click("Done").await.expect("clicked");
    window.shows("What assistants connect to").await.expect("the Overview as it is from now on");
}

#[tokio::test]
async fn an_organisation_is_joined_by_its_address_in_the_window() {
    let acme = acme().await;
    let it = &acme.organisation;
    let program = program(Program::Desktop).expect("built");
    let mut desktop = Desktop::start(&program, Setup::default()).await.expect("the desktop starts");
    desktop.tray().await.expect("a tray").activate().await.expect("clicked");
    let screen = desktop.screen().await.expect("a screen");
    screen.press("Deskgate", "My organisation gave me an address").await.expect("pressed");
    let field =
        "The address that your IT department gave you. Deskgate then begins anew and asks you to sign in.";
    screen.fill("Deskgate", &[(field, it.config_url().as_str())]).await.expect("typed");
    screen.press("Deskgate", "Join").await.expect("pressed");
    screen.shows("Deskgate", "Is this Acme?").await.expect("it began anew and asks for the fingerprint");
    screen.shows("Deskgate", it.fingerprint()).await.expect("which it shows");
    let own = std::fs::read_to_string(desktop.home().join("deskgate.toml")).expect("reads");
    assert!(own.contains(&format!("config_url = \"{}\"", it.config_url())), "{own}");
}

/// Nor the organisation's: shared accounts, ID tokens, passwords, the machine's enrolment token.
async fn no_secret_is_handed_over(desktop: &Desktop, made: &Value, token: &str) {
    let deskgate = program(Program::Deskgate).expect("built");
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("diagnostics.tar.gz");
    let out = archive.display().to_string();
    let ran = desktop.deskgate(&deskgate, &["diagnostics", "--yes", "--out", &out]).await.expect("it runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let unpacked = tempfile::tempdir().expect("a folder");
    let files = crate::doctor::unpacked(&archive, unpacked.path());
    let about = |name: &str| {
        let file = files.iter().find(|(path, _)| path.ends_with(name)).expect("there");
        String::from_utf8_lossy(&file.1).into_owned()
    };
    assert!(about("doctor.txt").contains("set by your IT department"), "{}", about("doctor.txt"));
    assert!(about("running.json").contains("\"organisation\": \"Acme\""), "{}", about("running.json"));
    let enrolment = made["token"].as_str().expect("a token");
    let canaries =
        [("the enrolment token", enrolment.as_bytes()), ("an assistant's token", token.as_bytes())];
    assert_eq!(testkit::readable_secrets(unpacked.path(), &canaries), [] as [String; 0]);
}
