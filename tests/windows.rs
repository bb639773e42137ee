//! Our own windows, as somebody meets them who needs a keyboard or a screen reader, or has much to look through.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use audit::{IntentRecord, Journal, JournalConfig, Outcome, OutcomeStatus};
use model::{CallId, DeviceId};
use serde_json::{Value, json};
use testkit::bench::Echo;
use testkit::{
    Access, Assistant, Desktop, Driver, SessionParts, Step, filesystem_server, full_size, readable_secrets,
    until,
};
use tokio::task::JoinSet;

use crate::common::{Personal, SOON, files_below};
use crate::desktop::{echo, prepared, start, token};
use crate::pictures;

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

/// Goes to a place of the main window.
async fn go(window: &Driver, place: &str) {
    let there = format!("location.hash = '#{}'", place.to_lowercase());
    window.script(&there).await.expect("it goes there");
    until(place, SOON, async || {
        let label = "return document.querySelector('main').getAttribute('aria-label')";
        window.script(label).await.is_ok_and(|label| label == place).then_some(())
    })
    .await
    .expect("the place is there");
}

/// Takes a picture, and says what is in somebody's way.
async fn looked_at(window: &Driver, name: &str, is_dark: bool) -> Vec<String> {
    let named = format!("{}-{}", name.to_lowercase(), if is_dark { "dark" } else { "light" });
    let taken = window.picture(&named).await.expect("taken");
    let words = window.text().await.expect("its text");
    let mut violations = Vec::from_iter(pictures::differs(&taken, &words, name, is_dark));
    let found = window.barriers().await.expect("looked at");
    violations.extend(found.into_iter().map(|found| format!("{named}: {found}")));
    violations
}

/// The menu of the tray icon, open below the panel, without anything else on the screen.
#[tokio::test]
async fn the_menu_of_the_tray_icon_is_the_one_of_the_picture() {
    let mut desktop = prepared(Personal::default(), SessionParts::DESKTOP).await;
    desktop.launch(&["--sample", "--background"]).expect("started");
    let tray = desktop.tray().await.expect("a tray");
    tray.entry("Cursor wants to use").await.expect("what waits stands in it");
    let words = tray.lines().await.expect("a menu").join("\n");
    let taken = desktop.session().picture_of_tray_menu("tray").await.expect("taken");
    assert_eq!(pictures::differs(&taken, &words, "tray", false), None);
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
            go(&window, place).await;
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

/// What cannot be seen or reached: what is wider than the window or cut off.
const CUT_OFF: &str = "const wide = it => it.scrollWidth > it.clientWidth + 1;
    const pages = [document.documentElement, document.querySelector('main')].filter(it => it && wide(it));
    const cut = [...document.querySelectorAll('button, input, a, select')].filter(it => {
        const { left, right, width } = it.getBoundingClientRect();
        return width > 1 && (left < 0 || right > innerWidth + 1 || it.tagName === 'BUTTON' && wide(it));
    });
    const words = [...document.querySelectorAll('.truncate')].filter(it => it.clientWidth > 1 && it.clientWidth < 100 && wide(it));
    return [...pages, ...cut, ...words].map(it => it.outerHTML.slice(0, 200));";

/// Goes up to 200 % as one does in a browser.
async fn enlarge(window: &Driver) {
    let press = "const wanted = innerWidth / 2;
        for (let at = 0; at < 5; at += 1) window.dispatchEvent(new KeyboardEvent('keydown', { ctrlKey: true, key: '+' }));
        return wanted";
    let wanted = window.script(press).await.expect("pressed").as_f64().expect("a width");
    until("all twice as large", SOON, async || {
        let width = window.script("return innerWidth").await.ok()?.as_f64()?;
        (width <= wanted + 1.0).then_some(())
    })
    .await
    .expect("the page is enlarged");
}

#[tokio::test]
async fn everything_is_seen_and_reached_at_twice_its_size() {
    let (_desktop, window) = sample("Adwaita").await;
    window.turns_to("index.html", "Overview").await.expect("the main window");
    enlarge(&window).await;
    let mut trouble = Vec::new();
    for place in PLACES {
        go(&window, place).await;
        if place == "Activity" {
            window.shows("execute_sql").await.expect("calls");
            // The driver clicks beside it where a page is enlarged.
            let call =
                "[...document.querySelectorAll('button')].find(it => it.innerText === 'execute_sql').click()";
            window.script(call).await.expect("a call in full");
            window.shows("Decided by").await.expect("it is shown");
        }
        trouble.extend(seen_large(&window, place).await);
    }
    for (question, name) in [("wants to use", "Consent"), ("Allow once", "Approval")] {
        window.turns_to("question.html", question).await.expect("its window");
        enlarge(&window).await;
        trouble.extend(seen_large(&window, name).await);
    }
    assert!(trouble.is_empty(), "{}", trouble.join("\n"));
}

/// What can be pressed, chosen or written into, in the order of the page.
const CONTROLS: &str = "const seen = it => it.checkVisibility() && it.getBoundingClientRect().width > 0;
    const all = 'button:not(:disabled), input:not([hidden]), select, a[href], summary, [tabindex=\"0\"]';
    // Within the list of places, and among what excludes each other, one goes by arrows.
    const stops = it => it.tabIndex >= 0 && (it.type !== 'radio' || it.checked);
    window.controls = [...document.querySelectorAll(all)].filter(it => seen(it) && stops(it));
    document.activeElement?.blur();
    return [window.controls.length, window.controls.filter(it => it.matches('button, input, select, a')).length];";

/// What of the page the tabulator does not come to, and what a screen reader has no name for, or does not find.
async fn out_of_reach(desktop: &Desktop, window: &Driver, title: &str) -> Vec<String> {
    let counted = window.script(CONTROLS).await.expect("counted");
    let (count, controls): (u64, usize) = serde_json::from_value(counted).expect("two numbers");
    let mut reached = BTreeSet::new();
    for _ in 0..=count {
        window.tab().await.expect("pressed");
        let at = window.script("return window.controls.indexOf(document.activeElement)").await;
        reached.extend(at.expect("asked").as_u64());
    }
    let left = (0..count).filter(|at| !reached.contains(at));
    let mut trouble = Vec::new();
    for at in left {
        let what = window.script(&format!("return window.controls[{at}].outerHTML")).await.expect("asked");
        trouble.push(format!("the tabulator does not come to {what}"));
    }
    let read = desktop.screen().await.expect("a screen").controls(title).await.expect("read");
    trouble.extend(read.iter().filter(|name| name.is_empty()).map(|_| "one has no name".to_owned()));
    if read.len() < controls {
        trouble.push(format!("a screen reader finds {} of {controls}: {read:?}", read.len()));
    }
    trouble
}

#[tokio::test]
async fn a_keyboard_and_a_screen_reader_come_to_everything() {
    let (desktop, window) = sample("Adwaita").await;
    window.turns_to("index.html", "Overview").await.expect("the main window");
    let mut trouble = Vec::new();
    for place in PLACES {
        go(&window, place).await;
        let found = out_of_reach(&desktop, &window, "Deskgate").await;
        trouble.extend(found.into_iter().map(|found| format!("{place}: {found}")));
    }
    for question in ["wants to use", "Allow once"] {
        window.turns_to("question.html", question).await.expect("its window");
        let says = window.text().await.expect("its text");
        let titles = desktop.windows().await.expect("asked");
        let title = titles.iter().find(|title| title.contains("wants to use") && says.contains(*title));
        let title = title.unwrap_or_else(|| panic!("none of {titles:?} says {says}"));
        let found = out_of_reach(&desktop, &window, title).await;
        trouble.extend(found.into_iter().map(|found| format!("{question}: {found}")));
    }
    assert!(trouble.is_empty(), "{}", trouble.join("\n"));
}

/// Takes a picture, and says what is in somebody's way who needs all twice as large.
async fn seen_large(window: &Driver, name: &str) -> Vec<String> {
    window.picture(&format!("{}-200", name.to_lowercase())).await.expect("taken");
    let cut = window.script(CUT_OFF).await.expect("looked at");
    let cut: Vec<String> = serde_json::from_value(cut).expect("a list");
    let found = window.barriers().await.expect("looked at");
    cut.into_iter().chain(found).map(|found| format!("{name}: {found}")).collect()
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

/// A program that serves a folder to whoever has the secret.
fn files_for_the_secret(home: &Path, secret: &str) -> String {
    let command = filesystem_server(home).expect("installed").join("' '");
    let digest = model::Digest::of(secret.as_bytes()).hex();
    let script = format!(
        "#!/bin/sh\ntest \"$(printf %s \"$FILES_KEY\" | sha256sum | cut -c1-64)\" = {digest} || exit 7\nexec '{command}'\n"
    );
    let file = home.join("my server");
    std::fs::write(&file, script).expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("executable");
    format!("'{}' --quiet", file.display())
}

#[tokio::test]
async fn a_connector_of_ones_own_is_described_with_a_secret_works_and_is_removed_without_a_trace() {
    const SECRET: &str = "canary-key-of-own-files-4714";
    let (_upstream, personal) = echo().await;
    let desktop = prepared(personal, SessionParts::DESKTOP).await;
    let line = files_for_the_secret(&desktop.session().home(), SECRET);
    let settings = desktop.home().join("deskgate.toml");
    let before = std::fs::read_to_string(&settings).expect("settings");
    let spec = desktop.spec().env("GTK_THEME", "Adwaita:dark");
    let window = Driver::start(desktop.session(), spec, &[]).await.expect("the window opens");
    window.shows("Connector echo.").await.expect("it runs");

    window.click("Connectors").await.expect("clicked");
    window.click("Add a connector").await.expect("clicked");
    window.write("What it is called", "My files").await.expect("typed");
    window.write("What starts it, as in a terminal", &line).await.expect("typed");
    window.click("Add a secret").await.expect("clicked");
    window.write("Name of the variable", "FILES_KEY").await.expect("typed");
    window.write("Secret", SECRET).await.expect("typed");
    let mut barriers = looked_at(&window, "connector-own", true).await;
    window.click("Show the change").await.expect("clicked");
    window.shows("FILES_KEY = \"${sealed:FILES_KEY}\"").await.expect("a placeholder");
    barriers.extend(looked_at(&window, "connector-own-change", true).await);
    assert_eq!(std::fs::read_to_string(&settings).expect("settings"), before, "it was only shown");
    window.click("Add it").await.expect("clicked");
    window.shows("My files is there now.").await.expect("added");
    window.shows("Ready, 14 tools").await.expect("the program got its secret");
    let found = readable_secrets(desktop.home(), &[("a key", SECRET.as_bytes())]);
    assert_eq!(found, Vec::<String>::new());
    assert!(!files_below(&desktop.home().join("vault/sealed")).is_empty(), "it is sealed");

    window.click("Remove My files").await.expect("clicked");
    window.shows("forgets its secrets").await.expect("what that means");
    barriers.extend(looked_at(&window, "connector-own-removal", true).await);
    assert_eq!(barriers, Vec::<String>::new());
    window.click("Remove it").await.expect("clicked");
    window.shows("My files is gone").await.expect("removed");
    assert_eq!(std::fs::read_to_string(&settings).expect("settings"), before, "byte for byte");
    assert!(files_below(&desktop.home().join("vault/sealed")).is_empty(), "nothing is left sealed");
    let found = readable_secrets(desktop.home(), &[("a key", SECRET.as_bytes())]);
    assert_eq!(found, Vec::<String>::new());
    for event in ["ConnectorAdded", "ConnectorRemoved"] {
        until(event, SOON, async || {
            let journal = desktop.home().join("journal");
            let records = audit::export(&journal, audit::Position::default(), usize::MAX).ok()?;
            records.iter().any(|record| format!("{:?}", record.body()).contains(event)).then_some(())
        })
        .await
        .expect("on record");
    }

    enlarge(&window).await;
    let add =
        "[...document.querySelectorAll('button')].find(it => it.innerText === 'Add a connector').click()";
    window.script(add).await.expect("clicked");
    window.shows("What it is called").await.expect("the form");
    assert_eq!(seen_large(&window, "connector-own").await, Vec::<String>::new());
    assert_eq!(out_of_reach(&desktop, &window, "Deskgate").await, Vec::<String>::new());
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
    barriers.extend(looked_at(&window, "Welcome", false).await);
    window.click("My organisation gave me an address").await.expect("clicked");
    barriers.extend(looked_at(&window, "welcome-join", false).await);
    window.click("Back").await.expect("clicked");
    window.click("Use it for myself").await.expect("clicked");
    window.shows("Describe what they may reach first").await.expect("what they may reach");
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
