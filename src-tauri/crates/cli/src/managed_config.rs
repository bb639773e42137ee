//! `deskgate managed-config`: the file by which IT has an assistant reach nothing but Deskgate.

use std::path::PathBuf;
use std::process::ExitCode;

use assistants::{ManagedFile, Target};
use controller::app::{Home, addresses, machine};
use model::{Advice, ServerId};
use serde_json::json;

use crate::assistants::tell;

/// Prints the file, or writes it.
pub(crate) async fn managed_config(
    home: &Home,
    file: &'static ManagedFile,
    servers: &[ServerId],
    out: Option<PathBuf>,
    json: bool,
) -> ExitCode {
    match printed(home, file, servers, out, json).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(advice) => crate::fail(&advice),
    }
}

async fn printed(
    home: &Home,
    file: &'static ManagedFile,
    servers: &[ServerId],
    out: Option<PathBuf>,
    json: bool,
) -> Result<(), Advice> {
    let all = addresses(home).await?;
    if let Some(missing) = servers.iter().find(|id| !all.iter().any(|it| it.id == **id)) {
        let ids: Vec<String> = all.iter().map(|it| it.id.to_string()).collect();
        return Err(Advice::new(
            "no-such-server",
            format!("There is no virtual server \"{missing}\"."),
            "",
            format!("Choose among these: {}.", ids.join(", ")),
        ));
    }
    let wanted = all.iter().filter(|it| servers.is_empty() || servers.contains(&it.id));
    let targets: Vec<Target> =
        wanted.map(|it| Target { server: it.id.clone(), url: it.url.clone(), bridge: Vec::new() }).collect();
    if targets.is_empty() {
        return Err(Advice::new(
            "no-servers",
            "There is no virtual server yet.",
            "An assistant that may reach nothing else could reach nothing at all.",
            "Define one first.",
        ));
    }
    let text = file.text(&targets);
    let place = file.path(machine()?.platform);
    if let Some(out) = &out {
        write_for_all(out, &text).map_err(|fault| {
            let happened = format!("{} cannot be written: {fault}.", out.display());
            Advice::new(
                "managed-config-unwritable",
                happened,
                "",
                "Check that the folder is there and yours.",
            )
        })?;
    }
    if !json {
        match place {
            Some(place) => eprintln!("To be written to {place}, by root or an administrator alone."),
            None => eprintln!("This assistant has no such file on this platform."),
        }
        if file.only_allows() {
            eprintln!(
                "It allows the servers and adds none: run deskgate connect {} for each employee too.",
                file.assistant
            );
        }
    }
    let shown = out.map_or_else(|| text.trim_end().to_owned(), |out| format!("Written: {}", out.display()));
    tell(json, &shown, &json!({ "file": place, "text": text, "only_allows": file.only_allows() }));
    Ok(())
}

/// Writes a file that holds no secret and that every employee's assistant has to read, whatever the rights of other new files are.
fn write_for_all(file: &std::path::Path, text: &str) -> std::io::Result<()> {
    std::fs::write(file, text)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}
