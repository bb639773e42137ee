//! Users of this computer under whom programs can be run.

use std::io;
use std::path::PathBuf;
use std::process::Command;

/// A user of this computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The name.
    pub name: String,
    /// The home folder; it need not be there.
    pub home: PathBuf,
    id: u32,
    group: u32,
}

impl Account {
    /// The user of this name. `None` where there is none.
    #[cfg(unix)]
    pub fn named(name: &str) -> Option<Self> {
        use uzers::os::unix::UserExt as _;
        let user = uzers::get_user_by_name(name)?;
        let home = user.home_dir().to_owned();
        Some(Self { name: name.to_owned(), home, id: user.uid(), group: user.primary_group_id() })
    }

    /// The user of this name. `None` where there is none, and on platforms where programs run as whoever started them.
    #[cfg(not(unix))]
    pub fn named(_name: &str) -> Option<Self> {
        None
    }

    /// Whether it may do everything.
    pub fn is_root(&self) -> bool {
        self.id == 0
    }

    /// Whether this process runs as this user already.
    pub fn is_current(&self) -> bool {
        self.id == crate::current_user().0
    }

    /// Has a program run as this user, and with no more rights than that ever, whatever it starts: their group alone, no others (the standard library drops those of root, see
    /// `std::os::unix::process::CommandExt::uid`).
    #[cfg(unix)]
    pub(crate) fn given_to(&self, command: &mut Command) -> io::Result<()> {
        use std::os::unix::process::CommandExt as _;
        if self.is_current() {
            return Ok(());
        }
        command.uid(self.id).gid(self.group);
        crate::child::gain_nothing(command);
        Ok(())
    }

    #[cfg(not(unix))]
    pub(crate) fn given_to(&self, _command: &mut Command) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::ChildGroup;

    const SHOW: &str = "id -u; id -g; id -G; grep -o 'NoNewPrivs:.*1$' /proc/self/status | tr -d '\\t'; cat /proc/self/environ >/dev/null && echo own";

    async fn said_by(account: &Account) -> io::Result<String> {
        let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        let args = ["-c".to_owned(), SHOW.to_owned()];
        let mut child = ChildGroup::spawn("sh", &args, &env, Some(Path::new("/")), Some(account)).await?;
        let mut said = String::new();
        child.stdout.take().expect("piped").read_to_string(&mut said).await?;
        Ok(said)
    }

    #[tokio::test]
    async fn a_program_runs_as_the_user_and_with_their_group_alone() {
        let nobody = Account::named("nobody").expect("every Linux has it");
        let said = said_by(&nobody).await;
        if Account::named("root").is_some_and(|root| root.is_current()) {
            let (id, group) = (nobody.id, nobody.group);
            assert_eq!(said.expect("runs"), format!("{id}\n{group}\n{group}\nNoNewPrivs:1\nown\n"));
        } else {
            assert_eq!(said.expect_err("only root can").kind(), io::ErrorKind::PermissionDenied);
        }
    }

    #[test]
    fn a_user_who_is_not_there_is_none() {
        assert_eq!(Account::named("nobody-of-this-name"), None);
        assert!(Account::named("root").expect("it is there").is_root());
    }
}
