//! `deskgate port`: where assistants reach Deskgate, and the way out where another program has that port.

use std::process::ExitCode;

use controller::app::{Home, move_port};
use serde_json::json;

/// Says the port, or moves it: to `to`, or to the next free one where that names none.
pub(crate) async fn port(home: &Home, to: Option<Option<u16>>, json: bool) -> ExitCode {
    let Some(wanted) = to else { return say(home, json) };
    match move_port(home, wanted).await {
        Ok(moved) if json => {
            let servers: Vec<_> =
                moved.servers.iter().map(|(title, url)| json!({"title": title, "url": url})).collect();
            println!("{}", json!({"before": moved.before, "port": moved.port, "servers": servers}));
            ExitCode::SUCCESS
        }
        Ok(moved) => {
            print!("{moved}");
            ExitCode::SUCCESS
        }
        Err(advice) => crate::fail(&advice),
    }
}

fn say(home: &Home, json: bool) -> ExitCode {
    let port = home.kept_port();
    match port {
        _ if json => println!("{}", json!({"port": port})),
        Some(port) => println!("Assistants look for Deskgate at http://127.0.0.1:{port}"),
        None => println!("No port is chosen yet; the first start chooses one."),
    }
    ExitCode::SUCCESS
}
