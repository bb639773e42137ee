//! Our own windows, as somebody meets them who needs a keyboard or a screen reader, or has much to look through.

use std::path::Path;
use std::sync::Arc;

use audit::{IntentRecord, Journal, JournalConfig, Outcome, OutcomeStatus};
use model::{CallId, DeviceId};
use serde_json::{Value, json};
use testkit::bench::Echo;
use testkit::{Access, Assistant, Desktop, Driver, SessionParts, Step, full_size, until};
use tokio::task::JoinSet;

use crate::common::{Personal, SOON};
use crate::desktop::{echo, prepared, start, token};

/// The places of the main window.
const PLACES: [&str; 8] =
    ["Overview", "Connectors", "Assistants", "Activity", "Access", "Pending", "Settings", "About"];

/// The windows of the sample, in a session of this theme.
async fn sample(theme: &str) -> (Desktop, Driver) {
    let desktop = prepared(Personal::default(), SessionParts::DESKTOP).await;
    let spec = desktop.spec().env("GTK_THEME", theme);
    let window = Driver::start(desktop.session(), spec, &["--sample"]).await.expect("the window opens");
    (desktop, window)
}

/// Takes a picture, and says what is in somebody's way.
async fn looked_at(window: &Driver, name: &str, is_dark: bool) -> Vec<String> {
    let named = format!("{}-{}", name.to_lowercase(), if is_dark { "dark" } else { "light" });
    window.picture(&named).await.expect("taken");
    let found = window.barriers().await.expect("looked at");
    found.into_iter().map(|found| format!("{named}: {found}")).collect()
}

#[tokio::test]
async fn nobody_meets_a_barrier_in_any_window_in_light_or_dark() {
    let mut barriers = Vec::new();
    for (theme, is_dark) in [("Adwaita", false), ("Adwaita:dark", true)] {
        let (_desktop, window) = sample(theme).await;
        window.turns_to("index.html", "Overview").await.expect("the main window");
        let dark = window.script("return matchMedia('(prefers-color-scheme: dark)').matches").await;
        assert_eq!(dark.expect("asked"), json!(is_dark), "{theme}");
        for place in PLACES {
            let go = format!("location.hash = '#{}'", place.to_lowercase());
            window.script(&go).await.expect("it goes there");
            until(place, SOON, async || {
                let label = "return document.querySelector('main').getAttribute('aria-label')";
                window.script(label).await.is_ok_and(|label| label == place).then_some(())
            })
            .await
            .expect("the place is there");
            if place == "Activity" {
                window.click("execute_sql").await.expect("a call in full");
                window.shows("Decided by").await.expect("it is shown");
            }
            barriers.extend(looked_at(&window, place, is_dark).await);
        }
        for (question, name) in [("wants to use", "Consent"), ("Allow once", "Approval")] {
            window.turns_to("question.html", question).await.expect("its window");
            barriers.extend(looked_at(&window, name, is_dark).await);
        }
    }
    assert!(barriers.is_empty(), "{}", barriers.join("\n"));
}

/// As many more calls in the journal as are wanted, alike the one that is there.
async fn many_more(home: &Path, like: &IntentRecord, count: usize) {
    let config = JournalConfig::new(home.join("journal"), DeviceId::new(), [1; 32]);
    let (journal, _) = Journal::open(config, Arc::new(os::SystemClock)).expect("it opens");
    let mut writing = JoinSet::new();
    for writer in 0..64 {
        let (journal, like) = (journal.clone(), like.clone());
        writing.spawn(async move {
            for _ in (writer..count).step_by(64) {
                let intent = journal.intent(IntentRecord { call: CallId::new(), ..like.clone() }).await;
                journal.outcome(intent.expect("written"), Outcome::new(OutcomeStatus::Ok)).expect("written");
            }
        });
    }
    writing.join_all().await;
    journal.close();
}

/// A person's desktop with one call, and many more that were made before it was started.
async fn with_a_past(count: usize) -> Desktop {
    let (upstream, personal) = echo().await;
    let mut desktop = start(personal).await;
    let token = token(&mut desktop, "Test").await;
    let url = desktop.offers("desk").await.expect("offered");
    let assistant = Assistant::new(url, Access::Bearer(token)).expect("an assistant");
    assistant.run(None, &[Step::call("echo", json!({"message": "hello"}))]).await.expect("called");
    drop(upstream);
    let journal = desktop.home().join("journal");
    let intent = until("its record", SOON, async || {
        let records = audit::export(&journal, audit::Position::default(), usize::MAX).ok()?;
        records.iter().find_map(|record| {
            if let audit::RecordBody::Intent(intent) = record.body() { Some(intent.clone()) } else { None }
        })
    });
    let intent = *intent.await.expect("recorded");
    desktop.tray().await.expect("a tray").choose("Quit Deskgate").await.expect("chosen");
    desktop.process().expect("started").wait(SOON).await.expect("it ends");
    many_more(desktop.home(), &intent, count).await;
    desktop
}

#[tokio::test]
async fn what_was_done_before_the_last_start_is_found_however_much_it_is() {
    let count = if full_size() { 100_000 } else { 2_000 };
    let desktop = with_a_past(count).await;
    let downloads = desktop.session().home().join("Saved here");
    std::fs::create_dir_all(&downloads).expect("made");
    let folders = desktop.session().home().join(".config/user-dirs.dirs");
    std::fs::write(folders, "XDG_DOWNLOAD_DIR=\"$HOME/Saved here\"\n").expect("written");
    let mut window = Driver::start(desktop.session(), desktop.spec(), &[]).await.expect("the window opens");
    window.click("Activity").await.expect("clicked");
    let before = window.shows("in Connector echo").await;
    before.unwrap_or_else(|fault| panic!("calls of before: {fault}\n{}", window.process().log()));

    // Down to the very first call; no more rows are made than can be seen.
    let rows = "const table = document.querySelector('table');
                return [Number(table.getAttribute('aria-rowcount')) - 1, table.querySelectorAll('tr.call').length]";
    let told = "Earlier ones are not on this computer.";
    let reached = until("the first call", 4 * SOON, async || {
        window.script("document.querySelector('main').scrollTo(0, 1e9)").await.ok()?;
        window.text().await.ok()?.contains(told).then_some(())
    })
    .await;
    if let Err(fault) = reached {
        panic!("{fault}: {:?} {:?}", window.script(rows).await, window.text().await);
    }
    let Value::Array(found) = window.script(rows).await.expect("asked") else { panic!("an array") };
    assert_eq!(found[0], json!(count + 1));
    assert!(found[1].as_u64().is_some_and(|made| (1..=100).contains(&made)), "{found:?}");

    // What is rare is looked for in all of them, and shown with its records.
    let type_in = "const field = document.querySelector('input[type=search]');
                   field.value = 'nobody'; field.dispatchEvent(new Event('input', {bubbles: true}))";
    window.script(type_in).await.expect("typed");
    window.shows("No call matches").await.expect("none has this word");
    window.script(&type_in.replace("'nobody'", "'test ECHO'")).await.expect("typed");
    // Above what is seen rows are made and thrown away as one scrolls.
    until("the top of the list", SOON, async || {
        let top = "document.querySelector('main').scrollTo(0, 0);
                   return document.querySelector('tr.call')?.getAttribute('aria-rowindex')";
        window.script(top).await.is_ok_and(|first| first == "2").then_some(())
    })
    .await
    .expect("reached");
    window.click("echo").await.expect("a call");
    window.picture("activity-long").await.expect("taken");
    window.shows("Decided by").await.expect("in full");
    window.click("Show what is recorded, and who receives it").await.expect("clicked");
    let records = window.shows("Stays on this computer. Nobody else receives it.").await;
    window.picture("activity-records").await.expect("taken");
    records.expect("its records");
    window.click("Close the record").await.expect("clicked");

    // What is listed is what is saved: as it was recorded, in the folder that the person has for such.
    window.click("Save these calls in a file").await.expect("clicked");
    let said = format!("{} calls saved in", count + 1);
    window.shows(&said).await.expect("all of them");
    window.picture("activity-saved").await.expect("taken");
    assert_eq!(window.barriers().await.expect("looked at"), Vec::<String>::new());
    let files = std::fs::read_dir(&downloads).expect("a folder").map(|file| file.expect("a file").path());
    let [file] = &files.collect::<Vec<_>>()[..] else { panic!("one file, and nothing half done") };
    let text = std::fs::read_to_string(file).expect("reads");
    assert_eq!(text.lines().count(), 2 * (count + 1), "each call, and what became of it");
    assert!(text.lines().all(|line| audit::AuditRecord::parse(line).is_ok()), "as they stand in the journal");
}

#[tokio::test]
async fn an_assistant_is_connected_in_the_window_and_its_file_comes_back_as_it_was() {
    let (_upstream, personal) = echo().await;
    let desktop = prepared(personal, SessionParts::DESKTOP).await;
    let file = desktop.session().home().join(".cursor/mcp.json");
    let before = "{\n  // mine\n  \"mcpServers\": {\n    \"github\": { \"url\": \"https://example.test/mcp\" }\n  },\n  \"last\": true\n}\n";
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    std::fs::write(&file, before).expect("written");
    let window = Driver::start(desktop.session(), desktop.spec(), &[]).await.expect("the window opens");
    window.shows("Connector echo.").await.expect("it runs");
    window.click("Assistants").await.expect("clicked");
    window.shows("1 server outside Deskgate: github").await.expect("Cursor was found");

    window.click("Connect Cursor to Server desk").await.expect("clicked");
    window.shows("and nothing else:").await.expect("the change");
    assert_eq!(std::fs::read_to_string(&file).expect("reads"), before, "it was only shown");
    window.picture("assistants-change").await.expect("taken");
    assert_eq!(window.barriers().await.expect("looked at"), Vec::<String>::new());
    window.click("Make this change").await.expect("clicked");
    window.shows("Connected to Server desk.").await.expect("done");
    let connected = std::fs::read_to_string(&file).expect("reads");
    assert!(connected.contains("\"deskgate-desk\"") && connected.contains("// mine"), "{connected}");
    assert!(connected.contains("/s/desk/mcp"), "{connected}");

    window.click("Disconnect Cursor from Server desk").await.expect("clicked");
    window.shows("and nothing else:").await.expect("the change");
    window.click("Make this change").await.expect("clicked");
    window.shows("byte for byte").await.expect("done");
    assert_eq!(std::fs::read_to_string(&file).expect("reads"), before);
}

#[tokio::test]
async fn servers_of_an_assistant_are_imported_in_the_window_and_given_back() {
    let (_upstream, personal) = echo().await;
    let desktop = prepared(personal, SessionParts::DESKTOP).await;
    let file = desktop.session().home().join(".cursor/mcp.json");
    let before = "{\n  \"mcpServers\": {\n    \"notes\": {\n      \"command\": \"/nonexistent/notes\",\n      \"env\": { \"NOTES_TOKEN\": \"canary-of-notes\" }\n    }\n  }\n}\n";
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    std::fs::write(&file, before).expect("written");
    let window = Driver::start(desktop.session(), desktop.spec(), &[]).await.expect("the window opens");
    window.shows("Connector echo.").await.expect("it runs");
    window.click("Assistants").await.expect("clicked");
    window.click("Import its servers: Cursor").await.expect("clicked");
    window.shows("Secrets are shown as dots").await.expect("the change");
    window.shows("\"NOTES_TOKEN\": \"••••••••\"").await.expect("masked");
    window.picture("assistants-import").await.expect("taken");
    assert_eq!(window.barriers().await.expect("looked at"), Vec::<String>::new());
    window.click("Import them").await.expect("clicked");
    window.shows("their secrets are sealed: notes").await.expect("done");
    assert!(!std::fs::read_to_string(&file).expect("reads").contains("canary"));
    window.click("Give back notes: Cursor").await.expect("clicked");
    window.click("Give them back").await.expect("clicked");
    window.shows("byte for byte").await.expect("done");
    assert_eq!(std::fs::read_to_string(&file).expect("reads"), before);
}

/// A tool that only reads and needs no argument, and one that needs one.
fn harmless() -> Vec<Value> {
    let schema = |required: &[&str]| json!({"type": "object", "required": required});
    vec![
        json!({"name": "find", "annotations": {"readOnlyHint": true}, "inputSchema": schema(&["query"])}),
        json!({"name": "wipe", "inputSchema": schema(&[])}),
        json!({"name": "list_things", "annotations": {"readOnlyHint": true}, "inputSchema": schema(&[])}),
    ]
}

#[tokio::test]
async fn a_person_who_is_new_is_shown_around_until_it_works() {
    let things = Echo::offering(harmless()).await.expect("an upstream");
    let personal = Personal::default()
        .http("things", &format!("http://{}/mcp", things.address()))
        .server("desk", &["things"]);
    let desktop = prepared(Personal::default(), SessionParts::DESKTOP).await;
    let file = desktop.session().home().join(".cursor/mcp.json");
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    std::fs::write(&file, "{}\n").expect("written");
    let window = Driver::start(desktop.session(), desktop.spec(), &[]).await.expect("the window opens");

    let mut barriers = Vec::new();
    window.shows("Nobody manages Deskgate on this computer.").await.expect("who decides");
    barriers.extend(looked_at(&window, "welcome-whose", false).await);
    window.click("My organisation gave me an address").await.expect("clicked");
    barriers.extend(looked_at(&window, "welcome-join", false).await);
    window.click("Back").await.expect("clicked");
    window.click("Use it for myself").await.expect("clicked");
    window.shows("name a folder of yours").await.expect("what they may reach");
    barriers.extend(looked_at(&window, "welcome-reach", false).await);
    std::fs::write(desktop.home().join("deskgate.toml"), personal.setup().settings).expect("written");

    window.click("Connect Cursor to Server desk").await.expect("found here");
    window.shows("and nothing else:").await.expect("the change");
    barriers.extend(looked_at(&window, "welcome-assistants", false).await);
    window.click("Make this change").await.expect("clicked");
    window.click("Try it").await.expect("the last step");
    let works = "Server desk offers 3 tools, and list_things of Connector things answered in";
    window.shows(works).await.expect("the call that changes nothing");
    barriers.extend(looked_at(&window, "welcome-works", false).await);
    assert_eq!(barriers, Vec::<String>::new());

    window.click("Done").await.expect("clicked");
    window.shows("What assistants connect to").await.expect("the Overview as it is from now on");
    assert!(desktop.home().join("welcomed").is_file(), "not once more after the next start");
    let records = audit::export(&desktop.home().join("journal"), audit::Position::default(), usize::MAX);
    let calls: Vec<_> = records
        .expect("readable")
        .iter()
        .filter_map(|record| {
            let audit::RecordBody::Intent(intent) = record.body() else { return None };
            Some((intent.client_id.clone(), intent.effect.target().name().to_owned()))
        })
        .collect();
    assert_eq!(
        calls,
        [("deskgate".to_owned(), "list_things".to_owned())],
        "on record, and nothing else was called"
    );
}
