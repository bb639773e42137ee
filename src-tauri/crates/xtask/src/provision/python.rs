//! The Python programs that tests talk to, in virtual environments of their own.

use std::process::Command;

use super::{Installed, Need};
use crate::run::{Fault, run};
use crate::workspace;

/// Whether what most tests talk to has to be installed.
pub(super) fn need() -> Result<Need, Fault> {
    environment("venv", "python", "MCP client, mail server and log receiver for tests")
}

/// Whether the proxy that reads what is encrypted has to be: it needs other versions of the same packages.
pub(super) fn need_interceptor() -> Result<Need, Fault> {
    environment("interceptor", "interceptor", "intercepting proxy for tests")
}

/// Whether what sends nonsense has to be.
pub(super) fn need_fuzzer() -> Result<Need, Fault> {
    environment("fuzzer", "fuzzer", "sender of nonsense for tests")
}

/// A virtual environment with what the requirements of a folder of peers name, and nothing else.
fn environment(folder: &str, peers: &str, what: &str) -> Result<Need, Fault> {
    let source = workspace::peers().join(peers);
    let installed = Installed::new(workspace::tools().join(folder), &source, &["requirements.txt"]);
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
    Ok(Need::Missing { what: what.to_owned(), install: Box::new(install) })
}
