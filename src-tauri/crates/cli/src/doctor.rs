//! `deskgate doctor`: what is wrong, and what to do. A running gateway looks at itself; else this program looks.

use std::process::ExitCode;

use controller::app::{Client, ClientFault, Command, Doctor, Home, Report};
use controller::doctor::Examination;
use model::Advice;

/// Prints what was found. Fails where something is wrong.
pub(crate) async fn doctor(home: Home, json: bool) -> ExitCode {
    let examination = examine(home).await;
    if json {
        match serde_json::to_string_pretty(&examination) {
            Ok(text) => println!("{text}"),
            Err(fault) => return crate::fail(&unwritable(&fault)),
        }
    } else {
        println!("{examination}");
    }
    if examination.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the running gateway says of itself, or what can be seen from beside it.
pub(crate) async fn examine(home: Home) -> Examination {
    match Client::new(home.clone()).ask(&Command::Doctor).await {
        Ok(Report::Ok { json, .. }) => match serde_json::from_value::<Examination>(json) {
            Ok(examination) => examination.asked_by(env!("CARGO_PKG_VERSION")),
            Err(fault) => {
                Doctor::beside(home).examine().await.with("answer", "Deskgate", &unwritable(&fault))
            }
        },
        Ok(Report::Refused { advice }) => {
            Doctor::beside(home).examine().await.with("answer", "Deskgate", &advice)
        }
        // Whether one has the folder and is silent is seen from its lock.
        Err(ClientFault::NotRunning | ClientFault::Silent(_)) => Doctor::beside(home).examine().await,
    }
}

fn unwritable(fault: &serde_json::Error) -> Advice {
    Advice::new(
        "doctor",
        format!("What the running Deskgate found cannot be read: {fault}."),
        "It may be of another version than the command line.",
        "Quit it and start it again.",
    )
}
