//! The way out, at the desk, where another program has Deskgate's port.

use std::net::TcpListener;

use testkit::{Program, SessionParts, program, until};

use crate::common::{Personal, SOON};
use crate::desktop::prepared;
use crate::hostile::script;

#[tokio::test]
async fn a_button_moves_deskgate_away_and_shows_who_has_to_be_connected_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = script(folder.path(), "here", "done_");
    let personal = Personal::default().stdio("here", &here).server("desk", &["here"]);
    let mut desktop = prepared(personal, SessionParts::DESKTOP).await;
    desktop.launch(&["--background"]).expect("started");
    desktop.offers("desk").await.expect("it works");
    let before = desktop.listens().await.expect("it listens").port().expect("a port");
    let deskgate = program(Program::Deskgate).expect("built");
    std::fs::create_dir(desktop.session().home().join(".cursor")).expect("Cursor is here");
    let connected = desktop.deskgate(&deskgate, &["connect", "cursor", "--yes"]).await.expect("it runs");
    assert!(connected.status.success(), "{connected:?}");
    let configured =
        std::fs::read_to_string(desktop.session().home().join(".cursor/mcp.json")).expect("written");
    assert!(configured.contains(&before.to_string()), "by its address: {configured}");
    desktop.tray().await.expect("a tray").choose("Quit Deskgate").await.expect("it ends");
    desktop.process().expect("running").wait(SOON).await.expect("it has ended");

    // Another program has the port: this one.
    let _taken = TcpListener::bind(("127.0.0.1", before)).expect("free");
    desktop.launch(&["--background"]).expect("started");
    let screen = desktop.screen().await.expect("a screen");
    let named = format!("(process {}, ", std::process::id());
    screen.shows("Deskgate", &named).await.expect("the window opens by itself and names it");
    screen.press("Deskgate", "Use another port…").await.expect("it is offered");
    screen
        .shows("Deskgate", "cannot reach it until you connect them again")
        .await
        .expect("and said what it means");
    screen.press("Deskgate", "Move and start anew").await.expect("it is done");

    let port_file = desktop.home().join("port");
    let moved = async || {
        let port = std::fs::read_to_string(&port_file).ok()?.trim().parse::<u16>().ok()?;
        (port != before).then_some(port)
    };
    let port = until("another port", SOON, moved).await.expect("it is kept");
    desktop.offers("desk").await.expect("it works there");
    assert_eq!(desktop.listens().await.expect("it listens").port(), Some(port));
    let screen = desktop.screen().await.expect("a screen");
    screen.shows("Deskgate", "is an earlier one. Connect it again.").await.expect("the assistant is listed");
    screen.press("Deskgate", "Connect Cursor to Server desk").await.expect("and can be connected");
}
