//! Noticing that another version was installed while this one runs.

use std::process::Stdio;

use model::ReleaseVersion;
use os::FolderWatch;

/// The version that is installed now, where it is not the one that runs.
pub(super) async fn other_version() -> Option<ReleaseVersion> {
    let program = os::own_program().ok().filter(|_| os::own_program_is_replaced())?;
    // The command line, which lies beside the desktop application, starts anywhere.
    let mut command = tokio::process::Command::new(program.with_file_name("deskgate"));
    command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let said = tokio::time::timeout(std::time::Duration::from_secs(10), command.output()).await.ok()?.ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let version = said.split_whitespace().last()?.parse().ok()?;
    (Some(version) != ::updates::running()).then_some(version)
}

/// Waits until the program's file is another one.
pub(super) async fn replaced(watch: &mut FolderWatch) {
    let Ok(program) = os::own_program() else { return std::future::pending().await };
    let was = os::own_program_is_replaced();
    loop {
        watch.look_at(&program.parent().into_iter().collect::<Vec<_>>());
        if os::own_program_is_replaced() != was {
            return;
        }
        watch.changed().await;
    }
}
