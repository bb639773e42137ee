//! The Python programs that tests talk to, in a virtual environment of their own.

use std::process::Command;

use super::{Installed, Need};
use crate::run::{Fault, run};
use crate::workspace;

/// Whether they have to be installed.
pub(super) fn need() -> Result<Need, Fault> {
    let source = workspace::peers().join("python");
    let installed = Installed::new(workspace::tools().join("venv"), &source, &["requirements.txt"]);
    if installed.is_current()? {
        return Ok(Need::Nothing);
    }
    let install = move || {
        installed.clear()?;
        run(Command::new("python3").args(["-m", "venv"]).arg(&installed.folder))?;
        run(Command::new(installed.folder.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"])
            .arg(source.join("requirements.txt")))?;
        installed.finish()
    };
    Ok(Need::Missing {
        what: "MCP client, mail server and log receiver for tests".to_owned(),
        install: Box::new(install),
    })
}
