//! What the project's books tell people to type, so that tests can type it.

use std::path::Path;
use std::process::Output;

use crate::{Gateway, PeerFault};

/// One line of a block of commands (```` ```sh ````).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// The heading that it stands under.
    pub heading: String,
    /// The command.
    pub command: String,
    /// What the book says about it behind a `#`; empty where it says nothing.
    pub remark: String,
}

/// Every command of a book, in its order.
pub fn commands(book: &str) -> Vec<Typed> {
    let (mut heading, mut language) = ("", None);
    let mut found = Vec::new();
    for line in book.lines() {
        if let Some(fence) = line.strip_prefix("```") {
            language = language.is_none().then_some(fence);
        } else if language == Some("sh") {
            let (command, remark) = line.split_once(" # ").unwrap_or((line, ""));
            found.push(Typed {
                heading: heading.to_owned(),
                command: command.trim().to_owned(),
                remark: remark.trim().to_owned(),
            });
        } else if language.is_none() && line.starts_with("## ") {
            heading = line.trim_start_matches("## ");
        }
    }
    found.retain(|typed| !typed.command.is_empty());
    found
}

/// A person at a terminal: their home folder, in which they type, and the gateway that runs for them.
#[derive(Debug)]
pub struct Terminal<'a> {
    gateway: &'a Gateway,
    home: &'a Path,
}

impl<'a> Terminal<'a> {
    /// A terminal in `home`, where the gateway's folder lies as Linux has it.
    ///
    /// # Errors
    /// If the folder cannot be prepared.
    pub fn open(gateway: &'a Gateway, home: &'a Path) -> Result<Self, PeerFault> {
        let data = home.join(".local/share");
        let folder = data.join("deskgate");
        if !folder.exists() {
            std::fs::create_dir_all(&data)?;
            std::os::unix::fs::symlink(gateway.home(), folder)?;
        }
        Ok(Self { gateway, home })
    }

    /// Types one line, as a shell reads it.
    ///
    /// # Errors
    /// If no shell can be started; how the line ends is in the output.
    pub async fn types(&self, line: &str) -> Result<Output, PeerFault> {
        let mut command = self.gateway.shell(line);
        command.env("HOME", self.home).current_dir(self.home);
        Ok(tokio::process::Command::from(command).kill_on_drop(true).output().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_those_of_shell_blocks_under_their_headings() {
        let book =
            "## One\n```sh\na b  # why\n\nc '#d'\n```\n```toml\n## no\nx\n```\n## Two\n```sh\ne\n```\n";
        let found: Vec<_> = commands(book)
            .into_iter()
            .map(|typed| format!("{}|{}|{}", typed.heading, typed.command, typed.remark))
            .collect();
        assert_eq!(found, ["One|a b|why", "One|c '#d'|", "Two|e|"]);
    }
}
