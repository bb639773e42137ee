//! Ends what a killed Deskgate leaves running. The kernel's death signal reaches only the first process of a group; so a
//! shell holds the end of a pipe whose other end only this process has, is told of every group, and kills those that are
//! left when the pipe closes.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

const SHELL: &str = r#"groups=
while read -r what group; do
  case $what in
    +) groups="$groups $group " ;;
    -) groups="${groups%% $group *} ${groups#* $group }" ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group"; done"#;

static PIPE: OnceLock<Option<Mutex<ChildStdin>>> = OnceLock::new();

/// From now on the group ends with this process.
pub(crate) fn add(group: u32) {
    tell('+', group);
}

/// The group has ended. To be called while its id cannot yet be anybody else's.
pub(crate) fn remove(group: u32) {
    tell('-', group);
}

fn tell(what: char, group: u32) {
    let Some(pipe) = PIPE.get_or_init(start) else { return };
    let mut pipe = pipe.lock().unwrap_or_else(PoisonError::into_inner);
    // Without the shell the death signal still reaches the programs themselves.
    let _ = pipe.write_all(format!("{what} {group}\n").as_bytes());
}

fn start() -> Option<Mutex<ChildStdin>> {
    let shell = Command::new("/bin/sh")
        .args(["-c", SHELL])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // What ends Deskgate from a terminal must not end it first.
        .process_group(0)
        .spawn();
    shell.ok()?.stdin.map(Mutex::new)
}
